"""What stands on a pole, and poles with nothing on them. Lamps reach along +y; signs and signals face -x."""

from __future__ import annotations

import math

import numpy as np

from ..colors import tint, vary
from ..mesh import Color, Mesh, Surface, ball, box, cylinder, merge, quads, tube
from .model import Model

_GALVANISED: Color = (140, 144, 148)


def street_light(rng: np.random.Generator) -> Model:
    """Return a lamp post with one arm, two arms or a globe on top."""
    post = Surface("street light", "metal", vary(_GALVANISED if rng.random() < 0.6 else (58, 62, 60), rng))
    lamp = Surface("street light", "plastic", (236, 234, 214))
    style = rng.random()
    if style < 0.25:
        height = rng.uniform(3.2, 4.5)
        parts = [cylinder(post, 0.09, height, (0, 0, -0.1), top_radius=0.05), cylinder(post, 0.15, 0.5, (0, 0, 0))]
        parts.append(ball(lamp, (0.24, 0.24, 0.26), (0, 0, height + 0.1)))
        return Model(kind="street light", mesh=merge(parts))
    height, arm = rng.uniform(5.0, 9.5), rng.uniform(0.6, 2.2)
    parts = [cylinder(post, rng.uniform(0.08, 0.13), height, (0, 0, -0.1), top_radius=0.06)]
    for side in (1,) if style < 0.85 else (-1, 1):
        parts.append(tube(post, (0, 0, height - 0.3), (0, side * arm, height), 0.045))
        parts.append(box(post, (0.24, 0.6, 0.1), (0, side * arm, height - 0.04)))
        parts.append(box(lamp, (0.2, 0.5, 0.04), (0, side * arm, height - 0.08)))
    return Model(kind="street light", mesh=merge(parts))


def pole(rng: np.random.Generator) -> Model:
    """Return a bare pole: telegraph pole, mast, or a thin post with nothing on it."""
    style = rng.random()
    if style < 0.4:
        wood = Surface("pole", "wood", vary((104, 84, 62), rng))
        height = rng.uniform(6.5, 10.0)
        parts = [
            cylinder(wood, 0.14, height, (0, 0, -0.1), top_radius=0.1),
            box(wood, (0.1, 1.6, 0.12), (0, 0, height - 0.8)),
        ]
        if rng.random() < 0.4:
            parts.append(cylinder(Surface("pole", "metal", (120, 122, 124)), 0.25, 0.8, (0.3, 0, height - 2.2)))
        return Model(kind="pole", mesh=merge(parts))
    metal = Surface("pole", "metal", vary(_GALVANISED, rng))
    if style < 0.7:
        return Model(kind="pole", mesh=cylinder(metal, rng.uniform(0.08, 0.18), rng.uniform(5.0, 10.0), (0, 0, -0.1)))
    return Model(kind="pole", mesh=cylinder(metal, rng.uniform(0.03, 0.07), rng.uniform(1.6, 4.5), (0, 0, 0)))


def bollard(rng: np.random.Generator) -> Model:
    """Return a short post of metal or stone."""
    radius, height = rng.uniform(0.05, 0.13), rng.uniform(0.65, 1.1)
    if rng.random() < 0.3:
        stone = Surface("bollard", "concrete", vary((168, 164, 156), rng))
        return Model(kind="bollard", mesh=cylinder(stone, radius * 1.6, height, (0, 0, 0), top_radius=radius * 1.3))
    word = str(rng.choice(["black", "grey", "yellow"], p=[0.5, 0.35, 0.15]))
    metal = Surface("bollard", "metal", tint(word, rng))
    band = Surface("bollard", "reflector", (230, 230, 226))
    parts = [cylinder(metal, radius, height, (0, 0, 0)), cylinder(band, radius * 1.03, 0.08, (0, 0, height * 0.8))]
    return Model(kind="bollard", mesh=merge(parts), color=word)


