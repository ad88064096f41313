"""Trucks with and without trailers, buses, and what else is long: trams and ambulances."""

from __future__ import annotations

import numpy as np

from ..colors import draw_color, tint
from ..mesh import Mesh, Surface, box, cylinder, frustum, merge, prism, shift, wheel
from .cars import GLASS, PAINTS, TYRE, axle, lamps, wheels
from .model import Model, loft

_BUS_PAINTS = {"red": 0.24, "white": 0.22, "blue": 0.18, "yellow": 0.12, "green": 0.12, "orange": 0.06, "silver": 0.06}
_LOADS = {"white": 0.4, "red": 0.12, "blue": 0.15, "green": 0.08, "grey": 0.1, "orange": 0.06, "yellow": 0.05}


def truck(rng: np.random.Generator) -> Model:
    """Return a truck with a box, tarpaulin, flat bed, tipper, tank or refuse body."""
    length, width, height = rng.uniform(6.0, 10.0), rng.uniform(2.2, 2.55), rng.uniform(2.7, 3.8)
    word, paint = draw_color(rng, PAINTS)
    cab_length = rng.uniform(1.7, 2.2)
    parts = [*_cab(rng, paint, length / 2, cab_length, width)]
    dark = Surface("truck", "metal", (52, 53, 56))
    parts.append(box(dark, (length * 0.96, width * 0.45, 0.35), (0, 0, 0.6)))
    bed, middle = length - cab_length - 0.2, -(cab_length + 0.2) / 2
    parts += _load(rng, bed, middle, width, height)
    return Model(
        kind="truck",
        mesh=merge([*parts, *lamps("truck", length, width, 0.8), *wheels("truck", length * 0.32, width * 0.43, 0.48)]),
        color=word,
    )


def semi_truck(rng: np.random.Generator) -> Model:
    """Return a tractor unit that tows a long trailer."""
    width, cab_length = 2.5, rng.uniform(2.0, 2.4)
    word, paint = draw_color(rng, PAINTS)
    trailer_length = float(rng.uniform(8.0, 12.5))
    front = trailer_length / 2 + cab_length + 0.3
    dark = Surface("truck", "metal", (48, 49, 52))
    chassis = box(dark, (5.6, width * 0.4, 0.3), (front - 2.8, 0, 0.65))
    parts = [*_cab(rng, paint, front, cab_length, width), chassis]
    for x in (front - 1.25, front - 4.4):
        parts += axle("truck", x, width * 0.43, 0.5)
    return Model(kind="truck", mesh=merge(parts), color=word, tows=(trailer(rng, length=trailer_length),))


def trailer(rng: np.random.Generator, *, length: float = 0.0) -> Model:
    """Return a trailer: a semi-trailer on its legs, or with `length` 0 maybe a small one behind nobody."""
    if length == 0.0 and rng.random() < 0.35:
        return _small_trailer(rng)
    length = length or float(rng.uniform(7.0, 12.5))
    width, height = 2.5, rng.uniform(3.3, 3.95)
    word, color = draw_color(rng, _LOADS)
    dark = Surface("trailer", "metal", (56, 57, 60))
    parts: list[Mesh] = [box(dark, (length * 0.98, 0.9, 0.3), (0, 0, 0.85))]
    style = rng.random()
    if style < 0.65:
        skin = Surface("trailer", "paint" if style < 0.35 else "cloth", color)
        parts.append(box(skin, (length, width, height - 1.15), (0, 0, 1.15)))
        parts.append(box(dark, (0.05, width * 0.9, 0.1), (-length / 2 - 0.03, 0, 1.6)))
    elif style < 0.85:
        steel = Surface("trailer", "metal", color)
        parts.append(box(steel, (length * 0.96, 2.44, 2.5), (0, 0, 1.2)))
        for x in np.arange(-length * 0.46, length * 0.47, 0.55):
            parts.append(box(steel, (0.2, 2.5, 2.4), (float(x), 0, 1.25)))
    else:
        word = "grey"
        flat = Surface("trailer", "wood", tint("brown", rng))
        parts.append(box(flat, (length, width, 0.14), (0, 0, 1.12)))
        parts.append(box(dark, (0.1, width, 1.2), (length / 2 - 0.05, 0, 1.2)))
        load = Surface("trailer", "metal", tint("grey", rng))
        for row in range(int(rng.integers(1, 4))):
            parts.append(box(load, (length * 0.8, width * 0.6, 0.35), (-0.3, 0, 1.26 + 0.4 * row)))
    for x in (-length * 0.24, -length * 0.35):
        parts += axle("trailer", x, width * 0.43, 0.48)
    parts += [box(dark, (0.14, 0.14, 0.95), (length * 0.22, side * 0.8, 0.0)) for side in (-1, 1)]
    tail = Surface("trailer", "reflector", (180, 20, 20))
    parts += [box(tail, (0.05, 0.35, 0.15), (-length / 2 - 0.02, side * 1.0, 0.95)) for side in (-1, 1)]
    return Model(kind="trailer", mesh=merge(parts), color=word)


