"""The raw ScanNet category of every kind in simulated rooms, with its numbers."""

from __future__ import annotations

from ..simulate.kinds import KIND_OF
from ..simulate.room.kinds import ROOM_KINDS
from .label_map import RawCategory

_OWN_IDS_FROM = 5001
"""Kinds that are not among the 200 classes of ScanNet200 get numbers that ScanNet does not use."""
_NUMBERS: dict[str, tuple[int, int]] = {
    "wall": (1, 1), "floor": (3, 2), "ceiling": (41, 22), "door": (5, 8), "window": (16, 9), "curtain": (21, 16),
    "blinds": (86, 13), "radiator": (96, 39), "picture": (15, 11), "mirror": (71, 19), "whiteboard": (52, 30),
    "bookshelf": (18, 10), "shelf": (8, 15), "cabinet": (7, 3), "kitchen cabinet": (29, 3), "wardrobe": (99, 39),
    "dresser": (36, 17), "nightstand": (34, 32), "bed": (11, 4), "pillow": (13, 18), "blanket": (54, 40),
    "chair": (2, 5), "office chair": (10, 5), "armchair": (23, 5), "stool": (38, 39), "bench": (68, 39),
    "couch": (6, 6), "ottoman": (67, 39), "table": (4, 7), "dining table": (45, 7), "coffee table": (24, 7),
    "desk": (9, 14), "counter": (35, 12), "sink": (14, 34), "stove": (62, 38), "range hood": (342, 38),
    "microwave": (59, 40), "refrigerator": (27, 24), "dishwasher": (136, 38), "washing machine": (70, 39),
    "toilet": (17, 33), "bathtub": (42, 36), "shower curtain": (55, 28), "towel": (31, 27), "lamp": (28, 35),
    "ceiling light": (1168, 38), "tv": (33, 25), "tv stand": (51, 39), "monitor": (19, 40), "keyboard": (46, 40),
    "computer tower": (64, 40), "laptop": (77, 40), "printer": (50, 40), "speaker": (118, 40), "telephone": (101, 40),
    "piano": (90, 39), "trash can": (56, 39), "potted plant": (1189, 40), "backpack": (48, 40), "suitcase": (93, 40),
    "box": (26, 29), "book": (22, 23), "clothes": (32, 21), "shoe": (63, 40), "clock": (103, 40), "bottle": (65, 40),
    "cup": (130, 40), "bowl": (562, 40), "coffee kettle": (1176, 40), "toaster": (148, 40), "fan": (76, 40),
    "laundry basket": (106, 40), "ironing board": (155, 39), "coat rack": (1182, 40), "guitar": (112, 40),
    "fireplace": (156, 38), "rug": (0, 20), "vase": (0, 40), "drum set": (0, 39), "easel": (0, 39), "globe": (0, 40),
    "telescope": (0, 40), "fish tank": (0, 39), "crib": (0, 39), "stairs": (58, 38), "person": (80, 31),
    "bicycle": (121, 39), "mailbox": (540, 29), "bulletin board": (154, 38), "vacuum cleaner": (283, 40),
    "ladder": (122, 39),
}  # fmt: skip
"""Raw category -> number in ScanNet (0: none known) and in NYU40."""


def raw_category(kind: str) -> RawCategory:
    """Return what ScanNet calls a kind of simulated object; raises `KeyError` for one that rooms do not have."""
    return _TABLE[KIND_OF[kind].scannet]


def all_categories() -> tuple[RawCategory, ...]:
    """Return the categories of every kind that rooms have, by number."""
    return tuple(sorted({_TABLE[kind.scannet] for kind in ROOM_KINDS}, key=lambda entry: entry.id))


def _number() -> dict[str, RawCategory]:
    table, own = {}, _OWN_IDS_FROM
    for name, (number, nyu40) in _NUMBERS.items():
        table[name] = RawCategory(name=name, id=number or own, nyu40=nyu40)
        own += number == 0
    return table


_TABLE = _number()
