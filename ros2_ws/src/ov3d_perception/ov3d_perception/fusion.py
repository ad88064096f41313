"""Camera features on lidar points: what the image tower says about the pixels, averaged with what the student says."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .engine import SweepFeatures
from .errors import ModelError
from .image_tower import ImageTower
from .projection import DEFAULT_MIN_DEPTH_M, not_occluded, project
from .types import Frame

CAMERA_WEIGHT = 0.8
"""How much the cameras count where they see: chosen on streets and rooms of seeds 2000 on, see docs/training.md."""

_MIN_NORM = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraFeatures:
    """What the cameras say about a sweep: `rows` (S,) int64 of the points that one sees, `feature` (S, D) of each."""

    rows: NDArray[np.int64]
    feature: NDArray[np.float32]


def camera_features(
    frame: Frame, tower: ImageTower, *, min_depth_m: float = DEFAULT_MIN_DEPTH_M, occlusion_test: bool = True
) -> CameraFeatures:
    """Read the tower where points fall into the frame's images; points in several images get the mean, unit length."""
    count, dim = len(frame.points), tower.card.embedding_dim
    total = np.zeros((count, dim), np.float32)
    views = np.zeros(count, np.int64)
    for view in frame.cameras:
        shape = (view.image.shape[0], view.image.shape[1])
        projection = project(frame.points, view, min_depth_m=min_depth_m)
        visible = not_occluded(projection, shape) if occlusion_test else projection.visible
        rows = np.flatnonzero(visible)
        total[rows] += tower.features(view.image, projection.pixels[rows])
        views[rows] += 1
    seen = np.flatnonzero(views)
    feature = total[seen]
    feature /= np.maximum(np.linalg.norm(feature, axis=1, keepdims=True), _MIN_NORM)
    return CameraFeatures(rows=seen, feature=feature)


def fuse(features: SweepFeatures, camera: CameraFeatures, *, weight: float = CAMERA_WEIGHT) -> SweepFeatures:
    """Return the sweep's features with a row of its own for each point that a camera sees.

    There, `weight` (0 to 1) of the cameras' feature is averaged with the rest of the point's voxel; where the voxel is
    missing (beyond the student's range) the cameras speak alone. Other points keep their voxel's row. Raises
    `ModelError` where the two have different lengths.
    """
    started = time.perf_counter()
    dim = features.basis.shape[1]
    if camera.feature.shape[1] != dim:
        raise ModelError(
            f"image tower: features of {camera.feature.shape[1]} numbers, the student's have {dim}. "
            "Use the image tower of the same bundle."
        )
    voxel = features.row_of_point[camera.rows]
    mixed = camera.feature.copy()
    known = voxel >= 0
    mixed[known] = weight * camera.feature[known] + (1.0 - weight) * features.embedding_of(voxel[known])
    mixed /= np.maximum(np.linalg.norm(mixed, axis=1, keepdims=True), _MIN_NORM)
    row_of_point = features.row_of_point.copy()
    row_of_point[camera.rows] = len(features.compact) + len(features.point_embedding) + np.arange(len(mixed))
    similarity = features.similarity
    if similarity is not None:
        similarity = np.concatenate([similarity, mixed @ features.queries.text.T])
    return replace(
        features,
        point_embedding=np.concatenate([features.point_embedding, mixed]),
        similarity=similarity,
        row_of_point=row_of_point,
        timings_ms={**features.timings_ms, "fusion": 1e3 * (time.perf_counter() - started)},
    )
