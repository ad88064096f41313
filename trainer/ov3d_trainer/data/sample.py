"""What every data set reader yields: a `Frame` as the robot would see it, plus whatever truth is known about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.types import FloatArray, Frame

UNKNOWN = -1
"""Label id of a point or pixel about which nothing is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rig:
    """Where the sensors sit on the vehicle and where the vehicle was, as (4, 4) float64 `target_from_source`.

    `global_from_ego` holds the ego pose per stamp (ns) and includes the sweep's and every image's stamp.
    """

    ego_from_lidar: FloatArray
    ego_from_camera: Mapping[str, FloatArray]
    global_from_ego: Mapping[int, FloatArray]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the lidar stood at the sweep's stamp: `recording` names the drive, whose samples share one world frame.

    `world_from_lidar` (4, 4) float64.
    """

    recording: str
    world_from_lidar: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelImage:
    """Label per pixel of one camera image, by an external segmenter or by a simulator.

    `labels` (h, w) int32, index into the sample's `label_names`, `UNKNOWN` where there is none; h, w may be smaller
    than the image (the same view, scaled). `confidence` (h, w) float32 in [0, 1] or None. `instances` (h, w) int32,
    rows of the sample's `objects`, `UNKNOWN` where none, or None.
    """

    labels: NDArray[np.int32]
    confidence: NDArray[np.float32] | None = None
    instances: NDArray[np.int32] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneObject:
    """One object of a world: its kind, and what can be said about it where it is known ("red", "parked").

    `key` is the same for the same object in all samples of a recording.
    """

    kind: str
    color: str = ""
    state: str = ""
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """An annotated cuboid in the lidar frame: centre (3,) m, size (length, width, height) m, yaw about z in rad.

    `key` is the object's identity over a recording, "" where it has none.
    """

    category: str
    center_m: FloatArray
    size_lwh_m: FloatArray
    yaw_rad: float
    key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One frame with its truth.

    `point_labels` (N,) int32 index into `point_label_names`, `UNKNOWN` where none; `view_labels` per camera name,
    indices into `view_label_names`. `point_instances` (N,) int32 are rows of `objects`, `UNKNOWN` where none; the
    numbers hold within the sample only. `view_depths` per camera name, (h, w) float32 metres along the camera's z axis,
    0 where nothing was measured; h, w may be smaller than the image. Each is None / empty where the data set has none.
    `place` is None where samples stand alone, or where nobody knows. `from_one_sensor`: the origin is where the sensor
    stood; False for a cloud of many views, in which distances from the origin say nothing.
    """

    name: str
    frame: Frame
    rig: Rig | None = None
    point_labels: NDArray[np.int32] | None = None
    point_label_names: tuple[str, ...] = ()
    view_labels: Mapping[str, LabelImage] = field(default_factory=dict)
    view_label_names: tuple[str, ...] = ()
    view_depths: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    boxes: tuple[Box, ...] = ()
    point_instances: NDArray[np.int32] | None = None
    objects: tuple[SceneObject, ...] = ()
    place: Place | None = None
    from_one_sensor: bool = True


class SampleSource(Protocol):
    """A data set: samples by index, in recording order."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


class DataSet(SampleSource, Protocol):
    """A source whose samples have names of their own, and come without images where nobody looks at these."""

    def key(self, index: int) -> str:
        """Return a file name without suffix, the same whatever else is in the data set."""

    def without_images(self, index: int) -> Sample:
        """Return a sample without images and label images; where they are files, they are not read."""


def place_of(recording: str, rig: Rig, stamp_ns: int) -> Place:
    """Return the place of a lidar on a rig at a stamp whose pose is known."""
    return Place(recording=recording, world_from_lidar=rig.global_from_ego[stamp_ns] @ rig.ego_from_lidar)


def lidar_only(sample: Sample) -> Sample:
    """Return a sample without its images, label images and depth images."""
    return replace(sample, frame=replace(sample.frame, cameras=()), view_labels={}, view_depths={})
