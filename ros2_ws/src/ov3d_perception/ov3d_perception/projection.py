"""Lidar points into camera images: the one projection that training and the robot share, and the occlusion test.

A pixel centre lies at integer coordinates: the image covers u in [-0.5, W - 0.5).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .errors import GeometryError
from .geometry import check_transform, transform_points
from .types import BoolArray, CameraView, Projection

DEFAULT_MIN_DEPTH_M = 1.0


def project(points: NDArray[np.float32], view: CameraView, *, min_depth_m: float = DEFAULT_MIN_DEPTH_M) -> Projection:
    """Project lidar points (N, 3) into a rectified pinhole image.

    A point is visible when it is finite, at least `min_depth_m` in front of the camera and inside the image. Points
    behind other surfaces are still visible here; see `not_occluded`. Raises `GeometryError` for a broken transform or
    intrinsics. The chain with both stamps' ego motion is in `view.camera_from_lidar`.
    """
    check_transform(f"{view.name}: camera_from_lidar", view.camera_from_lidar)
    _check_intrinsics(view)
    height, width = view.image.shape[:2]
    in_camera = transform_points(view.camera_from_lidar, points)
    depth_m = in_camera[:, 2]
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        in_front = np.isfinite(in_camera).all(axis=1) & (depth_m >= min_depth_m)
        homogeneous = in_camera.astype(np.float64) @ view.intrinsics.T.astype(np.float64)
        pixels = (homogeneous[:, :2] / homogeneous[:, 2:]).astype(np.float32)
        u, v = pixels[:, 0], pixels[:, 1]
        inside = (u >= -0.5) & (u < width - 0.5) & (v >= -0.5) & (v < height - 0.5)
    return Projection(pixels=pixels, depth_m=depth_m, visible=in_front & inside)


def not_occluded(
    projection: Projection,
    image_shape: tuple[int, int],
    *,
    cell_px: float | None = None,
    relative_tolerance: float = 0.05,
    absolute_tolerance_m: float = 0.3,
) -> BoolArray:
    """Return (N,) bool: visible, and not behind a nearer surface that the lidar itself saw.

    Lidar and cameras sit apart, so points behind an object's edge project onto the object (parallax). The sweep's own
    points serve as a coarse z-buffer: the image (H, W) is cut into cells of `cell_px` pixels
    (default: width / 100, half the beam spacing of a 32-beam lidar in a 65 degree camera); the surface of a cell is
    its own nearest depth, or that of the cells on both sides of it (left and right, above and below) where those are
    nearer. Both sides, so that a silhouette does not eat the background beside it, but the gaps between two beams on
    one object are closed. A point is hidden when it lies deeper than the surface by more than
    `absolute_tolerance_m + relative_tolerance * depth`.
    """
    height, width = image_shape
    cell_px = width / 100 if cell_px is None else cell_px
    rows, columns = math.ceil(height / cell_px), math.ceil(width / cell_px)
    hidden = np.zeros(len(projection.depth_m), dtype=bool)
    seen = np.flatnonzero(projection.visible)
    if not len(seen):
        return hidden
    pixel = np.rint(projection.pixels[seen]).astype(np.int64)
    row = np.clip((pixel[:, 1] / cell_px).astype(np.int64), 0, rows - 1)
    column = np.clip((pixel[:, 0] / cell_px).astype(np.int64), 0, columns - 1)
    depth_m = projection.depth_m[seen]
    nearest = np.full((rows + 2, columns + 2), np.inf, dtype=np.float32)  # one border cell: nothing outside the image
    np.minimum.at(nearest, (row + 1, column + 1), depth_m)
    bracketed = np.minimum(
        np.maximum(nearest[1:-1, :-2], nearest[1:-1, 2:]),  # left and right
        np.maximum(nearest[:-2, 1:-1], nearest[2:, 1:-1]),  # above and below
    )
    surface_m = np.minimum(nearest[1:-1, 1:-1], bracketed)[row, column]
    hidden_seen = depth_m > surface_m * (1.0 + relative_tolerance) + absolute_tolerance_m
    hidden[seen] = hidden_seen
    return projection.visible & ~hidden


def _check_intrinsics(view: CameraView) -> None:
    matrix = view.intrinsics
    if not np.isfinite(matrix).all() or matrix[0, 0] <= 0 or matrix[1, 1] <= 0:
        raise GeometryError(
            f"{view.name}: intrinsics need finite values and positive focal lengths, got {matrix.tolist()}. "
            "An all-zero CameraInfo means that the driver is not calibrated."
        )
