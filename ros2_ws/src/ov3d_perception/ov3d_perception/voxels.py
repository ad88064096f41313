"""Points to voxels and values back: the only voxelisation in ov3d."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ConfigError
from .types import FloatArray, Voxels

_COORD_LIMIT = 2**20
"""Voxel coordinates stay below this magnitude, so that three of them pack into one sortable int64."""


def voxelize(points: NDArray[np.float32], voxel_size_m: float, *, max_range_m: float | None = None) -> Voxels:
    """Group points (N, 3) into voxels of edge `voxel_size_m`; a voxel's coordinate is floor(point / size).

    Points that are NaN or infinite, farther than `max_range_m` (Euclidean, from the frame's origin), or beyond
    2^20 voxels on an axis get `voxel_of_point` -1.
    """
    if not voxel_size_m > 0:
        raise ConfigError(f"voxelize: voxel_size_m must be positive, got {voxel_size_m}.")
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = np.floor(points.astype(np.float64) / voxel_size_m)
        kept = (np.abs(scaled) < _COORD_LIMIT).all(axis=1)  # False for NaN
        if max_range_m is not None:
            kept &= np.einsum("ij,ij->i", points, points, dtype=np.float64) <= max_range_m**2
    shifted = scaled[kept].astype(np.int64) + _COORD_LIMIT
    keys = (shifted[:, 0] << 42) | (shifted[:, 1] << 21) | shifted[:, 2]
    unique_keys, voxel_of_kept = np.unique(keys, return_inverse=True)
    mask = (1 << 21) - 1
    coords = np.stack([unique_keys >> 42, (unique_keys >> 21) & mask, unique_keys & mask], axis=1) - _COORD_LIMIT
    voxel_of_point = np.full(len(points), -1, dtype=np.int64)
    voxel_of_point[kept] = voxel_of_kept.reshape(-1)
    return Voxels(coords=coords.astype(np.int32), voxel_of_point=voxel_of_point)


def mean_per_voxel(values: FloatArray | NDArray[np.integer[Any]], voxels: Voxels) -> NDArray[np.float32]:
    """Average values (N,) or (N, C) over each voxel: (V,) or (V, C) float32; points without a voxel are left out."""
    count = len(voxels.coords)
    inside = voxels.voxel_of_point >= 0
    rows = voxels.voxel_of_point[inside]
    columns = values[inside].astype(np.float64).reshape(len(rows), math.prod(values.shape[1:]))
    points_per_voxel = np.maximum(np.bincount(rows, minlength=count), 1)
    sums = np.empty((count, columns.shape[1]))
    for column in range(columns.shape[1]):
        sums[:, column] = np.bincount(rows, weights=columns[:, column], minlength=count)
    means = (sums / points_per_voxel[:, None]).astype(np.float32)
    return means.reshape((count, *values.shape[1:]))
