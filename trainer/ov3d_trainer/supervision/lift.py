"""Lifting: labels of camera pixels become labels of lidar points, and labels of points become targets of voxels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.projection import DEFAULT_MIN_DEPTH_M, not_occluded, project
from ov3d_perception.types import BoolArray, CameraView, Projection, Voxels
from ov3d_perception.voxels import mean_per_voxel

from ..data.sample import UNKNOWN, LabelImage, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class LiftOptions:
    """How pixels are read at points.

    `min_confidence` in [0, 1]: pixels below it give nothing. `erosion_px`: pixels this close to another label, in
    pixels of the label image, give nothing (masks are least reliable at their border, and so is calibration).
    `occlusion_test`: leave out points that a nearer surface hides from the camera: by the camera's depth image where
    there is one, otherwise by the sweep itself (`projection.not_occluded`). `depth_tolerance`: how far a point's depth
    may lie from the image's, as a share of it.

    Of features only: `view_weight` says how much each of several views counts, equal or near (1 / depth).
    `superpixels`: about how many of them an image is cut into, so that points share vectors; 0 for none.
    """

    min_confidence: float = 0.0
    erosion_px: int = 0
    min_depth_m: float = DEFAULT_MIN_DEPTH_M
    occlusion_test: bool = True
    view_weight: str = "equal"
    superpixels: int = 0
    depth_tolerance: float = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class PointLabels:
    """Label per point: `label` (N,) int32, `UNKNOWN` where no camera says anything; `confidence` (N,) float32, 0..1."""

    label: NDArray[np.int32]
    confidence: NDArray[np.float32]


def lift_view_labels(sample: Sample, options: LiftOptions | None = None) -> PointLabels:
    """Give each lidar point the label of the pixel it falls on.

    Where several cameras see a point, the most confident pixel wins (the first camera on a tie). Pixels without a
    confidence count as 1. Cameras without a label image give nothing.
    """
    options = options or LiftOptions()
    count = len(sample.frame.points)
    label = np.full(count, UNKNOWN, dtype=np.int32)
    confidence = np.zeros(count, dtype=np.float32)
    for view in sample.frame.cameras:
        image = sample.view_labels.get(view.name)
        if image is None:
            continue
        depth = sample.view_depths.get(view.name)
        seen_label, seen_confidence = _read_view(sample.frame.points, view, image, options, depth)
        better = (seen_label != UNKNOWN) & (seen_confidence > confidence)
        label[better] = seen_label[better]
        confidence[better] = seen_confidence[better]
    return PointLabels(label=label, confidence=confidence)


def visible_pixels(
    points: NDArray[np.float32], view: CameraView, options: LiftOptions, depth: NDArray[np.float32] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]:
    """Return rows (S,) of the points that a view sees, the pixel (S, 2) as (u, v) of each, and its depth (S,) in m.

    `depth` (h, w) is the view's depth image in metres, None where it has none.
    """
    projection = project(points, view, min_depth_m=options.min_depth_m)
    shape = (view.image.shape[0], view.image.shape[1])
    if not options.occlusion_test:
        seen = projection.visible
    elif depth is None:
        seen = not_occluded(projection, shape)
    else:
        seen = agrees_with_depth(projection, shape, depth, options.depth_tolerance)
    rows = np.flatnonzero(seen)
    return rows, projection.pixels[rows], projection.depth_m[rows]


def agrees_with_depth(
    projection: Projection, image_shape: tuple[int, int], depth: NDArray[np.float32], tolerance: float
) -> BoolArray:
    """Return (N,) bool: visible, and |d - z| <= tolerance d for the depth d that the camera measured (OpenScene).

    `depth` (h, w) in metres, of the image (H, W) at any size. Where nothing was measured (0) nothing is seen.
    """
    seen = projection.visible.copy()
    rows = np.flatnonzero(seen)
    row, column = pixels_in_label_image(projection.pixels[rows], image_shape, (depth.shape[0], depth.shape[1]))
    measured = depth[row, column]
    seen[rows] = (measured > 0) & (np.abs(measured - projection.depth_m[rows]) <= tolerance * measured)
    return seen


def pixels_in_label_image(
    pixels: NDArray[np.float32], image_shape: tuple[int, int], label_shape: tuple[int, int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return row and column in a label image of `label_shape` (h, w) for pixels (N, 2) of the image (H, W).

    Pixel centres lie at integers, so an image of W pixels covers [-0.5, W - 0.5) and u becomes
    (u + 0.5) w / W - 0.5. Results are inside the label image for pixels inside the image.
    """
    scale = np.array([label_shape[1] / image_shape[1], label_shape[0] / image_shape[0]])
    scaled = (pixels.astype(np.float64) + 0.5) * scale - 0.5
    column = np.clip(np.floor(scaled[:, 0] + 0.5), 0, label_shape[1] - 1).astype(np.int64)
    row = np.clip(np.floor(scaled[:, 1] + 0.5), 0, label_shape[0] - 1).astype(np.int64)
    return row, column


def away_from_borders(labels: NDArray[np.int32], distance_px: int) -> BoolArray:
    """Return (h, w) bool: True where all pixels within `distance_px` (a square) carry the same label."""
    if distance_px < 1:
        return np.ones(labels.shape, dtype=bool)
    lowest, highest = labels, labels
    for axis in (0, 1):
        lowest = _slide(lowest, distance_px, axis, np.minimum)
        highest = _slide(highest, distance_px, axis, np.maximum)
    return lowest == highest


def voxel_targets(
    target: NDArray[np.int64], weight: NDArray[np.float32], targets: int, voxels: Voxels
) -> NDArray[np.float32]:
    """Pool point targets to voxels: (V, K) float32, the mean over the voxel's points of weight x one-hot target.

    `target` (N,) in 0..K-1 or `UNKNOWN`, `weight` (N,). A row sums to the mean weight of the voxel's points (points
    without a target weigh 0), so it is both how much a voxel counts and what it should be.
    """
    share = np.zeros((len(target), targets), dtype=np.float32)
    known = np.flatnonzero(target != UNKNOWN)
    share[known, target[known]] = weight[known]
    return mean_per_voxel(share, voxels)


def _read_view(
    points: NDArray[np.float32],
    view: CameraView,
    image: LabelImage,
    options: LiftOptions,
    depth: NDArray[np.float32] | None,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Label and confidence of each point (N,) in one view."""
    rows, pixels, _ = visible_pixels(points, view, options, depth)
    shape, label_shape = ((array.shape[0], array.shape[1]) for array in (view.image, image.labels))
    row, column = pixels_in_label_image(pixels, shape, label_shape)
    inner = away_from_borders(image.labels, options.erosion_px)[row, column]
    found = image.labels[row, column]
    confidence = np.ones(len(rows), np.float32) if image.confidence is None else image.confidence[row, column]
    kept = inner & (found != UNKNOWN) & (confidence >= options.min_confidence) & (confidence > 0)
    label = np.full(len(points), UNKNOWN, dtype=np.int32)
    point_confidence = np.zeros(len(points), dtype=np.float32)
    label[rows[kept]] = found[kept]
    point_confidence[rows[kept]] = confidence[kept]
    return label, point_confidence


def _slide(values: NDArray[np.int32], distance: int, axis: int, combine: np.ufunc) -> NDArray[np.int32]:
    """Combine each value with its neighbours up to `distance` along one axis; the image ends at its edge."""
    padding = [(0, 0), (0, 0)]
    padding[axis] = (distance, distance)
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(values, padding, mode="edge"), 2 * distance + 1, axis)
    return combine.reduce(windows, axis=-1)
