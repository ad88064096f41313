"""What the demo asks for: words of a street, other words for the same things, phrases; and what ought to be found.

`truth` names the simulator's kinds (trainer/ov3d_trainer/data/simulate/street/kinds.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Words to ask for. `truth` maps each label to the simulator's kinds that it ought to find."""

    title: str
    truth: Mapping[str, tuple[str, ...]]
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    background: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Labels in order."""
        return tuple(self.truth)

    def as_list(self) -> list[str]:
        """Return one entry per label, bars between its name and synonyms, as node and command line take them."""
        return ["|".join((name, *self.synonyms.get(name, ()))) for name in self.names]


_PLANTS = ("tree", "bush", "hedge", "potted plant")
_PEOPLE = ("person", "child", "construction worker", "cyclist", "motorcyclist")
_CARS, _TRUCKS, _BUSES = ("car", "taxi", "van"), ("truck", "pickup truck", "trailer"), ("bus", "bendy bus")
_MACHINES = ("excavator", "wheel loader", "crane")
_STREET: Mapping[str, tuple[str, ...]] = {
    "road": ("road", "parking lot"),
    "sidewalk": ("sidewalk", "traffic island"),
    "grass": ("grass",),
    "building": ("building",),
    "wall": ("wall",),
    "fence": ("fence", "guard rail"),
    "tree": ("tree",),
    "bush": ("bush", "hedge", "potted plant"),
    "pole": ("pole", "street light", "traffic light", "bollard"),
    "traffic sign": ("traffic sign",),
    "car": _CARS,
    "truck": _TRUCKS,
    "bus": _BUSES,
    "excavator": _MACHINES,
    "bicycle": ("bicycle",),
    "person": _PEOPLE,
}
"""Sixteen everyday words. What no word is for, such as gravel or a bench, is background."""

_THE_REST = (
    "gravel", "bridge", "stairs", "bus stop", "billboard", "bench", "fire hydrant", "mailbox", "barrier",
    "traffic cone", "trash can", "dumpster", "debris", "bicycle rack", "motorcycle", "scooter",
)  # fmt: skip
_STREET_FURNITURE = ("traffic sign", "traffic light", "street light", "pole", "fence", "wall", "bicycle")


def _without(words: tuple[str, ...], *asked: str) -> tuple[str, ...]:
    return tuple(word for word in words if word not in asked)


FIRST = Vocabulary(title="sixteen words of the street", truth=_STREET, background=_THE_REST)

ROUNDS = (
    FIRST,
    Vocabulary(
        title="words that no training caption holds, for the same street",
        truth={
            "somebody": _PEOPLE,
            "foliage": _PLANTS,
            "highway": ("road", "parking lot"),
            "skyscraper": ("building",),
            "grassland": ("grass",),
            "walkway": ("sidewalk", "traffic island"),
        },
        background=("car", "truck", "bus", "excavator", *_STREET_FURNITURE, *_THE_REST),
    ),
    Vocabulary(
        title="three phrases; everything else is background",
        truth={
            "a human being": _PEOPLE,
            "something with a trunk and leaves": ("tree",),
            "transport for passengers": _BUSES,
        },
        background=(
            *_without(tuple(_STREET), "tree", "bus", "person"),
            *_without(_THE_REST, "bus stop"),
        ),
    ),
)
"""What is asked for, one after the other."""

HEAT = "transport for passengers"
"""The phrase whose nearness colours a part of the picture."""
