"""On the road itself: parked vehicles, roadworks, the median, and who waits in the side street."""

from __future__ import annotations

import math

import numpy as np

from . import cars, furniture, machines, people, plants, poles, trucks, two_wheelers
from .lots import parked_vehicle
from .model import Model
from .site import Site


def add_parking(site: Site, sign: int) -> None:
    """Park vehicles, or dig up the parking lane."""
    plan, rng, side = site.plan, site.rng, site.plan.side(sign)
    if side.parking_m == 0.0:
        if rng.random() < plan.roadworks * 0.7:
            _add_roadworks(site, sign, site.kerb(sign) + 0.4, site.start + 4.0)
        return
    d = sign * (site.kerb(sign) - side.parking_m / 2 + 0.1)
    s = site.start + (6.0 if site.segment.crossing_m > 0 else 0.5)
    if rng.random() < plan.roadworks:
        s = _add_roadworks(site, sign, site.kerb(sign) - side.parking_m + 0.35, s)
    heading = 0.0 if sign < 0 else math.pi
    while s < site.segment.end_m - 6.0:
        if rng.random() < side.parked:
            s += _park(site, sign, s, d, heading)
        else:
            s += 6.3
        s += rng.uniform(0.0, 0.8)


def _park(site: Site, sign: int, s: float, d: float, heading: float) -> float:
    """Park what fits from s on; return how long it is."""
    rng = site.rng
    rare = site.plan.rare
    choice, yaw, room = rare + (1.0 - rare) * rng.random(), heading + rng.normal(0, 0.02), site.segment.end_m - s
    site.taken.append((s + 3.0, d, 2.4))
    if choice < 0.80:
        site.add(parked_vehicle(rng, rare), s + 2.9, d, yaw, state="parked", tilt=True)
        return 6.3
    if choice < 0.93 and room > 10.5:
        make = trucks.truck if rng.random() < 0.6 else trucks.trailer
        site.add(make(rng), s + 5.2, d, yaw, state="parked", tilt=True)
        return 11.5
    if choice < 0.96 and room > 13.5:
        site.add(trucks.bus(rng), s + 6.6, d, yaw, state="parked", tilt=True)
        return 13.2
    for offset in (1.0, 2.2, 3.4):
        make_small = two_wheelers.motorcycle if rng.random() < 0.55 else two_wheelers.scooter
        site.add(make_small(rng), s + offset, d, heading + math.pi / 2 * sign, state="parked")
    return 4.6


def _add_roadworks(site: Site, sign: int, d: float, s: float) -> float:
    """Close a stretch with cones and barriers; return where it ends."""
    rng = site.rng
    length = float(rng.uniform(9.0, 20.0))
    end = min(s + length, site.segment.end_m - 1.0)
    style = str(rng.choice(["jersey", "panel", "water", "rack"], p=[0.3, 0.35, 0.2, 0.15]))
    for at in np.arange(s + 3.0, end - 2.0, 3.05 if style == "jersey" else 2.3):
        site.add(furniture.barrier(rng, style=style), float(at), sign * d, rng.normal(0, 0.02))
    for at in np.concatenate([np.arange(s, s + 2.5, 0.8), np.arange(end - 1.5, end, 0.8)]):
        site.add(furniture.traffic_cone(rng), float(at), sign * (d + rng.uniform(-0.1, 0.5)))
    parking = site.plan.side(sign).parking_m > 0
    if end - s > 12.0:
        make = trucks.truck if rng.random() < 0.25 else machines.construction_machine
        out = d + 1.75 if parking else d + 1.6
        site.add(make(rng), (s + end) / 2, sign * out, 0.0 if sign < 0 else math.pi, state="parked", tilt=True)
    for _ in range(int(rng.integers(1, 4))):
        at_s = s + 1.5 if rng.random() < 0.5 else end - 1.5
        worker = people.construction_worker(rng)
        site.add(worker, at_s + rng.normal(0, 0.4), sign * (d + 0.9), rng.uniform(0, 6.28), state="standing")
    if rng.random() < 0.6:
        site.add(furniture.debris(rng), s + 2.6, sign * (d + 1.0), rng.uniform(0, 6.28))
    return end + 1.0


def add_median(site: Site) -> None:
    """Put barriers, plants or signs between the two directions."""
    plan, rng = site.plan, site.rng
    if plan.median == "barrier":
        for s in np.arange(site.start + 2.0, site.segment.end_m - 1.5, 3.02):
            site.add(furniture.barrier(rng, style="jersey"), float(s), 0.0)
    elif plan.median == "rail":
        site.add(furniture.guard_rail(rng, site.length - 2.0), site.start + site.length / 2, 0.0)
    elif plan.median == "grass":
        for s in np.arange(site.start + 4.0, site.segment.end_m - 3.0, rng.uniform(6.0, 12.0)):
            made = (
                plants.tree(rng, small=True, room_m=plan.median_m / 2 + 0.4) if rng.random() < 0.5 else plants.bush(rng)
            )
            site.add(made, float(s), rng.uniform(-0.2, 0.2))
    elif plan.median == "island":
        for s in np.arange(site.start + 1.5, site.segment.end_m - 1.0, rng.uniform(6.0, 14.0)):
            choice = rng.random()
            if choice < 0.3:
                site.add(poles.traffic_sign(rng), float(s), 0.0, math.pi * int(rng.integers(2)))
            elif choice < 0.5:
                site.add(poles.bollard(rng), float(s), 0.0)
            elif choice < 0.6:
                site.add(plants.potted_plant(rng), float(s), 0.0)


def add_bridge(site: Site) -> None:
    """Lead a bridge over the street."""
    reach = max(site.edge(-1), site.edge(1)) + 0.8
    site.add(furniture.bridge(site.rng, 2 * reach), site.start + site.length * site.rng.uniform(0.3, 0.7), 0.0)


def add_side_street(site: Site) -> None:
    """Let vehicles wait in the side street, and people at its corners."""
    plan, rng, segment = site.plan, site.rng, site.segment
    for sign in (-1, 1):
        for far in range(3):
            if rng.random() < plan.traffic:
                arriving = rng.random() < 0.6
                lane = segment.crossing_m * (0.25 if arriving == (sign < 0) else 0.75)
                d = site.kerb(sign) + 7.0 + 12.0 * far + rng.uniform(0, 2)
                yaw = math.pi / 2 * (-sign if arriving else sign)
                site.add(_waiting(rng, plan.rare), segment.start_m + lane, sign * d, yaw, state="stopped")
        for _ in range(int(rng.poisson(plan.walkers))):
            d = site.kerb(sign) + plan.side(sign).verge_m + rng.uniform(0.6, 1.5)
            make = people.child if rng.random() < 0.2 else people.person
            site.add(make(rng), site.start + rng.uniform(0.4, 1.5), sign * d, rng.uniform(0, 6.28), state="standing")


def _waiting(rng: np.random.Generator, rare: float) -> Model:
    choice = rare + (1.0 - rare) * rng.random()
    if choice < 0.72:
        return parked_vehicle(rng, rare)
    if choice < 0.85:
        return trucks.truck(rng) if rng.random() < 0.7 else trucks.bus(rng)
    if choice < 0.95:
        make = (two_wheelers.bicycle, two_wheelers.motorcycle, two_wheelers.scooter)[int(rng.integers(3))]
        return make(rng, ridden=True)
    return cars.taxi(rng)
