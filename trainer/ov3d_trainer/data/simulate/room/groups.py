"""Furniture that belongs together: a sofa with its table, chairs round a table, a desk, a bed, a kitchen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from ..mesh import Surface, merge, turn
from . import appliances, bathroom, fittings, seats, smalls, storage, tables
from .piece import WOODS, Piece, Top, draw_surface, slab
from .space import Space, Spot

Builder = Callable[[np.random.Generator], Piece]


def scatter(space: Space, host: Spot | None, builders: Sequence[Builder], count: int) -> None:
    """Put up to `count` things of these kinds on a piece of furniture."""
    if host is None:
        return
    for _ in range(count):
        builder = builders[int(space.rng.integers(len(builders)))]
        space.on(host, builder(space.rng))


def sofa_group(space: Space) -> Spot | None:
    """Put a sofa against a wall with pillows, a coffee table on a rug, armchairs, and a television opposite."""
    rng = space.rng
    sofa = space.against_wall(seats.sofa(rng), gap=float(rng.uniform(0.02, 0.2)), front=0.9)
    if sofa is None:
        return None
    for _ in range(int(rng.integers(0, 4))):
        top = sofa.piece.tops[0]
        y = float(rng.uniform(top.low[1] + 0.2, top.high[1] - 0.2))
        space.beside(sofa, seats.pillow(rng, standing=True), top.low[0] + 0.08, y, z=top.z)
    reach = float(sofa.piece.extent()[1, 0])
    near = reach + float(rng.uniform(0.65, 0.8))
    if rng.random() < 0.6:
        rug = fittings.rug(rng, float(rng.uniform(1.2, 1.8)), float(rng.uniform(1.8, 2.6)))
        if inside(space, rug, sofa.transform @ turn(0.0, (near, 0, 0))):
            space.put(rug, sofa.transform @ turn(0.0, (near, 0, 0)), solid=False)
    low = space.beside(sofa, tables.coffee_table(rng), near, 0.0)
    scatter(
        space, low, (smalls.books, smalls.cup, smalls.vase, smalls.bowl, appliances.laptop), int(rng.integers(1, 5))
    )
    for side in (-1, 1):
        if rng.random() < 0.5:
            piece = seats.armchair(rng) if rng.random() < 0.75 else seats.ottoman(rng)
            space.beside(sofa, piece, near, side * float(rng.uniform(1.4, 1.8)), yaw=-side * math.pi / 2)
    television(space, opposite=sofa)
    lamp_beside(space, sofa)
    return sofa


def inside(space: Space, piece: Piece, transform: np.ndarray) -> bool:
    """Whether a flat piece lies within the room."""
    corners = piece.mesh.vertices @ transform[:3, :3].T + transform[:3, 3]
    limit = np.array([space.length / 2, space.width / 2])
    return bool((np.abs(corners[:, :2]) < limit).all())


def television(space: Space, opposite: Spot | None = None) -> None:
    """Put a television on its stand, or hang it, across the room from a seat where one is given."""
    rng = space.rng
    wall = None if opposite is None else _wall_across(opposite)
    if rng.random() < 0.2:
        space.against_wall(appliances.tv(rng, hung=True), z=float(rng.uniform(1.0, 1.3)), gap=0.0, wall=wall)
        return
    stand = space.against_wall(storage.tv_stand(rng), front=0.5, wall=wall) or space.against_wall(storage.tv_stand(rng))
    if stand is None:
        return
    space.beside(stand, appliances.tv(rng), 0.0, 0.0, z=stand.piece.tops[0].z)
    for side in (-1, 1):
        if rng.random() < 0.4:
            y = side * float(stand.piece.extent()[1, 1] + 0.2)
            space.beside(stand, appliances.speaker(rng, tall=True), 0.0, y)


def _wall_across(spot: Spot) -> int:
    """Return the wall (0..3 for +x, +y, -x, -y) that a piece looks at."""
    x, y = float(spot.transform[0, 0]), float(spot.transform[1, 0])
    if abs(x) > abs(y):
        return 0 if x > 0 else 2
    return 1 if y > 0 else 3


def lamp_beside(space: Space, host: Spot) -> None:
    """Put a floor lamp, or a small table with a lamp, on one side of a seat."""
    rng = space.rng
    side = 1 if rng.random() < 0.5 else -1
    y = side * float(host.piece.extent()[1, 1] + 0.35)
    if rng.random() < 0.5:
        space.beside(host, appliances.lamp(rng, tall=True), -0.1, y)
        return
    small = space.beside(host, tables.table(rng), 0.0, y + side * 0.2)
    scatter(space, small, (appliances.lamp, smalls.books, smalls.cup), 2)


def dining_group(space: Space) -> Spot | None:
    """Put a dining table anywhere with chairs round it, a bench at times, and what is on it."""
    rng = space.rng
    piece = tables.dining_table(rng)
    yaw = float(rng.integers(4)) * math.pi / 2
    spot = space.free_standing(piece, yaw=yaw, around=0.6) or space.free_standing(piece, yaw=yaw, around=0.3)
    if spot is None:
        spot = space.against_wall(piece, front=0.7)
    if spot is None:
        return None
    low, high = piece.extent()
    depth, width = float(high[0] - low[0]), float(high[1] - low[1])
    style = rng.integers(2**31)
    columns = max(int(width / 0.62), 1)
    for side in (-1, 1):
        if rng.random() < 0.12 and width > 1.2:
            space.beside(spot, seats.bench(rng), side * (depth / 2 + 0.15), 0.0)
            continue
        for number in range(columns):
            y = (number - (columns - 1) / 2) * width / columns
            _chair_at(space, spot, int(style), side * depth / 2, y, 0.0 if side < 0 else math.pi)
    for side in (-1, 1):
        if rng.random() < 0.5:
            _chair_at(space, spot, int(style), 0.0, side * width / 2, side * -math.pi / 2)
    things = (smalls.cup, smalls.bowl, smalls.vase, smalls.bottle, smalls.books, appliances.laptop)
    scatter(space, spot, things, int(rng.integers(1, 6)))
    return spot


def _chair_at(space: Space, host: Spot, style: int, x: float, y: float, yaw: float) -> None:
    """Put one chair of a set at the edge of a table, more or less pushed in; some are missing."""
    rng = space.rng
    if rng.random() < 0.12:
        return
    out = float(rng.uniform(0.02, 0.3))
    x, y = x - out * math.cos(yaw), y - out * math.sin(yaw)
    space.beside(host, seats.chair(np.random.default_rng(style)), x, y, yaw=yaw + float(rng.normal(0, 0.12)))


def desk_group(space: Space) -> Spot | None:
    """Put a desk against a wall with its chair, screen, keyboard, computer and papers."""
    rng = space.rng
    spot = space.against_wall(tables.desk(rng), front=0.7)
    if spot is None:
        return None
    top, depth = spot.piece.tops[0].z, float(spot.piece.extent()[1, 0])
    chair = seats.office_chair(rng) if rng.random() < 0.75 else seats.chair(rng)
    out = float(rng.uniform(0.2, 0.5))
    space.beside(spot, chair, depth + out, float(rng.uniform(-0.2, 0.2)), yaw=math.pi + float(rng.normal(0, 0.5)))
    if rng.random() < 0.75:
        shift_y = float(rng.uniform(-0.2, 0.2))
        for number in range(2 if rng.random() < 0.3 else 1):
            space.beside(spot, appliances.monitor(rng), -depth + 0.16, shift_y + 0.62 * number, z=top)
        space.beside(spot, appliances.keyboard(rng), depth - 0.16, shift_y, z=top, yaw=float(rng.normal(0, 0.05)))
        tower = appliances.computer_tower(rng)
        side = 1 if rng.random() < 0.5 else -1
        space.beside(spot, tower, 0.0, side * (float(spot.piece.extent()[1, 1]) - 0.2), z=0.0)
    else:
        space.beside(spot, appliances.laptop(rng), 0.05, float(rng.uniform(-0.2, 0.2)), z=top)
    things = (
        smalls.books,
        smalls.cup,
        appliances.telephone,
        appliances.lamp,
        appliances.speaker,
        smalls.small_plant,
        smalls.bottle,
    )
    scatter(space, spot, things, int(rng.integers(2, 6)))
    return spot


def bed_group(space: Space) -> Spot | None:
    """Put a bed with its head at a wall, nightstands with lamps beside it, and a rug."""
    rng = space.rng
    bed = space.against_wall(storage.bed(rng), gap=0.04)
    if bed is None:
        return None
    low, high = bed.piece.extent()
    style = int(rng.integers(2**31))
    for side in (-1, 1):
        if rng.random() < 0.8:
            stand = tables.nightstand(np.random.default_rng(style))
            y = side * (float(high[1]) + float(stand.extent()[1, 1]) + float(rng.uniform(0.03, 0.15)))
            spot = space.beside(bed, stand, float(low[0]) + 0.27, y)
            if spot is not None and rng.random() < 0.7:
                space.on(spot, appliances.lamp(rng))
            scatter(
                space, spot, (smalls.books, smalls.cup, appliances.telephone, smalls.bottle), int(rng.integers(0, 3))
            )
    if rng.random() < 0.4:
        scatter(space, bed, (smalls.clothes, smalls.books, smalls.backpack, appliances.laptop), 1)
    if rng.random() < 0.5:
        rug = fittings.rug(rng, float(rng.uniform(0.8, 1.6)), float(rng.uniform(1.0, 2.2)))
        place = bed.transform @ turn(0.0, (float(high[0]), 0, 0))
        if inside(space, rug, place):
            space.put(rug, place, solid=False)
    return bed


def kitchen_row(space: Space, wall: int, *, plain: bool = False) -> None:
    """Put cabinets under a counter along a wall, with sink, stove, hood, dishwasher, refrigerator, hung cabinets.

    A `plain` row has cabinets only.
    """
    rng = space.rng
    top = float(rng.uniform(0.86, 0.92))
    front = draw_surface("kitchen cabinet", "wood", rng, {**WOODS, "white": 0.45, "blue": 0.06, "green": 0.06})[1]
    stone = draw_surface(
        "counter", "tile", rng, {"grey": 0.3, "black": 0.25, "beige": 0.2, "white": 0.15, "brown": 0.1}
    )
    reach = (space.width if wall % 2 == 0 else space.length) / 2 - 0.05
    units = ["fridge", "unit", "sink", "dishwasher", "unit", "stove", "unit", "unit"]
    if rng.random() < 0.5:
        units = ["unit", "stove", "unit", "sink", "dishwasher", "unit", "fridge", "unit"]
    if plain:
        units = ["unit"] * int(rng.integers(2, 6))
    along, run = -reach, [float("nan")]
    for unit in units:
        if unit == "fridge":
            _end_counter(space, wall, run, along, top, stone)
            piece = appliances.refrigerator(rng)
        else:
            piece = _base_unit(rng, unit, top, front)
        half = float(piece.extent()[1, 1])
        if along + 2 * half > reach:
            continue
        spot = space.fit(piece, space.at_wall(wall, along + half) @ turn(0.0, (0.32, 0, 0)))
        if spot is not None and unit == "stove":
            _end_counter(space, wall, run, along, top, stone)
            space.fit(appliances.range_hood(rng), space.at_wall(wall, along + half, 1.6))
        elif spot is not None and unit != "fridge":
            run[0] = along if math.isnan(run[0]) else run[0]
            if unit == "sink":
                space.fit(
                    bathroom.kitchen_sink(rng, 0.0),
                    space.at_wall(wall, along + half, top + 0.001) @ turn(0.0, (0.33, 0, 0)),
                )
            elif rng.random() < 0.8:
                space.fit(appliances.wall_cabinet(rng, 2 * half - 0.01, front), space.at_wall(wall, along + half, 1.45))
        elif spot is None:
            _end_counter(space, wall, run, along, top, stone)
        along += 2 * half + 0.006
    _end_counter(space, wall, run, along, top, stone)
    if not plain and not any(spot.piece.kind == "refrigerator" for spot in space.spots):
        space.against_wall(appliances.refrigerator(rng), front=0.4)


def _base_unit(rng: np.random.Generator, unit: str, top: float, front: Surface) -> Piece:
    if unit == "stove":
        return appliances.stove(rng, top)
    if unit == "dishwasher" and rng.random() < 0.75:
        return appliances.dishwasher(rng, top - 0.045)
    return appliances.kitchen_cabinet(rng, float(rng.uniform(0.5, 0.95)), top - 0.045, front)


def _end_counter(space: Space, wall: int, run: list[float], end: float, top: float, stone: tuple[str, Surface]) -> None:
    """Put the counter over the cabinets from where it began, `run[0]`, to `end`, and things on it."""
    begin, run[0] = run[0], float("nan")
    if math.isnan(begin) or end - begin < 0.3:
        return
    rng, width = space.rng, end - begin
    slab_piece = merge(
        [slab(stone[1], 0.62, width, 0.04, (0, 0, -0.04)), slab(stone[1], 0.02, width, 0.1, (-0.3, 0, 0))]
    )
    place_for_things = Top(0.0, (-0.26, -width / 2 + 0.02), (0.26, width / 2 - 0.02))
    piece = Piece(kind="counter", mesh=slab_piece, color=stone[0], tops=(place_for_things,))
    spot = space.put(piece, space.at_wall(wall, (begin + end) / 2, top) @ turn(0.0, (0.33, 0, 0)))
    if rng.random() < 0.7:
        space.on(spot, appliances.microwave(rng), yaw=float(rng.normal(0, 0.05)))
    for builder in (smalls.kettle, smalls.toaster):
        if rng.random() < 0.5:
            space.on(spot, builder(rng))
    things = (
        smalls.kettle,
        smalls.toaster,
        smalls.bottle,
        smalls.bowl,
        smalls.cup,
        smalls.vase,
        smalls.small_plant,
        smalls.bottle,
    )
    scatter(space, spot, things, int(rng.integers(2, 7)))


def bath_group(space: Space, wall: int) -> None:
    """Put a bathtub along a wall with the curtain before it and towels near it."""
    rng = space.rng
    tub = bathroom.bathtub(rng)
    at = float(rng.choice([0.0, 1.0]))
    spot = space.against_wall(tub, wall=wall, at=at, gap=0.0) or space.against_wall(tub, gap=0.0)
    if spot is None:
        return
    low, high = tub.extent()
    curtain = bathroom.shower_curtain(rng, float(high[1] - low[1]))
    if rng.random() < 0.8:
        space.beside(spot, curtain, float(high[0]) + 0.03, 0.0)
    if rng.random() < 0.6:
        mat = fittings.rug(rng, 0.55, 0.85)
        space.put(mat, spot.transform @ turn(0.0, (float(high[0]) + 0.35, 0, 0)), solid=False)


def hang(space: Space, builder: Builder, low: float, high: float, count: int) -> None:
    """Hang up to `count` things on the walls, their lower edge between two heights."""
    for _ in range(count):
        space.against_wall(builder(space.rng), z=float(space.rng.uniform(low, high)), gap=0.0)
