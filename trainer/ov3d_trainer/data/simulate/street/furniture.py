"""What stands about in a street: cones, barriers, fences, walls, bins, benches, stops and the like.

Long things lie along x; things with a front face -y.
"""

from __future__ import annotations

import math

import numpy as np

from ..colors import draw_color, tint, vary
from ..mesh import Mesh, Surface, ball, box, cylinder, frustum, merge, place, prism, quads, shift, tube, turn
from .model import Model

_GREY_STEEL = (140, 144, 148)


def traffic_cone(rng: np.random.Generator) -> Model:
    """Return an orange cone with white bands, or a slim delineator post."""
    height = rng.uniform(0.45, 1.05)
    word = "orange" if rng.random() < 0.85 else "yellow"
    orange = Surface("traffic cone", "plastic", tint(word, rng))
    white = Surface("traffic cone", "reflector", (240, 240, 235))
    radius = (0.17 if rng.random() < 0.85 else 0.09) * height / 0.7
    parts = [
        box(orange, (2.4 * radius + 0.05, 2.4 * radius + 0.05, 0.05), (0, 0, 0)),
        cylinder(orange, radius, height, (0, 0, 0), top_radius=0.03),
    ]
    for low in (0.35, 0.65)[: int(rng.integers(1, 3))]:
        wide, narrow = radius * (1 - 0.84 * low) + 0.012, radius * (1 - 0.84 * low - 0.15) + 0.012
        parts.append(cylinder(white, wide, height * 0.18, (0, 0, height * low), top_radius=narrow))
    return Model(kind="traffic cone", mesh=merge(parts), color=word)


def barrier(rng: np.random.Generator, *, style: str) -> Model:
    """Return one element of a barrier along x, 2 to 3 m: `jersey` (concrete), `water` (filled plastic), `panel`
    (striped boards) or `rack` (steel bars as at a festival)."""
    if style == "jersey":
        stone = Surface("barrier", "concrete", vary((172, 170, 164), rng))
        low = frustum(stone, (3.0, 0.6), (3.0, 0.26), 0.38, (0, 0, 0))
        return Model(
            kind="barrier",
            mesh=merge([low, frustum(stone, (3.0, 0.26), (3.0, 0.16), 0.45, (0, 0, 0.38))]),
            color="grey",
        )
    if style == "water":
        word = str(rng.choice(["orange", "white", "red"]))
        shell = Surface("barrier", "plastic", tint(word, rng))
        low = frustum(shell, (1.95, 0.5), (1.95, 0.3), 0.5, (0, 0, 0))
        return Model(kind="barrier", mesh=merge([low, box(shell, (1.9, 0.22, 0.45), (0, 0, 0.5))]), color=word)
    if style == "rack":
        steel = Surface("barrier", "metal", _GREY_STEEL)
        parts = [tube(steel, (-1.1, 0, z), (1.1, 0, z), 0.03) for z in (0.2, 1.08)]
        parts += [tube(steel, (float(x), 0, 0.2), (float(x), 0, 1.08), 0.018) for x in np.linspace(-1.05, 1.05, 14)]
        parts += [tube(steel, (x, -0.3, 0.03), (x, 0.3, 0.03), 0.03) for x in (-0.9, 0.9)]
        parts += [tube(steel, (x, 0, 0), (x, 0, 1.08), 0.03) for x in (-1.1, 1.1)]
        return Model(kind="barrier", mesh=merge(parts), color="silver")
    red, white = Surface("barrier", "plastic", (205, 50, 40)), Surface("barrier", "plastic", (236, 236, 230))
    boards = [
        box(red if (i + row) % 2 else white, (0.4, 0.06, 0.26), (-0.8 + 0.4 * i, 0, 0.42 + 0.34 * row))
        for i in range(5)
        for row in range(2)
    ]
    feet = [box(red, (0.12, 0.5, 0.1), (x, 0, 0)) for x in (-0.8, 0.8)]
    legs = [box(white, (0.08, 0.05, 0.9), (x, 0.06, 0.1)) for x in (-0.8, 0.8)]
    return Model(kind="barrier", mesh=merge([*boards, *feet, *legs]), color="red")


