"""Builds the static street segment by segment; what stands where is in lots, kerbside, roadside and oddities."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..mesh import Mesh, merge
from ..things import Thing, assemble
from .ground import Segment, backdrop, draw_segment, ground
from .kerbside import add_kerbside, add_sidewalk, add_signals
from .lots import add_backyard_edge, add_lot
from .oddities import add_unseen
from .plan import SEGMENT_M, Centreline, StreetPlan
from .roadside import add_bridge, add_median, add_parking, add_side_street
from .site import Site


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticStreet:
    """All that does not move: one mesh in global coordinates, and the objects in it by number."""

    mesh: Mesh
    things: tuple[Thing, ...]


def build_street(plan: StreetPlan, line: Centreline, start_m: float, end_m: float, *, unseen: bool) -> StaticStreet:
    """Build every segment that touches [start_m, end_m] along the street."""
    meshes = [backdrop(line.to_global((start_m + end_m) / 2, 0.0))]
    things: list[Thing] = []
    for number in range(math.floor(start_m / SEGMENT_M), math.ceil(end_m / SEGMENT_M)):
        segment = draw_segment(plan, number)
        meshes.append(ground(plan, line, segment))
        things += furnish(plan, line, segment, unseen=unseen)
    mesh, objects = assemble(things)
    return StaticStreet(mesh=merge([*meshes, mesh]), things=tuple(objects))


def furnish(plan: StreetPlan, line: Centreline, segment: Segment, *, unseen: bool = False) -> list[Thing]:
    """Return everything static that stands on one segment; `unseen` adds to it and moves nothing else."""
    rng = np.random.default_rng([plan.seed, 4, segment.number + 1_000_000])
    site = Site(plan=plan, line=line, segment=segment, rng=rng)
    for sign in (-1, 1):
        add_lot(site, sign)
        add_parking(site, sign)
        add_kerbside(site, sign)
        add_sidewalk(site, sign)
        add_backyard_edge(site, sign)
    add_median(site)
    if segment.crossing_m > 0:
        add_side_street(site)
        add_signals(site)
    elif rng.random() < plan.bridges:
        add_bridge(site)
    if unseen:
        own = np.random.default_rng([plan.seed, 9, segment.number + 1_000_000])
        for sign in (-1, 1):
            add_unseen(Site(plan=plan, line=line, segment=segment, rng=own, things=site.things, taken=site.taken), sign)
    return site.things
