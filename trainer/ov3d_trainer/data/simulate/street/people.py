"""People: walking, standing, sitting, at work, and on two wheels."""

from __future__ import annotations

import numpy as np

from ..colors import draw_color, tint, vary
from ..mesh import Color, Mesh, Surface, ball, box, cylinder, frustum, merge, shift, tube
from .model import Model

STEPS_PER_S = 0.9
"""How many double steps a walking person makes a second."""

_COATS = {
    "black": 0.22, "grey": 0.14, "blue": 0.16, "white": 0.11, "red": 0.09, "green": 0.07, "beige": 0.06, "brown": 0.05,
    "yellow": 0.04, "pink": 0.03, "purple": 0.02, "orange": 0.01,
}  # fmt: skip
_TROUSERS = {"black": 0.35, "blue": 0.3, "grey": 0.15, "beige": 0.1, "brown": 0.1}
_VESTS = {"orange": 0.55, "yellow": 0.45}
_SKINS: tuple[Color, ...] = ((236, 196, 168), (198, 150, 118), (146, 100, 74), (96, 64, 48))
_HAIR: tuple[Color, ...] = ((38, 30, 26), (78, 54, 38), (150, 118, 76), (120, 118, 116))


def person(rng: np.random.Generator, *, stride: float = 0.0) -> Model:
    """Return an adult; `stride` in [-1, 1] is how far one foot is ahead (0: standing)."""
    word, coat = draw_color(rng, _COATS)
    return Model(kind="person", mesh=_upright("person", rng, rng.uniform(1.52, 1.95), coat, stride), color=word)


def child(rng: np.random.Generator, *, stride: float = 0.0) -> Model:
    """Return a child 0.9 to 1.4 m tall."""
    word, coat = draw_color(rng, {**_COATS, "black": 0.06, "pink": 0.12, "yellow": 0.12, "red": 0.14})
    return Model(kind="child", mesh=_upright("child", rng, rng.uniform(0.9, 1.4), coat, stride), color=word)


def construction_worker(rng: np.random.Generator) -> Model:
    """Return an adult with a reflecting vest and a helmet, maybe bent forward."""
    word, vest = draw_color(rng, _VESTS)
    kind, height = "construction worker", rng.uniform(1.62, 1.92)
    unit = height / 1.75
    body = _upright(kind, rng, height, vest, 0.0, bare=True)
    stripe, helmet = (
        Surface(kind, "reflector", (222, 224, 214)),
        tint(str(rng.choice(["yellow", "white", "orange"])), rng),
    )
    parts = [body, box(stripe, (0.32 * unit, 0.5 * unit, 0.06), (0, 0, 1.0 * unit))]
    parts.append(box(stripe, (0.33 * unit, 0.5 * unit, 0.06), (0, 0, 1.2 * unit)))
    parts.append(ball(Surface(kind, "plastic", helmet), (0.16, 0.15, 0.1), (0.01, 0, 1.7 * unit)))
    if rng.random() < 0.4:
        tool = Surface(kind, "wood", tint("brown", rng))
        parts.append(tube(tool, (0.35, -0.25, 0.05), (0.2, -0.3, 1.35), 0.03))
    return Model(kind=kind, mesh=merge(parts), color=word)


def sitting(rng: np.random.Generator, *, kind: str = "person", seat_height: float = 0.45) -> Model:
    """Return an adult who sits upright with the feet in front (+x) of the seat."""
    word, coat = draw_color(rng, _COATS)
    cloth, trousers, skin = _surfaces(kind, rng, coat)
    parts = [
        frustum(cloth, (0.26, 0.42), (0.24, 0.46), 0.6, (0, 0, seat_height)),
        ball(skin, (0.11, 0.1, 0.14), (0.02, 0, seat_height + 0.8)),
        *_hair(kind, rng, (0.0, 0.0, seat_height + 0.86), 1.0),
    ]
    for side in (-1, 1):
        knee = (0.45, side * 0.12, seat_height + 0.06)
        parts.append(tube(trousers, (0, side * 0.11, seat_height + 0.06), knee, 0.1))
        parts.append(tube(trousers, knee, (0.48, side * 0.12, max(seat_height - 0.42, 0.0)), 0.08))
        parts.append(tube(cloth, (0, side * 0.26, seat_height + 0.55), (0.3, side * 0.2, seat_height + 0.2), 0.06))
    return Model(kind=kind, mesh=merge(parts), color=word)


