"""Objects that stand only in rooms made with `unseen=True`: for asking about what no training room had."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from ..colors import draw_color, vary
from ..mesh import Mesh, Surface, ball, box, cylinder, frustum, merge, place, ring, tube
from .piece import BRIGHTS, WOODS, Piece, draw_surface, metal, rod_x, slab, tilt_forward


def guitar(rng: np.random.Generator) -> Piece:
    """Return a guitar on a stand: waisted body, neck, head."""
    word, wood = draw_surface("guitar", "lacquer", rng, {"brown": 0.5, "orange": 0.2, "black": 0.15, "red": 0.15})
    dark = Surface("guitar", "wood", (58, 40, 30))
    body = merge(
        [
            rod_x(wood, 0.19, 0.1, (0, 0, 0.24)),
            rod_x(wood, 0.145, 0.1, (0, 0, 0.46)),
            rod_x(dark, 0.05, 0.004, (0.1, 0, 0.42)),
            slab(dark, 0.03, 0.055, 0.5, (0.09, 0, 0.42)),
            slab(dark, 0.03, 0.085, 0.15, (0.08, 0, 0.9)),
            slab(dark, 0.02, 0.14, 0.03, (0.1, 0, 0.22)),
        ]
    )
    stand = metal("guitar", rng)
    feet = [
        tube(stand, (-0.22, 0, 0), (0, 0, 0.35), 0.012),
        *(tube(stand, (0, 0, 0.3), (0.16, s * 0.16, 0), 0.012) for s in (-1, 1)),
    ]
    return Piece(kind="guitar", mesh=merge([place(body, tilt_forward(-0.18, (0.02, 0, 0.08))), *feet]), color=word)


def drum(rng: np.random.Generator) -> Piece:
    """Return a drum set: a big drum lying, two small ones, a floor drum and cymbals."""
    word, skin = draw_surface("drum", "lacquer", rng, {"red": 0.3, "blue": 0.25, "black": 0.25, "white": 0.2})
    head, brass = Surface("drum", "plastic", (236, 234, 226)), Surface("drum", "metal", (206, 172, 84))
    iron = metal("drum", rng)
    parts = [rod_x(skin, 0.28, 0.38, (0, 0, 0.28)), rod_x(head, 0.26, 0.004, (0.38, 0, 0.28))]
    for y in (-0.16, 0.16):
        parts += [cylinder(skin, 0.14, 0.18, (0.15, y, 0.6)), cylinder(head, 0.135, 0.004, (0.15, y, 0.78))]
    parts += [cylinder(skin, 0.2, 0.4, (-0.2, -0.48, 0.15)), cylinder(head, 0.19, 0.004, (-0.2, -0.48, 0.55))]
    for x, y, z in ((0.1, 0.52, 1.0), (0.1, -0.55, 1.1)):
        parts += [tube(iron, (x, y, 0), (x, y, z), 0.012), cylinder(brass, 0.2, 0.02, (x, y, z), top_radius=0.03)]
    return Piece(kind="drum", mesh=merge(parts), color=word)


def easel(rng: np.random.Generator) -> Piece:
    """Return a painter's easel with a canvas."""
    word, wood = draw_surface("easel", "wood", rng, {"brown": 0.6, "beige": 0.4})
    canvas = Surface("easel", "paper", vary((238, 234, 224), rng, 8))
    parts = [tube(wood, (0.2, s * 0.32, 0), (-0.05, s * 0.05, 1.7), 0.018) for s in (-1, 1)]
    parts += [tube(wood, (-0.4, 0, 0), (-0.06, 0, 1.6), 0.018), slab(wood, 0.06, 0.6, 0.03, (0.12, 0, 0.75))]
    sheet = merge([slab(canvas, 0.02, 0.55, 0.7, (0, 0, 0)), *_strokes(rng)])
    return Piece(kind="easel", mesh=merge([*parts, place(sheet, tilt_forward(-0.14, (0.13, 0, 0.78)))]), color=word)