def bus(rng: np.random.Generator) -> Model:
    """Return a city bus, coach or small bus with a band of windows."""
    length, height = rng.uniform(8.0, 12.8), rng.uniform(2.8, 3.4)
    word, color = draw_color(rng, _BUS_PAINTS)
    parts = _bus_body("bus", rng, color, length, height)
    return Model(kind="bus", mesh=merge([*parts, *wheels("bus", length * 0.29, 1.1, 0.48)]), color=word)


def bendy_bus(rng: np.random.Generator) -> Model:
    """Return a bus of two parts with a bellows between."""
    height = rng.uniform(2.9, 3.2)
    word, color = draw_color(rng, _BUS_PAINTS)
    first, second, gap = rng.uniform(8.5, 10.0), rng.uniform(6.0, 7.2), 1.4
    bellows = Surface("bendy bus", "rubber", (58, 58, 62))
    ahead, behind = (second + gap) / 2, -(first + gap) / 2
    parts = [shift(part, (ahead, 0, 0)) for part in _bus_body("bendy bus", rng, color, first, height)]
    parts += [shift(part, (behind, 0, 0)) for part in _bus_body("bendy bus", rng, color, second, height)]
    joint = ahead - first / 2 - gap / 2
    for i, x in enumerate(np.linspace(-gap / 2 + 0.1, gap / 2 - 0.1, 7)):
        wide = 2.42 if i % 2 else 2.25
        parts.append(box(bellows, (gap / 6, wide, height - 0.6), (joint + float(x), 0, 0.45)))
    parts += [shift(part, (ahead, 0, 0)) for part in wheels("bendy bus", first * 0.3, 1.1, 0.48)]
    parts += axle("bendy bus", behind - second * 0.15, 1.1, 0.48)
    return Model(kind="bendy bus", mesh=merge(parts), color=word)


def tram(rng: np.random.Generator) -> Model:
    """Return a tram of two or three rounded cars with a pantograph."""
    word, color = draw_color(rng, _BUS_PAINTS)
    body, glass = Surface("tram", "paint", color), Surface("tram", "glass", GLASS)
    dark, count = Surface("tram", "metal", (60, 62, 66)), int(rng.integers(2, 4))
    parts: list[Mesh] = []
    for i in range(count):
        x = (i - (count - 1) / 2) * 8.2
        nose = 0.6
        for low, high, surface, inset in ((0.3, 1.25, body, 0.0), (1.25, 2.4, glass, 0.02), (2.4, 3.3, body, 0.0)):
            taper = 0.35 if low > 1 else 0.15
            parts.append(
                loft(surface, [
                    (x + 4.0, low, high, 1.0 - taper, 0.95 - taper),
                    (x + 4.0 - nose, low, high, 1.2 - inset, 1.18 - inset),
                    (x - 4.0 + nose, low, high, 1.2 - inset, 1.18 - inset),
                    (x - 4.0, low, high, 1.0 - taper, 0.95 - taper),
                ])
            )  # fmt: skip
        parts.append(box(dark, (1.0, 1.6, 2.6), (x - 4.1, 0, 0.4)))
        parts += [box(dark, (2.0, 1.8, 0.3), (x + side * 2.4, 0, 0.05)) for side in (-1, 1)]
    parts.append(frustum(dark, (1.6, 1.4), (0.3, 1.5), 0.9, (0, 0, 3.3)))
    return Model(kind="tram", mesh=merge(parts), color=word)


