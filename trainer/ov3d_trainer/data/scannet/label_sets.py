"""Which of ScanNet's annotations count as classes: NYU40, the benchmark's 20, or the 200 of ScanNet200."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.errors import ConfigError, DataError

from ..sample import UNKNOWN
from .label_map import BENCHMARK_NYU40, NYU40, RawCategory

if TYPE_CHECKING:
    from .reader import ScanNetScan

LABEL_SETS = ("nyu40", "scannet20", "scannet200")
"""Values of `data.label_set`."""

SCANNET20: tuple[str, ...] = tuple("refrigerator" if row == 24 else NYU40[row] for row in BENCHMARK_NYU40)
"""The benchmark's classes, in its order."""

_HEAD = (
    "1 wall, 2 chair, 3 floor, 4 table, 5 door, 6 couch, 7 cabinet, 8 shelf, 9 desk, 10 office chair, 11 bed, 13 "
    "pillow, 14 sink, 15 picture, 16 window, 17 toilet, 18 bookshelf, 19 monitor, 21 curtain, 22 book, 23 "
    "armchair, 24 coffee table, 26 box, 27 refrigerator, 28 lamp, 29 kitchen cabinet, 31 towel, 32 clothes, 33 "
    "tv, 34 nightstand, 35 counter, 36 dresser, 38 stool, 40 plant, 41 ceiling, 42 bathtub, 48 backpack, 51 tv "
    "stand, 52 whiteboard, 55 shower curtain, 56 trash can, 57 closet, 58 stairs, 62 stove, 69 board, 70 washing "
    "machine, 71 mirror, 72 copier, 74 sofa chair, 75 file cabinet, 78 shower, 86 blinds, 89 blackboard, 96 "
    "radiator, 97 recycling bin, 99 wardrobe, 110 clothes dryer, 125 bathroom stall, 128 shower wall, 159 kitchen "
    "counter, 161 doorframe, 540 mailbox, 1163 object, 1164 bathroom vanity, 1165 closet wall, 1171 stair rail"
)
_COMMON = (
    "39 cushion, 44 end table, 45 dining table, 46 keyboard, 47 bag, 49 toilet paper, 50 printer, 54 blanket, 59 "
    "microwave, 63 shoe, 64 computer tower, 65 bottle, 66 bin, 67 ottoman, 68 bench, 73 basket, 76 fan, 77 "
    "laptop, 80 person, 82 paper towel dispenser, 84 oven, 87 rack, 90 piano, 93 suitcase, 95 rail, 98 container, "
    "101 telephone, 104 stand, 105 light, 106 laundry basket, 107 pipe, 116 seat, 120 column, 121 bicycle, 122 "
    "ladder, 131 jacket, 132 storage bin, 134 coffee maker, 136 dishwasher, 139 machine, 140 mat, 141 windowsill, "
    "154 bulletin board, 156 fireplace, 165 mini fridge, 177 water cooler, 188 shower door, 191 pillar, 193 "
    "ledge, 213 furniture, 214 cart, 250 decoration, 276 closet door, 283 vacuum cleaner, 323 dish rack, 342 "
    "range hood, 609 projector screen, 748 divider, 1156 bathroom counter, 1166 laundry hamper, 1167 bathroom "
    "stall door, 1168 ceiling light, 1169 trash bin, 1173 bathroom cabinet, 1178 structure, 1183 storage "
    "organizer, 1189 potted plant, 1191 mattress"
)
_TAIL = (
    "79 paper, 88 plate, 100 soap dispenser, 102 bucket, 103 clock, 112 guitar, 115 toilet paper holder, 118 "
    "speaker, 130 cup, 138 paper towel roll, 145 bar, 148 toaster, 155 ironing board, 157 soap dish, 163 toilet "
    "paper dispenser, 166 fire extinguisher, 168 ball, 169 hat, 170 shower curtain rod, 180 paper cutter, 185 "
    "tray, 195 toaster oven, 202 mouse, 208 toilet seat cover dispenser, 221 storage container, 229 scale, 230 "
    "tissue box, 232 light switch, 233 crate, 242 power outlet, 261 sign, 264 projector, 286 candle, 300 plunger, "
    "304 stuffed animal, 312 headphones, 325 broom, 331 guitar case, 356 dustpan, 370 hair dryer, 392 water "
    "bottle, 395 handicap bar, 399 purse, 408 vent, 417 shower floor, 488 water pitcher, 562 bowl, 570 paper bag, "
    "572 alarm clock, 581 music stand, 776 laundry detergent, 1170 dumbbell, 1172 tube, 1174 cd case, 1175 closet "
    "rod, 1176 coffee kettle, 1179 shower head, 1180 keyboard piano, 1181 case of water bottles, 1182 coat rack, "
    "1184 folded chair, 1185 fire alarm, 1186 power strip, 1187 calendar, 1188 poster, 1190 luggage"
)
_GROUPS = {"head": _HEAD, "common": _COMMON, "tail": _TAIL}