def fence(rng: np.random.Generator, length: float) -> Model:
    """Return a picket fence, a closed board fence, or wire mesh between posts."""
    height = rng.uniform(0.9, 2.0)
    style = rng.random()
    posts_at = np.arange(-length / 2, length / 2 + 0.1, 2.5)
    if style < 0.3:
        steel = Surface("fence", "metal", vary((110, 116, 114), rng))
        mesh = quads(Surface("fence", "mesh", vary((120, 128, 124), rng)), _upright_quad(length, 0.05, height))
        posts = [cylinder(steel, 0.035, height + 0.05, (float(x), 0, 0)) for x in posts_at]
        return Model(
            kind="fence",
            mesh=merge([mesh, *posts, tube(steel, (-length / 2, 0, height), (length / 2, 0, height), 0.02)]),
        )
    word = str(rng.choice(["white", "brown", "grey", "black"]))
    wood = Surface("fence", "wood", tint(word, rng))
    rails = [box(wood, (length, 0.05, 0.09), (0, 0, height * share)) for share in (0.25, 0.8)]
    posts = [box(wood, (0.1, 0.1, height + 0.1), (float(x), 0, 0)) for x in posts_at]
    if style < 0.5:
        boards = box(wood, (length, 0.04, height - 0.1), (0, 0.04, 0.08))
        return Model(kind="fence", mesh=merge([boards, *rails, *posts]), color=word)
    width = rng.uniform(0.03, 0.13)
    left = np.arange(-length / 2, length / 2, rng.uniform(0.13, 0.22))
    right, zeros = left + width, np.full(len(left), 0.04)
    low, high = np.full(len(left), 0.08), np.full(len(left), height)
    corners = ((left, zeros, low), (right, zeros, low), (right, zeros, high), (left, zeros, high))
    pickets = np.stack([np.stack(corner, axis=1) for corner in corners], axis=1)
    return Model(kind="fence", mesh=merge([*rails, *posts, quads(wood, pickets)]), color=word)


def wall(rng: np.random.Generator, length: float) -> Model:
    """Return a free-standing wall along x, 0.6 to 2.6 m tall, of brick, stone or plaster."""
    material, color = (
        ("concrete", (168, 160, 148)),
        ("brick", (150, 82, 64)),
        ("plaster", (200, 192, 176)),
        ("concrete", (120, 118, 114)),
    )[int(rng.integers(4))]
    stone, cap = Surface("wall", material, vary(color, rng)), Surface("wall", "concrete", vary((150, 148, 142), rng))
    height = rng.uniform(0.6, 2.6)
    body = box(stone, (length, 0.25, height + 0.3), (0, 0, -0.3))
    return Model(kind="wall", mesh=merge([body, box(cap, (length, 0.34, 0.1), (0, 0, height))]))


def guard_rail(rng: np.random.Generator, length: float) -> Model:
    """Return a steel rail on short posts along x."""
    steel = Surface("guard rail", "metal", vary((158, 162, 164), rng))
    outline = [(-0.02, 0.45), (-0.09, 0.53), (-0.04, 0.6), (-0.09, 0.67), (-0.02, 0.75), (0.02, 0.75), (0.02, 0.45)]
    rail = prism(steel, outline, length, (0, 0, 0))
    posts = [box(steel, (0.1, 0.12, 0.72), (float(x), 0.08, 0)) for x in np.arange(-length / 2 + 0.3, length / 2, 2.0)]
    return Model(kind="guard rail", mesh=merge([rail, *posts]))


def trash_can(rng: np.random.Generator) -> Model:
    """Return a wheeled bin, a round litter bin, or one on a post."""
    style = rng.random()
    word, color = draw_color(
        rng, {"green": 0.28, "black": 0.22, "grey": 0.2, "blue": 0.15, "brown": 0.08, "yellow": 0.07}
    )
    skin = Surface("trash can", "plastic", color)
    dark = Surface("trash can", "rubber", (34, 34, 36))
    if style < 0.55:
        height = rng.uniform(0.9, 1.1)
        parts = [
            frustum(skin, (0.42, 0.46), (0.56, 0.62), height, (0, 0, 0.06)),
            box(skin, (0.6, 0.66, 0.07), (0, 0, height + 0.06)),
        ]
        parts += [box(dark, (0.06, 0.2, 0.2), (side * 0.2, 0.24, 0)) for side in (-1, 1)]
    elif style < 0.85:
        radius = rng.uniform(0.22, 0.32)
        parts = [
            cylinder(skin, radius * 0.9, 0.8, (0, 0, 0), top_radius=radius),
            cylinder(dark, radius, 0.06, (0, 0, 0.8)),
        ]
        parts.append(cylinder(skin, radius * 1.05, 0.12, (0, 0, 0.95), top_radius=radius * 0.4))
        parts += [box(dark, (0.04, 0.04, 0.12), (side * radius * 0.8, 0, 0.84)) for side in (-1, 1)]
    else:
        parts = [
            cylinder(skin, 0.2, 0.5, (0, 0, 0.55)),
            cylinder(Surface("trash can", "metal", _GREY_STEEL), 0.035, 1.2, (0, 0.2, 0)),
        ]
    return Model(kind="trash can", mesh=merge(parts), color=word)


