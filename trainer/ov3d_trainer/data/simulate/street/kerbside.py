"""Verge and sidewalk: lamps, signs, trees, stops and other furniture, people who stand, bicycles that lean."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from . import furniture, people, plants, poles, two_wheelers
from .model import Model
from .site import Site, outward

_SMALL: tuple[tuple[Callable[[np.random.Generator], Model], float], ...] = (
    (poles.pole, 0.55),
    (poles.bollard, 0.4),
    (furniture.trash_can, 0.6),
    (furniture.fire_hydrant, 0.4),
    (furniture.mailbox, 0.35),
    (plants.potted_plant, 0.3),
    (furniture.debris, 0.1),
)
"""Small things next to the kerb: who makes them, how many there are on one side of a segment."""


def add_kerbside(site: Site, sign: int) -> None:
    """Put lamps, trees, signs and posts next to the kerb."""
    plan, rng, side = site.plan, site.rng, site.plan.side(sign)
    kerb = site.kerb(sign)
    first = math.ceil(site.start / plan.lamp_spacing_m) * plan.lamp_spacing_m
    for s in np.arange(first, site.segment.end_m, plan.lamp_spacing_m):
        site.add(poles.street_light(rng), float(s), sign * (kerb + 0.4), math.pi if sign > 0 else 0.0)
        site.taken.append((float(s), sign * (kerb + 0.4), 0.8))
    for _ in range(int(rng.poisson(1.2))):
        s, d = site.scatter(), sign * (kerb + 0.5)
        if site.claim(s, d, 0.8):
            site.add(poles.traffic_sign(rng), s, d, (0.0 if sign < 0 else math.pi) + rng.normal(0, 0.12))
    for make, mean in _SMALL:
        for _ in range(int(rng.poisson(mean))):
            s, d = site.scatter(), sign * (kerb + rng.uniform(0.4, 0.6))
            if site.claim(s, d, 0.6):
                site.add(make(rng), s, d, outward(sign))
    if rng.random() < 0.12:
        _add_bollards(site, sign)
    d = sign * (kerb + max(side.verge_m * 0.5, 0.45))
    for s in np.arange(site.start + rng.uniform(1, 6), site.segment.end_m - 2, 7.5):
        if rng.random() < side.street_trees and site.claim(float(s), d, 0.8):
            room_m = side.parking_m + abs(d) - kerb + 0.5
            site.add(plants.tree(rng, small=side.verge_m < 1.2, room_m=room_m), float(s), d)
    if side.rail:
        site.add(furniture.guard_rail(rng, site.length - 1.0), site.start + site.length / 2, sign * (kerb + 0.35))


def add_sidewalk(site: Site, sign: int) -> None:
    """Put people who stand, bicycles that lean, benches and stops on the sidewalk's inner edge."""
    plan, rng, side = site.plan, site.rng, site.plan.side(sign)
    inner = site.edge(sign)
    if side.sidewalk_m > 2.2 and rng.random() < 0.22:
        s, d = site.scatter(6.0), sign * (inner - 0.9)
        if site.claim(s, d, 2.4):
            site.add(furniture.bus_stop(rng), s, d, outward(sign))
            for offset in rng.uniform(-2.0, 2.0, int(rng.integers(0, 4))):
                site.add(people.person(rng), s + offset, d - sign * 0.3, outward(sign) - math.pi / 2, state="standing")
    if side.sidewalk_m > 2.0 and rng.random() < 0.2:
        s, d = site.scatter(3.0), sign * (inner - 0.5)
        if site.claim(s, d, 1.3):
            site.add(furniture.bench(rng), s, d, outward(sign))
            if rng.random() < 0.4:
                site.add(people.sitting(rng), s, d, outward(sign) - math.pi / 2, state="sitting")
    if rng.random() < 0.14:
        s, d = site.scatter(3.0), sign * (inner + 0.6)
        if site.claim(s, d, 1.5):
            site.add(furniture.billboard(rng), s, d, outward(sign) + rng.choice([0.0, math.pi / 2]))
    _add_standing(site, sign)
    for _ in range(int(rng.poisson(0.4 + plan.bicycles * 1.6))):
        _add_bicycles(site, sign)


def add_signals(site: Site) -> None:
    """Put traffic lights at the corners of a crossing; each faces the traffic that comes to it."""
    rng, segment = site.rng, site.segment
    if rng.random() > 0.7:
        return
    for sign in (-1, 1):
        d = sign * (site.kerb(sign) + 0.6)
        before, behind = segment.start_m - 0.8, site.start + 0.8
        site.add(poles.traffic_light(rng), before if sign < 0 else behind, d, 0.0 if sign < 0 else math.pi)
        if rng.random() < 0.6:
            site.add(poles.traffic_light(rng), behind if sign < 0 else before, d, math.pi / 2 * sign)


def _add_bollards(site: Site, sign: int) -> None:
    style = int(site.rng.integers(1 << 30))
    begin = site.scatter(4.0)
    for s in np.arange(begin, min(begin + site.rng.uniform(5, 14), site.segment.end_m), 1.6):
        site.add(poles.bollard(np.random.default_rng(style)), float(s), sign * (site.kerb(sign) + 0.4))


def _add_standing(site: Site, sign: int) -> None:
    plan, rng, inner = site.plan, site.rng, site.edge(sign)
    for _ in range(int(rng.poisson(plan.walkers * 1.6))):
        s = site.scatter()
        for _ in range(int(rng.integers(1, 4))):
            at = (s + rng.uniform(-0.8, 0.8), sign * (inner - 0.5 - rng.uniform(0, 0.5)))
            make = people.child if rng.random() < 0.2 else people.person
            if site.claim(*at, 0.3):
                site.add(make(rng), *at, rng.uniform(0, 2 * math.pi), state="standing")


def _add_bicycles(site: Site, sign: int) -> None:
    """Park a few bicycles against the inner edge, or in a rack across it, at times with a motorcycle or scooter."""
    rng, inner = site.rng, site.edge(sign)
    s, d = site.scatter(3.0), sign * (inner - 0.5)
    if not site.claim(s + 1.0, d, 1.8):
        return
    if rng.random() < 0.5:
        site.add(furniture.bicycle_rack(rng), s + 1.2, d)
    choices = (two_wheelers.bicycle, two_wheelers.scooter, two_wheelers.motorcycle)
    for i in range(int(rng.integers(1, 5))):
        make = choices[int(rng.choice(3, p=[0.72, 0.14, 0.14]))]
        site.add(make(rng), s + 0.75 * i, d, math.pi / 2 + rng.normal(0, 0.1), state="parked")