SCANNET200_GROUPS: Mapping[str, tuple[str, ...]] = {
    group: tuple(entry.partition(" ")[2] for entry in entries.split(", ")) for group, entries in _GROUPS.items()
}
"""Classes by how often they occur (ScanNet/ScanNet, ScanNet200): 66 head, 68 common, 66 tail."""

_ID_OF = {
    entry.partition(" ")[2]: int(entry.partition(" ")[0]) for text in _GROUPS.values() for entry in text.split(", ")
}
SCANNET200: tuple[str, ...] = tuple(sorted(_ID_OF, key=_ID_OF.__getitem__))
"""The 200 classes, in the official order, which is that of their numbers."""

SCANNET200_IDS: tuple[int, ...] = tuple(_ID_OF[name] for name in SCANNET200)
"""Column `id` of the label map, per class."""

SCANNET200_NOT_IN_VAL: frozenset[str] = frozenset(
    {
        "bicycle",
        "structure",
        "storage organizer",
        "storage container",
        "candle",
        "guitar case",
        "purse",
        "alarm clock",
        "music stand",
        "cd case",
        "luggage",
    }
)
"""Classes without an instance in the validation scans; 189 are scored there."""


def check_label_set(label_set: str) -> None:
    """Raise `ConfigError` for a name that is none of `LABEL_SETS`."""
    if label_set not in LABEL_SETS:
        raise ConfigError(f"data.label_set: unknown '{label_set}'. ScanNet has {', '.join(LABEL_SETS)}.")


def check_scannet200_table(path: Path, table: Mapping[str, RawCategory]) -> None:
    """Raise `DataError` where a label map numbers the 200 classes otherwise, as the table before ScanNet200 does."""
    for name, number in _ID_OF.items():
        if name in table and table[name].id != number:
            raise DataError(
                f"label map {path}: '{name}' has id {table[name].id}, ScanNet200 says {number}. "
                "Get the table that comes with ScanNet200, or set data.label_set=scannet20."
            )


def labels_of_scan(scan: ScanNetScan, label_set: str) -> tuple[NDArray[np.int32] | None, tuple[str, ...]]:
    """Return the label (V,) of every vertex, row of the names, and the names; None for a scan without annotation.

    nyu40 counts from 1 (row 0 is no name). The 20 classes follow from the vertices' NYU40 labels, the 200 from the raw
    categories of the objects. Everything else is `UNKNOWN`.
    """
    if label_set == "scannet200":
        if scan.object_rows is None:
            return None, SCANNET200
        row_of_id = {number: row for row, number in enumerate(SCANNET200_IDS)}
        numbers = (thing.category.id if thing.category is not None else 0 for thing in scan.objects)
        rows = [row_of_id.get(number, UNKNOWN) for number in numbers]
        return np.array([*rows, UNKNOWN], np.int32)[scan.object_rows], SCANNET200
    table = np.full(len(NYU40), UNKNOWN, np.int32)
    if label_set == "scannet20":
        table[list(BENCHMARK_NYU40)] = np.arange(len(BENCHMARK_NYU40))
    else:
        table[1:] = np.arange(1, len(NYU40))
    return None if scan.nyu40 is None else table[scan.nyu40], SCANNET20 if label_set == "scannet20" else NYU40
