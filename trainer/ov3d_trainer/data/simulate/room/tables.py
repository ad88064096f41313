"""What things are put on: tables of several kinds, desks, nightstands."""

from __future__ import annotations

import math

import numpy as np

from ..mesh import Mesh, Surface, cylinder, merge, shift, tube
from .piece import WOODS, Piece, Top, draw_surface, fronts, legs, level, metal, slab


def table(rng: np.random.Generator) -> Piece:
    """Return a small side or work table."""
    return _table(rng, "table", rng.uniform(0.45, 0.75), rng.uniform(0.5, 1.1), rng.uniform(0.5, 0.76))


def dining_table(rng: np.random.Generator) -> Piece:
    """Return a table for four to eight, rectangular or round."""
    if rng.random() < 0.25:
        size = rng.uniform(1.0, 1.35)
        return _table(rng, "dining table", size, size, rng.uniform(0.72, 0.77), round_top=True)
    return _table(rng, "dining table", rng.uniform(0.8, 1.0), rng.uniform(1.3, 2.1), rng.uniform(0.72, 0.77))


def coffee_table(rng: np.random.Generator) -> Piece:
    """Return a low table, at times of glass or with a lower board."""
    if rng.random() < 0.3:
        size = rng.uniform(0.6, 0.9)
        return _table(rng, "coffee table", size, size, rng.uniform(0.36, 0.46), round_top=True)
    return _table(rng, "coffee table", rng.uniform(0.5, 0.7), rng.uniform(0.85, 1.3), rng.uniform(0.34, 0.46))


def _table(
    rng: np.random.Generator, kind: str, depth: float, width: float, height: float, *, round_top: bool = False
) -> Piece:
    word, wood = draw_surface(kind, "wood", rng, WOODS)
    board = Surface(kind, "glass", (120, 140, 142)) if kind == "coffee table" and rng.random() < 0.2 else wood
    under = wood if rng.random() < 0.7 else metal(kind, rng)
    thick = rng.uniform(0.025, 0.05)
    if round_top:
        parts = [cylinder(board, depth / 2, thick, (0, 0, height - thick))]
        parts.append(_round_foot(rng, under, depth / 2, height - thick))
        side = depth * 0.68
        return Piece(kind=kind, mesh=merge(parts), color=word, tops=(level(height, side, side),))
    parts = [slab(board, depth, width, thick, (0, 0, height - thick))]
    tops = [level(height, depth, width)]
    style = int(rng.integers(3))
    if style == 0:
        parts.append(legs(under, depth - 0.06, width - 0.06, height - thick, rng.uniform(0.04, 0.08)))
        parts.append(slab(under, depth - 0.16, width - 0.16, 0.07, (0, 0, height - thick - 0.07)))
    elif style == 1:
        parts += [slab(under, depth - 0.1, 0.05, height - thick, (0, s * (width / 2 - 0.1), 0)) for s in (-1, 1)]
        parts.append(slab(under, 0.05, width - 0.2, 0.1, (0, 0, height * 0.5)))
    else:
        for i in (-1, 1):
            for j in (-1, 1):
                foot = (i * (depth / 2 - 0.03), j * (width / 2 - 0.04), 0.0)
                head = (i * (depth / 2 - 0.1), j * (width / 2 - 0.14), height - thick)
                parts.append(tube(under, foot, head, 0.028))
    if kind == "coffee table" and style == 0 and rng.random() < 0.5:
        parts.append(slab(under, depth - 0.1, width - 0.1, 0.02, (0, 0, height * 0.35)))
        tops.append(Top(height * 0.35 + 0.02, (-depth * 0.35, -width * 0.35), (depth * 0.35, width * 0.35)))
    return Piece(kind=kind, mesh=merge(parts), color=word, tops=tuple(tops))


def _round_foot(rng: np.random.Generator, surface: Surface, radius: float, height: float) -> Mesh:
    if rng.random() < 0.5:
        column = cylinder(surface, 0.05, height, (0, 0, 0))
        return merge([column, cylinder(surface, radius * 0.55, 0.03, (0, 0, 0))])
    feet = []
    for angle in np.arange(4) * math.pi / 2 + math.pi / 4:
        x, y = radius * 0.85 * math.cos(angle), radius * 0.85 * math.sin(angle)
        feet.append(tube(surface, (x, y, 0), (x * 0.7, y * 0.7, height), 0.025))
    return merge(feet)


def desk(rng: np.random.Generator) -> Piece:
    """Return a desk with drawers on one side, panels or steel legs."""
    word, wood = draw_surface("desk", "wood", rng, WOODS)
    depth, width, height = rng.uniform(0.6, 0.8), rng.uniform(1.1, 1.7), rng.uniform(0.71, 0.76)
    under = wood if rng.random() < 0.5 else metal("desk", rng)
    parts = [slab(wood, depth, width, 0.03, (0, 0, height - 0.03))]
    parts += [slab(under, depth - 0.08, 0.04, height - 0.03, (0, s * (width / 2 - 0.04), 0)) for s in (-1, 1)]
    if rng.random() < 0.6:
        parts.append(slab(under, 0.02, width - 0.1, height * 0.45, (-depth / 2 + 0.06, 0, height * 0.5)))
    if rng.random() < 0.6:
        side = 1 if rng.random() < 0.5 else -1
        chest = slab(wood, depth - 0.1, 0.4, height - 0.1, (0, 0, 0.07))
        drawers = fronts(wood, metal("desk", rng), depth - 0.1, 0.4, 0.07, height - 0.03, columns=1, rows=3)
        parts.append(shift(merge([chest, drawers]), (0.0, side * (width / 2 - 0.25), 0.0)))
    return Piece(kind="desk", mesh=merge(parts), color=word, tops=(level(height, depth, width),))


def nightstand(rng: np.random.Generator) -> Piece:
    """Return a bedside table: a small chest with one or two drawers, or an open one."""
    word, wood = draw_surface("nightstand", "wood", rng, WOODS)
    depth, width, height = rng.uniform(0.34, 0.42), rng.uniform(0.38, 0.5), rng.uniform(0.45, 0.6)
    low = rng.uniform(0.02, 0.15)
    knob = metal("nightstand", rng)
    parts = [legs(wood, depth, width, low + 0.01, 0.04), slab(wood, depth, width, 0.025, (0, 0, height - 0.025))]
    if rng.random() < 0.6:
        parts.append(slab(wood, depth, width, height - low, (0, 0, low)))
        rows = int(rng.integers(1, 4))
        parts.append(fronts(wood, knob, depth, width, low, height - 0.02, columns=1, rows=rows))
    else:
        parts += [slab(wood, depth, 0.02, height - low, (0, s * (width / 2 - 0.01), low)) for s in (-1, 1)]
        parts.append(slab(wood, depth, width, 0.02, (0, 0, low)))
        parts.append(slab(wood, depth, width, height * 0.3, (0, 0, height * 0.65)))
        parts.append(fronts(wood, knob, depth, width, height * 0.66, height - 0.03, columns=1, rows=1))
    return Piece(kind="nightstand", mesh=merge(parts), color=word, tops=(level(height, depth, width),))