def _strokes(rng: np.random.Generator) -> list[Mesh]:
    inks = [Surface("easel", "paper", draw_color(rng, BRIGHTS)[1]) for _ in range(5)]
    return [
        slab(
            ink,
            0.003,
            rng.uniform(0.08, 0.25),
            rng.uniform(0.06, 0.25),
            (0.011, rng.uniform(-0.14, 0.14), rng.uniform(0.08, 0.4)),
        )
        for ink in inks
    ]


def globe(rng: np.random.Generator) -> Piece:
    """Return a large globe on a wooden stand."""
    sea, land = (
        Surface("globe", "paper", vary((64, 116, 190), rng, 16)),
        Surface("globe", "paper", vary((122, 150, 84), rng, 16)),
    )
    wood = draw_surface("globe", "wood", rng, {"brown": 0.8, "black": 0.2})[1]
    radius, height = rng.uniform(0.17, 0.24), rng.uniform(0.75, 0.95)
    parts = [ball(sea, (radius, radius, radius), (0, 0, height))]
    for _ in range(6):
        way = rng.normal(size=3)
        x, y, z = (way / np.linalg.norm(way) * radius * 0.86).tolist()
        parts.append(ball(land, (radius * 0.34, radius * 0.34, radius * 0.3), (x, y, height + z)))
    parts.append(ring(wood, radius * 1.1, 0.015, (0, 0, height)))
    parts.append(cylinder(wood, 0.03, height - radius * 1.1, (0, 0, 0)))
    parts += [tube(wood, (0, 0, 0.1), (0.25 * math.cos(a), 0.25 * math.sin(a), 0), 0.02) for a in (0.3, 2.4, 4.5)]
    return Piece(kind="globe", mesh=merge(parts), color="blue")


def telescope(rng: np.random.Generator) -> Piece:
    """Return a telescope on a tripod."""
    word, skin = draw_surface("telescope", "metal", rng, {"white": 0.5, "black": 0.25, "red": 0.25})
    dark = Surface("telescope", "metal", (40, 42, 46))
    pipe = merge(
        [
            cylinder(skin, 0.06, 0.75, (0, 0, -0.3)),
            cylinder(dark, 0.072, 0.12, (0, 0, 0.42)),
            cylinder(dark, 0.025, 0.12, (0, 0, -0.4)),
        ]
    )
    height = rng.uniform(0.95, 1.2)
    parts = [place(pipe, tilt_forward(rng.uniform(0.6, 1.1), (0, 0, height)))]
    parts += [
        tube(dark, (0, 0, height - 0.05), (0.4 * math.cos(a), 0.4 * math.sin(a), 0), 0.018) for a in (0.0, 2.09, 4.19)
    ]
    return Piece(kind="telescope", mesh=merge(parts), color=word)


def aquarium(rng: np.random.Generator) -> Piece:
    """Return a glass tank with water, plants and fish on a low stand."""
    wood = draw_surface("aquarium", "wood", rng, WOODS)[1]
    width, depth, low, tall = (
        rng.uniform(0.8, 1.2),
        rng.uniform(0.36, 0.45),
        rng.uniform(0.5, 0.7),
        rng.uniform(0.4, 0.5),
    )
    water = Surface("aquarium", "plastic", vary((92, 160, 196), rng, 14))
    sand, weed = Surface("aquarium", "loose ground", (206, 186, 140)), Surface("aquarium", "leaves", (46, 128, 62))
    rim = Surface("aquarium", "plastic", (30, 32, 34))
    parts = [slab(wood, depth, width, low, (0, 0, 0)), slab(water, depth, width, tall, (0, 0, low))]
    parts += [slab(rim, depth + 0.02, width + 0.02, 0.04, (0, 0, low + z)) for z in (0.0, tall - 0.02)]
    parts.append(slab(sand, depth + 0.006, width - 0.02, 0.07, (0, 0, low + 0.04)))
    for y in rng.uniform(-0.42, 0.42, 5) * width:
        parts.append(
            frustum(weed, (0.02, 0.07), (0.02, 0.02), tall * rng.uniform(0.3, 0.7), (depth / 2, float(y), low + 0.1))
        )
    for _ in range(6):
        fish = Surface("aquarium", "skin", draw_color(rng, {"orange": 2, "red": 1, "yellow": 1})[1])
        at = (depth / 2, float(rng.uniform(-0.4, 0.4) * width), low + tall * float(rng.uniform(0.35, 0.85)))
        parts.append(ball(fish, (0.012, 0.04, 0.018), at))
    return Piece(kind="aquarium", mesh=merge(parts), color="")


