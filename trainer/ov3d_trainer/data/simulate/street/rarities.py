"""Small things that stand only in worlds with unseen kinds; the front is +x, or -y where there is a wall."""

from __future__ import annotations

import math

import numpy as np

from ..colors import draw_color, tint, vary
from ..mesh import (
    Mesh,
    Surface,
    ball,
    box,
    cylinder,
    frustum,
    merge,
    place,
    prism,
    quads,
    ring,
    shift,
    tube,
    turn,
    wheel,
)
from .cars import TYRE
from .model import Model
from .people import person, sitting


def wheelchair(rng: np.random.Generator) -> Model:
    """Return a wheelchair, mostly with someone in it, whose points belong to it as nuScenes has it."""
    kind = "wheelchair"
    frame, tyre = Surface(kind, "metal", tint("grey", rng)), Surface(kind, "rubber", TYRE)
    seat = Surface(kind, "cloth", tint(str(rng.choice(["black", "blue", "red"])), rng))
    parts = [
        box(seat, (0.42, 0.44, 0.06), (0, 0, 0.48)),
        box(seat, (0.05, 0.44, 0.45), (-0.23, 0, 0.52)),
        box(frame, (0.2, 0.4, 0.03), (0.5, 0, 0.12)),
    ]
    for side in (-1, 1):
        y = side * 0.29
        parts += [ring(tyre, 0.3, 0.03, (-0.08, y, 0.33)), wheel(tyre, 0.09, 0.04, (0.38, y * 0.8, 0.09))]
        parts += [
            tube(frame, (-0.23, y, 0.3), (-0.3, y, 0.98), 0.02),
            tube(frame, (0.22, y, 0.7), (-0.23, y, 0.7), 0.02),
        ]
        parts.append(tube(frame, (0.22, y * 0.8, 0.5), (0.5, y * 0.6, 0.12), 0.02))
    if rng.random() < 0.75:
        parts.append(shift(sitting(rng, kind=kind, seat_height=0.52).mesh, (-0.05, 0, 0)))
    return Model(kind=kind, mesh=merge(parts))


def stroller(rng: np.random.Generator) -> Model:
    """Return a baby carriage with its hood, and mostly the person who pushes it (an object of its own)."""
    word, color = draw_color(rng, {"black": 0.3, "blue": 0.2, "red": 0.2, "grey": 0.15, "pink": 0.15})
    cloth, steel = Surface("stroller", "cloth", color), Surface("stroller", "metal", (150, 152, 154))
    tyre = Surface("stroller", "rubber", TYRE)
    parts = [
        frustum(cloth, (0.6, 0.38), (0.8, 0.46), 0.3, (0, 0, 0.5)),
        ball(cloth, (0.3, 0.24, 0.3), (-0.2, 0, 0.82)),
    ]
    for side in (-1, 1):
        y = side * 0.26
        parts += [wheel(tyre, 0.14, 0.05, (x, y, 0.14)) for x in (-0.32, 0.36)]
        parts += [
            tube(steel, (0.36, y, 0.14), (-0.6, y, 1.02), 0.018),
            tube(steel, (-0.32, y, 0.14), (0.2, y, 0.6), 0.018),
        ]
    parts.append(tube(steel, (-0.6, -0.26, 1.02), (-0.6, 0.26, 1.02), 0.02))
    tows: tuple[Model, ...] = ()
    if rng.random() < 0.7:
        parent = person(rng)
        tows = (Model(kind=parent.kind, mesh=shift(parent.mesh, (-1.05, 0, 0)), color=parent.color),)
    return Model(kind="stroller", mesh=merge(parts), color=word, tows=tows)


