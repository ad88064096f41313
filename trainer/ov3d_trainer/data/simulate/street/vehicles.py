"""Cars, trucks, buses, motorcycles and bicycles from a few primitives, different every time."""

from __future__ import annotations

import numpy as np

from ..kinds import EGO
from ..mesh import Color, Mesh, Surface, box, frustum, merge, ring, tube, wheel
from .people import rider

_PAINTS: tuple[Color, ...] = (
    (235, 235, 232),
    (200, 203, 207),
    (150, 153, 158),
    (90, 93, 98),
    (32, 34, 38),
    (165, 28, 30),
    (36, 62, 120),
    (70, 110, 160),
    (44, 86, 62),
    (190, 170, 130),
    (214, 170, 40),
)
_PAINT_SHARES = np.array([0.2, 0.14, 0.13, 0.1, 0.14, 0.08, 0.07, 0.05, 0.03, 0.04, 0.02])
_GLASS: Color = (48, 58, 68)
_TYRE: Color = (26, 26, 28)


def paint(rng: np.random.Generator) -> Color:
    """Return a colour as cars have them: mostly white, grey and black."""
    return _PAINTS[int(rng.choice(len(_PAINTS), p=_PAINT_SHARES))]


def car(rng: np.random.Generator) -> Mesh:
    """Return a saloon, estate, off-roader, van or pick-up."""
    style = str(rng.choice(["saloon", "hatchback", "suv", "van", "pickup"], p=[0.34, 0.26, 0.24, 0.1, 0.06]))
    length, width, waist, height, cabin_share, cabin_at = {
        "saloon": (4.6, 1.82, 0.92, 1.45, 0.55, -0.25),
        "hatchback": (4.0, 1.75, 0.95, 1.5, 0.62, -0.35),
        "suv": (4.6, 1.92, 1.08, 1.75, 0.66, -0.35),
        "van": (5.1, 1.98, 1.12, 2.05, 0.80, -0.4),
        "pickup": (5.4, 1.95, 1.08, 1.8, 0.36, 0.25),
    }[style]
    length, width, height = (
        length * rng.uniform(0.93, 1.06),
        width * rng.uniform(0.96, 1.04),
        height * rng.uniform(0.96, 1.05),
    )
    body = Surface("car", "paint", paint(rng))
    glass = Surface("car", "glass", _GLASS)
    cabin = length * cabin_share
    tyre = 0.33 if style in ("saloon", "hatchback") else 0.38
    parts = [
        frustum(body, (length * 0.97, width), (length, width), 0.42, (0, 0, 0.22)),
        frustum(body, (length, width), (length * 0.94, width * 0.95), waist - 0.64, (0, 0, 0.64)),
        frustum(
            glass,
            (cabin, width * 0.93),
            (cabin * (0.72 if style != "van" else 0.9), width * 0.78),
            height - waist - 0.02,
            (cabin_at, 0, waist),
            lean=-0.08 if style != "van" else -0.2,
            top_surface=body,
        ),
    ]
    lamp, tail = Surface("car", "plastic", (240, 240, 225)), Surface("car", "reflector", (170, 20, 20))
    for side in (-1, 1):
        parts.append(box(lamp, (0.06, 0.35, 0.16), (length / 2 - 0.01, side * width * 0.35, 0.6)))
        parts.append(box(tail, (0.06, 0.28, 0.16), (-length / 2 + 0.01, side * width * 0.37, 0.68)))
        parts.append(box(body, (0.12, 0.16, 0.14), (cabin_at + cabin * 0.4, side * width * 0.53, waist)))
    parts.append(box(Surface("car", "reflector", (225, 225, 225)), (0.03, 0.5, 0.12), (-length / 2 - 0.01, 0, 0.5)))
    return merge([*parts, *_wheels("car", length * 0.3, width * 0.46, tyre)])


def truck(rng: np.random.Generator) -> Mesh:
    """Return a cab with a box body, a tank-like flat load or an open bed."""
    length, width, height = rng.uniform(6.0, 9.5), rng.uniform(2.3, 2.5), rng.uniform(2.9, 3.7)
    cab = Surface("truck", "paint", paint(rng))
    load_color = ((225, 225, 220), (180, 60, 40), (60, 90, 140), (120, 125, 120))[int(rng.integers(4))]
    load = Surface("truck", "paint", load_color)
    dark = Surface("truck", "metal", (52, 53, 56))
    glass = Surface("truck", "glass", _GLASS)
    front = length / 2
    cab_height = min(height, rng.uniform(2.4, 2.9))
    parts = [
        box(dark, (length * 0.96, width * 0.45, 0.35), (0, 0, 0.6)),
        box(cab, (1.9, width * 0.97, cab_height * 0.55 - 0.45), (front - 0.95, 0, 0.45)),
        frustum(
            glass,
            (1.9, width * 0.97),
            (1.6, width * 0.9),
            cab_height * 0.32,
            (front - 0.95, 0, cab_height * 0.55),
            lean=-0.1,
            top_surface=cab,
        ),
        box(cab, (1.6, width * 0.9, cab_height * 0.13), (front - 1.05, 0, cab_height * 0.87)),
    ]
    bed, middle = length - 2.15, -1.075
    if rng.random() < 0.7:
        parts.append(box(load, (bed, width, height - 1.0), (middle, 0, 1.0)))
    else:
        parts.append(box(load, (bed, width, 0.15), (middle, 0, 1.0)))
        parts += [box(load, (bed, 0.08, 0.6), (middle, side * (width / 2 - 0.04), 1.15)) for side in (-1, 1)]
        parts.append(box(load, (0.08, width, 0.9), (middle + bed / 2, 0, 1.15)))
        parts.append(
            box(
                Surface("truck", "wood", (150, 120, 80)),
                (bed * 0.7, width * 0.8, rng.uniform(0.3, 1.0)),
                (middle, 0, 1.15),
            )
        )
    tail = Surface("truck", "reflector", (180, 20, 20))
    parts += [box(tail, (0.05, 0.3, 0.15), (-length / 2 - 0.01, side * width * 0.4, 0.75)) for side in (-1, 1)]
    return merge([*parts, *_wheels("truck", length * 0.32, width * 0.44, 0.48)])


