"""What stands beyond the sidewalk: buildings, and before them gardens, squares, car parks or building sites."""

from __future__ import annotations

import math

import numpy as np

from . import buildings, cars, furniture, machines, people, plants, trucks, two_wheelers
from .model import Model
from .site import Site, outward

_WIDTHS = {
    "blocks": (9, 20), "houses": (7, 12), "park": (12, 20), "industry": (18, 32), "parking": (18, 32),
    "plaza": (12, 24), "works": (12, 24),
}  # fmt: skip
_GAPS = {
    "blocks": (0.0, 1.5), "houses": (3.0, 9.0), "park": (4.0, 20.0), "industry": (4.0, 10.0), "parking": (2.0, 12.0),
    "plaza": (0.5, 6.0), "works": (4.0, 16.0),
}  # fmt: skip


def add_lot(site: Site, sign: int) -> None:
    """Furnish the lot on one side."""
    _add_buildings(site, sign)
    lot = site.segment.lot(sign)
    if lot.style == "parking":
        _add_car_park(site, sign)
    elif lot.style == "plaza":
        _add_square(site, sign)
    elif lot.style == "works":
        _add_building_site(site, sign)
    elif lot.setback_m > 2.5:
        _add_property_line(site, sign)
        _add_garden(site, sign)
        _add_drive(site, sign)


def parked_vehicle(rng: np.random.Generator, rare: float = 0.0) -> Model:
    """Return what stands in a space for one car; with the chance `rare` all kinds are alike."""
    choices = (cars.car, cars.van, cars.pickup, cars.taxi)
    shares = (1.0 - rare) * np.array([0.77, 0.11, 0.08, 0.04]) + rare / len(choices)
    return choices[int(rng.choice(len(choices), p=shares))](rng)


def _add_buildings(site: Site, sign: int) -> None:
    rng, lot = site.rng, site.segment.lot(sign)
    build = {"houses": buildings.house, "industry": buildings.hall, "parking": buildings.hall}.get(
        lot.style, buildings.block
    )
    s = site.start + rng.uniform(0.2, 2.0)
    while True:
        width, depth = float(rng.uniform(*_WIDTHS[lot.style])), float(rng.uniform(8, 14))
        width = min(width, site.segment.end_m - s - 0.2)
        if width < 6.0:
            break
        front = site.edge(sign) + lot.setback_m + rng.uniform(0, 0.8)
        site.add(build(rng, width, depth), s + width / 2, sign * (front + depth / 2), outward(sign))
        if lot.setback_m > 2.2 and rng.random() < 0.3 and lot.style in ("blocks", "houses", "plaza"):
            site.add(furniture.stairs(rng), s + width * rng.uniform(0.3, 0.7), sign * (front - 0.9), outward(sign))
        s += width + float(rng.uniform(*_GAPS[lot.style]))


def _add_property_line(site: Site, sign: int) -> None:
    """Put fences, walls and hedges where the lot begins."""
    rng, lot = site.rng, site.segment.lot(sign)
    chance = {"blocks": 0.3, "houses": 0.75, "park": 0.4, "industry": 0.9}[lot.style]
    s = site.start + 0.5
    while s < site.segment.end_m - 3.0 and rng.random() < chance:
        stretch = min(float(rng.uniform(6.0, 14.0)), site.segment.end_m - s - 0.3)
        made = (furniture.wall, furniture.fence, plants.hedge)[int(rng.choice(3, p=[0.34, 0.38, 0.28]))]
        site.add(made(rng, stretch), s + stretch / 2, sign * (site.edge(sign) + 0.4))
        s += stretch + (rng.uniform(2.0, 4.0) if lot.style == "houses" else rng.uniform(0.0, 1.5))


