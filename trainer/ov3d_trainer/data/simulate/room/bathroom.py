"""What stands in bathrooms."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..mesh import Mesh, Surface, cylinder, frustum, merge, shift, tube
from .piece import CLOTHS, WOODS, Piece, Top, draw_surface, fronts, metal, slab

_WHITE = {"white": 0.88, "beige": 0.06, "grey": 0.06}


def toilet(rng: np.random.Generator) -> Piece:
    """Return a toilet: bowl, seat, and a cistern unless it is in the wall; the lid up or down."""
    word, clay = draw_surface("toilet", "ceramic", rng, _WHITE)
    parts = [
        frustum(clay, (0.3, 0.22), (0.44, 0.36), 0.36, (0.02, 0, 0), lean=0.04),
        cylinder(clay, 0.19, 0.05, (0.13, 0, 0.36)),
        slab(clay, 0.24, 0.36, 0.05, (-0.02, 0, 0.36)),
    ]
    if rng.random() < 0.8:
        parts.append(slab(clay, 0.17, 0.38, 0.38, (-0.24, 0, 0.38)))
        parts.append(slab(clay, 0.19, 0.4, 0.03, (-0.24, 0, 0.76)))
        parts.append(slab(metal("toilet", rng), 0.03, 0.05, 0.02, (-0.24, 0, 0.79)))
    if rng.random() < 0.35:
        parts.append(slab(clay, 0.03, 0.36, 0.4, (-0.13, 0, 0.4)))
    return Piece(kind="toilet", mesh=merge(parts), color=word)


def bathtub(rng: np.random.Generator) -> Piece:
    """Return a bathtub, its long side along y; one can look into it."""
    word, skin = draw_surface("bathtub", "ceramic", rng, _WHITE)
    depth, width, height, rim = rng.uniform(0.7, 0.8), rng.uniform(1.5, 1.75), rng.uniform(0.5, 0.6), 0.07
    inside = Surface("bathtub", "ceramic", tuple(max(value - 12, 0) for value in skin.color))  # type: ignore[arg-type]
    parts = [slab(skin, rim, width, height, (s * (depth - rim) / 2, 0, 0)) for s in (-1, 1)]
    parts += [slab(skin, depth, rim, height, (0, s * (width - rim) / 2, 0)) for s in (-1, 1)]
    parts.append(slab(inside, depth, width, 0.12, (0, 0, 0)))
    tap = metal("bathtub", rng)
    parts.append(tube(tap, (-depth / 2 + 0.04, 0, height), (-depth / 2 + 0.04, 0, height + 0.14), 0.015))
    parts.append(tube(tap, (-depth / 2 + 0.04, 0, height + 0.14), (-depth / 2 + 0.18, 0, height + 0.12), 0.013))
    return Piece(kind="bathtub", mesh=merge(parts), color=word)


def shower_curtain(rng: np.random.Generator, width: float) -> Piece:
    """Return a curtain on its rod, drawn part of the way along y, in folds, from 0.15 m to 2 m."""
    word, cloth = draw_surface("shower curtain", "cloth", rng, {**CLOTHS, "white": 0.4})
    rod = metal("shower curtain", rng)
    drawn = width * rng.uniform(0.35, 0.8)
    count = max(int(drawn / 0.06), 3)
    y = np.linspace(width / 2 - drawn, width / 2, count)
    parts = [tube(rod, (0, -width / 2, 2.0), (0, width / 2, 2.0), 0.012)]
    for number, (left, right) in enumerate(pairwise(y)):
        side = 0.025 if number % 2 else -0.025
        parts.append(slab(cloth, 0.02, right - left, 1.83, (side, (left + right) / 2, 0.15)))
    return Piece(kind="shower curtain", mesh=merge(parts), color=word)


def sink(rng: np.random.Generator) -> Piece:
    """Return a basin on a column or on a small cabinet, with its tap."""
    word, clay = draw_surface("sink", "ceramic", rng, _WHITE)
    width, top = rng.uniform(0.5, 0.7), rng.uniform(0.82, 0.88)
    parts = [*_basin(clay, 0.44, width, top)]
    tap = metal("sink", rng)
    parts.append(tube(tap, (-0.17, 0, top), (-0.17, 0, top + 0.14), 0.015))
    parts.append(tube(tap, (-0.17, 0, top + 0.13), (-0.03, 0, top + 0.1), 0.012))
    holds: tuple[Piece, ...] = ()
    if rng.random() < 0.5:
        parts.append(cylinder(clay, 0.09, top - 0.14, (-0.08, 0, 0)))
    else:
        color, wood = draw_surface("cabinet", "wood", rng, WOODS)
        low = slab(wood, 0.4, width * 0.92, top - 0.15, (-0.02, 0, 0))
        doors = shift(
            fronts(wood, metal("cabinet", rng), 0.4, width * 0.92, 0.05, top - 0.16, columns=2, rows=1), (-0.02, 0, 0)
        )
        holds = (Piece(kind="cabinet", mesh=merge([low, doors]), color=color),)
    corner = Top(top, (-0.2, -width / 2 + 0.02), (-0.1, -width / 2 + 0.14))
    return Piece(kind="sink", mesh=merge(parts), color=word, holds=holds, tops=(corner,))


def kitchen_sink(rng: np.random.Generator, top: float) -> Piece:
    """Return a steel basin let into a counter of height `top`, with its tap."""
    word, steel = draw_surface("sink", "metal", rng, {"silver": 0.8, "white": 0.1, "grey": 0.1})
    dark = Surface("sink", "metal", (112, 116, 120))
    parts = [slab(steel, 0.44, 0.56, 0.012, (0, 0, top)), slab(dark, 0.34, 0.42, 0.004, (0.02, 0, top + 0.011))]
    parts.append(tube(steel, (-0.19, 0, top), (-0.19, 0, top + 0.28), 0.016))
    parts.append(tube(steel, (-0.19, 0, top + 0.28), (-0.02, 0, top + 0.24), 0.014))
    return Piece(kind="sink", mesh=merge(parts), color=word)


def _basin(clay: Surface, depth: float, width: float, top: float) -> list[Mesh]:
    rim = 0.05
    parts = [slab(clay, rim, width, 0.14, (s * (depth - rim) / 2, 0, top - 0.14)) for s in (-1, 1)]
    parts += [slab(clay, depth, rim, 0.14, (0, s * (width - rim) / 2, top - 0.14)) for s in (-1, 1)]
    return [*parts, slab(clay, depth, width, 0.04, (0, 0, top - 0.16))]


def hung_towel(rng: np.random.Generator) -> Piece:
    """Return a towel over a bar; it hangs, its back at x = 0."""
    word, cloth = draw_surface("towel", "cloth", rng, {**CLOTHS, "white": 0.3})
    bar = metal("towel", rng)
    width, tall = rng.uniform(0.35, 0.6), rng.uniform(0.4, 0.75)
    parts = [tube(bar, (0.07, -width / 2 - 0.06, tall), (0.07, width / 2 + 0.06, tall), 0.01)]
    parts += [
        slab(cloth, 0.02, width, tall, (0.095, 0, 0)),
        slab(cloth, 0.02, width, tall * 0.8, (0.045, 0, tall * 0.2)),
    ]
    parts.append(slab(cloth, 0.07, width, 0.015, (0.07, 0, tall)))
    return Piece(kind="towel", mesh=merge(parts), color=word)
