"""Buildings: town blocks, houses with gardens, and halls. Their street side faces -y."""

from __future__ import annotations

import numpy as np

from ..mesh import Color, Mesh, Surface, box, merge, prism, quads
from .furniture import vary

_FACADES: tuple[Color, ...] = (
    (182, 110, 84),
    (206, 190, 160),
    (222, 214, 198),
    (160, 156, 150),
    (196, 170, 120),
    (140, 90, 76),
    (176, 188, 194),
    (214, 180, 160),
)
_FOUNDATION_M = 2.0


def block(rng: np.random.Generator, width: float, depth: float) -> Mesh:
    """Return a town house or office block of 2 to 8 storeys with shops or windows below."""
    storeys = int(rng.integers(2, 8))
    height = storeys * 3.1 + 0.6
    color = vary(_FACADES[int(rng.integers(len(_FACADES)))], rng)
    facade = Surface("building", "facade", color)
    trim = Surface("building", "concrete", vary((188, 184, 176), rng))
    parts = [
        box(facade, (width, depth, height + _FOUNDATION_M), (0, 0, -_FOUNDATION_M)),
        box(trim, (width + 0.3, depth + 0.3, 0.35), (0, 0, height)),
    ]
    spacing, share = rng.uniform(2.0, 3.4), rng.uniform(0.4, 0.72)
    parts.append(_windows(rng, width, depth, storeys, spacing=spacing, share=share))
    if rng.random() < 0.5:
        awning = Surface("building", "cloth", vary((150, 60, 50), rng, 50))
        parts.append(box(awning, (width * 0.7, 0.9, 0.12), (0, -depth / 2 - 0.45, 2.9)))
    parts.append(_door(rng, depth, at=float(rng.uniform(-0.3, 0.3) * width)))
    return merge(parts)


def house(rng: np.random.Generator, width: float, depth: float) -> Mesh:
    """Return a house of one or two storeys under a gable roof."""
    storeys = int(rng.integers(1, 3))
    height = storeys * 2.8 + 0.3
    facade = Surface("building", "facade", vary(_FACADES[int(rng.integers(len(_FACADES)))], rng))
    roof = Surface("building", "facade", vary(((128, 62, 48), (84, 84, 90), (110, 88, 70))[int(rng.integers(3))], rng))
    rise = depth * rng.uniform(0.25, 0.45)
    eave = depth / 2 + 0.4
    parts = [
        box(facade, (width, depth, height + _FOUNDATION_M), (0, 0, -_FOUNDATION_M)),
        prism(roof, [(-eave, height), (eave, height), (0.0, height + rise)], width + 0.5, (0, 0, 0)),
        _windows(rng, width, depth, storeys, spacing=rng.uniform(2.4, 3.4), share=0.42),
        _door(rng, depth, at=float(rng.uniform(-0.3, 0.3) * width)),
    ]
    if rng.random() < 0.5:
        parts.append(box(roof, (0.6, 0.6, rise + 0.8), (width * 0.25, 0, height)))
    return merge(parts)


def hall(rng: np.random.Generator, width: float, depth: float) -> Mesh:
    """Return a low hall with gates: a workshop, warehouse or supermarket."""
    height = rng.uniform(4.5, 8.5)
    skin = Surface(
        "building", "metal", vary(((170, 176, 180), (196, 190, 178), (120, 136, 150))[int(rng.integers(3))], rng)
    )
    stripe = Surface("building", "metal", vary((90, 110, 140), rng, 50))
    parts = [
        box(skin, (width, depth, height + _FOUNDATION_M), (0, 0, -_FOUNDATION_M)),
        box(stripe, (width + 0.1, depth + 0.1, 0.7), (0, 0, height - 0.9)),
    ]
    gate = Surface("building", "metal", vary((96, 98, 104), rng))
    for x in np.arange(-width / 2 + 3, width / 2 - 2, 6.0):
        parts.append(box(gate, (3.4, 0.12, 3.4), (float(x), -depth / 2, 0.0)))
    return merge(parts)


def _door(rng: np.random.Generator, depth: float, *, at: float) -> Mesh:
    return box(Surface("building", "wood", vary((84, 58, 44), rng, 24)), (1.1, 0.1, 2.2), (at, -depth / 2, 0.0))


def _windows(
    rng: np.random.Generator, width: float, depth: float, storeys: int, *, spacing: float, share: float
) -> Mesh:
    """Return panes 4 cm before the front, and on both gable sides."""
    glass = Surface("building", "glass", vary((62, 78, 94), rng, 16))
    tall = rng.uniform(1.2, 1.9)
    corners = []
    for sign, span, out in ((0, width, depth), (-1, depth, width), (1, depth, width)):
        columns = max(int((span - 0.8) / spacing), 1)
        middle = (np.arange(columns) - (columns - 1) / 2) * spacing
        level = np.arange(storeys) * 3.0 + 1.0
        u, v = (axis.ravel() for axis in np.meshgrid(middle, level))
        half = share * spacing / 2
        for_each = []
        for du, dv in ((-half, 0.0), (half, 0.0), (half, tall), (-half, tall)):
            flat = np.full(len(u), out / 2 + 0.04)
            for_each.append(np.stack([u + du, -flat, v + dv] if sign == 0 else [sign * flat, u + du, v + dv], axis=1))
        corners.append(np.stack(for_each, axis=1))
    return quads(glass, np.concatenate(corners))