def traffic_sign(rng: np.random.Generator) -> Model:
    """Return one or two retro-reflecting plates on a post; they face -x, towards traffic that drives along +x."""
    height = rng.uniform(2.2, 3.2)
    parts = [cylinder(Surface("traffic sign", "metal", _GALVANISED), 0.04, height + 0.35, (0, 0, 0))]
    if rng.random() < 0.15:
        return Model(kind="traffic sign", mesh=_guide_sign(rng))
    for level in range(1 + int(rng.random() < 0.3)):
        style = int(rng.integers(6))
        sides, color, size = (
            (8, (180, 24, 28), 0.42),
            (24, (28, 70, 160), 0.36),
            (4, (230, 190, 40), 0.48),
            (3, (205, 40, 40), 0.46),
            (24, (228, 228, 228), 0.36),
            (24, (200, 36, 36), 0.36),
        )[style]
        middle = height - 0.75 * level
        parts.append(_plate(Surface("traffic sign", "reflector", color), sides, size, (-0.06, 0, middle)))
        white = Surface("traffic sign", "reflector", (235, 235, 235))
        parts.append(_plate(white, sides, size * 0.72, (-0.075, 0, middle)))
        parts.append(_plate(Surface("traffic sign", "metal", (150, 150, 150)), sides, size, (-0.045, 0, middle)))
    return Model(kind="traffic sign", mesh=merge(parts))


def traffic_light(rng: np.random.Generator) -> Model:
    """Return a signal on a post, or two of them with one on an arm over the road (+y)."""
    dark = Surface("traffic light", "metal", (34, 36, 36) if rng.random() < 0.7 else (196, 160, 40))
    post = Surface("traffic light", "metal", vary(_GALVANISED if rng.random() < 0.5 else (52, 56, 54), rng))
    height = rng.uniform(2.6, 3.4)
    lit = int(rng.integers(3))
    parts = [cylinder(post, 0.07, height, (0, 0, 0)), *_signal(dark, lit, (-0.16, 0.0, height - 0.9))]
    if rng.random() < 0.55:
        reach, top = rng.uniform(2.5, 5.0), rng.uniform(5.0, 6.0)
        parts.append(cylinder(post, 0.11, top, (0, 0, 0), top_radius=0.08))
        parts.append(tube(post, (0, 0, top - 0.1), (0, reach, top), 0.06))
        parts += _signal(dark, lit, (0.0, reach, top - 1.0))
    return Model(kind="traffic light", mesh=merge(parts))


def _guide_sign(rng: np.random.Generator) -> Mesh:
    """Return a wide board on two posts that shows the way."""
    color = ((26, 92, 60), (30, 70, 160), (226, 226, 222))[int(rng.integers(3))]
    width, height, low = rng.uniform(1.2, 2.6), rng.uniform(0.6, 1.3), rng.uniform(1.6, 2.4)
    post, face = Surface("traffic sign", "metal", _GALVANISED), Surface("traffic sign", "reflector", color)
    text = Surface("traffic sign", "reflector", (238, 238, 236) if color[0] < 200 else (30, 60, 140))
    parts = [box(face, (0.05, width, height), (0, 0, low))]
    for row in range(2):
        parts.append(
            box(text, (0.02, width * rng.uniform(0.4, 0.8), 0.14), (-0.03, 0, low + height * (0.25 + 0.4 * row)))
        )
    parts += [cylinder(post, 0.05, low + height, (0.06, side * width * 0.35, 0)) for side in (-1, 1)]
    return merge(parts)


def _signal(housing: Surface, lit: int, at: tuple[float, float, float]) -> list[Mesh]:
    lamps = ((60, 220, 110), (250, 190, 60), (250, 60, 50))
    parts = [box(housing, (0.2, 0.34, 0.95), at)]
    for level, color in enumerate(lamps):
        shown = color if level == lit else tuple(value // 5 for value in color)
        surface = Surface("traffic light", "plastic", (shown[0], shown[1], shown[2]))
        parts.append(_plate(surface, 12, 0.11, (at[0] - 0.11, at[1], at[2] + 0.17 + 0.3 * level)))
        parts.append(box(housing, (0.16, 0.26, 0.02), (at[0] - 0.16, at[1], at[2] + 0.29 + 0.3 * level)))
    return parts


def _plate(surface: Surface, sides: int, radius: float, at: tuple[float, float, float]) -> Mesh:
    start = math.pi / 2 if sides % 2 else (math.pi / sides if sides == 8 else math.pi / 4 * (sides == 4))
    angle = start + np.arange(sides) * 2 * math.pi / sides
    rim = np.stack([np.full(sides, at[0]), at[1] + radius * np.cos(angle), at[2] + radius * np.sin(angle)], axis=1)
    middle = np.tile(np.asarray(at, dtype=float), (sides, 1))
    half = (rim + np.roll(rim, -1, axis=0)) / 2
    return quads(surface, np.stack([middle, rim, half, np.roll(rim, -1, axis=0)], axis=1))
