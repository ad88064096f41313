"""Furnishes a street segment by segment: buildings, greenery, poles and signs, parked vehicles, roadworks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..mesh import Mesh, merge, turn
from ..things import Thing, assemble
from . import buildings, furniture, people, vehicles
from .ground import Segment, backdrop, draw_segment, ground, surface_height
from .plan import SEGMENT_M, Centreline, StreetPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticStreet:
    """All that does not move: one mesh in global coordinates, and the objects in it by number."""

    mesh: Mesh
    things: tuple[Thing, ...]


def build_street(plan: StreetPlan, line: Centreline, start_m: float, end_m: float) -> StaticStreet:
    """Build every segment that touches [start_m, end_m] along the street."""
    meshes = [backdrop(line.to_global((start_m + end_m) / 2, 0.0))]
    things: list[Thing] = []
    for number in range(math.floor(start_m / SEGMENT_M), math.ceil(end_m / SEGMENT_M)):
        segment = draw_segment(plan, number)
        meshes.append(ground(plan, line, segment))
        things += furnish(plan, line, segment)
    mesh, objects = assemble(things)
    return StaticStreet(mesh=merge([*meshes, mesh]), things=tuple(objects))


def stand(
    plan: StreetPlan, line: Centreline, segment: Segment, s: float, d: float, yaw: float = 0.0, *, tilt: bool = False
) -> NDArray[np.float64]:
    """Return `global_from_object` (4, 4) of a thing on the ground at (s, d).

    `yaw` is relative to the street; with `tilt` the thing leans with the slope of the road, as vehicles do.
    """
    x, y, z = line.to_global(s, d)
    street = turn(float(line.heading(s)), (float(x), float(y), float(z) + surface_height(plan, segment, s, d)))
    if tilt:
        pitch = math.atan(line.slope(s))
        cosine, sine = math.cos(pitch), math.sin(pitch)
        lean = np.array([[cosine, 0, -sine, 0], [0, 1, 0, 0], [sine, 0, cosine, 0], [0, 0, 0, 1]])
        street = street @ lean
    return street @ turn(yaw)


def furnish(plan: StreetPlan, line: Centreline, segment: Segment) -> list[Thing]:
    """Return everything static that stands on one segment."""
    rng = np.random.default_rng([plan.seed, 4, segment.number + 1_000_000])
    site = _Site(plan=plan, line=line, segment=segment, rng=rng, things=[])
    for sign in (-1, 1):
        _add_lot(site, sign)
        _add_kerbside(site, sign)
        _add_parking(site, sign)
        _add_sidewalk(site, sign)
    _add_median(site)
    if segment.crossing_m > 0:
        _add_side_street(site)
    return site.things


@dataclass(frozen=True, slots=True, kw_only=True)
class _Site:
    """What the furnishing functions share for one segment."""

    plan: StreetPlan
    line: Centreline
    segment: Segment
    rng: np.random.Generator
    things: list[Thing]

    @property
    def start(self) -> float:
        return self.segment.start_m + self.segment.crossing_m

    def add(self, mesh: Mesh, s: float, d: float, yaw: float = 0.0, *, kind: str = "", tilt: bool = False) -> None:
        """Put a thing at (s, d), turned by `yaw` against the street."""
        pose = stand(self.plan, self.line, self.segment, s, d, yaw, tilt=tilt)
        key = f"segment {self.segment.number} thing {len(self.things)}"
        self.things.append(Thing(mesh=mesh, global_from_object=pose, kind=kind, key=key))


def _outward(sign: int) -> float:
    """Return the yaw that turns a thing whose front is -y towards the street's middle from its side."""
    return 0.0 if sign > 0 else math.pi


def _add_lot(site: _Site, sign: int) -> None:
    plan, rng, lot = site.plan, site.rng, site.segment.lot(sign)
    edge = plan.road_edge(sign) + plan.side(sign).verge_m + plan.side(sign).sidewalk_m
    build = {"houses": buildings.house, "industry": buildings.hall}.get(lot.style, buildings.block)
    widths = {"blocks": (9, 20), "houses": (7, 12), "park": (12, 20), "industry": (18, 32)}[lot.style]
    gaps = {"blocks": (0.0, 1.5), "houses": (3.0, 9.0), "park": (4.0, 20.0), "industry": (4.0, 10.0)}[lot.style]
    s = site.start + rng.uniform(0.2, 2.0)
    while True:
        width, depth = float(rng.uniform(*widths)), float(rng.uniform(8, 14))
        width = min(width, site.segment.end_m - s - 0.2)
        if width < 6.0:
            break
        d = edge + lot.setback_m + rng.uniform(0, 0.8) + depth / 2
        site.add(build(rng, width, depth), s + width / 2, sign * d, _outward(sign))
        s += width + float(rng.uniform(*gaps))
    if lot.setback_m > 2.5:
        _add_garden(site, sign, edge)


