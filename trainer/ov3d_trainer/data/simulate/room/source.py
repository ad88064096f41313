"""A furnished room as a data set of one sample: `SimulatedRoom`."""

from __future__ import annotations

import math

import numpy as np

from ov3d_perception.errors import ConfigError
from ov3d_perception.geometry import invert_transform
from ov3d_perception.types import CameraView, Frame

from ...sample import Box, Sample
from ..kinds import KIND_OF, KINDS, VIEW_KINDS
from ..things import Thing, describe_all
from .layouts import LAYOUTS
from .scan import RoomScan, scan_room

START_NS = 1_600_000_000_000_000_000
_STEP_NS = 33_333_333
_FRAME_ID = "room"


class SimulatedRoom:
    """A `SampleSource` of one sample: the fused scan of the room of a seed, and `views` colour images of it.

    The frame's points are those of all depth images in the room frame (z up, floor at -1.5 m), one per 3 cm cell, with
    `colors`; `intensity` is their luminance, 0..255. The room stands still: `camera_from_lidar` of a view is
    `camera_from_room`. With `unseen` kinds stand about that no other room has. Raises `ConfigError` for arguments out
    of range.
    """

    def __init__(
        self,
        seed: int,
        views: int = 10,
        *,
        image_size: tuple[int, int] = (320, 240),
        unseen: bool = False,
        layout: str = "",
    ) -> None:
        if seed < 0 or not 1 <= views <= 1_000 or min(image_size) < 8:
            raise ConfigError(
                "SimulatedRoom: expected seed >= 0, 1 to 1000 views and an image of at least 8 x 8, "
                f"got seed={seed}, views={views}, image_size={image_size}."
            )
        if layout and layout not in LAYOUTS:
            raise ConfigError(f"SimulatedRoom: no layout {layout!r}; choose from {sorted(LAYOUTS)} or '' for any.")
        self.seed = seed
        self.views = views
        self.image_size = image_size
        self.unseen = unseen
        self.layout = layout

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        if index not in (0, -1):
            raise IndexError(f"SimulatedRoom {self.seed}: index {index} of 1 sample")
        scan = scan_room(self.seed, self.views, image_size=self.image_size, unseen=self.unseen, layout=self.layout)
        return sample_of(scan, f"room-{self.seed:04d}")


def sample_of(scan: RoomScan, name: str) -> Sample:
    """Return a scan as a sample."""
    cloud = scan.cloud
    views, labels = [], {}
    for number, shot in enumerate(scan.shots):
        if shot.image is None or shot.labels is None:
            continue
        view = CameraView(
            name=f"VIEW_{number:03d}",
            image=shot.image,
            intrinsics=shot.intrinsics,
            camera_from_lidar=invert_transform(shot.room_from_camera),
            stamp_ns=START_NS + number * _STEP_NS,
        )
        views.append(view)
        labels[view.name] = shot.labels
    return Sample(
        name=name,
        frame=Frame(
            points=cloud.points,
            intensity=(cloud.colors @ np.array([0.3, 0.59, 0.11])).astype(np.float32),
            colors=cloud.colors,
            stamp_ns=START_NS,
            frame_id=_FRAME_ID,
            cameras=tuple(views),
        ),
        point_labels=cloud.kind,
        point_label_names=KINDS,
        point_instances=cloud.instance,
        objects=describe_all(scan.things),
        view_labels=labels,
        view_label_names=VIEW_KINDS,
        boxes=tuple(_box(thing) for thing in scan.things if KIND_OF[thing.kind].box),
    )


def _box(thing: Thing) -> Box:
    low, high = thing.extent()
    transform = thing.global_from_object
    return Box(
        category=thing.kind,
        center_m=transform[:3, :3] @ ((low + high) / 2) + transform[:3, 3],
        size_lwh_m=high - low,
        yaw_rad=math.atan2(transform[1, 0], transform[0, 0]),
        key=thing.key,
    )