def ambulance(rng: np.random.Generator) -> Model:
    """Return a white van body with coloured stripes and blue lights."""
    length, width, height = rng.uniform(5.6, 6.6), 2.1, rng.uniform(2.6, 2.9)
    word = "yellow" if rng.random() < 0.35 else "white"
    body = Surface("ambulance", "paint", tint(word, rng))
    stripe = Surface("ambulance", "reflector", tint(str(rng.choice(["red", "orange", "blue"])), rng))
    glass, light = Surface("ambulance", "glass", GLASS), Surface("ambulance", "reflector", (30, 70, 230))
    front, half = length / 2, width / 2
    nose = [
        (front, 0.4, 0.8, half * 0.86, half * 0.8),
        (front - 0.15, 0.3, 1.0, half * 0.97, half * 0.9),
        (front - 0.9, 0.28, 1.2, half, half * 0.93),
        (front - 1.6, 0.28, 2.1, half, half * 0.82),
        (front - 2.1, 0.28, 2.15, half, half * 0.84),
    ]
    screen = [
        (front - 0.94, 1.2, 1.28, half * 0.86, half * 0.84),
        (front - 1.5, 1.2, 2.04, half * 0.86, half * 0.78),
        (front - 1.52, 1.2, 2.04, half * 0.86, half * 0.78),
    ]
    rear = length - 2.0
    parts = [
        loft(body, nose),
        loft(glass, screen),
        box(body, (rear, width * 1.05, height - 0.4), (front - 2.0 - rear / 2, 0, 0.4)),
        box(stripe, (rear * 1.002, width * 1.06, 0.3), (front - 2.0 - rear / 2, 0, 0.95)),
        box(light, (0.3, width * 0.8, 0.16), (front - 2.2, 0, height)),
        box(light, (0.2, width * 0.8, 0.14), (-front + 0.2, 0, height)),
    ]
    return Model(kind="ambulance", mesh=merge([*parts, *wheels("ambulance", length * 0.3, 0.93, 0.37)]), color=word)


def _cab(
    rng: np.random.Generator, paint: tuple[int, int, int], front: float, length: float, width: float
) -> list[Mesh]:
    """Return a driver's cab over or behind the engine whose front is at x = `front`."""
    body, glass = Surface("truck", "paint", paint), Surface("truck", "glass", GLASS)
    height, half = rng.uniform(2.3, 3.2), width * 0.48
    back = front - length
    lower = [(front, 0.45, 1.45, half * 0.97, half * 0.97), (back, 0.45, 1.45, half, half)]
    if rng.random() < 0.25:  # a bonnet
        lower = [
            (front, 0.45, 1.0, half * 0.75, half * 0.7),
            (front - 0.9, 0.45, 1.4, half * 0.9, half * 0.85),
            (back, 0.45, 1.45, half, half),
        ]
        front -= 0.75
    window = height - 0.35
    cabin = [
        (front - 0.02, 1.45, 1.5, half * 0.96, half * 0.94),
        (front - 0.22, 1.45, window, half * 0.96, half * 0.92),
        (back + 0.5, 1.45, window, half * 0.97, half * 0.93),
    ]
    shell = [(back + 0.5, 1.45, window, half, half * 0.96), (back, 1.45, window, half, half * 0.96)]
    roof = [
        (front - 0.15, window, window + 0.1, half * 0.93, half * 0.88),
        (front - 0.6, window, height, half * 0.94, half * 0.88),
        (back, window, height, half * 0.95, half * 0.9),
    ]
    mirrors = [box(glass, (0.1, 0.2, 0.5), (front - 0.2, side * (half + 0.15), 1.6)) for side in (-1, 1)]
    return [loft(body, lower), loft(glass, cabin), loft(body, shell), loft(body, roof), *mirrors]


