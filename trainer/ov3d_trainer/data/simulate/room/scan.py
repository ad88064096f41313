"""One scan of a room: the room is furnished, a depth camera is carried through it, its images become one cloud."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..mesh import Mesh, turn
from ..scene import Hits, Layer
from ..things import Thing, assemble
from .depth_camera import Shot, take
from .layouts import LAYOUTS, ROUND, furnish
from .path import draw_path
from .shading import Lighting, draw_lighting, expose, exposure, shade
from .space import Space

FLOOR_Z_M = -1.5
"""Height of the floor in the room frame: its origin is about where a lidar on a robot would be."""
_CELL_M = 0.03
_DEPTH_SHOTS = 40
_DEPTH_SIZE = (160, 120)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """Points (N, 3) float32 m in the room frame, one per 3 cm cell; `colors` (N, 3) uint8, `kind`, `instance` (N,).

    `exposure` is the factor from the room's light to `colors`.
    """

    exposure: float
    points: NDArray[np.float32]
    colors: NDArray[np.uint8]
    kind: NDArray[np.int32]
    instance: NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomScan:
    """A furnished room and what a camera recorded of it.

    Room frame: z up, floor at `FLOOR_Z_M`, origin in the middle. `things` are its objects by instance number, `mesh`
    its surfaces, `layer` the same for casting rays; `shots` have colour images, depth images and labels.
    """

    layout: str
    mesh: Mesh
    layer: Layer
    lighting: Lighting
    things: tuple[Thing, ...]
    shots: tuple[Shot, ...]
    cloud: Cloud


def scan_room(
    seed: int, views: int, *, image_size: tuple[int, int] = (320, 240), unseen: bool = False, layout: str = ""
) -> RoomScan:
    """Furnish the room of a seed and scan it with `views` colour images.

    `layout` names its type; "" takes the next of `ROUND` for each seed, so that a run of seeds has all types.
    """
    layout = layout or ROUND[seed % len(ROUND)]
    space = build_space(seed, layout, unseen=unseen)
    lowered = turn(0.0, (0.0, 0.0, FLOOR_Z_M))
    things = [replace(thing, global_from_object=lowered @ thing.global_from_object) for thing in space.things()]
    mesh, objects = assemble(things)
    layer = Layer(mesh)
    lighting = draw_lighting(objects, np.random.default_rng([seed, 21]))
    count = max(views, _DEPTH_SHOTS)
    path = draw_path(space, np.random.default_rng([seed, 22]), count)
    pictured = {round(number * count / views) for number in range(views)}
    shots = []
    for number, pose in enumerate(path):
        light, size = (lighting, image_size) if number in pictured else (None, _DEPTH_SIZE)
        shots.append(take(layer, lowered @ pose, size, np.random.default_rng([seed, 23, number]), lighting=light))
    cloud = _fuse(shots, layer, lighting, np.random.default_rng([seed, 24]))
    pictures = tuple(shot for shot in shots if shot.image is not None)
    return RoomScan(
        layout=layout,
        mesh=mesh,
        layer=layer,
        lighting=lighting,
        things=tuple(objects),
        shots=pictures,
        cloud=cloud,
    )


def build_space(seed: int, layout: str, *, unseen: bool = False) -> Space:
    """Return the furnished room of a seed; its floor is at z = 0."""
    rng = np.random.default_rng([seed, 25])
    low, high = LAYOUTS[layout].sides
    length, width = rng.uniform(low, high), rng.uniform(low, high)
    space = Space(rng, float(length), float(width), float(rng.uniform(2.4, 3.0)))
    furnish(space, LAYOUTS[layout], unseen=unseen)
    return space


def _fuse(shots: Sequence[Shot], layer: Layer, lighting: Lighting, rng: np.random.Generator) -> Cloud:
    """Return one point per cell, the mean of all measurements of it, coloured as it looks under the room's light."""
    measured, met, origins, rays, rows = [], [], [], [], []
    for shot in shots:
        step = max(shot.depth_m.shape[1] // _DEPTH_SIZE[0], 1)
        keep = np.zeros(shot.depth_m.shape, bool)
        keep[::step, ::step] = shot.depth_m[::step, ::step] > 0
        seen = np.flatnonzero(keep.ravel())
        ahead = shot.rays[seen] @ shot.room_from_camera[:3, 2].astype(np.float32)
        origin = shot.room_from_camera[:3, 3].astype(np.float32)
        measured.append(origin + shot.rays[seen] * (shot.depth_m.ravel()[seen] / ahead)[:, None])
        met.append(origin + shot.rays[seen] * shot.hits.distance_m[seen, None])
        origins.append(np.tile(origin, (len(seen), 1)))
        rays.append(shot.rays[seen])
        rows.append(seen)
    points, kept = _thin(np.concatenate(measured), np.concatenate(met), rng)
    hits = _join([_take(shot.hits, seen) for shot, seen in zip(shots, rows, strict=True)], kept)
    color = shade(layer, np.concatenate(origins)[kept], np.concatenate(rays)[kept], hits, lighting, rng)
    factor = exposure(color)
    return Cloud(
        exposure=factor,
        points=points,
        colors=expose(color + rng.normal(0, 2, color.shape).astype(np.float32), factor),
        kind=hits.kind.astype(np.int32),
        instance=hits.instance,
    )


def _thin(
    measured: NDArray[np.float32], met: NDArray[np.float32], rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the mean measurement (N, 3) per cell of the places that were met, and a random row of each cell."""
    order = rng.permutation(len(met))
    cells = np.floor(met[order] / np.float32(_CELL_M)).astype(np.int64)
    cells -= cells.min(axis=0)
    size = cells.max(axis=0) + 1
    number = (cells[:, 0] * size[1] + cells[:, 1]) * size[2] + cells[:, 2]
    _, first, cell = np.unique(number, return_index=True, return_inverse=True)
    count = np.bincount(cell)
    mean = [np.bincount(cell, weights=measured[order, axis]) / count for axis in range(3)]
    return np.stack(mean, axis=1).astype(np.float32), order[first]


def _take(hits: Hits, rows: NDArray[np.int64]) -> Hits:
    return Hits(**{name: getattr(hits, name)[rows] for name in Hits.__dataclass_fields__})


def _join(parts: Sequence[Hits], rows: NDArray[np.int64]) -> Hits:
    return Hits(
        **{name: np.concatenate([getattr(part, name) for part in parts])[rows] for name in Hits.__dataclass_fields__}
    )
