"""The closed sets of classes that are scored, and which class each simulated kind belongs to."""

from __future__ import annotations

from ..data.nuscenes.categories import challenge_class_of_kind
from ..data.scannet.categories import raw_category
from ..data.scannet.label_map import BENCHMARK_NYU40, NYU40
from ..data.simulate.room.kinds import ROOM_KINDS

_SPELT_RIGHT = {"refridgerator": "refrigerator", "otherfurniture": "other furniture"}


def street_class_of_kind() -> dict[str, str]:
    """Return the class of nuScenes' lidar segmentation challenge, in words, of every kind that has one."""
    return {kind: name.replace("_", " ") for kind, name in challenge_class_of_kind().items()}


def room_class_of_kind() -> dict[str, str]:
    """Return the class of ScanNet's benchmark of every kind in rooms that has one."""
    numbers = {kind.name: raw_category(kind.name).nyu40 for kind in ROOM_KINDS}
    return {
        name: _SPELT_RIGHT.get(NYU40[number], NYU40[number])
        for name, number in numbers.items()
        if number in BENCHMARK_NYU40
    }