def shopping_cart(rng: np.random.Generator) -> Model:
    """Return a wire cart on four castors, empty or full."""
    steel = Surface("shopping cart", "metal", tint("silver", rng))
    grip, tyre = Surface("shopping cart", "plastic", tint("red", rng)), Surface("shopping cart", "rubber", TYRE)
    low, high = 0.42, 0.98
    parts: list[Mesh] = [box(steel, (0.7, 0.4, 0.02), (0, 0, low)), box(steel, (0.75, 0.44, 0.02), (0, 0, 0.16))]
    for x in np.linspace(-0.4, 0.42, 8):
        parts += [tube(steel, (0.8 * x, side * 0.2, low), (x, side * 0.28, high), 0.012) for side in (-1, 1)]
    for y in np.linspace(-0.24, 0.24, 5):
        parts += [tube(steel, (end * 0.34, 0.8 * y, low), (end * 0.42, y, high), 0.012) for end in (-1, 1)]
    for z in (0.6, 0.8, high):
        wide = 0.2 + 0.08 * (z - low) / (high - low)
        parts += [tube(steel, (-0.41, side * wide, z), (0.42, side * wide, z), 0.012) for side in (-1, 1)]
        parts += [tube(steel, (end * 0.4, -wide, z), (end * 0.4, wide, z), 0.012) for end in (-1, 1)]
    parts.append(tube(grip, (-0.5, -0.28, 1.04), (-0.5, 0.28, 1.04), 0.025))
    parts += [tube(steel, (-0.5, side * 0.27, 1.04), (-0.36, side * 0.2, 0.12), 0.015) for side in (-1, 1)]
    parts += [wheel(tyre, 0.06, 0.03, (x, y, 0.06)) for x in (-0.34, 0.34) for y in (-0.2, 0.2)]
    if rng.random() < 0.5:
        goods = Surface("shopping cart", "cloth", tint(str(rng.choice(["brown", "white", "green", "yellow"])), rng))
        parts.append(box(goods, (0.5, 0.3, 0.35), (0, 0, low + 0.03)))
    return Model(kind="shopping cart", mesh=merge(parts))


def dog(rng: np.random.Generator) -> Model:
    """Return a dog 0.35 to 0.75 m tall at the shoulder."""
    word, color = draw_color(rng, {"brown": 0.35, "black": 0.25, "white": 0.15, "beige": 0.25})
    size = rng.uniform(0.55, 1.15)
    return Model(kind="dog", mesh=_four_legs("dog", rng, color, size * 0.62, slender=1.0), color=word)


def horse(rng: np.random.Generator) -> Model:
    """Return a horse, at times with a rider (an object of its own)."""
    word, color = draw_color(rng, {"brown": 0.6, "black": 0.15, "white": 0.1, "beige": 0.15})
    mesh = _four_legs("horse", rng, color, rng.uniform(1.4, 1.65), slender=0.85)
    tows: tuple[Model, ...] = ()
    if rng.random() < 0.4:
        up = sitting(rng, seat_height=float(mesh.vertices[:, 2].max()) * 0.7)
        tows = (up,)
    return Model(kind="horse", mesh=mesh, color=word, tows=tows)


def statue(rng: np.random.Generator) -> Model:
    """Return a figure of bronze or stone on a plinth."""
    metal, color = ("metal", (96, 116, 98)) if rng.random() < 0.5 else ("concrete", (176, 172, 164))
    base = Surface("statue", "concrete", vary((158, 154, 148), rng))
    tall = rng.uniform(0.8, 2.0)
    figure = person(rng).mesh
    bronze = Surface("statue", metal, vary(color, rng))
    skin = place(figure, np.diag([1.4, 1.4, 1.4, 1.0]))
    body = Mesh(
        vertices=skin.vertices + np.array([0.0, 0.0, tall]),
        faces=skin.faces,
        kind=np.full_like(skin.kind, box(bronze, (1, 1, 1), (0, 0, 0)).kind[0]),
        material=np.full_like(skin.material, box(bronze, (1, 1, 1), (0, 0, 0)).material[0]),
        color=np.tile(np.array(bronze.color, np.uint8), (len(skin.faces), 1)),
        instance=skin.instance,
    )
    parts = [
        box(base, (1.6, 1.6, 0.25), (0, 0, 0)),
        frustum(base, (1.1, 1.1), (0.95, 0.95), tall - 0.25, (0, 0, 0.25)),
        body,
    ]
    return Model(kind="statue", mesh=merge(parts))


def phone_booth(rng: np.random.Generator) -> Model:
    """Return a booth with glazed sides and a solid roof."""
    word, color = draw_color(rng, {"red": 0.55, "yellow": 0.25, "grey": 0.2})
    frame, glass = Surface("phone booth", "paint", color), Surface("phone booth", "glass", (120, 140, 150))
    parts = [
        box(frame, (0.95, 0.95, 0.12), (0, 0, 0)),
        box(frame, (0.98, 0.98, 0.3), (0, 0, 2.15)),
        box(glass, (0.84, 0.84, 2.0), (0, 0, 0.12)),
    ]
    parts += [box(frame, (0.09, 0.09, 2.1), (x, y, 0.1)) for x in (-0.43, 0.43) for y in (-0.43, 0.43)]
    parts += [box(frame, (0.9, 0.9, 0.05), (0, 0, z)) for z in (0.5, 0.9, 1.3, 1.7)]
    parts.append(frustum(frame, (0.96, 0.96), (0.5, 0.5), 0.15, (0, 0, 2.45)))
    return Model(kind="phone booth", mesh=merge(parts), color=word)


