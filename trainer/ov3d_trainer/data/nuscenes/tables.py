"""The JSON tables of a nuScenes data root, built from the records of its keyframes."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from ov3d_perception.geometry import quaternion_from_rotation
from ov3d_perception.types import FloatArray

from ..sample import SceneObject
from ..simulate.words import with_article, words_of
from .categories import RAW_CATEGORIES, raw_category
from .recording import Annotation, Drive, KeyframeRecord, SensorFile
from .tokens import LIDAR, lidarseg_file, token

Row = dict[str, Any]
Tables = dict[str, list[Row]]

TABLES = (
    "attribute",
    "calibrated_sensor",
    "category",
    "ego_pose",
    "instance",
    "lidarseg",
    "log",
    "map",
    "sample",
    "sample_annotation",
    "sample_data",
    "scene",
    "sensor",
    "visibility",
)
MAP_FILE = "maps/simulated.png"
_LOCATION = "boston-seaport"
"""The devkit knows four places, and no simulated one."""
_VISIBILITY = {"1": "v0-40", "2": "v40-60", "3": "v60-80", "4": "v80-100"}
_ATTRIBUTES = {
    "vehicle.moving": "The vehicle drives.",
    "vehicle.stopped": "The vehicle stands in traffic.",
    "vehicle.parked": "The vehicle is parked.",
    "cycle.with_rider": "Somebody rides it.",
    "cycle.without_rider": "Nobody rides it.",
    "pedestrian.sitting_lying_down": "The person sits or lies.",
    "pedestrian.standing": "The person stands.",
    "pedestrian.moving": "The person walks.",
}
_ATTRIBUTE_OF = {
    "vehicle": {"moving": "vehicle.moving", "stopped": "vehicle.stopped", "parked": "vehicle.parked"},
    "cycle": {"moving": "cycle.with_rider", "stopped": "cycle.with_rider", "parked": "cycle.without_rider"},
    "pedestrian": {
        "walking": "pedestrian.moving",
        "standing": "pedestrian.standing",
        "sitting": "pedestrian.sitting_lying_down",
    },
}


def shared_tables(drives: Sequence[Drive], channels: Mapping[str, str]) -> Tables:
    """Return the tables that all scenes share; `channels` maps the sensors' names to lidar or camera."""
    return {
        "category": [
            {"token": token("category", name), "name": name, "description": f"{name}, simulated.", "index": index}
            for index, name in enumerate(RAW_CATEGORIES)
        ],
        "attribute": [
            {"token": token("attribute", name), "name": name, "description": text} for name, text in _ATTRIBUTES.items()
        ],
        "visibility": [
            {"token": level, "level": name, "description": f"{name[1:]} % of the object is to be seen (estimated)."}
            for level, name in _VISIBILITY.items()
        ],
        "sensor": [
            {"token": token("sensor", channel), "channel": channel, "modality": modality}
            for channel, modality in channels.items()
        ],
        "map": [
            {
                "token": token("map"),
                "log_tokens": [drive.token("log") for drive in drives],
                "category": "semantic_prior",
                "filename": MAP_FILE,
            }
        ],
    }


def scene_tables(drive: Drive, records: Sequence[KeyframeRecord]) -> Tables:
    """Return the rows of one scene; `records` are its keyframes, in order."""
    tables: Tables = defaultdict(list)
    first, last = records[0], records[-1]
    tables["scene"] = [
        {
            "token": drive.token("scene"),
            "log_token": drive.token("log"),
            "nbr_samples": len(records),
            "first_sample_token": _sample_token(drive, first),
            "last_sample_token": _sample_token(drive, last),
            "name": drive.name,
            "description": f"Simulated street {drive.seed}",
        }
    ]
    tables["log"] = [
        {
            "token": drive.token("log"),
            "logfile": drive.logfile,
            "vehicle": "simulated",
            "date_captured": datetime.fromtimestamp(first.stamp_ns / 1e9, timezone.utc).date().isoformat(),
            "location": _LOCATION,
        }
    ]
    tables["sample"] = _chained(
        [
            {
                "token": _sample_token(drive, record),
                "timestamp": record.stamp_ns // 1000,
                "scene_token": drive.token("scene"),
            }
            for record in records
        ]
    )
    tables["calibrated_sensor"] = _calibrated_sensors(drive, first)
    _add_files(tables, drive, records)
    _add_annotations(tables, drive, records)
    return dict(tables)


def object_rows(drive: Drive, records: Sequence[KeyframeRecord]) -> list[Row]:
    """Return what can be said about every object of a scene that a point or pixel shows.

    `token` is the object's instance token where it is annotated; `state` is that of its first keyframe.
    """
    annotated = {annotation.thing.key for record in records for annotation in record.annotations}
    things: dict[str, SceneObject] = {}
    for record in records:
        for thing in (*(annotation.thing for annotation in record.annotations), *record.seen):
            things.setdefault(thing.key, thing)
    return [
        {
            "token": drive.token("instance", thing.key),
            "scene_token": drive.token("scene"),
            "annotated": thing.key in annotated,
            "kind": thing.kind,
            "category": raw_category(thing.kind),
            "color": thing.color,
            "state": thing.state,
            "synonyms": list(words_of(thing.kind).synonyms),
            "caption": _caption(thing),
        }
        for thing in things.values()
    ]


