"""One vector per mask or per superpixel from a grid of dense features. No torch here."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.errors import DataError


def pool_over_masks(features: NDArray[np.floating[Any]], masks: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return unit vectors (M, D): per mask the mean of unit features over its pixels.

    `features` (D, h, w) lie evenly over the image that `masks` (M, H, W) belong to: a pixel has the feature of the cell
    that its middle lies in. Masks may overlap. Raises `DataError` for a mask without a pixel.
    """
    _check(features, masks.shape[1:])
    cell = _cell_of_pixel(features, masks.shape[1:])
    cells = features.shape[1] * features.shape[2]
    counts = np.empty((len(masks), cells))
    for row, mask in enumerate(masks):
        counts[row] = np.bincount(cell[mask], minlength=cells)
    return _means(counts, features, "mask")


def pool_over_segments(features: NDArray[np.floating[Any]], segments: NDArray[np.integer[Any]]) -> NDArray[np.float32]:
    """Return unit vectors (S, D), `pool_over_masks` for masks that do not overlap: superpixels.

    `segments` (H, W) holds 0..S-1 per pixel, negative numbers where there is none; each number must occur.
    """
    _check(features, segments.shape)
    cell = _cell_of_pixel(features, segments.shape)
    cells, known = features.shape[1] * features.shape[2], segments >= 0
    number = int(segments.max(initial=-1)) + 1
    joint = segments[known].astype(np.int64) * cells + cell[known]
    return _means(np.bincount(joint, minlength=number * cells).reshape(number, cells), features, "segment")


def _check(features: NDArray[np.floating[Any]], shape: tuple[int, ...]) -> None:
    if features.ndim != 3 or len(shape) != 2:
        raise DataError(
            f"pooling: expected features (D, h, w) and masks (M, H, W) or segments (H, W), got features "
            f"{features.shape} and an image of {shape}."
        )


def _cell_of_pixel(features: NDArray[np.floating[Any]], shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return (H, W): the number of the cell in which each pixel's middle lies."""
    rows, columns = (
        ((np.arange(size) + 0.5) * cells / size).astype(np.int64)
        for size, cells in zip(shape, features.shape[1:], strict=True)
    )
    return np.asarray(rows[:, None] * features.shape[2] + columns[None, :])


def _means(counts: NDArray[Any], features: NDArray[np.floating[Any]], what: str) -> NDArray[np.float32]:
    """Return unit means (M, D) of the cells' unit features, weighted by `counts` (M, cells)."""
    total = counts.sum(axis=1)
    empty = np.flatnonzero(~(total > 0))
    if len(empty):
        raise DataError(f"pooling: {what} {empty[0]} has no pixel that counts ({len(empty)} of {len(total)} so).")
    flat = _unit(features.reshape(len(features), -1).T.astype(np.float64))
    return _unit(counts @ flat / total[:, None]).astype(np.float32)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