def _add_garden(site: _Site, sign: int, edge: float) -> None:
    """Put fence, wall or hedge on the property line and plants behind it."""
    rng, lot = site.rng, site.segment.lot(sign)
    length = site.segment.end_m - site.start
    chances = {"blocks": 0.3, "houses": 0.75, "park": 0.4, "industry": 0.9}[lot.style]
    s = site.start + 0.5
    while s < site.segment.end_m - 3.0 and rng.random() < chances:
        stretch = min(float(rng.uniform(6.0, 14.0)), site.segment.end_m - s - 0.3)
        style = rng.random()
        made = furniture.wall if style < 0.35 else furniture.fence if style < 0.75 else furniture.hedge
        site.add(made(rng, stretch), s + stretch / 2, sign * (edge + 0.35))
        s += stretch + (rng.uniform(2.0, 4.0) if lot.style == "houses" else rng.uniform(0.0, 1.5))
    area = length * min(lot.setback_m, 30.0)
    green = lot.front == "grass"
    depth = min(lot.setback_m, 30.0) - 1.0
    for _ in range(int(rng.poisson(area * (0.018 if lot.style == "park" else 0.008) * (1.0 if green else 0.3)))):
        small = lot.setback_m < 7.0
        mesh = furniture.tree(rng, small=small)
        site.add(
            mesh,
            site.start + rng.uniform(1, max(length - 1, 1.5)),
            sign * (edge + rng.uniform(0.35, 0.95) * depth + 0.5),
        )
    for _ in range(int(rng.poisson(area * (0.02 if green else 0.004)))):
        s, d = site.start + rng.uniform(1, max(length - 1, 1.5)), edge + 1.0 + rng.uniform(0, 1) * (depth - 0.5)
        site.add(furniture.bush(rng), s, sign * d)
    if lot.style in ("industry", "houses") and rng.random() < 0.4:
        make, kind = (
            (vehicles.truck, "truck") if lot.style == "industry" and lot.setback_m > 9 else (vehicles.car, "car")
        )
        if lot.setback_m > 5.5:
            d = edge + lot.setback_m / 2 + 0.4
            yaw = math.pi / 2 if kind == "car" else 0.0
            site.add(make(rng), site.start + rng.uniform(0.3, 0.7) * length, sign * d, yaw, kind=kind)


def _add_kerbside(site: _Site, sign: int) -> None:
    """Put lamps, trees, signs and posts next to the kerb."""
    plan, rng, side = site.plan, site.rng, site.plan.side(sign)
    kerb = plan.road_edge(sign)
    d = sign * (kerb + max(side.verge_m * 0.5, 0.45))
    taken = []
    first = math.ceil(site.start / plan.lamp_spacing_m) * plan.lamp_spacing_m
    for s in np.arange(first, site.segment.end_m, plan.lamp_spacing_m):
        site.add(furniture.street_lamp(rng), float(s), sign * (kerb + 0.4), math.pi if sign > 0 else 0.0)
        taken.append(float(s))
    for _ in range(int(rng.poisson(1.3))):
        s = site.start + rng.uniform(1.0, 26.0)
        if _free(s, taken, 2.0):
            site.add(
                furniture.traffic_sign(rng),
                s,
                sign * (kerb + 0.5),
                (0.0 if sign < 0 else math.pi) + rng.normal(0, 0.12),
            )
            taken.append(s)
    for _ in range(int(rng.poisson(1.0))):
        s = site.start + rng.uniform(1.0, 28.0)
        if _free(s, taken, 1.5):
            site.add(furniture.post(rng), s, sign * (kerb + 0.4))
            taken.append(s)
    for s in np.arange(site.start + rng.uniform(1, 6), site.segment.end_m - 2, 7.5):
        if rng.random() < side.street_trees and _free(float(s), taken, 1.5):
            site.add(furniture.tree(rng, small=side.verge_m < 1.2), float(s), d)


def _free(s: float, taken: list[float], gap: float) -> bool:
    return all(abs(s - other) > gap for other in taken)


def _add_parking(site: _Site, sign: int) -> None:
    """Park vehicles, or dig up the parking lane."""
    plan, rng, side = site.plan, site.rng, site.plan.side(sign)
    if side.parking_m == 0.0:
        if rng.random() < plan.roadworks * 0.6:
            _add_roadworks(site, sign, plan.road_edge(sign) + 0.4, site.start + 4.0)
        return
    d = sign * (plan.road_edge(sign) - side.parking_m / 2 + 0.1)
    s = site.start + (6.0 if site.segment.crossing_m > 0 else 0.5)
    if rng.random() < plan.roadworks:
        s = _add_roadworks(site, sign, plan.road_edge(sign) - side.parking_m + 0.35, s)
    heading = 0.0 if sign < 0 else math.pi
    while s < site.segment.end_m - 6.0:
        choice = rng.random()
        length = 6.3
        if rng.random() < side.parked:
            yaw = heading + rng.normal(0, 0.02)
            if choice < 0.82:
                site.add(vehicles.car(rng), s + 2.9, d, yaw, kind="car", tilt=True)
            elif choice < 0.92 and s < site.segment.end_m - 10.5:
                site.add(vehicles.truck(rng), s + 5.0, d, yaw, kind="truck", tilt=True)
                length = 10.5
            else:
                for offset in (1.0, 2.2, 3.4):
                    site.add(vehicles.motorcycle(rng), s + offset, d, heading + math.pi / 2 * sign, kind="motorcycle")
        s += length + rng.uniform(0.0, 0.8)


