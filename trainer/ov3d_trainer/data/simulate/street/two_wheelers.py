"""Bicycles, motorcycles and scooters, with and without riders."""

from __future__ import annotations

import numpy as np

from ..colors import draw_color
from ..mesh import Surface, box, frustum, merge, ring, tube, wheel
from .cars import PAINTS, TYRE
from .model import Model
from .people import rider


def bicycle(rng: np.random.Generator, *, ridden: bool = False) -> Model:
    """Return a bicycle, with a cyclist on it where `ridden`."""
    word, color = draw_color(rng, PAINTS)
    frame, tyre = Surface("bicycle", "metal", color), Surface("bicycle", "rubber", TYRE)
    radius = rng.uniform(0.28, 0.36)
    parts = [ring(tyre, radius, 0.035, (x, 0, radius + 0.03)) for x in (-0.52, 0.52)]
    joints = ((-0.52, radius + 0.03), (-0.05, 0.32), (-0.18, 0.85), (0.40, 0.9), (0.52, radius + 0.03))
    bars = [(0, 1), (0, 2), (1, 2), (1, 3), (3, 4)]
    if rng.random() < 0.65:
        bars.append((2, 3))
    for first, last in bars:
        (x0, z0), (x1, z1) = joints[first], joints[last]
        parts.append(tube(frame, (x0, 0, z0), (x1, 0, z1), 0.03))
    parts.append(box(tyre, (0.26, 0.14, 0.06), (-0.2, 0, 0.92)))
    parts.append(tube(frame, (0.38, -0.28, 1.02), (0.38, 0.28, 1.02), 0.025))
    parts.append(box(Surface("bicycle", "reflector", (190, 20, 20)), (0.03, 0.07, 0.07), (-0.62, 0, 0.66)))
    if rng.random() < 0.35:
        basket = Surface("bicycle", "metal", (120, 112, 98))
        parts.append(frustum(basket, (0.28, 0.3), (0.34, 0.38), 0.24, (0.62, 0, 0.78)))
    if rng.random() < 0.3:
        parts.append(box(frame, (0.4, 0.14, 0.03), (-0.55, 0, 0.76)))
    carried = (rider(rng, "cyclist", seat_height=0.95, helmet=bool(rng.random() < 0.45)),) if ridden else ()
    return Model(kind="bicycle", mesh=merge(parts), color=word, carries=carried)


def motorcycle(rng: np.random.Generator, *, ridden: bool = False) -> Model:
    """Return a motorcycle, with a motorcyclist on it where `ridden`."""
    word, color = draw_color(rng, {**PAINTS, "red": 0.2, "black": 0.3})
    kind = "motorcycle"
    body, dark = Surface(kind, "paint", color), Surface(kind, "metal", (50, 50, 54))
    tyre = Surface(kind, "rubber", TYRE)
    parts = [wheel(tyre, 0.32, 0.15, (x, 0, 0.32)) for x in (-0.70, 0.70)]
    parts += [wheel(dark, 0.17, 0.16, (x, 0, 0.32)) for x in (-0.70, 0.70)]
    parts.append(box(dark, (0.6, 0.34, 0.4), (0.0, 0, 0.28)))
    parts.append(frustum(body, (0.65, 0.34), (0.4, 0.26), 0.28, (0.14, 0, 0.66)))
    parts.append(box(tyre, (0.75, 0.28, 0.1), (-0.38, 0, 0.72)))
    parts.append(tube(dark, (0.70, 0, 0.31), (0.42, 0, 1.02), 0.06))
    parts.append(tube(dark, (0.42, -0.38, 1.04), (0.42, 0.38, 1.04), 0.03))
    parts.append(box(Surface(kind, "plastic", (235, 235, 220)), (0.14, 0.18, 0.18), (0.62, 0, 0.78)))
    parts.append(tube(dark, (-0.1, -0.22, 0.3), (-0.85, -0.22, 0.38), 0.06))
    if rng.random() < 0.4:
        parts.append(frustum(body, (0.4, 0.36), (0.1, 0.3), 0.45, (0.55, 0, 0.75)))
    if rng.random() < 0.3:
        parts += [box(dark, (0.4, 0.2, 0.3), (-0.6, side * 0.26, 0.5)) for side in (-1, 1)]
    carried = (rider(rng, "motorcyclist", seat_height=0.82, helmet=True),) if ridden else ()
    return Model(kind=kind, mesh=merge(parts), color=word, carries=carried)


def scooter(rng: np.random.Generator, *, ridden: bool = False) -> Model:
    """Return a motor scooter: small wheels, a foot board behind a leg shield, a round tail."""
    word, color = draw_color(rng, {**PAINTS, "red": 0.16, "yellow": 0.06, "green": 0.06})
    kind = "scooter"
    body, dark = Surface(kind, "paint", color), Surface(kind, "metal", (60, 60, 64))
    tyre = Surface(kind, "rubber", TYRE)
    parts = [wheel(tyre, 0.23, 0.12, (x, 0, 0.23)) for x in (-0.58, 0.62)]
    parts.append(box(body, (0.62, 0.36, 0.1), (0.12, 0, 0.28)))
    parts.append(frustum(body, (0.12, 0.44), (0.1, 0.36), 0.62, (0.45, 0, 0.32), lean=-0.08))
    parts.append(frustum(body, (0.85, 0.40), (0.65, 0.30), 0.42, (-0.45, 0, 0.32)))
    parts.append(box(tyre, (0.7, 0.28, 0.08), (-0.36, 0, 0.74)))
    parts.append(tube(dark, (0.62, 0, 0.23), (0.40, 0, 1.0), 0.05))
    parts.append(tube(dark, (0.38, -0.34, 1.0), (0.38, 0.34, 1.0), 0.03))
    if rng.random() < 0.35:
        parts.append(box(dark, (0.36, 0.38, 0.34), (-0.78, 0, 0.82)))
    carried = (rider(rng, "motorcyclist", seat_height=0.8, helmet=True),) if ridden else ()
    return Model(kind=kind, mesh=merge(parts), color=word, carries=carried)
