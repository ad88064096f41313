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
    returns nothing, `depth_m` how deep a pulse goes in on average (leaves; what is behind glass), `grain` the strength
    of its colour noise in images.
    """

    name: str
    reflectance: float
    dropout: float = 0.0
    depth_m: float = 0.0
    grain: float = 0.06


MATERIALS: tuple[Material, ...] = (
    Material(name="asphalt", reflectance=0.085, grain=0.10),
    Material(name="marking", reflectance=0.16, grain=0.05),
    Material(name="concrete", reflectance=0.1, grain=0.06),
    Material(name="turf", reflectance=0.15, depth_m=0.035, grain=0.22),
    Material(name="facade", reflectance=0.1, grain=0.05),
    Material(name="glass", reflectance=0.05, dropout=0.55, depth_m=0.4, grain=0.02),
    Material(name="wood", reflectance=0.11, grain=0.12),
    Material(name="leaves", reflectance=0.11, dropout=0.08, depth_m=0.55, grain=0.30),
    Material(name="paint", reflectance=0.13, dropout=0.03, grain=0.02),
    Material(name="rubber", reflectance=0.03, dropout=0.15, grain=0.04),
    Material(name="metal", reflectance=0.11, dropout=0.02, grain=0.03),
    Material(name="reflector", reflectance=1.0, grain=0.0),
    Material(name="cloth", reflectance=0.1, grain=0.08),
    Material(name="skin", reflectance=0.11, grain=0.03),
    Material(name="plastic", reflectance=0.15, grain=0.03),
    Material(name="brick", reflectance=0.1, grain=0.08),
    Material(name="plaster", reflectance=0.11, grain=0.05),
    Material(name="roof tile", reflectance=0.09, grain=0.08),
    Material(name="paving", reflectance=0.12, grain=0.07),
    Material(name="loose ground", reflectance=0.12, depth_m=0.02, grain=0.2),
    Material(name="bark", reflectance=0.09, depth_m=0.01, grain=0.15),
    Material(name="mesh", reflectance=0.11, dropout=0.55, grain=0.03),
    Material(name="planks", reflectance=0.16, grain=0.10),
    Material(name="carpet", reflectance=0.14, depth_m=0.004, grain=0.16),
    Material(name="tile", reflectance=0.2, grain=0.02),
    Material(name="ceramic", reflectance=0.24, grain=0.01),
    Material(name="leather", reflectance=0.14, grain=0.04),
    Material(name="paper", reflectance=0.22, grain=0.02),
    Material(name="cardboard", reflectance=0.18, grain=0.05),
    Material(name="lacquer", reflectance=0.2, dropout=0.05, grain=0.01),
    Material(name="lampshade", reflectance=0.22, grain=0.04),
    Material(name="screen", reflectance=0.05, dropout=0.3, grain=0.0),
    Material(name="mirror", reflectance=0.05, dropout=0.7, grain=0.0),
    Material(name="light", reflectance=0.3, dropout=0.2, grain=0.0),
    Material(name="daylight", reflectance=0.05, dropout=0.6, grain=0.02),
    Material(name="twigs", reflectance=0.11, dropout=0.06, depth_m=0.18, grain=0.30),
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
