"""The part of nuScenes' JSON tables that a bag needs, read directly (layout of nutonomy/nuscenes-devkit)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.clouds import read_cloud
from ov3d_perception.errors import DataError
from ov3d_perception.geometry import make_transform, rotation_from_quaternion
from ov3d_perception.types import FloatArray

from .recording import Cloud, Event, Picture, Pose, Recording

DEFAULT_VERSION = "v1.0-mini"


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorData:
    """One row of sample_data with what its foreign keys lead to; `ego_from_sensor` and `global_from_ego` (4, 4).

    `intrinsics` (3, 3) for cameras, None for lidars. `path` is absolute.
    """

    channel: str
    modality: str
    path: Path
    stamp_ns: int
    is_key_frame: bool
    ego_from_sensor: NDArray[np.float64]
    global_from_ego: NDArray[np.float64]
    intrinsics: NDArray[np.float64] | None
    size: tuple[int, int]


def read_scene(root: Path, version: str, scene: str) -> list[SensorData]:
    """Return lidar and camera data of a scene, keyframes and sweeps, in the order of their stamps.

    `scene` is a name such as scene-0061. Raises `DataError` for missing or broken tables and unknown scenes. Holds
    the tables in memory: 0.1 GB for v1.0-mini, several GB for v1.0-trainval.
    """
    folder = root / version
    scenes = _table(folder, "scene", "name")
    if scene not in scenes:
        raise DataError(f"{folder}: no scene {scene!r}. There are {', '.join(sorted(scenes)[:12])} ...")
    token = scenes[scene]["token"]
    try:
        samples = {row["token"] for row in _rows(folder, "sample") if row["scene_token"] == token}
        sensors = _table(folder, "sensor", "token")
        calibrated = _table(folder, "calibrated_sensor", "token")
        rows = [row for row in _rows(folder, "sample_data") if row["sample_token"] in samples]
        wanted = {row["ego_pose_token"] for row in rows}
        poses = {row["token"]: row for row in _rows(folder, "ego_pose") if row["token"] in wanted}
        data = [_sensor_data(root, row, calibrated, sensors, poses) for row in rows]
    except (KeyError, TypeError, IndexError) as error:
        raise DataError(f"{folder}: a table lacks {error}. Is this a nuScenes data set, fully unpacked?") from error
    kept = [item for item in data if item.modality in ("lidar", "camera")]
    return sorted(kept, key=lambda item: (item.stamp_ns, item.channel))


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


def _sensor_data(
    root: Path,
    row: Mapping[str, Any],
    calibrated: Mapping[str, Any],
    sensors: Mapping[str, Any],
    poses: Mapping[str, Any],
) -> SensorData:
    calibration = calibrated[row["calibrated_sensor_token"]]
    sensor = sensors[calibration["sensor_token"]]
    camera = sensor["modality"] == "camera"
    return SensorData(
        channel=sensor["channel"],
        modality=sensor["modality"],
        path=_inside(root, row["filename"]),
        stamp_ns=int(row["timestamp"]) * 1000,
        is_key_frame=bool(row["is_key_frame"]),
        ego_from_sensor=_transform(calibration),
        global_from_ego=_transform(poses[row["ego_pose_token"]]),
        intrinsics=np.array(calibration["camera_intrinsic"], dtype=np.float64).reshape(3, 3) if camera else None,
        size=(int(row["width"]), int(row["height"])) if camera else (0, 0),
    )


def _transform(row: Mapping[str, Any]) -> NDArray[np.float64]:
    w, x, y, z = row["rotation"]  # nuScenes writes the real part first
    return make_transform(rotation_from_quaternion((x, y, z, w)), row["translation"])


def _table(folder: Path, name: str, key: str) -> dict[str, Any]:
    return {row[key]: row for row in _rows(folder, name)}


def _rows(folder: Path, name: str) -> list[dict[str, Any]]:
    path = folder / f"{name}.json"
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: missing. Give the folder that holds samples/, sweeps/ and the version.") from error
    except ValueError as error:
        raise DataError(f"{path}: is not valid JSON: {error}. Unpack the archive again.") from error
    if not isinstance(rows, list):
        raise DataError(f"{path}: expected a list of rows, got {type(rows).__name__}.")
    return rows


def _inside(root: Path, filename: str) -> Path:
    """Return the path of a file that a table names; `DataError` where it leads out of the data set."""
    path = root / filename
    if not path.resolve().is_relative_to(root.resolve()):
        raise DataError(
            f"{root}: the tables name {filename!r}, which lies outside the data set. Check sample_data.json."
        )
    return path
