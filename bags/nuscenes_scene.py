"""A nuScenes scene as a recording: every sweep and image of the official files, with poses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from ov3d_perception.clouds import read_cloud
from ov3d_perception.errors import DataError
from ov3d_perception.types import FloatArray
from ov3d_trainer.data.nuscenes.read_tables import SensorData, read_scene

from .recording import Cloud, Event, Picture, Pose, Recording

DEFAULT_VERSION = "v1.0-mini"


def recording_of_scene(root: Path, version: str, scene: str, *, keyframes_only: bool = False) -> Recording:
    """Record a nuScenes scene: every lidar sweep and image with its pose, JPEG files as they are."""
    data = [item for item in read_scene(root, version, scene) if item.is_key_frame or not keyframes_only]
    mounts: dict[str, FloatArray] = {}
    for item in data:
        known = mounts.setdefault(item.channel, item.ego_from_sensor)
        if not np.array_equal(known, item.ego_from_sensor):
            raise DataError(f"{scene}: {item.channel} has two calibrations in one scene; one bag holds only one.")

    def events() -> Iterator[Event]:
        for item in data:
            yield Pose(stamp_ns=item.stamp_ns, global_from_ego=item.global_from_ego)
            yield _event_of(item)

    return Recording(mounts=mounts, events=events)


def _event_of(item: SensorData) -> Event:
    if not item.path.is_file():
        raise DataError(f"{item.path}: missing. Unpack the archive that holds it, or use --keyframes-only.")
    if item.intrinsics is None:
        frame = read_cloud(item.path, kind="nuscenes")
        return Cloud(channel=item.channel, frame=replace(frame, stamp_ns=item.stamp_ns, frame_id=item.channel))
    return Picture(
        channel=item.channel,
        stamp_ns=item.stamp_ns,
        jpeg=item.path.read_bytes(),
        intrinsics=item.intrinsics,
        size=item.size,
    )