def dumpster(rng: np.random.Generator) -> Model:
    """Return a large metal container for waste, open or with lids."""
    word, color = draw_color(rng, {"green": 0.35, "blue": 0.25, "grey": 0.2, "orange": 0.1, "yellow": 0.1})
    steel, dark = Surface("dumpster", "metal", color), Surface("dumpster", "plastic", (40, 42, 44))
    length, width, height = rng.uniform(1.4, 3.4), rng.uniform(1.1, 1.7), rng.uniform(1.1, 1.6)
    parts = [frustum(steel, (length * 0.86, width * 0.8), (length, width), height - 0.1, (0, 0, 0.1))]
    parts += [box(steel, (0.08, width, height * 0.8), (side * length * 0.3, 0, 0.12)) for side in (-1, 1)]
    if rng.random() < 0.7:
        parts.append(
            prism(
                dark, [(-width / 2, height), (width / 2, height), (width / 2, height + 0.25)], length * 0.98, (0, 0, 0)
            )
        )
    else:
        waste = Surface("dumpster", "loose ground", (120, 108, 92))
        parts.append(ball(waste, (length * 0.45, width * 0.42, 0.3), (0, 0, height), rng=rng, rough=0.2))
    return Model(kind="dumpster", mesh=merge(parts), color=word)


def bench(rng: np.random.Generator) -> Model:
    """Return a bench with or without a back; who sits on it looks to -y."""
    length = rng.uniform(1.3, 2.2)
    word = str(rng.choice(["brown", "green", "grey"], p=[0.65, 0.15, 0.2]))
    wood = Surface("bench", "wood", tint(word, rng))
    foot = Surface("bench", "concrete" if rng.random() < 0.4 else "metal", (112, 112, 110))
    parts = [box(wood, (length, 0.13, 0.05), (0, y, 0.42)) for y in (-0.16, 0.0, 0.16)]
    parts += [box(foot, (0.1, 0.42, 0.42), (side * length * 0.38, 0, 0)) for side in (-1, 1)]
    if rng.random() < 0.75:
        parts += [box(wood, (length, 0.04, 0.12), (0, 0.24 + 0.03 * row, 0.55 + 0.17 * row)) for row in range(2)]
        parts += [
            tube(foot, (side * length * 0.38, 0.2, 0.4), (side * length * 0.38, 0.3, 0.85), 0.03) for side in (-1, 1)
        ]
    return Model(kind="bench", mesh=merge(parts), color=word)


def fire_hydrant(rng: np.random.Generator) -> Model:
    """Return a hydrant with its caps."""
    word, color = draw_color(rng, {"red": 0.6, "yellow": 0.25, "blue": 0.1, "silver": 0.05})
    iron = Surface("fire hydrant", "paint", color)
    height = rng.uniform(0.6, 0.85)
    parts = [
        cylinder(iron, 0.17, 0.06, (0, 0, 0)),
        cylinder(iron, 0.12, height - 0.15, (0, 0, 0)),
        ball(iron, (0.14, 0.14, 0.13), (0, 0, height - 0.13)),
        tube(iron, (0, -0.22, height * 0.62), (0, 0.22, height * 0.62), 0.06),
        tube(iron, (0, 0, height * 0.55), (0.22, 0, height * 0.55), 0.08),
    ]
    return Model(kind="fire hydrant", mesh=merge(parts), color=word)


