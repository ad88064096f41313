"""Trees, bushes, hedges and plants in pots."""

from __future__ import annotations

import math

import numpy as np

from ..colors import draw_color, vary
from ..mesh import Color, Mesh, Surface, ball, box, cylinder, frustum, merge, place, tube
from .model import Model

_BARK: Color = (88, 68, 50)
_GREENS: tuple[Color, ...] = ((72, 112, 46), (92, 130, 58), (56, 96, 52), (130, 132, 52), (150, 96, 44))


def tree(rng: np.random.Generator, *, small: bool = False, room_m: float = 20.0) -> Model:
    """Return a broad-leaved tree, a conifer, a poplar or a bare tree, 3 to 13 m tall, cut to a radius of `room_m`."""
    height = rng.uniform(3.0, 5.5) if small else rng.uniform(5.0, 13.0)
    bark = Surface("tree", "bark", vary(_BARK, rng))
    green = vary(_GREENS[int(len(_GREENS) * rng.random() ** 1.8)], rng)
    style = rng.random()
    if style < 0.16:
        mesh = _conifer(rng, bark, green, height)
    elif style < 0.26:
        crown = height * 0.7
        parts = [cylinder(bark, 0.05 + 0.02 * height, height * 0.5, (0, 0, -0.2), top_radius=0.05)]
        leaves = Surface("tree", "leaves", green)
        reach = (crown * 0.18, crown * 0.18, crown * 0.55)
        parts.append(ball(leaves, reach, (0, 0, height - crown * 0.5), rng=rng, rough=0.12))
        mesh = merge(parts)
    elif style < 0.33:
        mesh = _bare(rng, bark, height)
    else:
        mesh = _broad(rng, bark, green, height)
    cut = min(room_m / float(np.hypot(mesh.vertices[:, 0], mesh.vertices[:, 1]).max()), 1.0)
    return Model(kind="tree", mesh=place(mesh, np.diag([cut, cut, 1.0, 1.0])))


def bush(rng: np.random.Generator) -> Model:
    """Return a round bush 0.5 to 2 m tall."""
    size = rng.uniform(0.35, 1.05)
    green = vary(((64, 104, 44), (84, 120, 60), (50, 84, 46))[int(rng.integers(3))], rng)
    parts = []
    for _ in range(int(rng.integers(2, 5))):
        x, y = rng.uniform(-0.7, 0.7, 2) * size
        leaves = Surface("bush", "twigs", vary(green, rng, 8))
        radius = size * rng.uniform(0.6, 1.0)
        parts.append(ball(leaves, (radius, radius, radius * 0.9), (x, y, radius * 0.6), rng=rng, rough=0.18))
    return Model(kind="bush", mesh=merge(parts))


def hedge(rng: np.random.Generator, length: float) -> Model:
    """Return a cut hedge along x."""
    leaves = Surface("hedge", "twigs", vary((58, 96, 46), rng))
    height, depth = rng.uniform(0.6, 2.0), rng.uniform(0.5, 1.0)
    return Model(kind="hedge", mesh=frustum(leaves, (length, depth), (length, depth * 0.85), height, (0, 0, -0.05)))


def potted_plant(rng: np.random.Generator) -> Model:
    """Return a tub or a box of stone, clay or wood with a plant in it."""
    word, color = draw_color(rng, {"grey": 0.35, "brown": 0.35, "white": 0.15, "black": 0.1, "blue": 0.05})
    pot = Surface("potted plant", "concrete" if word == "grey" else "plaster", color)
    leaves = Surface("potted plant", "twigs", vary(_GREENS[int(rng.integers(3))], rng))
    height, radius = rng.uniform(0.35, 0.7), rng.uniform(0.22, 0.5)
    parts: list[Mesh] = []
    if rng.random() < 0.5:
        parts.append(cylinder(pot, radius * 0.75, height, (0, 0, 0), top_radius=radius))
    else:
        parts.append(box(pot, (radius * rng.uniform(2, 4), radius * 1.8, height), (0, 0, 0)))
    crown = rng.uniform(0.25, 0.5)
    if rng.random() < 0.4:
        parts.append(cylinder(Surface("potted plant", "bark", _BARK), 0.03, 0.7, (0, 0, height)))
        parts.append(ball(leaves, (crown, crown, crown), (0, 0, height + 0.7 + crown * 0.7), rng=rng, rough=0.12))
    else:
        parts.append(ball(leaves, (radius * 1.1, radius, crown), (0, 0, height + crown * 0.5), rng=rng, rough=0.2))
        for angle in rng.uniform(0, 6.28, 5):
            tip = (
                0.5 * radius * math.cos(angle),
                0.5 * radius * math.sin(angle),
                height + crown * rng.uniform(1.2, 2.2),
            )
            parts.append(tube(leaves, (0, 0, height), tip, 0.04))
    return Model(kind="potted plant", mesh=merge(parts), color=word)


def _broad(rng: np.random.Generator, bark: Surface, green: Color, height: float) -> Mesh:
    bare = min(height * rng.uniform(0.22, 0.42), rng.uniform(1.6, 4.0))
    girth = 0.04 + rng.uniform(0.014, 0.026) * height
    parts = [cylinder(bark, girth, bare + height * 0.2, (0, 0, -0.2), top_radius=girth * 0.6)]
    crown = height - bare
    reach = crown * rng.uniform(0.32, 0.55)
    for _ in range(int(rng.integers(4, 8))):
        angle, out = rng.uniform(0, 2 * math.pi), reach * rng.uniform(0.1, 0.7)
        radius = reach * rng.uniform(0.4, 0.8)
        at = (out * math.cos(angle), out * math.sin(angle), bare + crown * rng.uniform(0.3, 0.75))
        shade = Surface("tree", "leaves", vary(green, rng, 10))
        parts.append(ball(shade, (radius, radius, radius * rng.uniform(0.7, 0.95)), at, rng=rng, rough=0.16))
        parts.append(tube(bark, (0, 0, bare * 0.9), at, girth * 0.3))
    return merge(parts)


def _conifer(rng: np.random.Generator, bark: Surface, green: Color, height: float) -> Mesh:
    leaves = Surface("tree", "leaves", (green[0] * 2 // 3, green[1] * 4 // 5, green[2]))
    parts = [cylinder(bark, 0.05 + 0.018 * height, height * 0.3, (0, 0, -0.2))]
    levels = int(rng.integers(3, 6))
    for level in range(levels):
        share = level / levels
        reach, base = height * 0.22 * (1 - 0.8 * share), height * (0.14 + 0.8 * share)
        parts.append(cylinder(leaves, reach, height * 1.1 / levels, (0, 0, base), top_radius=0.05))
    return merge(parts)


def _bare(rng: np.random.Generator, bark: Surface, height: float) -> Mesh:
    """Return a tree without leaves: boughs that fork twice."""
    girth = 0.04 + 0.018 * height
    parts = [cylinder(bark, girth, height * 0.4, (0, 0, -0.2), top_radius=girth * 0.8)]
    for angle in rng.uniform(0, 2 * math.pi, 7):
        out, low = height * rng.uniform(0.12, 0.22), height * rng.uniform(0.3, 0.4)
        bough = (out * math.cos(angle), out * math.sin(angle), height * rng.uniform(0.55, 0.75))
        parts.append(tube(bark, (0, 0, low), bough, girth * 0.4))
        for spread in rng.normal(0, height * 0.08, (3, 2)):
            tip = (bough[0] + spread[0], bough[1] + spread[1], height * rng.uniform(0.8, 1.0))
            parts.append(tube(bark, bough, tip, girth * 0.2))
    return merge(parts)
