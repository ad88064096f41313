"""Poses in text files: written with few digits, so that they are rotations only nearly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.errors import DataError
from ov3d_perception.geometry import make_transform

_MOST_OFF = 1e-2
"""How far an entry may lie from the nearest rotation's: three digits are enough."""
_MOST_BYTES = 100_000


def nearest_rigid(what: str, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rigid (4, 4) transform next to a matrix (3, 4) or (4, 4).

    Raises `DataError`, which begins with `what` (file and entry), for a matrix that is not finite, a reflection, or
    further than 0.01 from any rotation.
    """
    if matrix.shape in ((3, 4), (4, 4)) and np.isfinite(matrix).all():
        left, _, right = np.linalg.svd(matrix[:3, :3])
        rotation = left @ right
        if np.abs(rotation - matrix[:3, :3]).max() < _MOST_OFF and np.linalg.det(rotation) > 0:
            return make_transform(rotation, matrix[:3, 3])
    raise DataError(f"{what}: expected a rotation and a translation, got {matrix.tolist()}. Copy the file again.")


def read_matrix(path: Path) -> NDArray[np.float64]:
    """Return the matrix of a text file with one row a line, finite or not.

    Raises `DataError` for a file that is missing or holds no matrix of 3 or 4 rows and columns.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path}: larger than {_MOST_BYTES} bytes, expected one matrix. Is it the right file?")
        matrix = np.loadtxt(path, dtype=np.float64, ndmin=2)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Unpack the archive that holds it.") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected a matrix as text ({error}). Copy the file again.") from error
    if matrix.shape not in ((3, 3), (3, 4), (4, 4)):
        raise DataError(f"{path}: expected a matrix of 3 or 4 rows, got {matrix.shape}. Copy the file again.")
    return matrix