def _caption(thing: SceneObject) -> str:
    """Return what a person would call the object: "a red parked van"."""
    return with_article(" ".join(part for part in (thing.color, thing.state, thing.kind) if part))


def _sample_token(drive: Drive, record: KeyframeRecord) -> str:
    return drive.token("sample", record.index)


def _calibrated_sensors(drive: Drive, record: KeyframeRecord) -> list[Row]:
    mounts = {LIDAR: record.rig.ego_from_lidar, **record.rig.ego_from_camera}
    return [
        {
            "token": drive.token("calibrated_sensor", channel),
            "sensor_token": token("sensor", channel),
            **_pose(ego_from_sensor),
            "camera_intrinsic": record.intrinsics[channel].tolist() if channel in record.intrinsics else [],
        }
        for channel, ego_from_sensor in mounts.items()
    ]


def _pose(transform: FloatArray) -> Row:
    """Return translation (m) and rotation (w, x, y, z) of a transform."""
    x, y, z, w = quaternion_from_rotation(transform[:3, :3]).tolist()
    return {"translation": transform[:3, 3].tolist(), "rotation": [w, x, y, z]}


def _add_files(tables: Tables, drive: Drive, records: Sequence[KeyframeRecord]) -> None:
    """Add sample_data, ego_pose and lidarseg; the files of one sensor are chained over the scene."""
    of_channel: dict[str, list[Row]] = defaultdict(list)
    for record in records:
        for file in record.files:
            own = drive.token(file.channel, file.stamp_ns)
            of_channel[file.channel].append(_sample_data(drive, record, file, own))
            stamp = {"timestamp": file.stamp_ns // 1000}
            tables["ego_pose"].append({"token": own, **stamp, **_pose(file.global_from_ego)})
            if file.is_key_frame and file.size == (0, 0):
                tables["lidarseg"].append({"token": own, "sample_data_token": own, "filename": lidarseg_file(own)})
    for rows in of_channel.values():
        tables["sample_data"] += _chained(rows)


def _sample_data(drive: Drive, record: KeyframeRecord, file: SensorFile, own: str) -> Row:
    return {
        "token": own,
        "sample_token": _sample_token(drive, record),
        "ego_pose_token": own,
        "calibrated_sensor_token": drive.token("calibrated_sensor", file.channel),
        "timestamp": file.stamp_ns // 1000,
        "fileformat": "pcd" if file.size == (0, 0) else "jpg",
        "is_key_frame": file.is_key_frame,
        "height": file.size[1],
        "width": file.size[0],
        "filename": file.filename,
    }


def _add_annotations(tables: Tables, drive: Drive, records: Sequence[KeyframeRecord]) -> None:
    """Add sample_annotation and instance; the annotations of one object are chained over the scene."""
    of_instance: dict[str, list[Row]] = defaultdict(list)
    categories: dict[str, str] = {}
    for record in records:
        for annotation in record.annotations:
            key = annotation.thing.key
            categories[key] = raw_category(annotation.thing.kind)
            of_instance[key].append(_sample_annotation(drive, record, annotation))
    for key, rows in of_instance.items():
        tables["sample_annotation"] += _chained(rows)
        tables["instance"].append(
            {
                "token": drive.token("instance", key),
                "category_token": token("category", categories[key]),
                "nbr_annotations": len(rows),
                "first_annotation_token": rows[0]["token"],
                "last_annotation_token": rows[-1]["token"],
            }
        )


def _sample_annotation(drive: Drive, record: KeyframeRecord, annotation: Annotation) -> Row:
    length, width, height = annotation.box.size_lwh_m.tolist()
    half = annotation.box.yaw_rad / 2
    attribute = _attribute(annotation.thing)
    return {
        "token": drive.token("annotation", record.index, annotation.thing.key),
        "sample_token": _sample_token(drive, record),
        "instance_token": drive.token("instance", annotation.thing.key),
        "visibility_token": _visibility_token(annotation.visible_share),
        "attribute_tokens": [token("attribute", attribute)] if attribute else [],
        "translation": annotation.box.center_m.tolist(),
        "size": [width, length, height],
        "rotation": [math.cos(half), 0.0, 0.0, math.sin(half)],
        "num_lidar_pts": annotation.lidar_points,
        "num_radar_pts": 0,
    }


def _attribute(thing: SceneObject) -> str:
    """Return the attribute that says what an object does, "" for those that have none."""
    category = raw_category(thing.kind)
    group = category.split(".")[1 if category.startswith("human.") else 0]
    if category in ("vehicle.bicycle", "vehicle.motorcycle"):
        group = "cycle"
    return _ATTRIBUTE_OF.get(group, {}).get(thing.state, "")


def _visibility_token(share: float) -> str:
    return str(1 + sum(share >= limit for limit in (0.4, 0.6, 0.8)))


def _chained(rows: list[Row]) -> list[Row]:
    """Return the rows with `prev` and `next`, the tokens of their neighbours, "" at the ends."""
    tokens = ["", *(row["token"] for row in rows), ""]
    return [{**row, "prev": tokens[place], "next": tokens[place + 2]} for place, row in enumerate(rows)]
