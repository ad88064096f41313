"""What hangs on walls and from the ceiling, or lies on the floor: windows, doors, pictures, lights, rugs.

Hung pieces have their back at x = 0 and their lower edge at z = 0, unless they reach to the floor.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np

from ..colors import draw_color, tint, vary
from ..mesh import Mesh, Surface, ball, cylinder, frustum, merge, quads, shift, tube
from .piece import CLOTHS, WOODS, Piece, draw_surface, metal, rod_x, slab


def door(rng: np.random.Generator) -> Piece:
    """Return a closed door in its frame: plain, with panels, or with a pane of glass."""
    word, wood = draw_surface("door", "wood", rng, {**WOODS, "white": 0.45, "grey": 0.1})
    width, height = rng.uniform(0.8, 0.98), rng.uniform(2.0, 2.12)
    frame = Surface("door", "wood", vary(wood.color, rng, 10) if rng.random() < 0.6 else tint("white", rng))
    parts = [slab(wood, 0.05, width, height, (0.025, 0, 0))]
    parts += [slab(frame, 0.08, 0.08, height + 0.08, (0.04, s * (width / 2 + 0.04), 0)) for s in (-1, 1)]
    parts.append(slab(frame, 0.08, width + 0.16, 0.08, (0.04, 0, height)))
    style = int(rng.integers(3))
    panel = Surface("door", "wood", tuple(int(value * 0.88) for value in wood.color))  # type: ignore[arg-type]
    if style == 1:
        for z, tall in ((0.2, 0.7), (1.05, 0.8)):
            parts += [slab(panel, 0.012, width * 0.34, tall, (0.05, s * width * 0.22, z)) for s in (-1, 1)]
    elif style == 2:
        parts.append(slab(Surface("door", "glass", (150, 170, 178)), 0.01, width * 0.5, 0.8, (0.05, 0, 1.05)))
    knob, side = metal("door", rng), 1 if rng.random() < 0.5 else -1
    parts.append(tube(knob, (0.05, side * (width / 2 - 0.08), 1.02), (0.1, side * (width / 2 - 0.08), 1.02), 0.012))
    parts.append(tube(knob, (0.1, side * (width / 2 - 0.08), 1.02), (0.1, side * (width / 2 - 0.2), 1.02), 0.012))
    return Piece(kind="door", mesh=merge(parts), color=word)


def window(rng: np.random.Generator, width: float, height: float) -> Piece:
    """Return a window with one to three casements, its panes bright with daylight."""
    frame_color = tint("white", rng) if rng.random() < 0.75 else draw_color(rng, {"brown": 1, "grey": 1})[1]
    frame, pane = Surface("window", "wood", frame_color), Surface("window", "daylight", vary((214, 228, 244), rng, 10))
    green = Surface("window", "daylight", vary((128, 158, 112), rng, 20))
    parts = [slab(pane, 0.01, width, height, (0.006, 0, 0))]
    if rng.random() < 0.6:
        parts.append(slab(green, 0.012, width, height * rng.uniform(0.15, 0.5), (0.006, 0, 0)))
    for z in (0.0, height - 0.06):
        parts.append(slab(frame, 0.06, width, 0.06, (0.03, 0, z)))
    bars = np.linspace(-width / 2 + 0.03, width / 2 - 0.03, max(round(width / 0.75), 1) + 1)
    parts += [slab(frame, 0.06, 0.06, height, (0.03, float(y), 0)) for y in bars]
    parts.append(slab(frame, 0.14, width + 0.1, 0.03, (0.07, 0, -0.03)))
    return Piece(kind="window", mesh=merge(parts), color="")


def curtain(rng: np.random.Generator, width: float, height: float) -> Piece:
    """Return two curtains in folds on either side of a window `width` metres wide, on a rod."""
    word, cloth = draw_surface("curtain", "cloth", rng, {**CLOTHS, "white": 0.25, "beige": 0.2})
    rod = metal("curtain", rng)
    parts = [tube(rod, (0.1, -width / 2 - 0.25, height), (0.1, width / 2 + 0.25, height), 0.015)]
    for side in (-1, 1):
        share = rng.uniform(0.12, 0.35) * width
        edges = np.linspace(side * (width / 2 + 0.2), side * (width / 2 + 0.15 - share), 9)
        parts += [
            slab(cloth, 0.03, abs(b - a), height - 0.02, (0.08 + 0.045 * (number % 2), (a + b) / 2, 0))
            for number, (a, b) in enumerate(pairwise(edges))
        ]
    return Piece(kind="curtain", mesh=merge(parts), color=word)


def blinds(rng: np.random.Generator, width: float, height: float) -> Piece:
    """Return slats before the upper part of a window of this size."""
    word, slat = draw_surface("blinds", "plastic", rng, {"white": 0.5, "silver": 0.2, "beige": 0.2, "brown": 0.1})
    drop = height * rng.uniform(0.3, 0.95)
    parts = [slab(slat, 0.06, width, 0.06, (0.1, 0, height - 0.06))]
    parts += [
        slab(slat, 0.035, width, 0.012, (0.1, 0, float(z))) for z in np.arange(height - drop, height - 0.06, 0.04)
    ]
    return Piece(kind="blinds", mesh=merge(parts), color=word)


def radiator(rng: np.random.Generator) -> Piece:
    """Return a radiator of ribs or panels, from 0.12 m above the floor."""
    word, skin = draw_surface("radiator", "paint", rng, {"white": 0.85, "beige": 0.08, "grey": 0.07})
    width, height = rng.uniform(0.6, 1.4), rng.uniform(0.45, 0.62)
    ribs = np.arange(-width / 2 + 0.03, width / 2 - 0.02, 0.06)
    parts = [slab(skin, 0.07, 0.04, height, (0.08, float(y), 0.12)) for y in ribs]
    parts += [slab(skin, 0.04, width, 0.05, (0.08, 0, z)) for z in (0.14, 0.06 + height)]
    return Piece(kind="radiator", mesh=merge(parts), color=word)


def picture(rng: np.random.Generator) -> Piece:
    """Return a framed picture or a poster: a landscape, or shapes in several colours."""
    width, height = rng.uniform(0.3, 1.1), rng.uniform(0.3, 0.8)
    frame = draw_surface("picture", "wood", rng, {"black": 0.3, "brown": 0.3, "white": 0.25, "yellow": 0.15})[1]
    paper = Surface("picture", "paper", vary((232, 228, 216), rng, 12))
    parts = [
        slab(frame, 0.025, width, height, (0.013, 0, 0)),
        slab(paper, 0.004, width - 0.05, height - 0.05, (0.027, 0, 0.025)),
    ]
    inner_width, inner_height = width - 0.09, height - 0.09
    if rng.random() < 0.5:
        sky, land = (
            Surface("picture", "paper", vary((130, 170, 214), rng, 30)),
            Surface("picture", "paper", vary((92, 122, 70), rng, 40)),
        )
        split = rng.uniform(0.3, 0.6)
        parts.append(slab(land, 0.003, inner_width, inner_height * split, (0.03, 0, 0.045)))
        parts.append(slab(sky, 0.003, inner_width, inner_height * (1 - split), (0.03, 0, 0.045 + inner_height * split)))
    for _ in range(int(rng.integers(2, 6))):
        ink = Surface("picture", "paper", draw_color(rng, CLOTHS)[1])
        wide, tall = rng.uniform(0.1, 0.4) * inner_width, rng.uniform(0.1, 0.4) * inner_height
        y, z = rng.uniform(-0.3, 0.3) * inner_width, 0.045 + rng.uniform(0, 0.6) * inner_height
        parts.append(slab(ink, 0.003, wide, tall, (0.033, y, z)))
    return Piece(kind="picture", mesh=merge(parts), color="")


def mirror(rng: np.random.Generator) -> Piece:
    """Return a mirror in a thin frame."""
    width, height = rng.uniform(0.4, 0.8), rng.uniform(0.5, 1.2)
    frame = draw_surface("mirror", "wood", rng, {"silver": 0.4, "black": 0.2, "brown": 0.3, "white": 0.1})[1]
    glass = Surface("mirror", "mirror", (226, 232, 234))
    parts = [
        slab(frame, 0.025, width, height, (0.013, 0, 0)),
        slab(glass, 0.004, width - 0.06, height - 0.06, (0.027, 0, 0.03)),
    ]
    return Piece(kind="mirror", mesh=merge(parts), color="")


def whiteboard(rng: np.random.Generator) -> Piece:
    """Return a whiteboard with some writing and a tray."""
    width, height = rng.uniform(1.0, 2.0), rng.uniform(0.8, 1.1)
    rim, white = Surface("whiteboard", "metal", (170, 174, 178)), Surface("whiteboard", "plastic", (242, 244, 244))
    parts = [
        slab(rim, 0.02, width, height, (0.01, 0, 0)),
        slab(white, 0.004, width - 0.04, height - 0.04, (0.022, 0, 0.02)),
    ]
    parts.append(slab(rim, 0.07, width * 0.5, 0.015, (0.035, 0, -0.015)))
    for _ in range(int(rng.integers(2, 8))):
        ink = Surface("whiteboard", "plastic", draw_color(rng, {"blue": 2, "black": 2, "red": 1, "green": 1})[1])
        y, z = rng.uniform(-0.4, 0.3) * width, rng.uniform(0.2, 0.85) * height
        parts.append(slab(ink, 0.002, rng.uniform(0.1, 0.35), 0.02, (0.025, y, z)))
    return Piece(kind="whiteboard", mesh=merge(parts), color="white")


def clock(rng: np.random.Generator) -> Piece:
    """Return a round clock for the wall."""
    word, rim = draw_surface(
        "clock", "plastic", rng, {"black": 0.4, "white": 0.2, "red": 0.15, "silver": 0.15, "blue": 0.1}
    )
    radius = rng.uniform(0.12, 0.2)
    dark = Surface("clock", "plastic", (20, 20, 20))
    parts = [
        rod_x(rim, radius, 0.04, (0, 0, radius)),
        rod_x(Surface("clock", "paper", (240, 240, 236)), radius * 0.88, 0.003, (0.04, 0, radius)),
    ]
    for length, angle in ((0.5, rng.uniform(0, 6.28)), (0.75, rng.uniform(0, 6.28))):
        end = (0.047, length * radius * math.sin(angle), radius + length * radius * math.cos(angle))
        parts.append(tube(dark, (0.047, 0, radius), end, 0.006))
    return Piece(kind="clock", mesh=merge(parts), color=word)


def ceiling_light(rng: np.random.Generator, room_height: float) -> Piece:
    """Return a lamp below the ceiling: a dome, a flat panel or a hanging shade; z is measured from the floor."""
    shine = Surface("ceiling light", "light", (255, 248, 228))
    style = int(rng.integers(3))
    if style == 0:
        return Piece(
            kind="ceiling light", mesh=ball(shine, (0.2, 0.2, 0.07), (0, 0, room_height - 0.04)), color="white"
        )
    if style == 1:
        rim = Surface("ceiling light", "metal", (210, 212, 214))
        depth, width = rng.uniform(0.25, 0.6), rng.uniform(0.6, 1.2)
        panel = merge(
            [
                slab(rim, depth, width, 0.05, (0, 0, room_height - 0.05)),
                slab(shine, depth - 0.05, width - 0.05, 0.006, (0, 0, room_height - 0.056)),
            ]
        )
        return Piece(kind="ceiling light", mesh=panel, color="white")
    word, skin = draw_surface(
        "ceiling light", "lampshade", rng, {"white": 0.4, "black": 0.2, "red": 0.15, "beige": 0.25}
    )
    drop, radius = rng.uniform(0.35, 0.7), rng.uniform(0.14, 0.25)
    cable = Surface("ceiling light", "plastic", (40, 40, 40))
    parts = [tube(cable, (0, 0, room_height), (0, 0, room_height - drop), 0.008)]
    parts.append(
        frustum(
            skin, (radius * 2, radius * 2), (radius * 0.7, radius * 0.7), radius, (0, 0, room_height - drop - radius)
        )
    )
    parts.append(ball(shine, (0.05, 0.05, 0.05), (0, 0, room_height - drop - radius - 0.01)))
    return Piece(kind="ceiling light", mesh=merge(parts), color=word)


def rug(rng: np.random.Generator, depth: float, width: float) -> Piece:
    """Return a rug with a border, rectangular or round."""
    word, wool = draw_surface("rug", "carpet", rng, CLOTHS)
    border = Surface("rug", "carpet", vary(draw_color(rng, CLOTHS)[1], rng))
    if rng.random() < 0.2:
        radius = min(depth, width) / 2
        parts: list[Mesh] = [
            cylinder(border, radius, 0.012, (0, 0, 0)),
            cylinder(wool, radius * 0.85, 0.014, (0, 0, 0)),
        ]
        return Piece(kind="rug", mesh=merge(parts), color=word)
    parts = [slab(border, depth, width, 0.012, (0, 0, 0)), slab(wool, depth * 0.85, width * 0.88, 0.014, (0, 0, 0))]
    return Piece(kind="rug", mesh=merge(parts), color=word)


def hung_clothes(rng: np.random.Generator) -> Piece:
    """Return a row of coats on hooks."""
    parts = [slab(Surface("clothes", "wood", (120, 90, 60)), 0.02, 0.7, 0.08, (0.01, 0, 0.85))]
    for y in (-0.22, 0.02, 0.24):
        cloth = draw_surface("clothes", "cloth", rng, CLOTHS)[1]
        tall = rng.uniform(0.55, 0.85)
        parts.append(shift(frustum(cloth, (0.16, 0.3), (0.08, 0.2), tall, (0, 0, 0)), (0.1, y, 0.88 - tall)))
    return Piece(kind="clothes", mesh=merge(parts))


def shell(rng: np.random.Generator, length: float, width: float, height: float, *, wet: bool) -> list[Piece]:
    """Return floor, four walls and ceiling of a room about the origin, seen from inside."""
    floor = _floor(rng, wet=wet)
    word, plaster = _wall(rng, wet=wet)
    x, y = length / 2, width / 2
    ground = quads(floor, [[(-x, -y, 0), (x, -y, 0), (x, y, 0), (-x, y, 0)]])
    lid = quads(
        Surface("ceiling", "plaster", vary((238, 238, 234), rng, 8)),
        [[(-x, -y, height), (-x, y, height), (x, y, height), (x, -y, height)]],
    )
    corners = [(-x, -y), (x, -y), (x, y), (-x, y)]
    skirting = Surface("wall", "wood", tint("white", rng) if rng.random() < 0.6 else (120, 88, 60))
    walls = []
    for number, ((x0, y0), (x1, y1)) in enumerate(zip(corners, corners[1:] + corners[:1], strict=True)):
        parts = [quads(plaster, [[(x0, y0, 0), (x1, y1, 0), (x1, y1, height), (x0, y0, height)]])]
        if not wet:
            size = (2 * x, 0.02) if number % 2 == 0 else (0.02, 2 * y)
            parts.append(slab(skirting, *size, 0.08, ((x0 + x1) / 2 * 0.998, (y0 + y1) / 2 * 0.998, 0)))
        walls.append(Piece(kind="wall", mesh=merge(parts), color=word))
    return [Piece(kind="floor", mesh=ground), Piece(kind="ceiling", mesh=lid), *walls]


def _floor(rng: np.random.Generator, *, wet: bool) -> Surface:
    if wet or rng.random() < 0.15:
        return Surface(
            "floor", "tile", vary(((200, 200, 196), (150, 146, 140), (96, 98, 104))[int(rng.integers(3))], rng)
        )
    if rng.random() < 0.65:
        return Surface(
            "floor",
            "planks",
            vary(((172, 132, 88), (128, 90, 58), (196, 168, 130), (150, 144, 138))[int(rng.integers(4))], rng),
        )
    return Surface(
        "floor",
        "carpet",
        vary(((150, 144, 136), (110, 116, 128), (168, 148, 120), (120, 84, 80))[int(rng.integers(4))], rng),
    )


def _wall(rng: np.random.Generator, *, wet: bool) -> tuple[str, Surface]:
    if wet:
        word, color = draw_color(rng, {"white": 0.55, "beige": 0.2, "blue": 0.1, "green": 0.08, "grey": 0.07})
        pale = tuple(int(255 - (255 - value) * 0.5) for value in color)
        return word, Surface("wall", "tile", pale)  # type: ignore[arg-type]
    word, color = draw_color(
        rng, {"white": 0.48, "beige": 0.2, "grey": 0.07, "yellow": 0.07, "green": 0.06, "blue": 0.08, "pink": 0.04}
    )
    pale = tuple(int(255 - (255 - value) * (0.45 if word not in ("white", "beige") else 0.9)) for value in color)
    return word, Surface("wall", "plaster", pale)  # type: ignore[arg-type]