def mailbox(rng: np.random.Generator) -> Model:
    """Return a mailbox with a round top on legs, or a pillar box."""
    word, color = draw_color(rng, {"blue": 0.45, "yellow": 0.25, "red": 0.3})
    skin, slot = Surface("mailbox", "paint", color), Surface("mailbox", "rubber", (20, 20, 20))
    if rng.random() < 0.35:
        parts = [cylinder(skin, 0.24, 1.35, (0, 0, 0)), cylinder(skin, 0.28, 0.12, (0, 0, 1.35), top_radius=0.16)]
        return Model(kind="mailbox", mesh=merge([*parts, box(slot, (0.24, 0.03, 0.04), (0, -0.24, 1.15))]), color=word)
    outline = [(-0.25, 0.3), (0.25, 0.3), (0.25, 1.0), (0.18, 1.15), (0.0, 1.22), (-0.18, 1.15), (-0.25, 1.0)]
    parts = [prism(skin, outline, 0.52, (0, 0, 0)), box(slot, (0.34, 0.03, 0.04), (0, -0.25, 1.0))]
    parts += [box(skin, (0.06, 0.06, 0.32), (x, y, 0)) for x in (-0.2, 0.2) for y in (-0.18, 0.18)]
    return Model(kind="mailbox", mesh=merge(parts), color=word)


def bicycle_rack(rng: np.random.Generator) -> Model:
    """Return a row of metal loops to which bicycles are locked."""
    steel = Surface("bicycle rack", "metal", vary(_GREY_STEEL, rng))
    parts: list[Mesh] = []
    for i in range(int(rng.integers(3, 7))):
        x = 0.75 * i
        parts += [tube(steel, (x, side * 0.38, 0.0), (x, side * 0.38, 0.75), 0.03) for side in (-1, 1)]
        parts.append(tube(steel, (x, -0.38, 0.76), (x, 0.38, 0.76), 0.03))
    mesh = merge(parts)
    return Model(kind="bicycle rack", mesh=shift(mesh, (-float(mesh.vertices[:, 0].mean()), 0, 0)))


def debris(rng: np.random.Generator) -> Model:
    """Return a low heap of boards, bags, boxes and stones."""
    parts = []
    for _ in range(int(rng.integers(4, 10))):
        material, word = (("wood", "brown"), ("plastic", "black"), ("cloth", "beige"), ("concrete", "grey"))[
            int(rng.integers(4))
        ]
        piece = Surface("debris", material, tint(word, rng))
        size = (rng.uniform(0.15, 0.7), rng.uniform(0.15, 0.4), rng.uniform(0.05, 0.35))
        at = (rng.uniform(-0.5, 0.5), rng.uniform(-0.5, 0.5), rng.uniform(0, 0.1))
        parts.append(place(box(piece, size, (0, 0, 0)), turn(rng.uniform(0, 3.14), at)))
    return Model(kind="debris", mesh=merge(parts))


def bus_stop(rng: np.random.Generator) -> Model:
    """Return a shelter open to -y: roof, glass at back and sides, a seat, a lit poster."""
    frame = Surface("bus stop", "metal", vary((72, 76, 80), rng))
    glass, poster = Surface("bus stop", "glass", (150, 172, 180)), Surface("bus stop", "plastic", tint("blue", rng))
    length, depth, height = rng.uniform(2.8, 4.6), rng.uniform(1.2, 1.7), 2.45
    parts = [box(frame, (length + 0.3, depth + 0.3, 0.12), (0, 0, height))]
    parts += [box(frame, (0.08, 0.08, height), (x, y, 0)) for x in (-length / 2, 0, length / 2) for y in (depth / 2,)]
    parts += [box(frame, (0.08, 0.08, height), (x, -depth / 2, 0)) for x in (-length / 2, length / 2)]
    parts.append(box(glass, (length, 0.03, 1.8), (0, depth / 2, 0.35)))
    parts.append(box(glass, (0.03, depth, 1.8), (-length / 2, 0, 0.35)))
    parts.append(box(poster, (0.12, depth * 0.9, 1.8), (length / 2, 0, 0.35)))
    parts.append(
        box(Surface("bus stop", "wood", tint("brown", rng)), (length * 0.7, 0.35, 0.06), (0, depth / 2 - 0.3, 0.45))
    )
    return Model(kind="bus stop", mesh=merge(parts))


