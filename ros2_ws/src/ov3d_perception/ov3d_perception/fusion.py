"""Camera features on lidar voxels: what the image tower says about the pixels, averaged with what the student says."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from .engine import SweepFeatures
from .errors import ModelError
from .image_tower import ImageTower
from .projection import DEFAULT_MIN_DEPTH_M, not_occluded, project
from .types import BoolArray, Frame
from .voxels import mean_per_voxel

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


def fuse(features: SweepFeatures, camera: CameraFeatures, *, weight: float = 0.5) -> SweepFeatures:
    """Return the sweep's features with `weight` (0 to 1) of the cameras' where a camera sees the voxel.

    Voxels that no camera sees keep the student's feature. Raises `ModelError` where the two have different lengths.
    """
    started = time.perf_counter()
    if camera.feature.shape[1] != features.embedding.shape[1]:
        raise ModelError(
            f"image tower: features of {camera.feature.shape[1]} numbers, the student's have "
            f"{features.embedding.shape[1]}. Use the image tower of the same bundle."
        )
    mean, seen = _mean_per_voxel(features, camera)
    embedding = features.embedding.copy()
    embedding[seen] = (1.0 - weight) * embedding[seen] + weight * mean[seen]
    embedding /= np.maximum(np.linalg.norm(embedding, axis=1, keepdims=True), _MIN_NORM)
    return replace(
        features,
        embedding=embedding,
        similarity=embedding @ features.queries.text.T,
        timings_ms={**features.timings_ms, "fusion": 1e3 * (time.perf_counter() - started)},
    )


def _mean_per_voxel(features: SweepFeatures, camera: CameraFeatures) -> tuple[NDArray[np.float32], BoolArray]:
    """Return the unit mean (V, D) of the camera features in each voxel, and which voxels have any (V,)."""
    voxels = replace(features.voxels, voxel_of_point=features.voxels.voxel_of_point[camera.rows])
    mean = mean_per_voxel(camera.feature, voxels)
    length = np.linalg.norm(mean, axis=1)
    seen = length > _MIN_NORM
    mean[seen] /= length[seen, None]
    return mean, seen
