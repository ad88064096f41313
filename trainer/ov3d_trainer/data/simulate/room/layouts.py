"""Rooms of several types and how each is furnished."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from ..colors import tint, vary
from ..mesh import Surface, turn
from . import appliances, bathroom, fittings, seats, smalls, storage, tables
from .groups import (
    Builder,
    bath_group,
    bed_group,
    desk_group,
    dining_group,
    hang,
    kitchen_row,
    scatter,
    sofa_group,
    television,
)
from .oddities import ODDITIES
from .piece import Piece, slab
from .space import Space, Spot


@dataclass(frozen=True, slots=True)
class Layout:
    """A type of room: bounds of its sides in metres, how many windows at most, and what puts its furniture in."""

    sides: tuple[float, float]
    windows: int
    furnish: Callable[[Space], None]
    wet: bool = False


def furnish(space: Space, layout: Layout, *, unseen: bool) -> None:
    """Fill an empty room: walls, door and windows, its furniture, then what stands and hangs in any room."""
    rng = space.rng
    for piece in fittings.shell(rng, space.length, space.width, space.height, wet=layout.wet):
        space.put(piece, np.eye(4), solid=False)
    if min(space.length, space.width) > 3.5 and rng.random() < 0.3:
        _cut_corner(space)
    door = space.against_wall(fittings.door(rng), gap=0.0)
    if door is not None:
        at = door.transform[:3, 3] + door.transform[:3, 0] * 0.45
        space.block((at[0] - 0.45, at[1] - 0.45, 0.0), (at[0] + 0.45, at[1] + 0.45, 2.0))
    if unseen:
        _put_oddities(space, int(rng.integers(2, 5)))
    for _ in range(int(rng.integers(1, layout.windows + 1)) if layout.windows else 0):
        _window(space)
    layout.furnish(space)
    light = fittings.ceiling_light(rng, space.height)
    space.put(light, np.eye(4), solid=False)
    _common(space)


def _cut_corner(space: Space) -> None:
    """Wall off a corner, which makes the room L-shaped, or put a pillar into it."""
    rng = space.rng
    depth, width = float(rng.uniform(0.35, 1.5)), float(rng.uniform(0.35, 1.5))
    x = (space.length - depth) / 2 * float(rng.choice([-1, 1]))
    y = (space.width - width) / 2 * float(rng.choice([-1, 1]))
    plain = Surface("wall", "plaster", tint("white", rng) if rng.random() < 0.5 else vary((216, 206, 190), rng))
    column = Piece(kind="wall", mesh=slab(plain, depth, width, space.height, (0, 0, 0)), color="white")
    space.put(column, turn(0.0, (x, y, 0.0)))


def _put_oddities(space: Space, count: int) -> None:
    rng = space.rng
    for name in rng.permutation(sorted(ODDITIES))[:count]:
        piece = ODDITIES[str(name)](rng)
        if name in ("guitar", "globe", "telescope", "easel") and rng.random() < 0.5:
            space.free_standing(piece, around=0.1)
        else:
            space.against_wall(piece, gap=0.03, front=0.4)


def _window(space: Space) -> None:
    """Put a window into a wall, with curtains or blinds, and at times a radiator below it."""
    rng = space.rng
    sill = float(rng.uniform(0.75, 1.05))
    width, height = float(rng.uniform(0.8, 2.0)), float(rng.uniform(1.0, min(1.5, space.height - sill - 0.2)))
    spot = space.against_wall(fittings.window(rng, width, height), z=sill, gap=0.0)
    if spot is None:
        return
    style = rng.random()
    if style < 0.5:
        drop = sill - 0.05 if rng.random() < 0.6 else 0.15
        curtain = fittings.curtain(rng, width, height + drop + 0.12)
        space.beside(spot, curtain, 0.0, 0.0, z=-drop)
    elif style < 0.75:
        space.beside(spot, fittings.blinds(rng, width, height), 0.0, 0.0)
    if rng.random() < 0.6:
        space.beside(spot, fittings.radiator(rng), 0.0, 0.0, z=-sill)


def _common(space: Space) -> None:
    """Put what any room may have: pictures, a clock, plants, a bin, bags, boxes, shoes."""
    rng = space.rng
    hang(space, fittings.picture, 1.1, 1.5, int(rng.integers(1, 5)))
    some: tuple[tuple[float, Builder, float, float], ...] = (
        (0.35, fittings.clock, 1.6, 1.9),
        (0.25, fittings.mirror, 0.6, 1.0),
        (0.25, storage.wall_shelf, 1.2, 1.6),
        (0.15, fittings.hung_clothes, 0.85, 0.95),
    )
    for share, builder, low, high in some:
        if rng.random() < share:
            spot = space.against_wall(builder(rng), z=float(rng.uniform(low, high)), gap=0.0)
            scatter(space, spot, (smalls.books, smalls.vase, smalls.bowl), 2)
    if rng.random() < 0.3:
        space.against_wall(fittings.radiator(rng), gap=0.0)
    standing: tuple[tuple[float, Builder], ...] = (
        (0.55, smalls.trash_can),
        (0.6, smalls.potted_plant),
        (0.35, smalls.backpack),
        (0.3, storage.box_piece),
        (0.3, storage.box_piece),
        (0.25, smalls.shoes),
        (0.2, smalls.suitcase),
        (0.15, appliances.fan),
        (0.2, seats.stool),
        (0.2, seats.ottoman),
        (0.25, tables.table),
        (0.3, seats.chair),
        (0.15, smalls.clothes),
        (0.12, smalls.coat_rack),
        (0.15, storage.laundry_basket),
        (0.2, _floor_lamp),
    )
    for share, build in standing:
        if rng.random() < share:
            piece = build(rng)
            spot = space.against_wall(piece, gap=0.05) if rng.random() < 0.7 else space.free_standing(piece)
            scatter(space, spot, (smalls.books, smalls.vase, smalls.cup, appliances.lamp, smalls.small_plant), 2)


def _floor_lamp(rng: np.random.Generator) -> Piece:
    return appliances.lamp(rng, tall=True)


def _several(space: Space, table: Mapping[Builder, float]) -> list[Spot]:
    """Put each of these against a wall with its chance; return those that found a place."""
    found = []
    for builder, share in table.items():
        if space.rng.random() < share:
            spot = space.against_wall(builder(space.rng), front=0.3)
            if spot is not None:
                found.append(spot)
    return found


def _dress_tops(space: Space, spots: list[Spot]) -> None:
    """Put things on cabinets and shelves."""
    things: tuple[Builder, ...] = (
        smalls.books, smalls.vase, smalls.bowl, smalls.small_plant, appliances.lamp, storage.box_piece,
        appliances.speaker, fittings.clock, smalls.bottle,
    )  # fmt: skip
    for spot in spots:
        if spot.piece.extent()[1, 2] < 2.0:
            scatter(space, spot, things, int(space.rng.integers(1, 5)))


def _living_room(space: Space) -> None:
    sofa_group(space)
    if space.length * space.width > 16 and space.rng.random() < 0.6:
        dining_group(space)
    table = {
        storage.bookshelf: 0.6,
        appliances.piano: 0.35,
        storage.cabinet: 0.5,
        storage.shelf: 0.3,
        seats.armchair: 0.7,
    }
    _dress_tops(space, _several(space, {**table, storage.dresser: 0.15, smalls.potted_plant: 0.5}))


def _bedroom(space: Space) -> None:
    bed_group(space)
    found = _several(space, {storage.wardrobe: 0.85, storage.dresser: 0.6, storage.laundry_basket: 0.35})
    if space.rng.random() < 0.45:
        desk_group(space)
    found += _several(space, {seats.armchair: 0.4, storage.bookshelf: 0.35, smalls.suitcase: 0.3, seats.bench: 0.1})
    _dress_tops(space, found)
    if space.rng.random() < 0.25:
        television(space)
    if space.rng.random() < 0.5:
        hang(space, fittings.mirror, 0.4, 0.9, 1)
    if space.rng.random() < 0.4:
        space.free_standing(smalls.clothes(space.rng))


def _kitchen(space: Space) -> None:
    rng = space.rng
    wall = int(rng.integers(4))
    kitchen_row(space, wall)
    if rng.random() < 0.3:
        kitchen_row(space, (wall + int(rng.integers(1, 4))) % 4, plain=True)
    dining_group(space)
    _dress_tops(space, _several(space, {storage.cabinet: 0.3, storage.shelf: 0.3, appliances.washing_machine: 0.2}))
    hang(space, fittings.clock, 1.6, 1.9, int(rng.integers(0, 2)))
    hang(space, bathroom.hung_towel, 0.7, 1.0, int(rng.integers(0, 2)))
    space.against_wall(smalls.trash_can(rng), gap=0.03)
    for _ in range(int(rng.integers(0, 3))):
        space.free_standing(seats.stool(rng))


def _bathroom(space: Space) -> None:
    rng = space.rng
    bath_group(space, int(rng.integers(4)))
    space.against_wall(bathroom.toilet(rng), gap=0.01, front=0.4)
    for _ in range(1 if rng.random() < 0.75 else 2):
        basin = space.against_wall(bathroom.sink(rng), gap=0.01, front=0.4)
        if basin is not None:
            space.beside(basin, fittings.mirror(rng), -0.23, 0.0, z=1.1)
            scatter(space, basin, (smalls.bottle, smalls.cup), 1)
    hang(space, bathroom.hung_towel, 0.8, 1.1, int(rng.integers(1, 4)))
    table = {appliances.washing_machine: 0.5, storage.laundry_basket: 0.5, storage.shelf: 0.3, storage.cabinet: 0.3}
    for spot in _several(space, {**table, smalls.trash_can: 0.5}):
        scatter(space, spot, (smalls.folded_towels, smalls.bottle, smalls.folded_towels, storage.box_piece), 3)
    if rng.random() < 0.5:
        space.against_wall(fittings.radiator(rng), gap=0.0)


def _office(space: Space) -> None:
    rng = space.rng
    for _ in range(int(rng.integers(2, 5))):
        desk_group(space)
    if rng.random() < 0.6:
        space.against_wall(fittings.whiteboard(rng), z=float(rng.uniform(0.9, 1.1)), gap=0.0)
    found = _several(space, {storage.cabinet: 0.7, storage.bookshelf: 0.6, storage.shelf: 0.5, smalls.coat_rack: 0.4})
    for spot in found:
        if spot.piece.kind == "cabinet" and spot.piece.tops[0].z < 1.2:
            space.on(spot, appliances.printer(rng), yaw=0.0)
    _dress_tops(space, found)
    _several(space, {storage.box_piece: 0.5, smalls.trash_can: 0.7, smalls.backpack: 0.5, appliances.fan: 0.25})
    if rng.random() < 0.45:
        printer_table = space.against_wall(tables.table(rng))
        scatter(space, printer_table, (appliances.printer, appliances.printer, smalls.books), 2)


def _meeting_room(space: Space) -> None:
    rng = space.rng
    space.against_wall(fittings.whiteboard(rng), z=float(rng.uniform(0.9, 1.1)), gap=0.0)
    if rng.random() < 0.6:
        space.against_wall(appliances.tv(rng, hung=True), z=1.2, gap=0.0)
    spot = space.free_standing(tables.dining_table(rng), yaw=float(rng.integers(4)) * math.pi / 2, around=0.7)
    if spot is not None:
        extent, style = spot.piece.extent(), int(rng.integers(2**31))
        for side in (-1, 1):
            for y in np.arange(extent[0, 1] + 0.35, extent[1, 1] - 0.2, 0.75):
                x, yaw = side * (float(extent[1, 0]) + 0.25), 0.0 if side < 0 else math.pi
                space.beside(
                    spot,
                    seats.office_chair(np.random.default_rng(style)),
                    x,
                    float(y),
                    yaw=yaw + float(rng.normal(0, 0.3)),
                )
        scatter(space, spot, (appliances.laptop, smalls.cup, smalls.bottle, smalls.books, appliances.telephone), 5)
    _dress_tops(space, _several(space, {storage.cabinet: 0.5, storage.shelf: 0.3, smalls.potted_plant: 0.5}))


def _dining_room(space: Space) -> None:
    dining_group(space)
    table = {
        storage.cabinet: 0.8,
        storage.dresser: 0.3,
        appliances.piano: 0.3,
        smalls.potted_plant: 0.6,
        seats.bench: 0.2,
    }
    _dress_tops(space, _several(space, {**table, storage.bookshelf: 0.3}))


def _store_room(space: Space) -> None:
    rng = space.rng
    found = _several(
        space, {storage.shelf: 0.9, storage.wardrobe: 0.4, appliances.washing_machine: 0.5, storage.cabinet: 0.4}
    )
    for spot in found:
        scatter(space, spot, (storage.box_piece, smalls.folded_towels, smalls.bottle, smalls.shoes), 5)
    table = {smalls.ironing_board: 0.6, storage.laundry_basket: 0.6, smalls.suitcase: 0.6, appliances.fan: 0.35}
    _several(space, {**table, smalls.coat_rack: 0.5, seats.bench: 0.35, smalls.shoes: 0.7, storage.box_piece: 0.9})
    for builder in (storage.box_piece, smalls.shoes, storage.box_piece, seats.stool, smalls.clothes):
        if rng.random() < 0.5:
            space.free_standing(builder(rng))
    hang(space, fittings.hung_clothes, 0.85, 0.95, int(rng.integers(0, 2)))
    hang(space, fittings.mirror, 0.4, 0.9, int(rng.integers(0, 2)))


def _studio(space: Space) -> None:
    kitchen_row(space, int(space.rng.integers(4)))
    bed_group(space)
    sofa_group(space)
    dining_group(space)
    desk_group(space)
    table = {storage.bookshelf: 0.6, storage.wardrobe: 0.6, storage.shelf: 0.4, storage.dresser: 0.5}
    _dress_tops(space, _several(space, {**table, storage.cabinet: 0.5, seats.armchair: 0.5, appliances.piano: 0.3}))


LAYOUTS: Mapping[str, Layout] = {
    "living room": Layout((3.5, 5.4), 3, _living_room),
    "bedroom": Layout((3.2, 4.5), 2, _bedroom),
    "kitchen": Layout((3.0, 4.6), 2, _kitchen),
    "bathroom": Layout((2.3, 3.4), 1, _bathroom, wet=True),
    "office": Layout((3.2, 5.2), 2, _office),
    "meeting room": Layout((3.6, 5.0), 2, _meeting_room),
    "dining room": Layout((3.4, 4.6), 2, _dining_room),
    "store room": Layout((2.6, 4.2), 1, _store_room),
    "studio": Layout((4.8, 6.4), 3, _studio),
}
"""Every type of room by its name."""

ROUND: tuple[str, ...] = (
    "living room", "kitchen", "bedroom", "office", "bathroom", "studio", "living room", "bedroom", "dining room",
    "kitchen", "meeting room", "bathroom", "office", "studio", "store room",
)  # fmt: skip
"""Types of the rooms of consecutive seeds."""
