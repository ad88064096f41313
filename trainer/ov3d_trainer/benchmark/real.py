"""Sim to real: a bundle on one nuScenes keyframe and one SemanticKITTI scan. Reported, and never used for tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.clouds import read_cloud
from ov3d_perception.errors import DataError
from ov3d_perception.geometry import transform_points

from ..data.boxes import points_in_box
from ..data.keyframe import Keyframe
from ..data.kitti.sequences import INTENSITY_SCALE, LIDAR
from ..data.sample import UNKNOWN, Sample
from ..scores import count_confusion, percentage
from .questions import ClassQuestion
from .sources import STUDENT, BundleSources

GROUND_CLASSES = ("driveable surface", "sidewalk", "terrain", "other flat")
LARGE_VEHICLES = ("car", "truck")
_GROUND_BELOW_M = 0.3
_GROUND_WITHIN_M = 15.0
_KEYFRAME_CLASS = {
    "car": "car",
    "truck": "truck",
    "bus": "bus",
    "bicycle": "bicycle",
    "motorcycle": "motorcycle",
    "pedestrian": "pedestrian",
    "person": "pedestrian",
    "traffic_cone": "traffic cone",
    "traffic cone": "traffic cone",
    "barrier": "barrier",
    "trailer": "trailer",
    "construction_vehicle": "construction vehicle",
}
_KITTI_CLASS = {
    10: "car", 252: "car", 11: "bicycle", 31: "bicycle", 253: "bicycle", 15: "motorcycle", 32: "motorcycle",
    255: "motorcycle", 18: "truck", 258: "truck", 13: "bus", 257: "bus", 30: "pedestrian", 254: "pedestrian",
    40: "driveable surface", 44: "driveable surface", 60: "driveable surface", 48: "sidewalk", 72: "terrain",
    50: "manmade", 51: "manmade", 52: "manmade", 80: "manmade", 81: "manmade", 70: "vegetation", 71: "vegetation",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """A labelled scan: the sample and the class name of every point, "" where it has none."""

    sample: Sample
    classes: NDArray[np.str_]


def keyframe_report(bundle: BundleSources, question: ClassQuestion, folder: Path, source: str) -> dict[str, Any]:
    """Return figures on an annotated keyframe: classes in boxes, cars and trucks pooled, ground; shares in percent.

    The ensemble's answer is the student's where no camera sees.
    """
    sample = Keyframe(folder)[0]
    predicted = _predict(bundle, question, sample, source)
    truth = np.full(len(predicted), UNKNOWN)
    for box in sample.boxes:
        if box.category == "ignore":
            continue
        name = _KEYFRAME_CLASS.get(box.category, "")
        inside = points_in_box(sample.frame.points, box)
        truth[inside] = question.classes.index(name) if name in question.classes else len(question.classes)
    rows = np.flatnonzero(truth != UNKNOWN)
    confusion = count_confusion(question.classes, truth[rows], predicted[rows])
    large = [question.classes.index(name) for name in LARGE_VEHICLES]
    is_large, called_large = np.isin(truth[rows], large), np.isin(predicted[rows], large)
    ground = np.isin(predicted, [question.classes.index(name) for name in GROUND_CLASSES])
    low = _low_points(sample)
    return {
        "points in boxes": len(rows),
        "classes": {name: row for name, row in confusion.to_dict()["classes"].items() if row["points"]},
        "car or truck": {
            "points": int(is_large.sum()),
            "precision": _share(is_large & called_large, called_large),
            "recall": _share(is_large & called_large, is_large),
            "precision of calling everything a car": _share(is_large, np.ones_like(is_large)),
        },
        "ground": {
            "points": int(low.sum()),
            "called ground": _share(ground & low, low),
            "box points called ground": _share(ground[rows], np.ones(len(rows), bool)),
        },
    }


def kitti_report(bundle: BundleSources, question: ClassQuestion, folder: Path) -> dict[str, Any]:
    """Return IoU per shared class and their mean on a SemanticKITTI scan; shares in percent."""
    scan = read_kitti_scan(folder)
    predicted = _predict(bundle, question, scan.sample, STUDENT)
    names = {name: row for row, name in enumerate(question.classes)}
    truth = np.array([names.get(str(name), UNKNOWN) for name in scan.classes])
    known = np.flatnonzero(truth != UNKNOWN)
    values = count_confusion(question.classes, truth[known], predicted[known]).to_dict()
    return {
        "points": len(known),
        "mean_iou": values["mean_iou"],
        "accuracy": values["accuracy"],
        "classes": {name: row for name, row in values["classes"].items() if row["points"]},
    }


def read_kitti_scan(folder: Path) -> Scan:
    """Read NUMBER.bin (N x 4 float32) and NUMBER.label (N uint32) of a folder; `DataError` if they do not fit."""
    scans = sorted(folder.glob("*.bin"))
    if not scans or not scans[0].with_suffix(".label").is_file():
        raise DataError(f"{folder}: expected NUMBER.bin with NUMBER.label beside it. Check the folder.")
    cloud = read_cloud(scans[0], kind="kitti")
    labels = np.fromfile(scans[0].with_suffix(".label"), "<u4")
    if len(cloud.points) != len(labels):
        raise DataError(f"{scans[0]}: {len(cloud.points)} points do not fit {len(labels)} labels. Copy both again.")
    frame = replace(cloud, intensity=cloud.intensity * np.float32(INTENSITY_SCALE), frame_id=LIDAR)
    kind_of: Mapping[int, str] = _KITTI_CLASS
    classes = np.array([kind_of.get(int(number), "") for number in labels & 0xFFFF])
    return Scan(sample=Sample(name=scans[0].stem, frame=frame), classes=classes)


def _predict(bundle: BundleSources, question: ClassQuestion, sample: Sample, source: str) -> NDArray[np.int64]:
    columns, owners = question.columns(bundle.rows)
    return np.asarray(owners[bundle.ask(sample).of[source][:, columns].argmax(axis=1)], np.int64)


def _low_points(sample: Sample) -> NDArray[np.bool_]:
    """Return which points (N,) lie below 0.3 m in the ego frame, within 15 m of the lidar."""
    if sample.rig is None:
        raise DataError(f"{sample.name}: no mounts, so that the ground cannot be told. Use a keyframe with a rig.")
    in_ego = transform_points(sample.rig.ego_from_lidar, sample.frame.points)
    near = np.linalg.norm(sample.frame.points[:, :2], axis=1) <= _GROUND_WITHIN_M
    return np.asarray((in_ego[:, 2] < _GROUND_BELOW_M) & near)


def _share(part: NDArray[np.bool_], whole: NDArray[np.bool_]) -> float | None:
    return percentage(float(part.sum() / whole.sum())) if whole.any() else None
