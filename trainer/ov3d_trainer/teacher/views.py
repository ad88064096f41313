"""Features of images brought to points: read where points fall, averaged over views and, if wanted, superpixels."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.types import CameraView

from ..data.sample import Sample
from ..supervision.lift import LiftOptions, visible_pixels
from .base import FeatureSupervision
from .superpixels import superpixel_at

ReadPixels = Callable[[CameraView, NDArray[np.float32]], NDArray[np.float32]]
"""Gives the vectors (P, C) of a view at pixels (P, 2)."""


def mean_over_views(sample: Sample, lift: LiftOptions, width: int, read: ReadPixels) -> FeatureSupervision:
    """Read vectors of `width` numbers where points fall into the sample's images, and average them over the views.

    Views weigh as `lift.view_weight` says. With `lift.superpixels` the points of one superpixel, of the view that
    counts most for them, share the mean of their vectors.
    """
    points = sample.frame.points
    total = np.zeros((len(points), width), np.float32)
    weight, largest = np.zeros(len(points), np.float32), np.zeros(len(points), np.float32)
    group = np.zeros(len(points), np.int64)
    groups = 0
    for view in sample.frame.cameras:
        rows, pixels, depth_m = visible_pixels(points, view, lift, sample.view_depths.get(view.name))
        share = view_weight(depth_m, lift.view_weight)
        total[rows] += share[:, None] * read(view, pixels)
        weight[rows] += share
        if lift.superpixels and len(rows):
            segment = superpixel_at(view.image, pixels, lift.superpixels)
            counts_most = share > largest[rows]
            group[rows[counts_most]] = groups + segment[counts_most]
            groups += int(segment.max()) + 1
            largest[rows] = np.maximum(largest[rows], share)
    seen = np.flatnonzero(weight)
    feature = total[seen] / weight[seen, None]
    if lift.superpixels:
        return FeatureSupervision.of_groups(len(points), seen, feature, group[seen])
    return FeatureSupervision.of_points(len(points), seen, feature)


def view_weight(depth_m: NDArray[np.float32], kind: str) -> NDArray[np.float32]:
    """Return how much a view counts for points at `depth_m` (P,) before it: `equal`, or `near`, 1 / depth."""
    return np.ones(len(depth_m), np.float32) if kind == "equal" else np.float32(1.0) / depth_m
