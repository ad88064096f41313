"""Annotated boxes and the points inside them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .sample import Box


def points_in_box(points: NDArray[np.floating[Any]], box: Box) -> NDArray[np.bool_]:
    """Return (N,) bool: the point (N, 3) lies in the box or on its surface; both in the lidar frame, NaN is outside."""
    offset = points.astype(np.float64) - box.center_m
    cosine, sine = math.cos(box.yaw_rad), math.sin(box.yaw_rad)
    along = offset[:, 0] * cosine + offset[:, 1] * sine
    across = offset[:, 1] * cosine - offset[:, 0] * sine
    half_length, half_width, half_height = np.asarray(box.size_lwh_m, dtype=np.float64) / 2
    inside = (np.abs(along) <= half_length) & (np.abs(across) <= half_width) & (np.abs(offset[:, 2]) <= half_height)
    return np.asarray(inside, dtype=np.bool_)