def billboard(rng: np.random.Generator) -> Model:
    """Return an advertising pillar, or a board on one or two legs; it faces -y."""
    leg = Surface("billboard", "metal", (92, 96, 98))
    word, color = draw_color(
        rng, {"red": 1, "blue": 1, "yellow": 1, "white": 1, "green": 1, "orange": 1, "purple": 1, "pink": 1}
    )
    if rng.random() < 0.3:
        pillar = Surface("billboard", "plastic", color)
        parts = [
            cylinder(pillar, 0.6, 2.8, (0, 0, 0.2)),
            cylinder(leg, 0.66, 0.25, (0, 0, 0)),
            cylinder(leg, 0.72, 0.25, (0, 0, 3.0)),
        ]
        return Model(kind="billboard", mesh=merge(parts), color=word)
    small = rng.random() < 0.5
    width, height, low = (
        (1.3, 1.9, 0.5) if small else (rng.uniform(3.0, 6.0), rng.uniform(2.2, 3.2), rng.uniform(2.0, 3.5))
    )
    parts = [box(leg, (width + 0.16, 0.16, height + 0.16), (0, 0.05, low))]
    parts.append(box(Surface("billboard", "plastic", color), (width, 0.04, height), (0, -0.05, low + 0.08)))
    other = Surface("billboard", "plastic", draw_color(rng, {"white": 2, "black": 1, "red": 1, "blue": 1})[1])
    at = (rng.uniform(-0.2, 0.2) * width, -0.075, low + height * rng.uniform(0.15, 0.4))
    parts.append(box(other, (width * rng.uniform(0.3, 0.6), 0.02, height * rng.uniform(0.2, 0.5)), at))
    parts += [cylinder(leg, 0.08 if small else 0.16, low + 0.2, (side * width * 0.3, 0.05, 0)) for side in (-1, 1)]
    return Model(kind="billboard", mesh=merge(parts), color=word)


def stairs(rng: np.random.Generator) -> Model:
    """Return steps that rise towards +y, with or without a hand rail."""
    stone = Surface("stairs", "concrete", vary((164, 160, 152), rng))
    width, count = rng.uniform(1.4, 4.0), int(rng.integers(3, 9))
    rise, run = rng.uniform(0.15, 0.18), rng.uniform(0.28, 0.36)
    parts = []
    for i in range(count):
        deep = (count - i) * run
        parts.append(
            box(
                stone,
                (width, deep, rise + (0.4 if i == 0 else 0.0)),
                (0, count * run / 2 - deep / 2, i * rise - (0.4 if i == 0 else 0.0)),
            )
        )
    if rng.random() < 0.5:
        rail, half = Surface("stairs", "metal", (90, 92, 94)), count * run / 2
        for side in (-1, 1):
            x = side * (width / 2 - 0.06)
            parts.append(tube(rail, (x, -half, 0.95), (x, half, 0.95 + count * rise), 0.025))
            parts += [
                tube(rail, (x, y, 0.0), (x, y, 0.95 + (y + half) / (2 * half) * count * rise), 0.025)
                for y in (-half, half)
            ]
    return Model(kind="stairs", mesh=merge(parts))


def bridge(rng: np.random.Generator, span: float) -> Model:
    """Return a bridge across the street (along y) high enough for trucks, `span` m between its piers."""
    stone = Surface("bridge", "concrete", vary((158, 156, 150), rng))
    width, clear = rng.uniform(2.5, 8.0), rng.uniform(4.8, 5.6)
    length = span + 8.0
    parts = [box(stone, (width, length, 0.9), (0, 0, clear))]
    parts += [box(stone, (width * 0.9, 0.9, clear + 0.3), (0, side * span / 2, -0.3)) for side in (-1, 1)]
    rail = Surface("bridge", "metal" if rng.random() < 0.5 else "concrete", vary((120, 124, 126), rng))
    for side in (-1, 1):
        parts.append(box(rail, (0.12, length, 1.0), (side * (width / 2 - 0.08), 0, clear + 0.9)))
    for side in (-1, 1):
        slope = [(0.0, 0.0), (0.0, clear + 0.9), (-14.0, 0.0)]
        ramp = prism(stone, slope, width, (0, 0, -0.3))
        parts.append(place(ramp, turn(math.pi if side > 0 else 0.0, (0.0, side * length / 2, 0.0))))
    return Model(kind="bridge", mesh=merge(parts))


def _upright_quad(length: float, low: float, high: float) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    half = length / 2
    return np.array([[[-half, 0, low], [half, 0, low], [half, 0, high], [-half, 0, high]]])
