"""A small ray-cast renderer for pinhole cameras: sun, clouds, shadow, patterns, reflections, haze, exposure.

Camera frame: x right, y down, z forward; pixel centres at integers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..sample import LabelImage
from .kinds import SKY
from .materials import material_id, material_table
from .scene import Hits, Layer, cast
from .textures import clouds, texture

_SUN_COLOR = np.array([1.0, 0.96, 0.88], np.float32)
_SHADE_COLOR = np.array([0.54, 0.58, 0.64], np.float32)
_HORIZON = np.array([206, 218, 230], np.float32)
_ZENITH = np.array([92, 146, 214], np.float32)
_OVERCAST = np.array([196, 200, 206], np.float32)
_GLOSS = {"glass": (0.10, 0.9), "paint": (0.04, 0.45), "plastic": (0.02, 0.15), "metal": (0.05, 0.3)}
"""Share of the sky that a surface mirrors when looked at head-on and at a glancing angle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Light:
    """Direction to the sun as azimuth and elevation in radians, and whether things cast shadows.

    `cloud` in [0, 1] hides the sun and greys the sky; `exposure` and `balance` (red, green, blue) are factors on the
    image; `haze_m` is how far away two thirds of a colour are lost.
    """

    azimuth: float
    elevation: float
    shadows: bool = True
    cloud: float = 0.0
    exposure: float = 1.0
    balance: tuple[float, float, float] = (1.0, 1.0, 1.0)
    haze_m: float = 320.0

    def direction(self) -> NDArray[np.float32]:
        """Return the unit vector (3,) towards the sun in global coordinates."""
        flat = math.cos(self.elevation)
        east, north = flat * math.cos(self.azimuth), flat * math.sin(self.azimuth)
        return np.array([east, north, math.sin(self.elevation)], np.float32)


def render(
    layers: Sequence[Layer],
    global_from_camera: NDArray[np.float64],
    matrix: NDArray[np.float64],
    image_size: tuple[int, int],
    light: Light,
) -> tuple[NDArray[np.uint8], LabelImage]:
    """Return the image (H, W, 3) uint8 and kind and instance of every pixel (`SKY` where no surface is)."""
    width, height = image_size
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    rays = np.stack([(u - matrix[0, 2]) / matrix[0, 0], (v - matrix[1, 2]) / matrix[1, 1], np.ones(u.shape)], axis=-1)
    rays = rays.reshape(-1, 3) / np.linalg.norm(rays.reshape(-1, 3), axis=1, keepdims=True)
    rays = rays @ global_from_camera[:3, :3].T
    origin = global_from_camera[:3, 3]
    hits = cast(layers, origin, rays)
    image = _sky(rays, light)
    seen = np.flatnonzero(np.isfinite(hits.distance_m))
    shown = Shown(rays=rays[seen].astype(np.float32), hits=_take(hits, seen), behind=image[seen])
    image[seen] = _shade(layers, origin, shown, 1.0 / float(matrix[0, 0]), light)
    image = image * (light.exposure * np.array(light.balance, np.float32))
    labels = np.where(np.isfinite(hits.distance_m), hits.kind, SKY).astype(np.int32).reshape(height, width)
    pixels = np.clip(np.rint(image), 0, 255).astype(np.uint8).reshape(height, width, 3)
    return pixels, LabelImage(labels=labels, instances=hits.instance.reshape(height, width))


def _take(hits: Hits, rows: NDArray[np.int64]) -> Hits:
    return Hits(
        distance_m=hits.distance_m[rows],
        normal=hits.normal[rows],
        kind=hits.kind[rows],
        material=hits.material[rows],
        color=hits.color[rows],
        instance=hits.instance[rows],
    )


