"""A spinning 32-beam lidar with the elevations of the Velodyne HDL-32E, as nuScenes carries it.

Lidar frame: x right, y forward, z up. A revolution begins to the left of the vehicle, runs clockwise and ends at the
sweep's stamp. As in nuScenes' files the points are compensated for the vehicle's own motion: each ray leaves from
where the lidar is at its own time, and its point is given in the lidar frame at the stamp. Movers are smeared.
Intensity is in the sensor's scale 0..255.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.geometry import invert_transform

from ..materials import material_table
from ..scene import Hits, Layer, cast

_FIRST_AZIMUTH_DEG = -172.0
_BLIND_M = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class LidarSpec:
    """Beams from `lowest_deg` to `highest_deg` of elevation in equal steps, and how noisy they are."""

    beams: int = 32
    lowest_deg: float = -30.67
    highest_deg: float = 10.67
    azimuth_steps: int = 1084
    revolution_s: float = 0.05
    max_range_m: float = 100.0
    range_noise_m: float = 0.008
    dropout: float = 0.01


HDL_64E = LidarSpec(beams=64, lowest_deg=-24.8, highest_deg=2.0, azimuth_steps=1950, revolution_s=0.1, max_range_m=80.0)
"""The lidar of KITTI, nearly: its beams are not in quite equal steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """Factors on the intensity, drawn once per world: `material` (M,) per material, and `thing` (K,), of which the
    thing of number n has the n-th, beginning again after K; `near_m`: returns from nearer than that are weaker."""

    material: NDArray[np.float64]
    thing: NDArray[np.float64]
    near_m: float


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """What a revolution meets, in global coordinates: `static` layers, and `moving` ones, each of which stands where it
    is during an equal share of the revolution, in order. `own` is the carrier, in the lidar's frame. `finish` is how
    much brighter than its material things are, by their number; None: no difference."""

    static: Sequence[Layer]
    moving: Sequence[Layer] = ()
    own: Layer | None = None
    finish: Finish | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """Returns of one revolution: points (N, 3) float32 lidar frame, intensity (N,) 0..255, time_offset_s (N,) float32
    from minus the time of a revolution to 0, ring, kind and instance (N,).
    """

    points: NDArray[np.float32]
    intensity: NDArray[np.float32]
    time_offset_s: NDArray[np.float32]
    ring: NDArray[np.uint16]
    kind: NDArray[np.int32]
    instance: NDArray[np.int32]


def beam_directions(spec: LidarSpec, phase: float = 0.0) -> tuple[NDArray[np.float64], NDArray[np.uint16]]:
    """Return unit directions (N, 3) in the lidar frame and the ring (N,) of each, 0 the lowest beam.

    Order: azimuth by azimuth, clockwise from above, starting to the left; `phase` in [0, 1) turns by a share of a step.
    """
    elevation = np.radians(np.linspace(spec.lowest_deg, spec.highest_deg, spec.beams))
    azimuth = np.radians(_FIRST_AZIMUTH_DEG) - (np.arange(spec.azimuth_steps) + phase) * 2 * np.pi / spec.azimuth_steps
    horizontal = np.stack([np.cos(azimuth), np.sin(azimuth)], axis=1)
    directions = np.empty((spec.azimuth_steps, spec.beams, 3))
    directions[..., :2] = horizontal[:, None] * np.cos(elevation)[None, :, None]
    directions[..., 2] = np.sin(elevation)
    ring = np.tile(np.arange(spec.beams, dtype=np.uint16), spec.azimuth_steps)
    return directions.reshape(-1, 3), ring


def share_of_revolution(x: float, y: float) -> float:
    """Return which share in [0, 1) of a revolution has passed when the beams look towards (x, y) in the lidar frame."""
    clockwise = math.radians(_FIRST_AZIMUTH_DEG) - math.atan2(y, x)
    return min(clockwise % (2 * math.pi) / (2 * math.pi), 1 - 1e-9)


