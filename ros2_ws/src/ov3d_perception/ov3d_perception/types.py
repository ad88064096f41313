"""The data that flows through ov3d: frozen, slotted, keyword-only, checked once at the door.

Frames of reference: points live in the lidar frame (x, y, z in metres) unless a name says otherwise, and every
transform is named `target_from_source`. Time is `stamp_ns`, integer nanoseconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import GeometryError

FloatArray = NDArray[np.floating[Any]]
IntArray = NDArray[np.integer[Any]]
BoolArray = NDArray[np.bool_]

UNLABELLED = 0
"""Label of a point that no query claims; label i + 1 belongs to query i."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraView:
    """One camera image together with where the camera stood relative to the sweep.

    `image` (H, W, 3) uint8 RGB, rectified. `intrinsics` (3, 3), pixels. `camera_from_lidar` (4, 4) maps lidar points
    at the sweep's stamp to the camera (x right, y down, z forward) at the image's stamp: ego motion is already in it.
    """

    name: str
    image: NDArray[np.uint8]
    intrinsics: FloatArray
    camera_from_lidar: FloatArray
    stamp_ns: int

    def __post_init__(self) -> None:
        _expect_shape(f"CameraView {self.name}: image", self.image, (None, None, 3))
        _expect_shape(f"CameraView {self.name}: intrinsics", self.intrinsics, (3, 3))
        _expect_shape(f"CameraView {self.name}: camera_from_lidar", self.camera_from_lidar, (4, 4))


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One lidar sweep with the images that belong to it; the same type for training and for the robot.

    `points` (N, 3) float32, lidar frame, metres; rows may be NaN. `intensity` (N,) float32 in the sensor's own scale
    (the model card names it). Optional per point: `colors` (N, 3) uint8 RGB, `ring` (N,) uint16 beam index,
    `time_offset_s` (N,) float32 relative to `stamp_ns`.
    """

    points: NDArray[np.float32]
    intensity: NDArray[np.float32]
    stamp_ns: int
    frame_id: str
    cameras: tuple[CameraView, ...] = ()
    colors: NDArray[np.uint8] | None = None
    ring: NDArray[np.uint16] | None = None
    time_offset_s: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        _expect_shape("Frame: points", self.points, (None, 3))
        count = len(self.points)
        _expect_shape("Frame: intensity", self.intensity, (count,))
        for name, shape in (("colors", (count, 3)), ("ring", (count,)), ("time_offset_s", (count,))):
            value = getattr(self, name)
            if value is not None:
                _expect_shape(f"Frame: {name}", value, shape)


@dataclass(frozen=True, slots=True, kw_only=True)
class Projection:
    """Where each lidar point falls in one image.

    `pixels` (N, 2) float32 as (u, v), pixel centres at integers; meaningless where `visible` is False. `depth_m` (N,)
    float32 along the camera's z axis. `visible` (N,) bool: finite, in front of the camera and inside the image
    (occlusion is a test of its own, `projection.not_occluded`).
    """

    pixels: NDArray[np.float32]
    depth_m: NDArray[np.float32]
    visible: BoolArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Voxels:
    """Occupied voxels of one sweep and the way back to its points.

    `coords` (V, 3) int32, unique, sorted by x, then y, then z; voxel i covers [coords, coords + 1) * voxel_size_m.
    `voxel_of_point` (N,) int64, row of `coords` per point, -1 for points that were left out (NaN, out of range).
    """

    coords: NDArray[np.int32]
    voxel_of_point: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkInputs:
    """Everything the network sees of one sweep.

    `features` (V, F) float32. `index` maps ONNX input names to int64 tables (see `sparse_index`).
    `voxels` leads back to the points.
    """

    features: NDArray[np.float32]
    index: dict[str, NDArray[np.int64]]
    voxels: Voxels


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Labels of one sweep under one vocabulary.

    `label` (N,) uint16: 0 = unlabelled, i + 1 = label i of the query set. `score` (N,) float32: cosine similarity in
    [-1, 1] between the point's feature and the best phrase of its label (of the best label where unlabelled by
    threshold or background; 0 for points without a voxel). `queries_version` names the table that `label` refers to.
    """

    label: NDArray[np.uint16]
    score: NDArray[np.float32]
    queries_version: int


def _expect_shape(what: str, array: NDArray[Any], shape: tuple[int | None, ...]) -> None:
    if array.ndim != len(shape) or any(
        want is not None and got != want for got, want in zip(array.shape, shape, strict=True)
    ):
        wanted = "(" + ", ".join("any" if want is None else str(want) for want in shape) + ")"
        raise GeometryError(f"{what}: expected shape {wanted}, got {array.shape}. Check how the array was made.")
