"""What scans of rooms have in common: where their frame lies, and what stands for intensity."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

ORIGIN_HEIGHT_M = 1.5
"""Height of a sample's origin above the floor, about where a robot's sensor is."""
_FLOOR_SHARE = 0.01


def scene_origin(points: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """Return the origin (3,) for points (N, 3) with z up: the middle in x and y, 1.5 m above the floor.

    The floor is the height that 1 % of the points lie below.
    """
    low, high = points.min(axis=0), points.max(axis=0)
    floor = float(np.quantile(points[:, 2], _FLOOR_SHARE))
    return np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, floor + ORIGIN_HEIGHT_M], np.float64)


def luminance(colors: NDArray[np.uint8] | None, count: int) -> NDArray[np.float32]:
    """Return (N,) 0..255 for colours (N, 3) RGB, zeros without."""
    if colors is None:
        return np.zeros(count, np.float32)
    return (colors @ np.array([0.3, 0.59, 0.11])).astype(np.float32)
