"""A spinning 32-beam lidar with the elevations of the Velodyne HDL-32E, as nuScenes carries it.

Lidar frame: x right, y forward, z up. The whole sweep is taken at one instant; a rolling sweep is not simulated yet.
Intensity is in the sensor's scale 0..255.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..materials import material_table
from ..scene import Layer, cast


@dataclass(frozen=True, slots=True, kw_only=True)
class LidarSpec:
    """Beams from `lowest_deg` to `highest_deg` of elevation in equal steps, and how noisy they are."""

    beams: int = 32
    lowest_deg: float = -30.67
    highest_deg: float = 10.67
    azimuth_steps: int = 1080
    max_range_m: float = 70.0
    range_noise_m: float = 0.02
    dropout: float = 0.015


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Returns of one revolution: points (N, 3) float32 lidar frame, intensity (N,) 0..255, ring, kind and
    instance (N,).
    """

    points: NDArray[np.float32]
    intensity: NDArray[np.float32]
    ring: NDArray[np.uint16]
    kind: NDArray[np.int32]
    instance: NDArray[np.int32]


def beam_directions(spec: LidarSpec, phase: float = 0.0) -> tuple[NDArray[np.float64], NDArray[np.uint16]]:
    """Return unit directions (N, 3) in the lidar frame and the ring (N,) of each, 0 the lowest beam.

    Order: azimuth by azimuth, clockwise from above, starting behind; `phase` in [0, 1) turns by a share of a step.
    """
    elevation = np.radians(np.linspace(spec.lowest_deg, spec.highest_deg, spec.beams))
    azimuth = -np.pi / 2 - (np.arange(spec.azimuth_steps) + phase) * 2 * np.pi / spec.azimuth_steps
    horizontal = np.stack([np.cos(azimuth), np.sin(azimuth)], axis=1)
    directions = np.empty((spec.azimuth_steps, spec.beams, 3))
    directions[..., :2] = horizontal[:, None] * np.cos(elevation)[None, :, None]
    directions[..., 2] = np.sin(elevation)
    ring = np.tile(np.arange(spec.beams, dtype=np.uint16), spec.azimuth_steps)
    return directions.reshape(-1, 3), ring


def scan(
    layers: Sequence[Layer], global_from_lidar: NDArray[np.float64], spec: LidarSpec, rng: np.random.Generator
) -> Sweep:
    """Take one sweep; rays without a return have no point."""
    directions, ring = beam_directions(spec, phase=float(rng.random()))
    rays = directions @ global_from_lidar[:3, :3].T
    hits = cast(layers, global_from_lidar[:3, 3], rays)
    met = np.flatnonzero(hits.distance_m <= spec.max_range_m)
    distance = hits.distance_m[met].astype(np.float64)
    reflectance, dropout, depth, _ = material_table()[hits.material[met]].T
    facing = -np.einsum("nc,nc->n", hits.normal[met], rays[met])
    brightness = hits.color[met].astype(np.float32) @ np.array([0.3, 0.5, 0.2], np.float32) / 255
    returned = reflectance * (0.35 + 1.1 * brightness) * (0.4 + 0.6 * facing)
    intensity = 255 * returned * rng.lognormal(0.0, 0.25, len(met))
    lost = (
        spec.dropout + dropout + np.clip(distance / spec.max_range_m, 0, 1) ** 2 * np.clip(0.5 - 6 * returned, 0, 0.5)
    )
    lost = lost + 0.3 * np.clip(0.06 - facing, 0, 0.06) / 0.06
    kept = rng.random(len(met)) >= lost
    distance = distance + rng.normal(0, spec.range_noise_m, len(met)) + np.abs(rng.normal(0, 1, len(met))) * depth
    points = directions[met] * distance[:, None]
    return Sweep(
        points=points[kept].astype(np.float32),
        intensity=np.clip(np.rint(intensity[kept]), 0, 255).astype(np.float32),
        ring=ring[met][kept],
        kind=hits.kind[met][kept].astype(np.int32),
        instance=hits.instance[met][kept],
    )