def rider(rng: np.random.Generator, kind: str, *, seat_height: float, helmet: bool) -> Model:
    """Return who sits on two wheels: a `cyclist` or a `motorcyclist`."""
    word, coat = draw_color(rng, _COATS)
    cloth, trousers, skin = _surfaces(kind, rng, coat)
    lean = rng.uniform(0.0, 0.14)
    hip, neck = (-0.2, 0.0, seat_height), (0.02 + lean, 0.0, seat_height + 0.58 - 0.4 * lean)
    head = (neck[0] + 0.07, 0.0, neck[2] + 0.2)
    parts = [tube(cloth, hip, neck, rng.uniform(0.17, 0.22)), ball(skin, (0.12, 0.11, 0.14), head)]
    if helmet:
        shell = Surface(kind, "plastic", draw_color(rng, _COATS)[1])
        parts.append(ball(shell, (0.16, 0.15, 0.13), (head[0] - 0.02, 0.0, head[2] + 0.06)))
    else:
        parts += _hair(kind, rng, (head[0] - 0.02, 0.0, head[2] + 0.06), 1.0)
    for side in (-1, 1):
        knee = (0.18, side * 0.14, seat_height - 0.18)
        parts.append(tube(trousers, (-0.18, side * 0.1, seat_height), knee, 0.09))
        parts.append(tube(trousers, knee, (0.0, side * 0.13, seat_height - 0.62), 0.07))
        shoulder = (neck[0] - 0.03, side * 0.2, neck[2] - 0.08)
        parts.append(tube(cloth, shoulder, (0.4, side * 0.25, seat_height + 0.12), 0.06))
    if rng.random() < 0.25:
        bag = Surface(kind, "cloth", draw_color(rng, _COATS)[1])
        parts.append(box(bag, (0.2, 0.32, 0.42), (-0.28, 0, seat_height + 0.12)))
    return Model(kind=kind, mesh=merge(parts), color=word)


def _upright(
    kind: str, rng: np.random.Generator, height: float, coat: Color, stride: float, *, bare: bool = False
) -> Mesh:
    """Return who stands or walks; with `bare` without bag, hat and hair."""
    unit = height / 1.75
    girth = unit * rng.uniform(0.88, 1.25)
    cloth, trousers, skin = _surfaces(kind, rng, coat)
    swing = 0.32 * stride * unit
    hem = 0.82 - (0.28 if not bare and rng.random() < 0.22 else 0.0)  # a long coat or a skirt
    parts = []
    for side in (-1, 1):
        foot = (side * swing, side * 0.1 * unit, 0.0)
        knee = (0.55 * side * swing + 0.06 * abs(stride) * unit, side * 0.1 * unit, 0.46 * unit)
        parts.append(tube(trousers, foot, knee, 0.075 * girth))
        parts.append(tube(trousers, knee, (0, side * 0.09 * unit, 0.86 * unit), 0.1 * girth))
        shoe = Surface(kind, "rubber", (40, 36, 34))
        parts.append(box(shoe, (0.24 * unit, 0.09 * unit, 0.08), (foot[0] + 0.05, foot[1], 0.0)))
        shoulder = (0.0, side * 0.25 * girth, 1.4 * unit)
        elbow = (-0.4 * side * swing, side * 0.31 * girth, 1.1 * unit)
        parts.append(tube(cloth, shoulder, elbow, 0.06 * girth))
        parts.append(tube(cloth, elbow, (0.08 - 0.8 * side * swing, side * 0.3 * girth, 0.84 * unit), 0.05 * girth))
    hips, chest = (0.25 * girth, 0.36 * girth), (0.25 * girth, 0.46 * girth)
    parts.append(frustum(cloth, hips, chest, (1.44 - hem) * unit, (0, 0, hem * unit)))
    parts.append(ball(skin, (0.11 * unit, 0.1 * unit, 0.14 * unit), (0.02, 0, 1.6 * unit)))
    if bare:
        return merge(parts)
    parts += _hair(kind, rng, (0.0, 0.0, 1.65 * unit), unit)
    luggage = rng.random()
    bag = Surface(kind, "cloth", draw_color(rng, _COATS)[1])
    if luggage < 0.2:
        parts.append(frustum(bag, (0.2, 0.32), (0.16, 0.28), 0.45 * unit, (-0.2 * girth, 0, 0.95 * unit)))
    elif luggage < 0.32:
        parts.append(shift(box(bag, (0.32, 0.12, 0.3), (0, 0, 0)), (0, 0.34 * girth, 0.5 * unit)))
    return merge(parts)


def _surfaces(kind: str, rng: np.random.Generator, coat: Color) -> tuple[Surface, Surface, Surface]:
    """Return what coat, trousers and skin are made of."""
    trousers = draw_color(rng, _TROUSERS)[1]
    skin = vary(_SKINS[int(rng.integers(len(_SKINS)))], rng, 6)
    return Surface(kind, "cloth", coat), Surface(kind, "cloth", trousers), Surface(kind, "skin", skin)


def _hair(kind: str, rng: np.random.Generator, at: tuple[float, float, float], unit: float) -> list[Mesh]:
    """Return hair, long hair or a hat."""
    style = rng.random()
    if style < 0.15:
        hat = Surface(kind, "cloth", draw_color(rng, _COATS)[1])
        brim = cylinder(hat, 0.17 * unit, 0.02, (at[0], at[1], at[2]))
        return [brim, cylinder(hat, 0.11 * unit, 0.13 * unit, (at[0], at[1], at[2]))]
    hair = Surface(kind, "cloth", vary(_HAIR[int(rng.integers(len(_HAIR)))], rng, 8))
    parts = [ball(hair, (0.11 * unit, 0.11 * unit, 0.1 * unit), (at[0] - 0.02, at[1], at[2]))]
    if style > 0.65:
        parts.append(box(hair, (0.07, 0.2 * unit, 0.28 * unit), (at[0] - 0.1 * unit, at[1], at[2] - 0.26 * unit)))
    return parts