def _sky(rays: NDArray[np.floating[Any]], light: Light) -> NDArray[np.float32]:
    """Return what the sky looks like along rays (N, 3); below the horizon the same as at it."""
    up = np.clip(rays[:, 2:], 0, 1).astype(np.float32) ** 0.6
    glow = np.clip(rays @ light.direction().astype(rays.dtype), 0, 1)[:, None].astype(np.float32) ** 24
    clear = _HORIZON * (1 - up) + _ZENITH * up + 60 * glow
    reach = 1.0 / (rays[:, 2] + 0.15).clip(0.15)
    bank = clouds((rays[:, 0] * reach * 1.5).astype(np.float32), (rays[:, 1] * reach * 1.5).astype(np.float32), 31)
    cover = np.clip(1.6 * light.cloud - 0.3 + 0.35 * bank, 0, 1)[:, None] * (light.cloud > 0)
    return np.asarray(clear * (1 - cover) + (_OVERCAST * (1 + 0.06 * bank[:, None])) * cover, np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the pixels with a surface show: unit `rays` (N, 3), their `hits`, the sky `behind` (N, 3)."""

    rays: NDArray[np.float32]
    hits: Hits
    behind: NDArray[np.float32]


def _shade(
    layers: Sequence[Layer], origin: NDArray[np.float64], shown: Shown, pixel_rad: float, light: Light
) -> NDArray[np.float32]:
    """Return colours (N, 3): Lambert's law under sun and sky, shadows, patterns, grain, mirrored sky, haze."""
    rays, hits = shown.rays, shown.hits
    sun = light.direction()
    at = origin.astype(np.float32) + rays * hits.distance_m[:, None]
    lit = np.clip(hits.normal @ sun, 0, 1)
    if light.shadows and light.cloud < 0.9:
        lit = lit * ~_in_shadow(layers, at + hits.normal * 0.02, sun, lit > 0)
    facing = np.clip(-np.einsum("nc,nc->n", hits.normal, rays), 0.02, 1)
    pixel_m = hits.distance_m * np.float32(pixel_rad) / np.sqrt(facing)
    sky_light = (0.72 + 0.28 * hits.normal[:, 2:]) * (1 + 0.35 * light.cloud)
    brightness = lit[:, None] * _SUN_COLOR * (0.80 * (1 - light.cloud)) + sky_light * _SHADE_COLOR
    grain = material_table()[hits.material, 3] / (1 + hits.distance_m / 25)
    color = hits.color * brightness * (1 + 0.5 * grain * _noise(at))[:, None]
    color = color * np.clip(texture(hits.material, at, hits.normal, pixel_m), 0.3, 1.7)
    color = _mirror(color, rays, hits, facing, lit, light)
    haze = (1 - np.exp(-hits.distance_m / light.haze_m))[:, None]
    return np.asarray(color * (1 - haze) + shown.behind * haze, np.float32)


def _mirror(
    color: NDArray[np.float32],
    rays: NDArray[np.float32],
    hits: Hits,
    facing: NDArray[np.float32],
    lit: NDArray[np.float32],
    light: Light,
) -> NDArray[np.float32]:
    """Return the colours with the sky and the sun mirrored in glass, paint, plastic and metal."""
    for name, (head_on, glancing) in _GLOSS.items():
        rows = np.flatnonzero(hits.material == material_id(name))
        if len(rows) == 0:
            continue
        seen = rays[rows] + 2 * facing[rows, None] * hits.normal[rows]
        share = (head_on + (glancing - head_on) * (1 - facing[rows]) ** 4)[:, None]
        street = np.where(seen[:, 2:] > 0, _sky(seen, light), 0.75 * color[rows])
        spark = np.clip(seen @ light.direction(), 0, 1)[:, None] ** 60 * (lit[rows, None] > 0) * (1 - light.cloud)
        color[rows] = color[rows] * (1 - share) + street * share + 255 * spark * 4 * head_on
    return color


def _in_shadow(
    layers: Sequence[Layer], at: NDArray[np.float32], sun: NDArray[np.float32], asked: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    dark = np.zeros(len(at), bool)
    for layer in layers:
        rows = np.flatnonzero(asked & ~dark)
        dark[rows] = layer.blocks(np.ascontiguousarray(at[rows]), np.tile(sun, (len(rows), 1)))
    return dark


def _noise(at: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (N,) in [-1, 1], constant over cells of 12 cm and, added to it, of 70 cm."""
    total = np.zeros(len(at), np.float32)
    for cell_m in (0.12, 0.7):
        x, y, z = np.floor(at / np.float32(cell_m)).astype(np.int32).astype(np.uint32).T
        mixed = x * np.uint32(73856093) ^ y * np.uint32(19349663) ^ z * np.uint32(83492791)
        mixed = (mixed ^ (mixed >> np.uint32(13))) * np.uint32(1274126177)
        total += (mixed >> np.uint32(16)).astype(np.float32) / 65535.0
    return total - 1.0
