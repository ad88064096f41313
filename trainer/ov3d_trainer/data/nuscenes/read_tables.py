"""nuScenes' JSON tables read directly (layout of nutonomy/nuscenes-devkit): what each sensor recorded, and where.

The devkit itself wants another numpy than the rest of ov3d, and holds every row of every table in memory.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.errors import DataError, GeometryError
from ov3d_perception.geometry import make_transform, rotation_from_quaternion

_MODALITIES = ("lidar", "camera")
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorData:
    """One row of sample_data with what its foreign keys lead to; `ego_from_sensor` and `global_from_ego` (4, 4).

    `intrinsics` (3, 3) and `size` (width, height) for cameras, None and (0, 0) for lidars. `path` is absolute.
    """

    token: str
    sample_token: str
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
    """Return lidar and camera data of one scene, keyframes and sweeps, in the order of their stamps.

    `scene` is a name such as scene-0061. Raises `DataError` for missing or broken tables and unknown scenes.
    """
    return read_scenes(root, version, [scene])[scene]


def read_scenes(
    root: Path,
    version: str,
    scenes: Collection[str] | None,
    *,
    wanted: Callable[[str, bool], bool] = lambda channel, is_key_frame: True,
) -> dict[str, list[SensorData]]:
    """Return lidar and camera data per scene, scenes by name and their data in the order of the stamps.

    `scenes` None takes all. `wanted` is asked with channel and `is_key_frame`, and rows it does not want are dropped
    while the tables are read: keyframes of v1.0-trainval need about 1 GB beside the text of the largest table. Raises
    `DataError` for missing or broken tables and scenes that are not there.
    """
    folder = root / version
    known = {row["name"]: row["token"] for row in read_rows(folder, "scene", ("name", "token"))}
    names = sorted(known if scenes is None else scenes)
    for name in names:
        if name not in known:
            raise DataError(f"{folder}: no scene {name!r}. There are {', '.join(sorted(known)[:12])} ...")
    name_of = {known[name]: name for name in names}
    sample_rows = read_rows(folder, "sample", ("token", "scene_token"))
    scene_of = {row["token"]: name_of[row["scene_token"]] for row in sample_rows if row["scene_token"] in name_of}
    sensors = {row["token"]: row for row in read_rows(folder, "sensor", ("token", "channel", "modality"))}
    calibrated = {row["token"]: row for row in read_rows(folder, "calibrated_sensor", ("token", "sensor_token"))}

    def keep(row: Row) -> bool:
        if row["sample_token"] not in scene_of:
            return False
        sensor = _follow(folder, sensors, _follow(folder, calibrated, row, "calibrated_sensor"), "sensor")
        return sensor["modality"] in _MODALITIES and wanted(sensor["channel"], bool(row["is_key_frame"]))

    rows = read_rows(folder, "sample_data", ("sample_token", "calibrated_sensor_token", "is_key_frame"), keep)
    needed = {row["ego_pose_token"] for row in rows}
    poses = {row["token"]: row for row in read_rows(folder, "ego_pose", ("token",), lambda r: r["token"] in needed)}
    found: dict[str, list[SensorData]] = defaultdict(list)
    for row in rows:
        try:
            found[scene_of[row["sample_token"]]].append(_sensor_data(root, folder, row, calibrated, sensors, poses))
        except (KeyError, TypeError, ValueError, GeometryError) as error:
            token = row.get("token")
            raise DataError(f"{folder}/sample_data.json: row {token}: {error!r}. Unpack the tables again.") from error
    return {name: sorted(found[name], key=lambda item: (item.stamp_ns, item.channel)) for name in names}


def read_rows(
    folder: Path, name: str, fields: Collection[str], keep: Callable[[Row], bool] | None = None
) -> list[dict[str, Any]]:
    """Return the rows of one table, or those that `keep` wants, each with at least `fields`; `DataError` otherwise."""
    path = folder / f"{name}.json"
    lacking: list[str] = []

    def sift(row: dict[str, Any]) -> dict[str, Any] | None:
        for field in fields:
            if field not in row:
                lacking.append(field)
                return None
        return row if keep is None or keep(row) else None

    try:
        rows = json.loads(path.read_text(encoding="utf-8"), object_hook=sift)
    except FileNotFoundError:
        raise DataError(f"{path}: missing. Give the folder that holds samples/, sweeps/ and the version.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: is not valid JSON: {error}. Unpack the archive again.") from error
    if lacking:
        raise DataError(
            f"{path}: {len(lacking)} rows lack '{lacking[0]}'. Is this a nuScenes data set, fully unpacked?"
        )
    if not isinstance(rows, list):
        raise DataError(f"{path}: expected a list of rows, got {type(rows).__name__}.")
    return [row for row in rows if row is not None]


def file_inside(root: Path, filename: str) -> Path:
    """Return the path of a file that a table names; `DataError` where it leads out of the data set."""
    path = root / filename
    if not path.resolve().is_relative_to(root.resolve()):
        raise DataError(f"{root}: the tables name {filename!r}, which lies outside the data set. Check the tables.")
    return path


def transform_of(row: Row) -> NDArray[np.float64]:
    """Return (4, 4) of a row with `rotation` and `translation`; nuScenes writes the real part first."""
    w, x, y, z = row["rotation"]
    return make_transform(rotation_from_quaternion((x, y, z, w)), row["translation"])


def _sensor_data(
    root: Path, folder: Path, row: Row, calibrated: Mapping[str, Row], sensors: Mapping[str, Row],
    poses: Mapping[str, Row],
) -> SensorData:  # fmt: skip
    calibration = _follow(folder, calibrated, row, "calibrated_sensor")
    sensor = _follow(folder, sensors, calibration, "sensor")
    camera = sensor["modality"] == "camera"
    return SensorData(
        token=row["token"],
        sample_token=row["sample_token"],
        channel=sensor["channel"],
        modality=sensor["modality"],
        path=file_inside(root, row["filename"]),
        stamp_ns=int(row["timestamp"]) * 1000,
        is_key_frame=bool(row["is_key_frame"]),
        ego_from_sensor=transform_of(calibration),
        global_from_ego=transform_of(_follow(folder, poses, row, "ego_pose")),
        intrinsics=np.array(calibration["camera_intrinsic"], dtype=np.float64).reshape(3, 3) if camera else None,
        size=(int(row["width"]), int(row["height"])) if camera else (0, 0),
    )


def _follow(folder: Path, table: Mapping[str, Row], row: Row, name: str) -> Row:
    """Return the row of another table that `row` refers to."""
    token = row[f"{name}_token"]
    if token not in table:
        raise DataError(f"{folder}/{name}.json: no row {token!r}, which another table refers to. Unpack it again.")
    return table[token]
