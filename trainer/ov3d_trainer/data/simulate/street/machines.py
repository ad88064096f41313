"""Construction machines, and the machines that stand only in worlds with unseen kinds."""

from __future__ import annotations

import math

import numpy as np

from ..colors import draw_color, tint
from ..mesh import Mesh, Surface, box, cylinder, frustum, merge, place, shift, tube, turn, wheel
from .cars import GLASS, TYRE, axle, wheels
from .model import Model, loft

_MACHINE_PAINTS = {"yellow": 0.7, "orange": 0.2, "white": 0.05, "green": 0.05}


def construction_machine(rng: np.random.Generator) -> Model:
    """Return one of the machines of a construction site."""
    return (excavator, wheel_loader, crane)[int(rng.choice(3, p=[0.45, 0.33, 0.22]))](rng)


def excavator(rng: np.random.Generator) -> Model:
    """Return an excavator on tracks or wheels; its arm is bent in front of it."""
    word, color = draw_color(rng, _MACHINE_PAINTS)
    scale = rng.uniform(0.6, 1.15)
    body, dark = Surface("excavator", "paint", color), Surface("excavator", "metal", (50, 50, 52))
    glass, track = Surface("excavator", "glass", GLASS), Surface("excavator", "rubber", (44, 42, 40))
    if rng.random() < 0.7:
        low = [
            loft(
                track,
                [
                    (1.8, 0.3, 0.6, 0.3, 0.3),
                    (1.4, 0, 0.85, 0.3, 0.3),
                    (-1.4, 0, 0.85, 0.3, 0.3),
                    (-1.8, 0.3, 0.6, 0.3, 0.3),
                ],
            )
        ]
        low = [shift(part, (0, side * 1.0, 0)) for part in low for side in (-1, 1)]
    else:
        low = [box(dark, (3.6, 1.6, 0.4), (0, 0, 0.5)), *wheels("excavator", 1.2, 1.05, 0.5)]
    swing = rng.uniform(-0.5, 0.5)
    elbow, wrist = (rng.uniform(2.4, 3.2), rng.uniform(3.0, 4.2)), (rng.uniform(3.6, 4.6), rng.uniform(1.0, 2.4))
    high = [
        box(body, (3.0, 2.3, 0.9), (-0.5, 0, 0.95)),
        box(dark, (0.7, 2.2, 1.2), (-2.3, 0, 0.95)),
        box(body, (1.3, 0.95, 0.5), (0.5, 0.65, 1.85)),
        box(glass, (1.25, 0.9, 0.8), (0.5, 0.65, 2.1)),
        box(body, (1.3, 0.95, 0.1), (0.5, 0.65, 2.9)),
        tube(body, (0.6, -0.3, 1.6), (elbow[0], -0.3, elbow[1]), 0.26),
        tube(body, (elbow[0], -0.3, elbow[1]), (wrist[0], -0.3, wrist[1]), 0.2),
        tube(dark, (1.0, -0.3, 1.4), (elbow[0] * 0.7, -0.3, elbow[1] * 0.72), 0.09),
        frustum(dark, (0.5, 1.0), (0.9, 1.1), 0.8, (wrist[0] - 0.2, -0.3, wrist[1] - 0.8)),
    ]
    mesh = merge([*low, place(merge(high), turn(swing))])
    return Model(kind="excavator", mesh=_scale(mesh, scale), color=word)


def wheel_loader(rng: np.random.Generator) -> Model:
    """Return a wheel loader whose bucket is on the ground or lifted."""
    word, color = draw_color(rng, _MACHINE_PAINTS)
    body, dark = Surface("wheel loader", "paint", color), Surface("wheel loader", "metal", (60, 60, 62))
    glass = Surface("wheel loader", "glass", GLASS)
    lift = rng.uniform(0.15, 1.8)
    reach = 3.1 - 0.2 * lift
    parts = [
        frustum(body, (2.4, 1.7), (2.0, 1.4), 0.9, (-1.5, 0, 0.9)),
        box(dark, (1.8, 1.0, 0.7), (0.6, 0, 0.7)),
        box(body, (1.4, 1.3, 0.5), (-0.2, 0, 1.4)),
        box(glass, (1.3, 1.25, 1.05), (-0.2, 0, 1.9)),
        box(body, (1.5, 1.4, 0.12), (-0.2, 0, 2.95)),
        *wheels("wheel loader", 1.45, 0.98, 0.72),
    ]
    for side in (-1, 1):
        parts.append(tube(body, (0.7, side * 0.6, 1.6), (reach - 0.5, side * 0.6, lift + 0.3), 0.13))
    parts.append(tube(dark, (0.9, 0, 1.7), (reach - 0.4, 0, lift + 0.7), 0.09))
    parts.append(
        loft(Surface("wheel loader", "metal", (92, 84, 66)), [
            (reach + 0.8, lift - 0.1, lift, 1.3, 1.3),
            (reach + 0.1, lift - 0.15, lift + 0.5, 1.3, 1.3),
            (reach - 0.4, lift, lift + 0.95, 1.3, 1.3),
        ])
    )  # fmt: skip
    return Model(kind="wheel loader", mesh=_scale(merge(parts), rng.uniform(0.8, 1.15)), color=word)


