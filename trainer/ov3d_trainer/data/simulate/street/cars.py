"""Cars, taxis, vans and pickup trucks."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..colors import draw_color, tint
from ..kinds import EGO
from ..mesh import Color, Mesh, Surface, box, frustum, merge, wheel
from .model import Model, loft

GLASS: Color = (48, 58, 68)
TYRE: Color = (26, 26, 28)
PAINTS = {
    "white": 0.21, "black": 0.16, "grey": 0.15, "silver": 0.14, "blue": 0.11, "red": 0.1, "green": 0.03, "beige": 0.03,
    "brown": 0.02, "yellow": 0.02, "orange": 0.02, "purple": 0.01,
}  # fmt: skip
"""How often vehicles are of which colour."""


@dataclass(frozen=True, slots=True)
class _Style:
    """Length, width, height, height of the waist line, and where along the length (shares, forward positive) the
    windscreen begins, the roof begins, the roof ends and the rear window ends."""

    length: float
    width: float
    height: float
    waist: float
    screen: float
    roof_front: float
    roof_back: float
    window_end: float
    share: float


_STYLES = (
    _Style(4.70, 1.83, 1.45, 0.92, 0.22, 0.06, -0.20, -0.38, 0.28),  # saloon
    _Style(4.00, 1.75, 1.50, 0.94, 0.26, 0.08, -0.34, -0.47, 0.22),  # hatchback
    _Style(4.70, 1.83, 1.49, 0.94, 0.22, 0.07, -0.38, -0.48, 0.13),  # estate
    _Style(4.65, 1.92, 1.74, 1.08, 0.22, 0.08, -0.36, -0.47, 0.22),  # off-roader
    _Style(3.55, 1.64, 1.50, 0.92, 0.32, 0.12, -0.34, -0.47, 0.07),  # small car
    _Style(4.40, 1.84, 1.30, 0.86, 0.17, 0.00, -0.16, -0.42, 0.04),  # sports car
    _Style(4.60, 1.85, 1.66, 0.96, 0.33, 0.14, -0.40, -0.49, 0.04),  # people carrier
)


def car(rng: np.random.Generator, *, color: str = "") -> Model:
    """Return a car of one of seven styles; of the colour `color` where one is asked for."""
    style = _STYLES[int(rng.choice(len(_STYLES), p=[style.share for style in _STYLES]))]
    word, paint = (color, tint(color, rng)) if color else draw_color(rng, PAINTS)
    return Model(kind="car", mesh=_saloon("car", rng, style, paint), color=word)


def taxi(rng: np.random.Generator) -> Model:
    """Return a saloon or estate with a lit sign on its roof."""
    style = _STYLES[int(rng.choice([0, 2, 6], p=[0.6, 0.25, 0.15]))]
    word, paint = draw_color(rng, {"yellow": 0.7, "white": 0.1, "black": 0.1, "beige": 0.1})
    body = _saloon("taxi", rng, style, paint)
    top = float(body.vertices[:, 2].max())
    sign = Surface("taxi", "plastic", (248, 244, 200) if rng.random() < 0.6 else (250, 214, 60))
    parts = [body, box(sign, (0.22, 0.5, 0.17), (-0.05 * style.length, 0, top - 0.01))]
    if rng.random() < 0.4:
        check = Surface("taxi", "paint", (24, 24, 26))
        for x in np.arange(-0.9, 1.0, 0.3):
            parts.append(box(check, (0.15, style.width * 1.01, 0.1), (float(x), 0, style.waist - 0.28)))
    return Model(kind="taxi", mesh=merge(parts), color=word)


def van(rng: np.random.Generator) -> Model:
    """Return a delivery van, or a small bus of the same shape with windows all round."""
    length, width = rng.uniform(4.8, 6.4), rng.uniform(1.95, 2.1)
    height = rng.uniform(1.95, 2.7)
    word, paint = draw_color(rng, {**PAINTS, "white": 0.5, "yellow": 0.06, "brown": 0.05})
    body, glass = Surface("van", "paint", paint), Surface("van", "glass", GLASS)
    half, front, rear = width / 2, length / 2, -length / 2
    stations = [
        (front, 0.40, 0.75, half * 0.86, half * 0.80),
        (front - 0.12, 0.30, 0.95, half * 0.98, half * 0.92),
        (front - 0.80, 0.28, 1.18, half, half * 0.95),
        (front - 1.75, 0.28, height, half, half * 0.86),
        (rear + 0.10, 0.28, height, half, half * 0.88),
        (rear, 0.35, height - 0.12, half * 0.98, half * 0.86),
    ]
    parts = [loft(body, stations), *lamps("van", length, width, 0.75)]
    slope = (height - 1.18) / 0.95
    screen = [
        (front - 0.86, 1.20, 1.26 + 0.02 * slope, half * 0.88, half * 0.86),
        (front - 1.62, 1.20, 1.26 + 0.76 * slope, half * 0.90, half * 0.82),
    ]
    parts.append(loft(glass, screen))
    parts.append(box(glass, (0.75, width * 0.985, 0.42), (front - 1.95, 0, min(1.2, height - 0.6))))
    if rng.random() < 0.4:
        parts.append(box(glass, (length - 3.4, width * 0.985, 0.45), (-0.75, 0, min(1.2, height - 0.6))))
    parts.append(box(glass, (0.04, width * 0.7, 0.45), (rear - 0.005, 0, min(1.25, height - 0.65))))
    return Model(kind="van", mesh=merge([*parts, *wheels("van", length * 0.31, width * 0.45, 0.35)]), color=word)


def pickup(rng: np.random.Generator) -> Model:
    """Return a pickup truck with one or two rows of seats, its bed empty, loaded or covered."""
    length, width = rng.uniform(5.1, 5.9), rng.uniform(1.85, 2.03)
    waist, height, half = 1.1, rng.uniform(1.75, 1.95), width / 2
    word, paint = draw_color(rng, PAINTS)
    body, glass = Surface("pickup truck", "paint", paint), Surface("pickup truck", "glass", GLASS)
    front, rear, back = length / 2, -length / 2, -length * rng.uniform(0.02, 0.14)
    hood = [
        (front, 0.45, 0.90, half * 0.9, half * 0.86),
        (front - 0.15, 0.35, 1.0, half, half * 0.94),
        (front - 1.3, 0.35, waist, half, half * 0.95),
        (back, 0.35, waist, half, half * 0.95),
    ]
    cabin = [
        (front - 1.35, waist, waist + 0.03, half * 0.93, half * 0.90),
        (front - 1.95, waist, height - 0.02, half * 0.93, half * 0.78),
        (back + 0.12, waist, height - 0.02, half * 0.93, half * 0.80),
        (back, waist, waist + 0.05, half * 0.93, half * 0.90),
    ]
    roof = box(
        body, (front - 1.95 - back - 0.12, width * 0.8, 0.04), ((front - 1.95 + back + 0.12) / 2, 0, height - 0.03)
    )
    bed, middle = back - rear, (back + rear) / 2
    parts = [loft(body, hood), loft(glass, cabin), roof, *lamps("pickup truck", length, width, 0.8)]
    parts.append(box(body, (bed, width * 0.97, 0.3), (middle, 0, 0.45)))
    parts += [box(body, (bed, 0.08, 0.45), (middle, side * (half - 0.06), 0.7)) for side in (-1, 1)]
    parts.append(box(body, (0.07, width * 0.97, 0.45), (rear + 0.035, 0, 0.7)))
    load = rng.random()
    if load < 0.3:
        wood = Surface("pickup truck", "wood", tint("brown", rng))
        parts.append(box(wood, (bed * 0.7, width * 0.7, rng.uniform(0.3, 0.8)), (middle, 0, 0.75)))
    elif load < 0.5:
        cover_ = Surface("pickup truck", "cloth", (42, 42, 46))
        parts.append(box(cover_, (bed, width * 0.96, 0.06), (middle, 0, 1.14)))
    return Model(
        kind="pickup truck",
        mesh=merge([*parts, *wheels("pickup truck", length * 0.31, width * 0.45, 0.39)]),
        color=word,
    )


def ego_vehicle(rng: np.random.Generator) -> Mesh:
    """Return the surface of the ego car (origin: rear axle on the ground) that its own roof lidar sees."""
    body = Surface(EGO, "paint", (230, 230, 230))
    roof, ahead = 1.54 + rng.uniform(-0.06, 0.03), rng.uniform(0.30, 0.55)
    wide, behind = rng.uniform(0.38, 0.60), rng.uniform(0.65, 1.0)
    hull = [
        (3.35, 0.3, 0.75, 0.80, 0.75),
        (2.60, 0.3, 0.95, 0.86, 0.78),
        (0.94 + ahead, 0.9, roof, 0.70, wide),
        (0.94 - behind, 0.9, roof, 0.70, wide),
        (-0.55, 0.3, 1.05, 0.86, 0.72),
        (-0.70, 0.3, 0.80, 0.84, 0.74),
    ]
    return loft(body, hull)


def wheels(kind: str, half_base: float, half_track: float, radius: float) -> list[Mesh]:
    """Return four wheels with hubs."""
    return axle(kind, half_base, half_track, radius) + axle(kind, -half_base, half_track, radius)


def axle(kind: str, x: float, half_track: float, radius: float) -> list[Mesh]:
    """Return two wheels with hubs."""
    tyre, hub = Surface(kind, "rubber", TYRE), Surface(kind, "metal", (150, 152, 155))
    parts = []
    for side in (-1, 1):
        parts.append(wheel(tyre, radius, 0.24, (x, side * half_track, radius)))
        parts.append(wheel(hub, radius * 0.55, 0.26, (x, side * half_track, radius)))
    return parts


def lamps(kind: str, length: float, width: float, height: float) -> list[Mesh]:
    """Return head lamps, tail lamps and a number plate at each end."""
    lamp, tail = Surface(kind, "plastic", (240, 240, 225)), Surface(kind, "reflector", (170, 20, 20))
    plate = Surface(kind, "reflector", (225, 225, 225))
    parts = [box(plate, (0.03, 0.5, 0.12), (side * (length / 2 + 0.005), 0, height - 0.22)) for side in (-1, 1)]
    for side in (-1, 1):
        parts.append(box(lamp, (0.08, 0.32, 0.14), (length / 2 - 0.04, side * width * 0.34, height - 0.1)))
        parts.append(box(tail, (0.06, 0.26, 0.16), (-length / 2 + 0.01, side * width * 0.36, height)))
    return parts


def _saloon(kind: str, rng: np.random.Generator, style: _Style, paint: Color) -> Mesh:
    length, width = style.length * rng.uniform(0.94, 1.05), style.width * rng.uniform(0.97, 1.03)
    height, waist, half = style.height * rng.uniform(0.97, 1.04), style.waist, width / 2
    body, glass = Surface(kind, "paint", paint), Surface(kind, "glass", GLASS)
    front, rear, screen = length / 2, -length / 2, style.screen * length
    tail = waist + (0.02 if style.window_end > -0.45 else -0.02)
    hull = [
        (front, 0.36, 0.60, half * 0.80, half * 0.76),
        (front - 0.12, 0.24, 0.70, half * 0.94, half * 0.88),
        (front - 0.45, 0.20, waist - 0.17, half, half * 0.93),
        (screen + 0.05, 0.18, waist - 0.02, half, half * 0.94),
        (0.0, 0.18, waist + 0.02, half, half * 0.95),
        (rear + 0.45, 0.20, tail, half, half * 0.93),
        (rear + 0.08, 0.28, tail - 0.06, half * 0.95, half * 0.88),
        (rear, 0.38, tail - 0.2, half * 0.86, half * 0.82),
    ]
    begin, end = style.roof_front * length, style.roof_back * length
    cabin = [
        (screen, waist - 0.03, waist, half * 0.90, half * 0.86),
        (begin, waist - 0.03, height - 0.03, half * 0.94, half * 0.74),
        (end, waist - 0.03, height - 0.04, half * 0.94, half * 0.74),
        (style.window_end * length, waist - 0.03, tail, half * 0.88, half * 0.80),
    ]
    roof = [
        (begin + 0.04, height - 0.05, height - 0.02, half * 0.76, half * 0.72),
        ((begin + end) / 2, height - 0.05, height, half * 0.77, half * 0.70),
        (end - 0.04, height - 0.06, height - 0.03, half * 0.76, half * 0.72),
    ]
    parts = [loft(body, hull), loft(glass, cabin), loft(body, roof), *lamps(kind, length, width, 0.72)]
    pillar = ((begin + end) / 2 + 0.1, 0.0, waist - 0.02)
    parts.append(frustum(body, (0.1, width * 0.945), (0.1, width * 0.75), height - waist - 0.02, pillar))
    for side in (-1, 1):
        parts.append(box(body, (0.12, 0.16, 0.13), (screen - 0.35, side * half * 1.06, waist)))
    return merge([*parts, *wheels(kind, length * 0.295, width * 0.44, 0.33 if height < 1.6 else 0.37)])
