"""Patterns of materials in images: bricks, slabs, planks, leaves... as functions of where a surface was hit.

A pattern is a factor on the colour. It fades to its mean where one pixel covers more than one of its cells.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from .materials import material_id

Values = NDArray[np.float32]
_Pattern = Callable[[Values, Values, Values], Values]

_FULL_M, _GONE_M = 0.35, 1.1
"""A cell of 1 m is drawn in full where a pixel covers 0.35 m, and no more where it covers 1.1 m."""


def texture(material: NDArray[np.int16], at: Values, normal: Values, pixel_m: Values) -> Values:
    """Return the factor (N, 3) on the colour of points `at` (N, 3) m with unit normals (N, 3); `pixel_m` (N,) is how
    much of the surface one pixel covers."""
    factor = np.ones((len(at), 3), np.float32)
    upright = np.abs(normal[:, 2]) < 0.7
    length = np.maximum(np.hypot(normal[:, 0], normal[:, 1]), 1e-6)
    along = np.where(upright, (at[:, 1] * normal[:, 0] - at[:, 0] * normal[:, 1]) / length, at[:, 0])
    across = np.where(upright, at[:, 2], at[:, 1])
    for name, pattern in _PATTERNS.items():
        rows = np.flatnonzero(material == material_id(name))
        if len(rows):
            value = pattern(along[rows], across[rows], pixel_m[rows])
            factor[rows] = value[:, None] if value.ndim == 1 else value
    return factor


def cells(u: Values, v: Values, salt: int = 0) -> Values:
    """Return (N,) in [-1, 1]: one random value per unit square."""
    x = np.floor(u).astype(np.int64).astype(np.uint32)
    y = np.floor(v).astype(np.int64).astype(np.uint32)
    mixed = x * np.uint32(73856093) ^ y * np.uint32(19349663) ^ np.uint32(salt * 83492791 & 0xFFFFFFFF)
    mixed = (mixed ^ (mixed >> np.uint32(13))) * np.uint32(1274126177)
    mixed = (mixed ^ (mixed >> np.uint32(15))) * np.uint32(2246822519)
    return (mixed >> np.uint32(16)).astype(np.float32) / np.float32(32767.5) - np.float32(1.0)


def clouds(u: Values, v: Values, salt: int = 0) -> Values:
    """Return (N,) in [-1, 1]: smooth noise, random values at whole coordinates blended between."""
    x, y = u - np.floor(u), v - np.floor(v)
    x, y = x * x * (3 - 2 * x), y * y * (3 - 2 * y)
    low = cells(u, v, salt) * (1 - x) + cells(u + 1, v, salt) * x
    high = cells(u, v + 1, salt) * (1 - x) + cells(u + 1, v + 1, salt) * x
    return np.asarray(low * (1 - y) + high * y, np.float32)


def _shown(pixel_m: Values, cell_m: float) -> Values:
    """Return (N,) in [0, 1]: how much of a pattern with cells of this size is left at this distance."""
    share = pixel_m / np.float32(cell_m)
    return np.asarray(np.clip((_GONE_M - share) / (_GONE_M - _FULL_M), 0, 1), np.float32)


def _line(position: Values, width: float) -> Values:
    """Return (N,) bool as float: within `width` (a share of the cell) of a whole coordinate."""
    return np.asarray(np.abs(position - np.rint(position)) < width / 2, np.float32)


def _brick(u: Values, v: Values, pixel_m: Values) -> Values:
    course = v / np.float32(0.083)
    column = u / np.float32(0.25) + 0.5 * (np.floor(course) % 2)
    joint = np.maximum(_line(course, 0.16), _line(column, 0.06))
    tone = 0.16 * cells(column, course) * (1 - joint) + 0.28 * joint - 0.05
    return 1 + tone * _shown(pixel_m, 0.083) + 0.06 * clouds(u / 1.7, v / 1.7, 3)


def _plaster(u: Values, v: Values, pixel_m: Values) -> Values:
    streaks = 0.05 * clouds(u / 0.4, v / 3.0, 5)
    return 1 + 0.07 * clouds(u / 2.3, v / 2.3, 4) + streaks + 0.04 * cells(u / 0.05, v / 0.05) * _shown(pixel_m, 0.05)


def _concrete(u: Values, v: Values, pixel_m: Values) -> Values:
    joints = np.maximum(_line(u / 2.4, 0.01), _line(v / 1.2, 0.02)) * _shown(pixel_m, 0.1)
    return 1 + 0.08 * clouds(u / 1.1, v / 1.1, 6) + 0.05 * clouds(u / 0.2, v / 0.2, 7) - 0.2 * joints


def _paving(u: Values, v: Values, pixel_m: Values) -> Values:
    x, y = u / np.float32(0.5), v / np.float32(0.5)
    x = x + 0.5 * (np.floor(y) % 2)
    joint = np.maximum(_line(x, 0.05), _line(y, 0.05))
    tone = 0.08 * cells(x, y) - 0.3 * joint
    return 1 + tone * _shown(pixel_m, 0.2) + 0.06 * clouds(u / 3.0, v / 3.0, 8)


def _asphalt(u: Values, v: Values, pixel_m: Values) -> Values:
    patch = 0.10 * (cells(u / 5.3, v / 3.1, 9) > 0.86).astype(np.float32)
    crack = (np.abs(clouds(u / 1.9, v / 1.9, 10)) < 0.012).astype(np.float32) * _shown(pixel_m, 0.12)
    speckle = 0.12 * cells(u / 0.03, v / 0.03) * _shown(pixel_m, 0.03)
    return 1 + 0.09 * clouds(u / 2.7, v / 2.7, 11) + speckle - patch - 0.25 * crack


def _turf(u: Values, v: Values, pixel_m: Values) -> Values:
    blades = 0.30 * cells(u / 0.05, v / 0.05) * _shown(pixel_m, 0.08)
    tone = 1 + 0.14 * clouds(u / 0.5, v / 0.5, 12) + blades
    dry = 0.16 * clouds(u / 3.7, v / 3.7, 13)
    return np.stack([tone + dry, tone, tone - 0.5 * dry], axis=1)


def _leaves(u: Values, v: Values, pixel_m: Values) -> Values:
    clump = 0.28 * clouds(u / 0.5, v / 0.5, 14)
    x: Values = u + np.float32(0.3) * clouds(u / 0.2, v / 0.2, 26)
    y: Values = v + np.float32(0.3) * clouds(u / 0.2, v / 0.2, 27)
    leaf = (0.22 * cells((x + y) / 0.13, (x - y) / 0.13) + 0.25 * clouds(u / 0.09, v / 0.09, 28)) * _shown(
        pixel_m, 0.11
    )
    tone = 0.97 + clump + leaf
    return np.stack([tone + 0.08 * leaf, tone, tone - 0.1 * leaf], axis=1)


def _wood(u: Values, v: Values, pixel_m: Values) -> Values:
    plank = u / np.float32(0.14)
    grain = 0.10 * clouds(u / 0.02, v / 0.5, 15) * _shown(pixel_m, 0.03)
    tone = 0.10 * cells(plank, np.zeros_like(v), 16) - 0.3 * _line(plank, 0.08)
    return 1 + tone * _shown(pixel_m, 0.14) + grain


def _roof_tile(u: Values, v: Values, pixel_m: Values) -> Values:
    row = v / np.float32(0.3)
    column = u / np.float32(0.24) + 0.5 * (np.floor(row) % 2)
    tone = 0.12 * cells(column, row, 17) - 0.35 * _line(row, 0.16)
    return 1 + tone * _shown(pixel_m, 0.24) + 0.06 * clouds(u / 2.0, v / 2.0, 18)


def _loose(u: Values, v: Values, pixel_m: Values) -> Values:
    stones = 0.26 * cells(u / 0.05, v / 0.05, 19) * _shown(pixel_m, 0.05)
    return 1 + stones + 0.16 * clouds(u / 1.3, v / 1.3, 20) + 0.10 * clouds(u / 0.3, v / 0.3, 21)


def _bark(u: Values, v: Values, pixel_m: Values) -> Values:
    return 1 + 0.35 * clouds(u / 0.03, v / 0.25, 22) * _shown(pixel_m, 0.04) + 0.1 * clouds(u / 0.3, v / 0.6, 23)


def _cloth(u: Values, v: Values, pixel_m: Values) -> Values:
    folds = 0.14 * clouds(u / 0.12, v / 0.22, 24) * _shown(pixel_m, 0.12)
    return 1 + folds + 0.04 * cells(u / 0.01, v / 0.01) * _shown(pixel_m, 0.01)


def _mesh(u: Values, v: Values, pixel_m: Values) -> Values:
    wire = np.maximum(_line((u + v) / 0.07, 0.25), _line((u - v) / 0.07, 0.25))
    return np.asarray(0.75 + (wire - 0.4) * 0.7 * _shown(pixel_m, 0.05), np.float32)


def _metal(u: Values, v: Values, pixel_m: Values) -> Values:
    ribs = 0.10 * np.sin(u * np.float32(2 * np.pi / 0.2)) * _shown(pixel_m, 0.1)
    return 1 + ribs + 0.04 * clouds(u / 0.8, v / 1.5, 25)


_PATTERNS: Mapping[str, _Pattern] = {
    "brick": _brick,
    "plaster": _plaster,
    "facade": _plaster,
    "concrete": _concrete,
    "paving": _paving,
    "asphalt": _asphalt,
    "marking": _concrete,
    "turf": _turf,
    "leaves": _leaves,
    "twigs": _leaves,
    "wood": _wood,
    "roof tile": _roof_tile,
    "loose ground": _loose,
    "bark": _bark,
    "cloth": _cloth,
    "mesh": _mesh,
    "metal": _metal,
}