def crane(rng: np.random.Generator) -> Model:
    """Return a mobile crane: a long low carrier, a cab and a telescopic boom, stowed or raised."""
    word, color = draw_color(rng, _MACHINE_PAINTS)
    body, dark = Surface("crane", "paint", color), Surface("crane", "metal", (66, 67, 70))
    glass = Surface("crane", "glass", GLASS)
    length = rng.uniform(8.0, 10.5)
    raised = rng.uniform(0.35, 1.0) if rng.random() < 0.5 else 0.03
    boom = rng.uniform(7.0, 9.0) if raised < 0.1 else rng.uniform(9.0, 16.0)
    root = (-length * 0.3, 0.0, 2.5)
    tip = (root[0] + boom * math.cos(raised), 0.0, root[2] + boom * math.sin(raised))
    parts: list[Mesh] = [
        box(body, (length, 2.4, 0.6), (0, 0, 0.8)),
        box(body, (1.7, 1.2, 0.9), (length / 2 - 0.85, 0.55, 1.1)),
        box(glass, (1.6, 1.15, 0.7), (length / 2 - 0.9, 0.55, 1.6)),
        box(body, (2.4, 2.2, 0.9), (-length * 0.25, 0, 1.5)),
        box(glass, (1.2, 0.8, 1.1), (-length * 0.1, -0.8, 1.5)),
        tube(body, root, tip, 0.38),
        box(dark, (1.0, 2.3, 0.9), (-length * 0.42, 0, 1.5)),
    ]
    if raised > 0.1:
        parts.append(tube(dark, tip, (tip[0], 0.0, max(tip[2] - 4.0, 2.0)), 0.05))
        parts += [
            box(dark, (0.4, 0.6, 0.9), (x, side * 1.5, 0)) for x in (-length * 0.35, length * 0.2) for side in (-1, 1)
        ]
    for x in (-length * 0.33, -length * 0.2, length * 0.22, length * 0.36):
        parts += axle("crane", x, 1.05, 0.55)
    return Model(kind="crane", mesh=merge(parts), color=word)


def forklift(rng: np.random.Generator) -> Model:
    """Return a forklift with its mast in front and a guard over the seat."""
    word, color = draw_color(rng, {"yellow": 0.4, "orange": 0.3, "red": 0.2, "green": 0.1})
    body, dark = Surface("forklift", "paint", color), Surface("forklift", "metal", (44, 44, 46))
    parts = [
        frustum(body, (1.7, 1.15), (1.4, 1.05), 0.75, (-0.2, 0, 0.25)),
        box(body, (0.6, 1.1, 0.55), (-0.75, 0, 0.9)),
        box(dark, (0.5, 0.5, 0.5), (-0.25, 0, 0.95)),
        box(dark, (1.2, 1.05, 0.07), (-0.25, 0, 2.1)),
        *wheels("forklift", 0.62, 0.5, 0.3),
    ]
    for x, y in ((-0.8, 0.48), (-0.8, -0.48), (0.35, 0.48), (0.35, -0.48)):
        parts.append(tube(dark, (x, y, 0.9), (x, y, 2.1), 0.04))
    lift = rng.uniform(0.1, 1.2)
    for side in (-1, 1):
        parts.append(box(dark, (0.14, 0.1, 2.3), (0.75, side * 0.4, 0.1)))
        parts.append(box(dark, (1.1, 0.14, 0.06), (1.35, side * 0.3, lift)))
    parts.append(box(dark, (0.08, 1.0, 0.5), (0.85, 0, lift)))
    if rng.random() < 0.5:
        parts.append(box(Surface("forklift", "wood", tint("beige", rng)), (1.0, 1.1, 0.7), (1.4, 0, lift + 0.07)))
    return Model(kind="forklift", mesh=merge(parts), color=word)


def tractor(rng: np.random.Generator) -> Model:
    """Return a farm tractor: big wheels behind, small in front, a narrow bonnet, a glazed cab."""
    word, color = draw_color(rng, {"green": 0.4, "red": 0.3, "blue": 0.2, "orange": 0.1})
    body, glass = Surface("tractor", "paint", color), Surface("tractor", "glass", GLASS)
    tyre, rim = Surface("tractor", "rubber", TYRE), Surface("tractor", "paint", (220, 190, 50))
    parts = [
        frustum(body, (2.0, 0.8), (1.9, 0.65), 0.7, (1.0, 0, 0.85)),
        box(body, (1.6, 1.3, 0.6), (-0.6, 0, 0.8)),
        frustum(glass, (1.4, 1.35), (1.1, 1.2), 1.1, (-0.6, 0, 1.4)),
        box(body, (1.3, 1.35, 0.1), (-0.6, 0, 2.5)),
        cylinder(Surface("tractor", "metal", (50, 50, 50)), 0.06, 0.9, (1.1, 0.2, 1.5)),
    ]
    for side in (-1, 1):
        parts += [wheel(tyre, 0.85, 0.5, (-0.8, side * 0.85, 0.85)), wheel(rim, 0.45, 0.52, (-0.8, side * 0.85, 0.85))]
        parts += [wheel(tyre, 0.5, 0.3, (1.4, side * 0.7, 0.5)), wheel(rim, 0.27, 0.32, (1.4, side * 0.7, 0.5))]
        parts.append(box(body, (1.3, 0.5, 0.08), (-0.8, side * 0.85, 1.72)))
    return Model(kind="tractor", mesh=merge(parts), color=word)


def _scale(mesh: Mesh, scale: float) -> Mesh:
    return place(mesh, np.diag([scale, scale, scale, 1.0]))