def _add_roadworks(site: _Site, sign: int, d: float, s: float) -> float:
    """Close a stretch with cones and barriers; return where it ends."""
    rng = site.rng
    length = float(rng.uniform(9.0, 18.0))
    end = min(s + length, site.segment.end_m - 1.0)
    style = "jersey" if rng.random() < 0.4 else "panel"
    step = 3.05 if style == "jersey" else 2.3
    for at in np.arange(s + 3.0, end - 2.0, step):
        site.add(furniture.barrier(rng, style=style), float(at), sign * d, rng.normal(0, 0.02), kind="barrier")
    for at in np.concatenate([np.arange(s, s + 2.5, 0.8), np.arange(end - 1.5, end, 0.8)]):
        site.add(furniture.traffic_cone(rng), float(at), sign * (d + rng.uniform(-0.1, 0.5)), kind="traffic cone")
    if length > 13.0 and site.plan.side(sign).parking_m > 0:
        site.add(
            vehicles.truck(rng), (s + end) / 2, sign * (d + 1.7), 0.0 if sign < 0 else math.pi, kind="truck", tilt=True
        )
    for _ in range(int(rng.integers(0, 3))):
        site.add(people.person(rng), rng.uniform(s, end), sign * (d + 0.9), rng.uniform(0, 6.28), kind="person")
    return end + 1.0


def _add_sidewalk(site: _Site, sign: int) -> None:
    """Put people who stand and bicycles that lean on the sidewalk's inner edge."""
    plan, rng, side = site.plan, site.rng, site.plan.side(sign)
    inner = plan.road_edge(sign) + side.verge_m + side.sidewalk_m
    length = site.segment.end_m - site.start - 2.0
    for _ in range(int(rng.poisson(plan.walkers * 1.6))):
        s = site.start + 1.0 + rng.uniform(0, length)
        for _ in range(int(rng.integers(1, 4))):
            at = (s + rng.uniform(-0.8, 0.8), sign * (inner - 0.5 - rng.uniform(0, 0.5)))
            site.add(people.person(rng), *at, rng.uniform(0, 2 * math.pi), kind="person")
    for _ in range(int(rng.poisson(plan.bicycles * 1.6))):
        s = site.start + 1.0 + rng.uniform(0, max(length - 3.0, 0.5))
        for i in range(int(rng.integers(1, 4))):
            site.add(
                vehicles.bicycle(rng),
                s + 0.75 * i,
                sign * (inner - 0.3),
                math.pi / 2 + rng.normal(0, 0.1),
                kind="bicycle",
            )


def _add_median(site: _Site) -> None:
    plan, rng = site.plan, site.rng
    if plan.median == "barrier":
        for s in np.arange(site.start + 2.0, site.segment.end_m - 1.5, 3.02):
            site.add(furniture.barrier(rng, style="jersey"), float(s), 0.0, kind="barrier")
    elif plan.median == "grass":
        for s in np.arange(site.start + 4.0, site.segment.end_m - 3.0, rng.uniform(6.0, 12.0)):
            made = furniture.tree(rng, small=True) if rng.random() < 0.5 else furniture.bush(rng)
            site.add(made, float(s), rng.uniform(-0.2, 0.2))


def _add_side_street(site: _Site) -> None:
    """Let vehicles wait in the side street, and people at its corners."""
    plan, rng, segment = site.plan, site.rng, site.segment
    for sign in (-1, 1):
        for far in range(3):
            if rng.random() < plan.traffic:
                make, kind = (vehicles.car, "car") if rng.random() < 0.8 else (vehicles.truck, "truck")
                arriving = rng.random() < 0.6
                lane = segment.crossing_m * (0.25 if arriving == (sign < 0) else 0.75)
                d = plan.road_edge(sign) + 6.5 + 11.0 * far + rng.uniform(0, 2)
                yaw = math.pi / 2 * (-sign if arriving else sign)
                site.add(make(rng), segment.start_m + lane, sign * d, yaw, kind=kind)
        for _ in range(int(rng.poisson(plan.walkers))):
            d = plan.road_edge(sign) + plan.side(sign).verge_m + rng.uniform(0.6, 1.5)
            site.add(
                people.person(rng), site.start + rng.uniform(0.4, 1.5), sign * d, rng.uniform(0, 6.28), kind="person"
            )