def bus(rng: np.random.Generator) -> Mesh:
    """Return a city bus with a band of windows."""
    length, width, height = rng.uniform(9.5, 12.5), 2.5, rng.uniform(2.9, 3.2)
    color = ((190, 40, 35), (230, 225, 215), (40, 90, 150), (235, 170, 40), (60, 130, 80))[int(rng.integers(5))]
    body, glass = Surface("bus", "paint", color), Surface("bus", "glass", (40, 50, 60))
    parts = [
        box(body, (length, width, 0.95), (0, 0, 0.3)),
        box(glass, (length * 0.985, width * 0.985, 1.15), (0, 0, 1.25)),
        box(body, (length, width, height - 2.4), (0, 0, 2.4)),
    ]
    for x in np.arange(-length / 2 + 0.1, length / 2, 1.6):
        parts.append(box(body, (0.18, width, 1.15), (float(x), 0, 1.25)))
    return merge([*parts, *_wheels("bus", length * 0.3, width * 0.46, 0.48)])


def bicycle(rng: np.random.Generator, *, ridden: bool = False) -> Mesh:
    """Return a bicycle, with a person on it where `ridden`."""
    frame = Surface("bicycle", "metal", paint(rng))
    tyre = Surface("bicycle", "rubber", _TYRE)
    parts = [ring(tyre, 0.33, 0.035, (x, 0, 0.36)) for x in (-0.52, 0.52)]
    joints = ((-0.52, 0.36), (-0.05, 0.32), (-0.18, 0.85), (0.40, 0.9), (0.52, 0.36))
    for first, last in ((0, 1), (0, 2), (1, 2), (1, 3), (2, 3), (3, 4)):
        (x0, z0), (x1, z1) = joints[first], joints[last]
        parts.append(tube(frame, (x0, 0, z0), (x1, 0, z1), 0.03))
    parts.append(box(tyre, (0.26, 0.14, 0.06), (-0.2, 0, 0.92)))
    parts.append(tube(frame, (0.38, -0.28, 1.02), (0.38, 0.28, 1.02), 0.025))
    if ridden:
        parts.append(rider(rng, seat_height=0.95))
    return merge(parts)


def motorcycle(rng: np.random.Generator, *, ridden: bool = False) -> Mesh:
    """Return a motorcycle or scooter, with a person on it where `ridden`."""
    body = Surface("motorcycle", "paint", paint(rng))
    dark = Surface("motorcycle", "metal", (50, 50, 54))
    tyre = Surface("motorcycle", "rubber", _TYRE)
    parts = [wheel(tyre, 0.31, 0.14, (x, 0, 0.31)) for x in (-0.68, 0.68)]
    parts.append(box(dark, (0.6, 0.34, 0.36), (0.0, 0, 0.3)))
    parts.append(frustum(body, (0.65, 0.34), (0.4, 0.26), 0.26, (0.14, 0, 0.66)))
    parts.append(box(tyre, (0.75, 0.28, 0.1), (-0.38, 0, 0.72)))
    parts.append(tube(dark, (0.68, 0, 0.31), (0.42, 0, 1.02), 0.06))
    parts.append(tube(dark, (0.42, -0.36, 1.02), (0.42, 0.36, 1.02), 0.03))
    parts.append(box(body, (0.25, 0.3, 0.3), (0.58, 0, 0.78)))
    if ridden:
        parts.append(rider(rng, seat_height=0.82))
    return merge(parts)


def ego_vehicle() -> Mesh:
    """Return the surface of the ego car (origin: rear axle on the ground) that its own roof lidar sees."""
    body = Surface(EGO, "paint", (230, 230, 230))
    return merge(
        [
            box(body, (4.08, 1.73, 0.75), (1.38, 0, 0.25)),
            frustum(body, (2.9, 1.7), (2.0, 1.3), 0.52, (0.85, 0, 1.0), lean=0.0),
        ]
    )


def _wheels(kind: str, half_base: float, half_track: float, radius: float) -> list[Mesh]:
    tyre, hub = Surface(kind, "rubber", _TYRE), Surface(kind, "metal", (150, 152, 155))
    parts = []
    for x in (-half_base, half_base):
        for side in (-1, 1):
            parts.append(wheel(tyre, radius, 0.24, (x, side * half_track, radius)))
            parts.append(wheel(hub, radius * 0.55, 0.26, (x, side * half_track, radius)))
    return parts
