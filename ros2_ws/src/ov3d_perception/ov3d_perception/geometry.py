"""Rigid transforms: (4, 4) matrices named `target_from_source`, so that chains cancel by eye.

`p_target = target_from_source @ p_source`, and `a_from_c = a_from_b @ b_from_c`. Quaternions are (x, y, z, w), as in
ROS messages; nuScenes tables store (w, x, y, z) and are reordered by their reader.
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import GeometryError
from .types import FloatArray

_ORTHONORMAL_TOLERANCE = (
    1e-4  # float32 extrinsics, multiplied a few times, stay below 1e-6; a wrong matrix is far above
)
_Float = TypeVar("_Float", np.float32, np.float64)


def make_transform(rotation: FloatArray, translation: ArrayLike) -> NDArray[np.float64]:
    """Put a rotation (3, 3) and a translation (3,) in metres together into a (4, 4) transform."""
    transform = np.eye(4)
    transform[:3, :3] = rotation
    transform[:3, 3] = translation
    return transform


def check_transform(name: str, transform: FloatArray) -> None:
    """Raise `GeometryError` unless `transform` is a finite rigid (4, 4) transform; `name` goes into the message."""
    if transform.shape != (4, 4):
        raise GeometryError(f"{name}: expected shape (4, 4), got {transform.shape}.")
    if not np.isfinite(transform).all():
        raise GeometryError(f"{name}: holds NaN or infinity. Check the calibration or pose that it was made from.")
    rotation = transform[:3, :3].astype(np.float64)
    error = float(np.abs(rotation @ rotation.T - np.eye(3)).max())
    if error > _ORTHONORMAL_TOLERANCE or np.linalg.det(rotation) < 0:
        raise GeometryError(
            f"{name}: rotation is not orthonormal and right-handed (R Rᵀ differs from I by {error:.2g}, "
            f"det {np.linalg.det(rotation):.3f}). Check units, axis order and whether the matrix was transposed."
        )
    if not np.allclose(transform[3], (0.0, 0.0, 0.0, 1.0), atol=1e-6):
        raise GeometryError(f"{name}: last row is {transform[3].tolist()}, expected [0, 0, 0, 1].")


def invert_transform(b_from_a: FloatArray) -> NDArray[np.float64]:
    """Return `a_from_b` (4, 4) of a rigid `b_from_a` (4, 4)."""
    rotation = b_from_a[:3, :3].astype(np.float64)
    return make_transform(rotation.T, -rotation.T @ b_from_a[:3, 3])


def transform_points(target_from_source: FloatArray, points: NDArray[_Float]) -> NDArray[_Float]:
    """Move points (N, 3) from the source to the target frame; dtype is kept, rows that are not finite stay so.

    Computed in float64: global nuScenes coordinates exceed 1 km, where float32 resolves only 0.1 mm.
    """
    rotation = target_from_source[:3, :3].T.astype(np.float64)
    with np.errstate(invalid="ignore"):  # infinity times zero
        moved = points.astype(np.float64) @ rotation + target_from_source[:3, 3]
    return moved.astype(points.dtype)


def rotation_from_quaternion(xyzw: ArrayLike) -> NDArray[np.float64]:
    """Return the rotation (3, 3) of a quaternion (x, y, z, w), which is normalised first.

    Raises `GeometryError` for a zero or non-finite quaternion (an uninitialised ROS message).
    """
    quaternion = np.asarray(xyzw, dtype=np.float64)
    norm = float(np.linalg.norm(quaternion))
    if quaternion.shape != (4,) or not np.isfinite(norm) or norm < 1e-6:
        raise GeometryError(f"quaternion: expected four numbers of non-zero length, got {quaternion.tolist()}.")
    x, y, z, w = quaternion / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def quaternion_from_rotation(rotation: FloatArray) -> NDArray[np.float64]:
    """Return the unit quaternion (x, y, z, w), w >= 0, of a rotation (3, 3).

    The eigenvector form is stable for every angle (Bar-Itzhack 2000, "New method for extracting the quaternion").
    """
    m = rotation.astype(np.float64)
    symmetric = (
        np.array(
            [
                [m[0, 0] - m[1, 1] - m[2, 2], m[1, 0] + m[0, 1], m[2, 0] + m[0, 2], m[2, 1] - m[1, 2]],
                [m[1, 0] + m[0, 1], m[1, 1] - m[0, 0] - m[2, 2], m[2, 1] + m[1, 2], m[0, 2] - m[2, 0]],
                [m[2, 0] + m[0, 2], m[2, 1] + m[1, 2], m[2, 2] - m[0, 0] - m[1, 1], m[1, 0] - m[0, 1]],
                [m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1], m[0, 0] + m[1, 1] + m[2, 2]],
            ]
        )
        / 3.0
    )
    _, vectors = np.linalg.eigh(symmetric)
    quaternion = vectors[:, -1]
    return -quaternion if quaternion[3] < 0 else quaternion


def interpolate_transform(first: FloatArray, second: FloatArray, fraction: float) -> NDArray[np.float64]:
    """Interpolate between two poses: translation linearly, rotation along the shortest arc; `fraction` in [0, 1].

    Raises `GeometryError` outside [0, 1]: motion is never extrapolated.
    """
    if not 0.0 <= fraction <= 1.0:
        raise GeometryError(
            f"interpolate_transform: fraction {fraction} is outside [0, 1]; motion is not extrapolated."
        )
    start, end = quaternion_from_rotation(first[:3, :3]), quaternion_from_rotation(second[:3, :3])
    cosine = float(start @ end)
    if cosine < 0.0:
        end, cosine = -end, -cosine
    angle = np.arccos(min(cosine, 1.0))
    if angle < 1e-8:
        blended = start
    else:
        blended = (np.sin((1 - fraction) * angle) * start + np.sin(fraction * angle) * end) / np.sin(angle)
    translation = (1 - fraction) * first[:3, 3] + fraction * second[:3, 3]
    return make_transform(rotation_from_quaternion(blended), translation)
