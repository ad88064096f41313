"""SemanticKITTI's raw categories and the 19 classes of its benchmark (learning map of PRBonn/semantic-kitti-api)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..sample import UNKNOWN

CLASSES: tuple[str, ...] = (
    "car", "bicycle", "motorcycle", "truck", "other vehicle", "person", "bicyclist", "motorcyclist", "road", "parking",
    "sidewalk", "other ground", "building", "fence", "vegetation", "trunk", "terrain", "pole", "traffic sign",
)  # fmt: skip
"""Number i + 1 of the benchmark is entry i; 0 is ignored."""

RAW_OF_CLASS: tuple[int, ...] = (10, 11, 15, 18, 20, 30, 31, 32, 40, 44, 48, 49, 50, 51, 70, 71, 72, 80, 81)
"""The raw id that predictions of a class are written with."""

_FURTHER_RAW = {
    13: "other vehicle",  # bus
    16: "other vehicle",  # on rails
    60: "road",  # lane marking
    252: "car",  # these and the following move
    253: "bicyclist",
    254: "person",
    255: "motorcyclist",
    256: "other vehicle",
    257: "other vehicle",
    258: "truck",
    259: "other vehicle",
}
_RAW_IDS = 1 << 16

SEQUENCES = {
    "train": ("00", "01", "02", "03", "04", "05", "06", "07", "09", "10"),
    "val": ("08",),
    "test": tuple(f"{number:02d}" for number in range(11, 22)),
}


def class_of_raw() -> NDArray[np.int32]:
    """Return (65536,): row of `CLASSES` per raw id, `UNKNOWN` where the benchmark ignores it."""
    table = np.full(_RAW_IDS, UNKNOWN, np.int32)
    for row, raw in enumerate(RAW_OF_CLASS):
        table[raw] = row
    for raw, name in _FURTHER_RAW.items():
        table[raw] = CLASSES.index(name)
    return table
