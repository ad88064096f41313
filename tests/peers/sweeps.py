"""Real sweeps as voxels, and what MinkowskiEngine makes of the same voxels, row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ov3d_perception.sparse_index import build_sparse_index
from ov3d_perception.voxels import voxelize
from ov3d_trainer.network.backends import index_tensors

SWEEPS = {
    "nuScenes": ("nuscenes_scene-0061/LIDAR_TOP.pcd.bin", 5),
    "KITTI": ("kitti_object/velodyne_000001.bin", 4),
    "SemanticKITTI": ("semantickitti/seq08_000000.bin", 4),
}
VOXEL_SIZE_M = 0.1
RANGE_M = {"nuScenes": 80.0, "KITTI": 80.0, "SemanticKITTI": 20.0}  # the last is three times as dense


def sweep_coords(folder: Path, name: str) -> np.ndarray:
    """Voxel coordinates (V, 3) of a real sweep, sorted; half of them are negative in x and y."""
    file, columns = SWEEPS[name]
    if not (folder / file).is_file():
        reason = f"no {folder / file}"
        print(reason)
        pytest.skip(reason)
    points = np.fromfile(folder / file, dtype=np.float32).reshape(-1, columns)[:, :3]
    return voxelize(points, VOXEL_SIZE_M, max_range_m=RANGE_M[name]).coords


def tables(coords: np.ndarray, levels: int = 2, stem_kernel: int = 3) -> dict[str, torch.Tensor]:
    """Index tables as tensors."""
    return index_tensors(build_sparse_index(coords, levels, stem_kernel))


def batched(coords: np.ndarray) -> torch.Tensor:
    """Coordinates with the batch's number in front."""
    return torch.from_numpy(np.hstack([np.zeros((len(coords), 1), dtype=np.int32), coords]).astype(np.int32))


def coarser(coords: np.ndarray, level: int) -> np.ndarray:
    """Coordinates of a level in the order of its tables."""
    return np.unique(coords >> level, axis=0)


def in_our_order(tensor: Any, coords: np.ndarray, level: int = 0) -> torch.Tensor:
    """Rows of a sparse tensor of MinkowskiEngine in the order of our voxels; both must have the same voxels."""
    theirs = tensor.C[:, 1:].numpy()
    stride = 2**level
    assert not (theirs % stride).any()
    cells = theirs // stride
    ours = coarser(coords, level)
    order = np.lexsort(cells.T[::-1])
    np.testing.assert_array_equal(cells[order], ours)
    return tensor.F[torch.from_numpy(order)]