def _add_garden(site: Site, sign: int) -> None:
    """Plant trees and bushes between street and building."""
    rng, lot = site.rng, site.segment.lot(sign)
    depth = min(lot.setback_m, 30.0) - 1.0
    area, green = site.length * depth, lot.front == "grass"
    inner = site.edge(sign) + 0.6
    for _ in range(int(rng.poisson(area * (0.018 if lot.style == "park" else 0.008) * (1.0 if green else 0.3)))):
        d = inner + rng.uniform(0.35, 0.95) * depth
        site.add(plants.tree(rng, small=lot.setback_m < 7.0), site.scatter(), sign * d)
    for _ in range(int(rng.poisson(area * (0.02 if green else 0.004)))):
        site.add(plants.bush(rng), site.scatter(), sign * (inner + 0.6 + rng.uniform(0, 1) * (depth - 1.0)))
    if lot.style == "park":
        for _ in range(int(rng.poisson(1.5))):
            _add_thicket(site, sign, inner + rng.uniform(0.5, 0.7 * depth))
        for _ in range(int(rng.poisson(1.2))):
            _add_bench(site, sign, inner + rng.uniform(1.0, 6.0))
    if lot.style == "houses" and rng.random() < 0.5:
        site.add(furniture.trash_can(rng), site.scatter(2.0), sign * (inner + 0.7), outward(sign))


def _add_thicket(site: Site, sign: int, d: float) -> None:
    """Plant bushes and trees close together along the street."""
    rng, begin = site.rng, site.scatter(2.0)
    for s in np.arange(begin, min(begin + rng.uniform(4, 18), site.segment.end_m), 1.3):
        make = plants.tree if rng.random() < 0.15 else plants.bush
        site.add(make(rng), float(s), sign * (d + rng.normal(0, 0.5)), rng.uniform(0, 6.28))


def _add_bench(site: Site, sign: int, d: float) -> None:
    rng, s = site.rng, site.scatter(2.0)
    if not site.claim(s, sign * d, 1.2):
        return
    yaw = outward(sign) + rng.normal(0, 0.3)
    site.add(furniture.bench(rng), s, sign * d, yaw)
    if rng.random() < 0.35:
        offset = rng.uniform(-0.4, 0.4)
        at = (s + offset * math.cos(yaw), sign * d + offset * math.sin(yaw))
        site.add(people.sitting(rng), *at, yaw - math.pi / 2, state="sitting")


def _add_drive(site: Site, sign: int) -> None:
    """Park a vehicle before a house, and vehicles, trailers and machines in a yard."""
    rng, lot = site.rng, site.segment.lot(sign)
    middle = site.edge(sign) + lot.setback_m / 2 + 0.4
    if lot.style == "houses" and lot.setback_m > 5.8 and rng.random() < 0.5:
        site.add(
            parked_vehicle(rng, site.plan.rare),
            site.scatter(6.0),
            sign * middle,
            math.pi / 2 * rng.choice([-1, 1]),
            state="parked",
        )
    if lot.style == "industry" and lot.setback_m > 6.0:
        for share in (0.22, 0.74):
            if rng.random() < 0.6:
                make = (trucks.truck, trucks.trailer, cars.van, machines.construction_machine)[
                    int(rng.choice(4, p=[0.35, 0.35, 0.12, 0.18]))
                ]
                s = site.start + share * site.length + rng.uniform(-2, 2)
                site.add(make(rng), s, sign * middle, rng.choice([0.0, math.pi]) + rng.normal(0, 0.05), state="parked")
        if rng.random() < 0.5:
            site.add(furniture.dumpster(rng), site.scatter(3.0), sign * (site.edge(sign) + lot.setback_m - 1.2))


