"""Points to voxels and values back: the only voxelisation in ov3d."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .acceleration import kernels, plain
from .errors import ConfigError, DataError
from .types import FloatArray, Voxels

_COORD_LIMIT = 2**20
"""Voxel coordinates stay below this magnitude, so that three of them pack into one int64."""


def voxelize(
    points: NDArray[np.float32], voxel_size_m: float, *, max_range_m: float | None = None, compiled: bool | None = None
) -> Voxels:
    """Group points (N, 3) into voxels of edge `voxel_size_m`; a voxel's coordinate is floor(point / size).

    Points that are NaN or infinite, farther than `max_range_m` (Euclidean, from the frame's origin), or beyond
    2^20 voxels on an axis get `voxel_of_point` -1. Computed in float64. For `compiled` see `acceleration`.
    """
    if not voxel_size_m > 0:
        raise ConfigError(f"voxelize: voxel_size_m must be positive, got {voxel_size_m}.")
    if points.ndim != 2 or points.shape[1] != 3:
        raise DataError(f"voxelize: expected points of shape (N, 3), got {points.shape}.")
    squared_range = math.inf if max_range_m is None else float(max_range_m) ** 2
    run = kernels(compiled)
    precision = np.float32 if points.dtype == np.float32 else np.float64
    coords, voxel_of_point = run.voxelize(plain(points, precision), float(voxel_size_m), _COORD_LIMIT, squared_range)
    return Voxels(coords=coords, voxel_of_point=voxel_of_point)


def mean_per_voxel(
    values: FloatArray | NDArray[np.integer[Any]], voxels: Voxels, *, compiled: bool | None = None
) -> NDArray[np.float32]:
    """Average values (N,) or (N, C) over each voxel: (V,) or (V, C) float32; points without a voxel are left out.

    Sums in float64. For `compiled` see `acceleration`.
    """
    count = len(voxels.coords)
    highest = int(voxels.voxel_of_point.max(initial=-1))
    if len(values) != len(voxels.voxel_of_point) or highest >= count:
        raise DataError(
            f"mean_per_voxel: {len(values)} values, {len(voxels.voxel_of_point)} points in voxels up to {highest} and "
            f"{count} voxels do not belong together."
        )
    precision = np.float32 if values.dtype == np.float32 else np.float64
    columns = plain(values.reshape(len(values), math.prod(values.shape[1:])), precision)
    sums, points = kernels(compiled).sum_per_voxel(columns, plain(voxels.voxel_of_point, np.int64), count)
    means = (sums / np.maximum(points, 1)[:, None]).astype(np.float32)
    return means.reshape((count, *values.shape[1:]))