def fireplace(rng: np.random.Generator) -> Piece:
    """Return an open fireplace: brick sides, a dark mouth with logs and flames, a shelf, a chimney."""
    word, brick = draw_surface("fireplace", "brick", rng, {"red": 0.5, "grey": 0.25, "white": 0.25})
    dark, wood = Surface("fireplace", "concrete", (26, 24, 24)), Surface("fireplace", "bark", (92, 64, 44))
    flame = Surface("fireplace", "light", (255, 150, 40))
    parts = [slab(brick, 0.4, 0.3, 1.0, (0, s * 0.5, 0)) for s in (-1, 1)]
    parts += [
        slab(brick, 0.4, 1.3, 0.25, (0, 0, 0.85)),
        slab(dark, 0.05, 0.8, 0.9, (-0.17, 0, 0)),
        slab(brick, 0.55, 1.4, 0.06, (0.05, 0, 0)),
    ]
    parts += [
        slab(wood, 0.5, 1.5, 0.07, (0.04, 0, 1.1)),
        frustum(brick, (0.34, 1.1), (0.3, 0.7), 1.1, (-0.03, 0, 1.17)),
    ]
    parts += [tube(wood, (-0.05, -0.25, z), (0.05, 0.25, z + 0.03), 0.05) for z in (0.12, 0.21)]
    parts += [
        frustum(flame, (0.1, 0.14), (0.01, 0.01), rng.uniform(0.2, 0.4), (0, y, 0.22)) for y in (-0.15, 0.0, 0.14)
    ]
    return Piece(kind="fireplace", mesh=merge(parts), color=word)


def crib(rng: np.random.Generator) -> Piece:
    """Return a child's bed with bars on all sides."""
    word, wood = draw_surface("crib", "wood", rng, {"white": 0.5, "beige": 0.3, "brown": 0.2})
    linen = Surface("crib", "cloth", draw_color(rng, {"white": 2, "pink": 1, "blue": 1, "yellow": 1})[1])
    depth, width, height = 0.65, 1.25, rng.uniform(0.85, 1.0)
    parts = [slab(linen, depth - 0.04, width - 0.04, 0.12, (0, 0, 0.4)), slab(wood, depth, width, 0.05, (0, 0, 0.35))]
    parts += [box(wood, (0.05, 0.05, height), (i * depth / 2, j * width / 2, 0)) for i in (-1, 1) for j in (-1, 1)]
    for i in (-1, 1):
        parts += [slab(wood, 0.03, width, 0.05, (i * depth / 2, 0, z)) for z in (0.4, height - 0.05)]
        parts += [slab(wood, depth, 0.03, 0.05, (0, i * width / 2, z)) for z in (0.4, height - 0.05)]
        parts += [
            slab(wood, 0.02, 0.02, height - 0.45, (i * depth / 2, float(y), 0.42)) for y in np.linspace(-0.55, 0.55, 12)
        ]
        parts += [
            slab(wood, 0.02, 0.02, height - 0.45, (float(x), i * width / 2, 0.42)) for x in np.linspace(-0.25, 0.25, 6)
        ]
    return Piece(kind="crib", mesh=merge(parts), color=word)


ODDITIES: Mapping[str, Callable[[np.random.Generator], Piece]] = {
    "guitar": guitar,
    "drum": drum,
    "easel": easel,
    "globe": globe,
    "telescope": telescope,
    "aquarium": aquarium,
    "fireplace": fireplace,
    "crib": crib,
}
"""The builder of every unseen kind."""
