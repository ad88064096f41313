"""Buildings: town blocks, houses with gardens, and halls. Their street side faces -y."""

from __future__ import annotations

import numpy as np

from ..colors import draw_color, tint, vary
from ..mesh import Mesh, Surface, box, merge, prism, quads
from .model import Model

_FACADES = {
    "beige": 0.24, "white": 0.16, "grey": 0.16, "red": 0.1, "brown": 0.12, "yellow": 0.07, "orange": 0.05, "pink": 0.04,
    "blue": 0.03, "green": 0.03,
}  # fmt: skip
_FOUNDATION_M = 2.0


def block(rng: np.random.Generator, width: float, depth: float) -> Model:
    """Return a town house or office block of 2 to 9 storeys with shops, windows or a glass front."""
    storeys = int(rng.integers(2, 5)) if rng.random() < 0.55 else int(rng.integers(5, 10))
    height = storeys * 3.1 + 0.6
    word, facade = _facade(rng)
    trim = Surface("building", "concrete", vary((188, 184, 176), rng))
    parts = [
        box(facade, (width, depth, height + _FOUNDATION_M), (0, 0, -_FOUNDATION_M)),
        box(trim, (width + 0.3, depth + 0.3, 0.35), (0, 0, height)),
    ]
    if rng.random() < 0.15:
        parts.append(_glass_front(rng, width, depth, height))
    else:
        spacing, share = rng.uniform(2.0, 3.4), rng.uniform(0.4, 0.72)
        parts.append(_windows(rng, width, depth, storeys, spacing=spacing, share=share))
    if rng.random() < 0.4:
        awning = Surface("building", "cloth", draw_color(rng, {"red": 1, "green": 1, "blue": 1, "beige": 1})[1])
        parts.append(box(awning, (width * 0.7, 0.9, 0.12), (0, -depth / 2 - 0.45, 2.9)))
    if rng.random() < 0.4:
        parts += _balconies(rng, width, depth, storeys)
    parts.append(_door(rng, depth, at=float(rng.uniform(-0.3, 0.3) * width)))
    return Model(kind="building", mesh=merge(parts), color=word)


def house(rng: np.random.Generator, width: float, depth: float) -> Model:
    """Return a house of one or two storeys under a gable roof, at times with a porch or a garage."""
    storeys = int(rng.integers(1, 3))
    height = storeys * 2.8 + 0.3
    word, facade = _facade(rng)
    roof = Surface(
        "building", "roof tile", vary(((128, 62, 48), (84, 84, 90), (110, 88, 70))[int(rng.integers(3))], rng)
    )
    rise = depth * rng.uniform(0.25, 0.45)
    eave = depth / 2 + 0.4
    gable = prism(roof, [(-eave, height), (eave, height), (0.0, height + rise)], width + 0.5, (0, 0, 0))
    parts = [
        box(facade, (width, depth, height + _FOUNDATION_M), (0, 0, -_FOUNDATION_M)),
        gable,
        _windows(rng, width, depth, storeys, spacing=rng.uniform(2.4, 3.4), share=0.42),
        _door(rng, depth, at=float(rng.uniform(-0.3, 0.3) * width)),
    ]
    if rng.random() < 0.5:
        parts.append(box(roof, (0.6, 0.6, rise + 0.8), (width * 0.25, 0, height)))
    if rng.random() < 0.35:
        post = Surface("building", "wood", tint("white", rng))
        parts.append(box(roof, (width * 0.5, 1.6, 0.15), (0, -depth / 2 - 0.8, 2.5)))
        parts += [box(post, (0.14, 0.14, 2.5), (x * width, -depth / 2 - 1.5, 0)) for x in (-0.23, 0.0, 0.23)]
    if rng.random() < 0.3:
        gate = Surface("building", "metal", tint("white", rng))
        parts.append(box(gate, (2.6, 0.1, 2.1), (width * 0.3, -depth / 2, 0)))
    return Model(kind="building", mesh=merge(parts), color=word)


def hall(rng: np.random.Generator, width: float, depth: float) -> Model:
    """Return a low hall with gates: a workshop, warehouse or supermarket."""
    height = rng.uniform(4.0, 9.0)
    word, color = draw_color(rng, {"silver": 0.3, "grey": 0.25, "white": 0.2, "beige": 0.15, "blue": 0.1})
    skin = Surface("building", "metal", color)
    stripe = Surface("building", "metal", draw_color(rng, {"blue": 2, "red": 2, "green": 1, "yellow": 1, "grey": 1})[1])
    parts = [
        box(skin, (width, depth, height + _FOUNDATION_M), (0, 0, -_FOUNDATION_M)),
        box(stripe, (width + 0.1, depth + 0.1, 0.7), (0, 0, height - 0.9)),
    ]
    if rng.random() < 0.4:
        glass = Surface("building", "glass", vary((62, 78, 94), rng, 16))
        parts.append(box(glass, (width * 0.6, 0.1, 2.8), (0, -depth / 2, 0.2)))
        return Model(kind="building", mesh=merge(parts), color=word)
    gate = Surface("building", "metal", vary((96, 98, 104), rng))
    for x in np.arange(-width / 2 + 3, width / 2 - 2, 6.0):
        parts.append(box(gate, (3.4, 0.12, 3.4), (float(x), -depth / 2, 0.0)))
    return Model(kind="building", mesh=merge(parts), color=word)


def _facade(rng: np.random.Generator) -> tuple[str, Surface]:
    """Return the colour's word and the surface: brick where brick has that colour, plaster or concrete elsewhere."""
    word = draw_color(rng, _FACADES)[0]
    brick = {"red": (158, 78, 62), "brown": (124, 88, 70), "orange": (190, 116, 80), "yellow": (204, 172, 112)}
    if word in brick and rng.random() < 0.75:
        return word, Surface("building", "brick", vary(brick[word], rng, 10))
    pale = {"red": (176, 84, 72), "blue": (134, 160, 190), "green": (148, 172, 142), "pink": (222, 176, 172)}
    color = vary(pale[word], rng, 10) if word in pale else tint(word, rng)
    return word, Surface("building", "concrete" if word == "grey" else "plaster", color)


def _glass_front(rng: np.random.Generator, width: float, depth: float, height: float) -> Mesh:
    """Return a curtain wall of glass between thin bars before the front."""
    glass = Surface("building", "glass", vary((84, 116, 140), rng, 16))
    bar = Surface("building", "metal", (120, 124, 128))
    parts = [box(glass, (width * 0.96, 0.06, height - 0.8), (0, -depth / 2, 0.4))]
    parts += [
        box(bar, (0.08, 0.16, height - 0.8), (float(x), -depth / 2, 0.4))
        for x in np.arange(-width * 0.48, width * 0.49, 1.5)
    ]
    parts += [box(bar, (width * 0.96, 0.16, 0.12), (0, -depth / 2, float(z))) for z in np.arange(3.1, height, 3.1)]
    return merge(parts)


def _balconies(rng: np.random.Generator, width: float, depth: float, storeys: int) -> list[Mesh]:
    slab, rail = Surface("building", "concrete", (170, 168, 162)), Surface("building", "metal", (90, 94, 98))
    x, parts = float(rng.uniform(-0.25, 0.25) * width), []
    for storey in range(1, storeys):
        z = 3.0 * storey
        parts.append(box(slab, (2.6, 1.1, 0.15), (x, -depth / 2 - 0.55, z)))
        parts.append(box(rail, (2.6, 0.05, 0.95), (x, -depth / 2 - 1.08, z + 0.15)))
    return parts


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
