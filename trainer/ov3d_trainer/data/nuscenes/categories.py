"""The 32 raw categories of nuScenes-lidarseg and the 16 classes of its challenge."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.types import IntArray

from ..sample import UNKNOWN
from ..simulate.kinds import KIND_OF

NOISE = "noise"
STATIC_OTHER = "static.other"
EGO_VEHICLE = "vehicle.ego"

RAW_CATEGORIES: tuple[str, ...] = (
    NOISE,
    "animal",
    "human.pedestrian.adult",
    "human.pedestrian.child",
    "human.pedestrian.construction_worker",
    "human.pedestrian.personal_mobility",
    "human.pedestrian.police_officer",
    "human.pedestrian.stroller",
    "human.pedestrian.wheelchair",
    "movable_object.barrier",
    "movable_object.debris",
    "movable_object.pushable_pullable",
    "movable_object.trafficcone",
    "static_object.bicycle_rack",
    "vehicle.bicycle",
    "vehicle.bus.bendy",
    "vehicle.bus.rigid",
    "vehicle.car",
    "vehicle.construction",
    "vehicle.emergency.ambulance",
    "vehicle.emergency.police",
    "vehicle.motorcycle",
    "vehicle.trailer",
    "vehicle.truck",
    "flat.driveable_surface",
    "flat.other",
    "flat.sidewalk",
    "flat.terrain",
    "static.manmade",
    STATIC_OTHER,
    "static.vegetation",
    EGO_VEHICLE,
)
"""Names in the order of the index that label files hold."""

CHALLENGE_CLASSES: tuple[str, ...] = (
    "barrier",
    "bicycle",
    "bus",
    "car",
    "construction_vehicle",
    "motorcycle",
    "pedestrian",
    "traffic_cone",
    "trailer",
    "truck",
    "driveable_surface",
    "other_flat",
    "sidewalk",
    "terrain",
    "manmade",
    "vegetation",
)
"""The classes that are scored; number i + 1 of the challenge is entry i, 0 is ignored."""

_CHALLENGE_CLASS_OF: dict[str, str] = {
    "human.pedestrian.adult": "pedestrian",
    "human.pedestrian.child": "pedestrian",
    "human.pedestrian.construction_worker": "pedestrian",
    "human.pedestrian.police_officer": "pedestrian",
    "movable_object.barrier": "barrier",
    "movable_object.trafficcone": "traffic_cone",
    "vehicle.bicycle": "bicycle",
    "vehicle.bus.bendy": "bus",
    "vehicle.bus.rigid": "bus",
    "vehicle.car": "car",
    "vehicle.construction": "construction_vehicle",
    "vehicle.motorcycle": "motorcycle",
    "vehicle.trailer": "trailer",
    "vehicle.truck": "truck",
    "flat.driveable_surface": "driveable_surface",
    "flat.other": "other_flat",
    "flat.sidewalk": "sidewalk",
    "flat.terrain": "terrain",
    "static.manmade": "manmade",
    "static.vegetation": "vegetation",
}


def challenge_ids() -> NDArray[np.uint8]:
    """Return (32,): the challenge's number of every raw index, 1..16, or 0 where it is ignored."""
    classes = (_CHALLENGE_CLASS_OF.get(name) for name in RAW_CATEGORIES)
    return np.array([0 if name is None else CHALLENGE_CLASSES.index(name) + 1 for name in classes], dtype=np.uint8)


def words_of_category(name: str) -> str:
    """Return the challenge's class of a raw category in words ("traffic cone"), "" where it is ignored."""
    return _CHALLENGE_CLASS_OF.get(name, "").replace("_", " ")


def challenge_words() -> tuple[str, ...]:
    """Return the 16 classes in words."""
    return tuple(name.replace("_", " ") for name in CHALLENGE_CLASSES)


def raw_category(kind: str) -> str:
    """Return the raw category of a simulated kind; "static.other" where nuScenes has none for it."""
    known = KIND_OF.get(kind)
    return known.nuscenes if known is not None and known.nuscenes else STATIC_OTHER


def challenge_class_of_kind() -> dict[str, str]:
    """Return the challenge class of every simulated kind that has one; the others are ignored."""
    classes = ((kind, _CHALLENGE_CLASS_OF.get(raw_category(kind))) for kind in KIND_OF)
    return {kind: name for kind, name in classes if name is not None}


def raw_labels(labels: IntArray, names: Sequence[str], unknown: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the raw index (N,) of points labelled by kind: `labels` (N,) are rows of `names`.

    `unknown` (N,) is what points of no kind (`UNKNOWN`) get.
    """
    table = np.array([RAW_CATEGORIES.index(raw_category(name)) for name in names], dtype=np.uint8)
    return np.where(labels == UNKNOWN, unknown, table[labels])
