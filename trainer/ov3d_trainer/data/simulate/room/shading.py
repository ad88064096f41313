"""Indoor light: ceiling light, lamps and windows with shadows, patterns of floors and walls, mirrors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..materials import material_id, material_table
from ..scene import Hits, Layer, cast
from ..things import Thing

_GLOWS = {"light": 1.35, "daylight": 1.15, "screen": 0.75, "lampshade": 0.35}
"""How bright a surface of this material is by itself, as a share of its colour."""
_PATTERNED = ("planks", "tile", "carpet", "wood", "cloth", "plaster", "leather", "cardboard")
_WARM, _DAY = np.array([1.0, 0.9, 0.74], np.float32), np.array([0.94, 0.99, 1.06], np.float32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bulb:
    """A light: the middle of its surface (3,) m in the room frame, half of what it spans as axes (2, 3) m, strength
    and colour (3,), and at how many random places of it shadows are looked for."""

    at: NDArray[np.float32]
    span: NDArray[np.float32]
    strength: float
    color: NDArray[np.float32]
    samples: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lighting:
    """All lights of a room, and the light that comes from everywhere."""

    bulbs: tuple[Bulb, ...]
    ambient: NDArray[np.float32]


def draw_lighting(things: Sequence[Thing], rng: np.random.Generator) -> Lighting:
    """Return the light of a room by day or in the evening, from its windows and lamps."""
    day = rng.random() < 0.65
    bulbs = []
    for thing in things:
        if thing.kind not in ("ceiling light", "window", "lamp"):
            continue
        low, high = thing.extent()
        x, y, z = ((low + high) / 2).tolist()
        if thing.kind == "ceiling light":
            local, axes, strength = [x, y, low[2] - 0.1], [[0.15, 0, 0], [0, 0.15, 0]], 0.75 if day else 1.1
        elif thing.kind == "window":
            axes = [[0, (high[1] - low[1]) * 0.35, 0], [0, 0, (high[2] - low[2]) * 0.35]]
            local, strength = [0.3, y, z], 0.9 if day else 0.05
        else:
            local, axes, strength = [x, y, high[2] + 0.1], [[0.05, 0, 0], [0, 0.05, 0]], 0.12 if day else 0.4
        strength *= float(rng.uniform(0.6, 1.1))
        turned = thing.global_from_object[:3, :3]
        at = turned @ np.array(local) + thing.global_from_object[:3, 3]
        color = _DAY if thing.kind == "window" else _WARM
        if strength > 0.1:
            span = (np.array(axes) @ turned.T).astype(np.float32)
            samples = 3 if thing.kind == "window" else 2
            bulbs.append(Bulb(at=at.astype(np.float32), span=span, strength=strength, color=color, samples=samples))
    strongest = sorted(bulbs, key=lambda bulb: -bulb.strength)[:4]
    ambient = np.float32(rng.uniform(0.36, 0.5)) * ((_WARM + _DAY) / 2 if day else _WARM)
    return Lighting(bulbs=tuple(strongest), ambient=ambient.astype(np.float32))


def shade(
    layer: Layer,
    origins: NDArray[np.float32],
    rays: NDArray[np.float32],
    hits: Hits,
    lighting: Lighting,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return the colours (N, 3) of what rays (N, 3) from `origins` (N, 3) hit, 0..255 and above where overexposed."""
    color = _diffuse(layer, origins, rays, hits, lighting, rng)
    mirrored = np.flatnonzero((hits.material == material_id("mirror")) & np.isfinite(hits.distance_m))
    if len(mirrored):
        at = origins[mirrored] + rays[mirrored] * hits.distance_m[mirrored, None]
        normal = hits.normal[mirrored]
        turned = rays[mirrored] - 2 * np.einsum("nc,nc->n", rays[mirrored], normal)[:, None] * normal
        start = at + normal * np.float32(0.01)
        seen = cast([layer], start, turned.astype(np.float64))
        color[mirrored] = _diffuse(layer, start, turned, seen, lighting, rng) * np.float32(0.93)
    return color


def exposure(color: NDArray[np.float32], wanted: float = 108.0) -> float:
    """Return the factor that brings the median of shaded colours to about `wanted`."""
    return float(np.clip(wanted / max(float(np.median(color)), 1.0), 0.6, 1.7))


def expose(color: NDArray[np.float32], factor: float) -> NDArray[np.uint8]:
    """Return shaded colours times a factor as RGB 0..255."""
    return np.clip(np.rint(color * np.float32(factor)), 0, 255).astype(np.uint8)


