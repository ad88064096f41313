"""People: walking, standing, and on two wheels."""

from __future__ import annotations

import numpy as np

from ..mesh import Color, Mesh, Surface, ball, frustum, merge, tube

_CLOTHES: tuple[Color, ...] = (
    (40, 44, 60),
    (70, 72, 78),
    (170, 40, 45),
    (50, 90, 150),
    (220, 215, 205),
    (60, 100, 70),
    (200, 160, 60),
    (30, 30, 32),
    (140, 90, 120),
    (110, 80, 60),
)
STEPS_PER_S = 0.9
"""How many double steps a walking person makes a second."""

_SKINS: tuple[Color, ...] = ((236, 196, 168), (198, 150, 118), (146, 100, 74), (96, 64, 48))


def person(rng: np.random.Generator, *, stride: float = 0.0) -> Mesh:
    """Return a person 1.1 to 1.95 m tall; `stride` in [-1, 1] is how far one foot is ahead (0: standing)."""
    height = rng.uniform(1.55, 1.95) if rng.random() < 0.88 else rng.uniform(1.05, 1.4)
    unit = height / 1.75
    girth = unit * rng.uniform(0.9, 1.25)
    coat, trousers, skin = _dress(rng)
    swing = 0.32 * stride * unit
    parts = [
        tube(trousers, (side * swing, side * 0.1 * unit, 0.0), (0, side * 0.09 * unit, 0.86 * unit), 0.1 * girth)
        for side in (-1, 1)
    ]
    parts.append(
        frustum(coat, (0.24 * girth, 0.36 * girth), (0.26 * girth, 0.46 * girth), 0.62 * unit, (0, 0, 0.82 * unit))
    )
    for side in (-1, 1):
        shoulder = (0.0, side * 0.25 * girth, 1.4 * unit)
        parts.append(tube(coat, shoulder, (-side * swing * 0.8, side * 0.3 * girth, 0.8 * unit), 0.06 * girth))
    parts.append(ball(skin, (0.11 * unit, 0.1 * unit, 0.14 * unit), (0, 0, 1.6 * unit)))
    if rng.random() < 0.25:
        parts.append(frustum(trousers, (0.2, 0.32), (0.16, 0.28), 0.45, (-0.2 * girth, 0, 0.95 * unit)))
    return merge(parts)


def rider(rng: np.random.Generator, *, seat_height: float) -> Mesh:
    """Return a person who sits on two wheels with the seat `seat_height` above the ground."""
    coat, trousers, skin = _dress(rng)
    hip, neck = (-0.2, 0.0, seat_height), (0.1, 0.0, seat_height + 0.58)
    parts = [tube(coat, hip, neck, 0.2), ball(skin, (0.13, 0.12, 0.15), (0.17, 0.0, seat_height + 0.78))]
    for side in (-1, 1):
        knee = (0.18, side * 0.14, seat_height - 0.18)
        parts.append(tube(trousers, (-0.18, side * 0.1, seat_height), knee, 0.09))
        parts.append(tube(trousers, knee, (0.0, side * 0.13, seat_height - 0.62), 0.07))
        parts.append(tube(coat, (0.06, side * 0.2, seat_height + 0.48), (0.4, side * 0.25, seat_height + 0.12), 0.06))
    return merge(parts)


def _dress(rng: np.random.Generator) -> tuple[Surface, Surface, Surface]:
    coat, trousers = _CLOTHES[int(rng.integers(len(_CLOTHES)))], _CLOTHES[int(rng.integers(len(_CLOTHES)))]
    skin = _SKINS[int(rng.integers(len(_SKINS)))]
    return Surface("person", "cloth", coat), Surface("person", "cloth", trousers), Surface("person", "skin", skin)