def _add_car_park(site: Site, sign: int) -> None:
    """Fill rows across the lot with parked vehicles."""
    rng, lot = site.rng, site.segment.lot(sign)
    share, nose = rng.uniform(0.2, 0.9), rng.choice([-1, 1])
    for row in range(int((lot.setback_m - 2.0) // 8.2)):
        d = site.edge(sign) + 3.6 + 8.2 * row
        for s in np.arange(site.start + 3.0, site.segment.end_m - 2.0, 2.7):
            if rng.random() < share:
                yaw = nose * math.pi / 2 + (math.pi if rng.random() < 0.25 else 0.0) + rng.normal(0, 0.03)
                vehicle = parked_vehicle(rng, site.plan.rare)
                site.add(vehicle, float(s), sign * (d + rng.normal(0, 0.2)), yaw, state="parked")
    for _ in range(int(rng.integers(0, 3))):
        d = site.edge(sign) + 7.7 + rng.normal(0, 0.4)
        site.add(people.person(rng), site.scatter(), sign * d, rng.uniform(0, 6.28), state="standing")
    if rng.random() < 0.5:
        site.add(furniture.bicycle_rack(rng), site.scatter(4.0), sign * (site.edge(sign) + lot.setback_m - 0.8))
    for s in np.arange(site.start + 1.5, site.segment.end_m, 13.0):
        if rng.random() < 0.5:
            site.add(plants.tree(rng, small=True), float(s), sign * (site.edge(sign) + 0.6))


def _add_square(site: Site, sign: int) -> None:
    """Put benches, pots, trees and people on a paved square."""
    rng, lot = site.rng, site.segment.lot(sign)
    depth, first = lot.setback_m - 2.5, site.edge(sign) + 1.0
    for _ in range(int(rng.integers(2, 6))):
        _add_bench(site, sign, first + rng.uniform(0, depth))
    makers = (plants.potted_plant, plants.tree, furniture.trash_can, furniture.billboard, furniture.bicycle_rack)
    for _ in range(int(rng.integers(5, 12))):
        s, d = site.scatter(2.0), first + rng.uniform(0, depth)
        if site.claim(s, sign * d, 1.0):
            site.add(makers[int(rng.choice(5, p=[0.4, 0.3, 0.12, 0.08, 0.1]))](rng), s, sign * d, rng.uniform(0, 6.28))
    for _ in range(int(rng.poisson(6 * site.plan.walkers))):
        s, d = site.scatter(1.0), first + rng.uniform(0, depth)
        make = people.child if rng.random() < 0.25 else people.person
        if site.claim(s, sign * d, 0.5):
            site.add(make(rng), s, sign * d, rng.uniform(0, 6.28), state="standing")
    for s in np.arange(site.start + 1.5, site.segment.end_m - 1.0, 3.0):
        if rng.random() < 0.3:
            site.add(plants.potted_plant(rng), float(s), sign * (site.edge(sign) + 0.2))


def _add_building_site(site: Site, sign: int) -> None:
    """Put machines, heaps, workers and what fences them in on bare ground."""
    rng, lot = site.rng, site.segment.lot(sign)
    depth, first = lot.setback_m - 5.0, site.edge(sign) + 3.0
    for share in (0.2, 0.5, 0.8):
        if rng.random() < 0.8:
            make = (machines.construction_machine, trucks.truck, trucks.trailer)[
                int(rng.choice(3, p=[0.7, 0.15, 0.15]))
            ]
            s, d = site.start + share * site.length, first + rng.uniform(0.2, 1.0) * depth
            site.add(make(rng), s, sign * d, rng.uniform(0, 6.28), state="parked")
            site.claim(s, sign * d, 4.0)
    makers = (furniture.debris, people.construction_worker, furniture.dumpster, furniture.traffic_cone)
    for _ in range(int(rng.integers(4, 10))):
        s, d = site.scatter(1.5), first + rng.uniform(-1.5, depth)
        if site.claim(s, sign * d, 0.8):
            pick = int(rng.choice(4, p=[0.4, 0.4, 0.08, 0.12]))
            site.add(makers[pick](rng), s, sign * d, rng.uniform(0, 6.28), state="standing" if pick == 1 else "")
    style = str(rng.choice(["rack", "panel", "jersey", "water"]))
    for s in np.arange(site.start + 2.0, site.segment.end_m - 2.0, 3.05 if style == "jersey" else 2.25):
        if rng.random() < 0.9:
            site.add(furniture.barrier(rng, style=style), float(s), sign * (site.edge(sign) + 0.4), rng.normal(0, 0.03))


def add_backyard_edge(site: Site, sign: int) -> None:
    """Close gaps between buildings with trees far behind, so that the world does not end at the first row."""
    rng, lot = site.rng, site.segment.lot(sign)
    behind = site.edge(sign) + lot.setback_m + 16.0
    for _ in range(int(rng.poisson(3.0))):
        site.add(plants.tree(rng), site.scatter(), sign * (behind + rng.uniform(0, 20)))
    if rng.random() < 0.3:
        site.add(
            two_wheelers.bicycle(rng),
            site.scatter(2.0),
            sign * (site.edge(sign) + 0.9),
            rng.normal(0, 0.2),
            state="parked",
        )