def _diffuse(
    layer: Layer,
    origins: NDArray[np.float32],
    rays: NDArray[np.float32],
    hits: Hits,
    lighting: Lighting,
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    distance = np.where(np.isfinite(hits.distance_m), hits.distance_m, np.float32(0))
    at = origins + rays * distance[:, None]
    light = lighting.ambient * (np.float32(0.86) + np.float32(0.14) * hits.normal[:, 2:])
    above = at + hits.normal * np.float32(0.008)
    for bulb in lighting.bulbs:
        for _ in range(bulb.samples):
            goal = bulb.at + rng.uniform(-1, 1, (len(at), 2)).astype(np.float32) @ bulb.span
            received = _received(layer, above, hits.normal, goal) * np.float32(bulb.strength / bulb.samples)
            light = light + received[:, None] * bulb.color
    light = np.minimum(light, 1.3)
    for name, glow in _GLOWS.items():
        light[hits.material == material_id(name)] += np.float32(glow)
    return hits.color * light * _pattern(at, hits)[:, None]


def _received(
    layer: Layer, above: NDArray[np.float32], normal: NDArray[np.float32], goal: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return which share (N,) of the light at `goal` reaches places: by angle and distance, 0 in the shadow."""
    way = goal - above
    reach = np.linalg.norm(way, axis=1)
    way /= np.maximum(reach, 1e-3)[:, None]
    facing = np.clip(np.einsum("nc,nc->n", way, normal), 0, 1)
    lit = np.flatnonzero(facing > 0)
    met, _ = layer.nearest(np.ascontiguousarray(above[lit]), np.ascontiguousarray(way[lit]))
    facing[lit] *= met >= reach[lit] - 0.02
    return np.asarray(facing / (0.55 + 0.13 * reach**2), dtype=np.float32)


def _pattern(at: NDArray[np.float32], hits: Hits) -> NDArray[np.float32]:
    """Return how bright (N,) each place of a patterned material is: boards, tiles with joints, woven cloth."""
    grain = material_table()[hits.material, 3]
    bright = 1 + grain * 0.5 * _noise(at, 0.015) + grain * 0.35 * _noise(at, 0.11)
    for name in _PATTERNED:
        rows = np.flatnonzero(hits.material == material_id(name))
        if len(rows):
            bright[rows] *= _PATTERNS.get(name, _plain)(at[rows], hits.normal[rows])
    return bright.astype(np.float32)


def _plain(at: NDArray[np.float32], normal: NDArray[np.float32]) -> NDArray[np.float32]:
    return 1 + np.float32(0.012) * _noise(at, 0.25)


def _planks(at: NDArray[np.float32], normal: NDArray[np.float32]) -> NDArray[np.float32]:
    board = np.floor(at[:, 1] / 0.12)
    along = at[:, 0] + 0.47 * board
    piece = np.stack([np.floor(along / 1.1), board, np.zeros_like(board)], axis=1)
    joint = (at[:, 1] / 0.12 - board < 0.04) | (along / 1.1 % 1 < 0.006)
    streak = _noise(np.stack([along / 12, at[:, 1], at[:, 2]], axis=1), 0.012)
    return (1 + 0.13 * _noise(piece.astype(np.float32), 1.0) + 0.06 * streak) * np.where(joint, 0.72, 1.0)


def _tile(at: NDArray[np.float32], normal: NDArray[np.float32]) -> NDArray[np.float32]:
    first, second = _flat(at, normal)
    size = np.where(np.abs(normal[:, 2]) > 0.7, 0.32, 0.2)
    cell = np.stack([np.floor(first / size), np.floor(second / size), np.zeros_like(first)], axis=1)
    joint = (first / size % 1 < 0.03) | (second / size % 1 < 0.03)
    return (1 + 0.04 * _noise(cell.astype(np.float32), 1.0)) * np.where(joint, 0.8, 1.0)


def _wood(at: NDArray[np.float32], normal: NDArray[np.float32]) -> NDArray[np.float32]:
    first, second = _flat(at, normal)
    wave = np.sin((first + 0.03 * np.sin(second * 5)) * 110) * np.sin(second * 3 + first * 9)
    return 1 + np.float32(0.05) * wave


def _flat(at: NDArray[np.float32], normal: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return two coordinates (N,) along the surface: x and y where it is level, else the horizontal one and z."""
    lies = np.abs(normal[:, 2]) > 0.7
    across = np.where(np.abs(normal[:, 0]) > np.abs(normal[:, 1]), at[:, 1], at[:, 0])
    return np.where(lies, at[:, 0], across), np.where(lies, at[:, 1], at[:, 2])


_PATTERNS = {"planks": _planks, "tile": _tile, "wood": _wood}


def _noise(at: NDArray[np.float32], cell_m: float) -> NDArray[np.float32]:
    """Return (N,) in [-1, 1], constant over cells of this size."""
    x, y, z = np.floor(at / np.float32(cell_m)).astype(np.int32).astype(np.uint32).T
    mixed = x * np.uint32(73856093) ^ y * np.uint32(19349663) ^ z * np.uint32(83492791)
    mixed = (mixed ^ (mixed >> np.uint32(13))) * np.uint32(1274126177)
    return (mixed >> np.uint32(16)).astype(np.float32) / np.float32(32767.5) - 1
