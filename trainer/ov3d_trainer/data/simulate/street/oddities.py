"""Unseen kinds in their places: only in worlds made with `unseen=True`, from a random stream of their own."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from . import machines, rarities, trucks
from .model import Model
from .site import Site, outward

_ON_FOOT: tuple[Callable[[np.random.Generator], Model], ...] = (
    rarities.wheelchair,
    rarities.stroller,
    rarities.shopping_cart,
    rarities.dog,
    rarities.horse,
    rarities.statue,
    rarities.phone_booth,
    rarities.tent,
)
_ON_WHEELS: tuple[Callable[[np.random.Generator], Model], ...] = (
    machines.forklift,
    machines.tractor,
    trucks.ambulance,
    trucks.tram,
)


def add_unseen(site: Site, sign: int) -> None:
    """Put a handful of the kinds on one side of a segment: on the sidewalk, before the buildings, at the kerb."""
    rng, side, lot = site.rng, site.plan.side(sign), site.segment.lot(sign)
    for make in rng.permutation(len(_ON_FOOT))[:5]:
        d = site.edge(sign) - rng.uniform(0.6, max(side.sidewalk_m - 0.6, 0.7))
        if lot.setback_m > 5.0 and rng.random() < 0.4:
            d = site.edge(sign) + rng.uniform(1.6, 4.0)
        s = site.scatter(3.0)
        if site.claim(s, sign * d, 1.0):
            site.add(_ON_FOOT[int(make)](rng), s, sign * d, rng.choice([0.0, math.pi]) + rng.normal(0, 0.4))
    if rng.random() < 0.8:
        _add_vehicle(site, sign)


def _add_vehicle(site: Site, sign: int) -> None:
    """Put one vehicle before the building or at the kerb, where there is room within eight tries."""
    rng, side, lot = site.rng, site.plan.side(sign), site.segment.lot(sign)
    make = _ON_WHEELS[int(rng.integers(len(_ON_WHEELS)))]
    for _ in range(8):
        s = site.scatter(8.0)
        if lot.setback_m > 7.0 and lot.style != "parking":
            d, yaw, state = site.edge(sign) + 3.2, outward(sign), "parked"
        else:
            d, yaw, state = site.kerb(sign) - max(side.parking_m, 2.3) / 2, 0.0 if sign < 0 else math.pi, "stopped"
        if site.claim(s, sign * d, 3.4):
            site.add(make(rng), s, sign * d, yaw, state=state)
            return
