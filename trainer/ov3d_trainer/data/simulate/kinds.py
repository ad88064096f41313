"""The kinds of object in the simulated worlds: one table of labels for streets and rooms together."""

from __future__ import annotations

from functools import cache

from ..sample import UNKNOWN
from .kind import Kind
from .room.kinds import ROOM_KINDS
from .street.kinds import STREET_KINDS


def _join() -> dict[str, Kind]:
    table: dict[str, Kind] = {}
    for kind in (*STREET_KINDS, *ROOM_KINDS):
        table.setdefault(kind.name, kind)
    return table


KIND_OF: dict[str, Kind] = _join()
"""Every kind by its name. A kind that both worlds have ("person") stands in the street's table only."""

KINDS: tuple[str, ...] = tuple(KIND_OF)
"""Names of the kinds a point can have; point labels index into this."""

VIEW_KINDS: tuple[str, ...] = (*KINDS, "sky")
"""Names of the kinds a pixel can have: those of the points, then the sky."""

SKY = len(KINDS)
EGO = "ego"
"""Kind of the sensors' own carrier: a lidar sees its roof, nobody labels it (`UNKNOWN`)."""


@cache
def kind_id(name: str) -> int:
    """Return the label of a kind, `UNKNOWN` for the ego vehicle; raises `ValueError` for a name that is no kind."""
    return UNKNOWN if name == EGO else KINDS.index(name)
