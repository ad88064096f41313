"""What surfaces are made of, as a lidar and a camera see it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """How a surface answers a laser pulse and how grainy it looks.

    `reflectance` is the share of 255 that a bright surface returns when hit head-on, `dropout` the chance that it
    returns nothing, `depth_m` the standard deviation of how deep the pulse goes in (leaves), `grain` the strength of
    its colour noise in images.
    """

    name: str
    reflectance: float
    dropout: float = 0.0
    depth_m: float = 0.0
    grain: float = 0.06


MATERIALS: tuple[Material, ...] = (
    Material(name="asphalt", reflectance=0.05, grain=0.10),
    Material(name="marking", reflectance=0.22, grain=0.05),
    Material(name="concrete", reflectance=0.09, grain=0.06),
    Material(name="turf", reflectance=0.14, depth_m=0.02, grain=0.22),
    Material(name="facade", reflectance=0.14, grain=0.05),
    Material(name="glass", reflectance=0.06, dropout=0.6, grain=0.02),
    Material(name="wood", reflectance=0.16, grain=0.12),
    Material(name="leaves", reflectance=0.16, dropout=0.08, depth_m=0.12, grain=0.30),
    Material(name="paint", reflectance=0.22, dropout=0.03, grain=0.02),
    Material(name="rubber", reflectance=0.03, dropout=0.15, grain=0.04),
    Material(name="metal", reflectance=0.20, dropout=0.02, grain=0.03),
    Material(name="reflector", reflectance=1.0, grain=0.0),
    Material(name="cloth", reflectance=0.16, grain=0.08),
    Material(name="skin", reflectance=0.14, grain=0.03),
    Material(name="plastic", reflectance=0.25, grain=0.03),
)


@cache
def material_id(name: str) -> int:
    """Return the row of a material in `MATERIALS`; raises `ValueError` for an unknown name."""
    return [material.name for material in MATERIALS].index(name)


@cache
def material_table() -> NDArray[np.float32]:
    """Return (M, 4) float32: reflectance, dropout, depth_m, grain per material."""
    rows = [[m.reflectance, m.dropout, m.depth_m, m.grain] for m in MATERIALS]
    return np.array(rows, dtype=np.float32)