def _load(rng: np.random.Generator, bed: float, middle: float, width: float, height: float) -> list[Mesh]:
    _, color = draw_color(rng, _LOADS)
    style = rng.random()
    if style < 0.5:
        skin = Surface("truck", "cloth" if style < 0.15 else "paint", color)
        return [box(skin, (bed, width, height - 1.0), (middle, 0, 1.0))]
    load = Surface("truck", "paint", color)
    if style < 0.62:
        tank = [(np.cos(a) * width * 0.46, 1.9 + np.sin(a) * 0.9) for a in np.arange(10) * np.pi / 5]
        return [prism(Surface("truck", "metal", tint("silver", rng)), tank, bed * 0.97, (middle, 0, 0))]
    if style < 0.75:
        hopper = Surface("truck", "metal", tint(str(rng.choice(["orange", "white", "green"])), rng))
        back = middle - bed / 2
        return [
            box(hopper, (bed * 0.72, width, height - 1.1), (middle + bed * 0.14, 0, 0.9)),
            frustum(
                hopper, (bed * 0.28, width * 0.95), (bed * 0.15, width * 0.9), height - 1.4, (back + bed * 0.14, 0, 0.7)
            ),
        ]
    tipper = style > 0.87
    rim = rng.uniform(0.9, 1.4) if tipper else 0.6
    parts = [box(load, (bed, width, 0.15), (middle, 0, 1.0))]
    parts += [box(load, (bed, 0.08, rim), (middle, side * (width / 2 - 0.04), 1.15)) for side in (-1, 1)]
    parts.append(box(load, (0.08, width, rim + 0.3), (middle + bed / 2, 0, 1.15)))
    if tipper:
        heap = Surface("truck", "loose ground", tint("brown", rng))
        parts.append(frustum(heap, (bed * 0.95, width * 0.9), (bed * 0.4, width * 0.3), rim + 0.3, (middle, 0, 1.1)))
    else:
        wood = Surface("truck", "wood", tint("beige", rng))
        parts.append(box(wood, (bed * 0.7, width * 0.8, rng.uniform(0.3, 1.0)), (middle, 0, 1.15)))
    return parts


def _bus_body(
    kind: str, rng: np.random.Generator, color: tuple[int, int, int], length: float, height: float
) -> list[Mesh]:
    body, glass = Surface(kind, "paint", color), Surface(kind, "glass", (40, 50, 60))
    width, end = 2.5, length / 2
    window = float(rng.uniform(0.95, 1.25))
    top = 1.25 + window
    parts = [
        box(body, (length, width, 0.95), (0, 0, 0.3)),
        box(glass, (length * 0.985, width * 0.985, window), (0, 0, 1.25)),
        frustum(body, (length, width), (length * 0.985, width * 0.92), height - top, (0, 0, top)),
        box(body, (length * 0.3, width * 0.6, 0.22), (length * rng.uniform(-0.2, 0.2), 0, height)),
        box(Surface(kind, "plastic", (245, 190, 40)), (0.05, width * 0.6, 0.25), (end + 0.0, 0, top)),
        *lamps(kind, length, width, 0.7),
    ]
    for x in np.arange(-end + 0.1, end, 1.5):
        parts.append(box(body, (0.16, width, window), (float(x), 0, 1.25)))
    return parts


def _small_trailer(rng: np.random.Generator) -> Model:
    """Return a two-wheeled trailer for a car: a box, or an open one."""
    length, width = rng.uniform(2.2, 3.6), rng.uniform(1.4, 1.9)
    word, color = draw_color(rng, _LOADS)
    skin, dark = Surface("trailer", "paint", color), Surface("trailer", "metal", (80, 82, 86))
    tall = rng.random() < 0.55
    parts = [
        box(skin, (length, width, rng.uniform(1.3, 1.9) if tall else 0.5), (0, 0, 0.45)),
        box(dark, (1.1, 0.1, 0.1), (length / 2 + 0.5, 0, 0.45)),
        cylinder(dark, 0.05, 0.45, (length / 2 + 0.8, 0, 0.0)),
    ]
    tyre = Surface("trailer", "rubber", TYRE)
    parts += [wheel(tyre, 0.3, 0.2, (0, side * (width / 2 + 0.08), 0.3)) for side in (-1, 1)]
    return Model(kind="trailer", mesh=merge(parts), color=word)