def tent(rng: np.random.Generator) -> Model:
    """Return a ridge tent, or a canopy on four legs."""
    word, color = draw_color(rng, {"white": 0.25, "green": 0.2, "orange": 0.2, "blue": 0.2, "red": 0.15})
    cloth, leg = Surface("tent", "cloth", color), Surface("tent", "metal", (200, 202, 204))
    if rng.random() < 0.5:
        width, height, length = rng.uniform(1.8, 3.0), rng.uniform(1.3, 2.0), rng.uniform(2.2, 3.6)
        return Model(
            kind="tent",
            mesh=prism(cloth, [(-width / 2, 0), (width / 2, 0), (0.0, height)], length, (0, 0, 0)),
            color=word,
        )
    size = rng.uniform(2.5, 3.5)
    parts = [
        frustum(cloth, (size, size), (0.1, 0.1), 0.9, (0, 0, 2.2)),
        *(box(cloth, (size, 0.03, 0.25), (0, side * size / 2, 2.0)) for side in (-1, 1)),
        *(box(cloth, (0.03, size, 0.25), (side * size / 2, 0, 2.0)) for side in (-1, 1)),
    ]
    half = size / 2 - 0.05
    parts += [cylinder(leg, 0.03, 2.2, (x, y, 0)) for x in (-half, half) for y in (-half, half)]
    if rng.random() < 0.5:
        parts.append(quads(cloth, [[[-half, half, 0], [half, half, 0], [half, half, 2.1], [-half, half, 2.1]]]))
    return Model(kind="tent", mesh=merge(parts), color=word)


def _four_legs(
    kind: str, rng: np.random.Generator, color: tuple[int, int, int], shoulder: float, *, slender: float
) -> Mesh:
    """Return an animal whose back is `shoulder` metres up: body, legs, neck, head, ears and tail."""
    coat, dark = Surface(kind, "cloth", color), Surface(kind, "cloth", vary((50, 38, 30), rng))
    unit, girth = shoulder, 0.19 * shoulder * slender
    parts = [ball(coat, (0.52 * unit, girth, 0.22 * unit), (0, 0, 0.78 * unit))]
    for x in (-0.36, 0.36):
        for side in (-1, 1):
            step = rng.uniform(-0.08, 0.08)
            parts.append(
                tube(
                    coat,
                    (x * unit, side * girth * 0.6, 0.75 * unit),
                    ((x + step) * unit, side * girth * 0.6, 0.0),
                    0.06 * unit,
                )
            )
    head = (0.78 * unit, 0.0, (1.18 if kind == "horse" else 1.05) * unit)
    parts.append(tube(coat, (0.4 * unit, 0, 0.85 * unit), (head[0] - 0.08 * unit, 0, head[2]), 0.12 * unit))
    muzzle = (head[0] + 0.26 * unit, 0.0, head[2] - (0.22 if kind == "horse" else 0.05) * unit)
    parts += [ball(coat, (0.15 * unit, 0.1 * unit, 0.12 * unit), head), tube(coat, head, muzzle, 0.08 * unit)]
    parts += [
        tube(
            dark,
            (head[0] - 0.05 * unit, side * 0.06 * unit, head[2] + 0.05 * unit),
            (head[0] - 0.06 * unit, side * 0.08 * unit, head[2] + 0.2 * unit),
            0.03 * unit,
        )
        for side in (-1, 1)
    ]
    lift = -0.45 if kind == "horse" else 0.25
    parts.append(tube(dark, (-0.5 * unit, 0, 0.85 * unit), (-0.72 * unit, 0, (0.85 + lift) * unit), 0.05 * unit))
    if kind == "horse":
        parts.append(
            tube(dark, (0.45 * unit, 0, 1.0 * unit), (head[0] - 0.1 * unit, 0, head[2] + 0.1 * unit), 0.05 * unit)
        )
    return place(merge(parts), turn(0.0 * math.pi))