def scan(
    world: World,
    global_from_lidar: NDArray[np.float64],
    spec: LidarSpec,
    rng: np.random.Generator,
    *,
    begin: NDArray[np.float64] | None = None,
) -> Sweep:
    """Take one sweep; rays without a return have no point.

    `global_from_lidar` (4, 4) is the pose at the stamp, `begin` that at the start of the revolution (None: the same).
    Poses between are blended linearly, 3 mm wrong at 100 m for a turn by 1 degree.
    """
    directions, ring = beam_directions(spec, phase=float(rng.random()))
    start = global_from_lidar if begin is None else begin
    share = np.repeat((np.arange(spec.azimuth_steps) + 1) / spec.azimuth_steps, spec.beams)
    poses = start[None, :3] * (1 - share)[:, None, None] + global_from_lidar[None, :3] * share[:, None, None]
    rays = np.einsum("nij,nj->ni", poses[:, :, :3], directions)
    hits = _cast_all(world, poses[:, :, 3], rays, directions)
    met = np.flatnonzero((hits.distance_m <= spec.max_range_m) & (hits.distance_m > _BLIND_M))
    distance = hits.distance_m[met].astype(np.float64)
    facing = np.abs(np.einsum("nc,nc->n", hits.normal[met], rays[met]))
    intensity, lost, depth = _answer(hits, met, distance, facing, spec, rng)
    if world.finish is not None:
        intensity = intensity * _finish(world.finish, hits.material[met], hits.instance[met], distance)
    kept = rng.random(len(met)) >= lost
    noise = rng.normal(0, spec.range_noise_m, len(met)) * (1 + distance / 50)
    distance = distance + noise + rng.exponential(1.0, len(met)).clip(max=4.0) * depth
    seen, distance = met[kept], distance[kept]
    lidar_from_global = invert_transform(global_from_lidar)
    points = (poses[seen, :, 3] + rays[seen] * distance[:, None]) @ lidar_from_global[:3, :3].T + lidar_from_global[
        :3, 3
    ]
    return Sweep(
        points=points.astype(np.float32),
        intensity=np.clip(np.rint(intensity[kept]), 0, 255).astype(np.float32),
        time_offset_s=((share[seen] - 1) * spec.revolution_s).astype(np.float32),
        ring=ring[seen],
        kind=hits.kind[seen].astype(np.int32),
        instance=hits.instance[seen],
    )


def _cast_all(
    world: World, origins: NDArray[np.float64], rays: NDArray[np.float64], directions: NDArray[np.float64]
) -> Hits:
    """Cast the rays at everything, the moving layers one after the other."""
    shares = max(len(world.moving), 1)
    edges = np.linspace(0, len(rays), shares + 1).astype(int)
    parts = []
    for number in range(shares):
        rows = slice(edges[number], edges[number + 1])
        layers = [*world.static, *world.moving[number : number + 1]]
        parts.append(cast(layers, origins[rows], rays[rows]))
    hits = Hits(**{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Hits)})
    if world.own is None:
        return hits
    own = cast([world.own], np.zeros(3), directions)
    nearer = own.distance_m < hits.distance_m
    for field in fields(Hits):
        getattr(hits, field.name)[nearer] = getattr(own, field.name)[nearer]
    hits.normal[nearer] = rays[nearer]
    return hits


def draw_finish(rng: np.random.Generator) -> Finish:
    """Draw how the things of one world differ in how they shine."""
    return Finish(
        material=rng.lognormal(0.0, 0.4, len(material_table())),
        thing=rng.lognormal(0.0, 0.6, 1021),
        near_m=float(rng.uniform(3.0, 10.0)),
    )


def _finish(
    finish: Finish, material: NDArray[np.int16], instance: NDArray[np.int32], distance: NDArray[np.float64]
) -> NDArray[np.float64]:
    own = np.where(instance >= 0, finish.thing[instance % len(finish.thing)], 1.0)
    return np.asarray(finish.material[material] * own * np.clip(distance / finish.near_m, 0.5, 1.0))


def _answer(
    hits: Hits,
    met: NDArray[np.int64],
    distance: NDArray[np.float64],
    facing: NDArray[np.float64],
    spec: LidarSpec,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return intensity, the chance of no return, and the mean depth (m) of every hit (M,)."""
    reflectance, dropout, depth, _ = material_table()[hits.material[met]].T.astype(np.float64)
    brightness = hits.color[met].astype(np.float64) @ np.array([0.3, 0.5, 0.2]) / 255
    returned = reflectance * (0.35 + 1.1 * brightness) * (0.3 + 0.7 * facing)
    intensity = 255 * returned * rng.lognormal(0.0, 0.4, len(met))
    lost = spec.dropout + dropout + np.clip(distance / 70.0, 0, 1.4) ** 2 * np.clip(0.5 - 6 * returned, 0, 0.5)
    lost = lost + 0.3 * np.clip(0.06 - facing, 0, 0.06) / 0.06
    return intensity, lost, depth
