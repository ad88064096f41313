"""A camera that takes colour and depth images of a room, with their truth.

Camera frame: x right, y down, z forward; pixel centres at integers.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...sample import LabelImage
from ..materials import material_table
from ..scene import Hits, Layer, cast
from .path import intrinsics
from .shading import Lighting, expose, exposure, shade

MIN_DEPTH_M, MAX_DEPTH_M = 0.35, 7.0
_NEIGHBOURS = ((0, 1), (0, -1), (1, 0), (-1, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One exposure: `room_from_camera` (4, 4), `intrinsics` (3, 3) and depth (H, W) float32 m along z, 0 = none.

    `hits` are what its pixels met, in rows, and `rays` (H W, 3) float32 unit directions in the room frame. `image`
    (H, W, 3) uint8 RGB and `labels` are None for exposures of the depth camera alone.
    """

    room_from_camera: NDArray[np.float64]
    intrinsics: NDArray[np.float64]
    depth_m: NDArray[np.float32]
    hits: Hits
    rays: NDArray[np.float32]
    image: NDArray[np.uint8] | None = None
    labels: LabelImage | None = None


def take(
    layer: Layer,
    room_from_camera: NDArray[np.float64],
    image_size: tuple[int, int],
    rng: np.random.Generator,
    *,
    lighting: Lighting | None = None,
) -> Shot:
    """Take a depth image, and a colour image where there is light."""
    width, height = image_size
    matrix = intrinsics(image_size)
    u, v = np.meshgrid(np.arange(width), np.arange(height))
    ahead = np.stack([(u - matrix[0, 2]) / matrix[0, 0], (v - matrix[1, 2]) / matrix[1, 1], np.ones(u.shape)], axis=-1)
    ahead = ahead.reshape(-1, 3) / np.linalg.norm(ahead.reshape(-1, 3), axis=1, keepdims=True)
    rays = ahead @ room_from_camera[:3, :3].T
    hits = cast([layer], room_from_camera[:3, 3], rays)
    shot = Shot(
        room_from_camera=room_from_camera,
        intrinsics=matrix,
        depth_m=_measure(hits, rays, ahead[:, 2], (height, width), rng),
        hits=hits,
        rays=rays.astype(np.float32),
    )
    return shot if lighting is None else _develop(shot, layer, lighting, rng)


def _develop(shot: Shot, layer: Layer, lighting: Lighting, rng: np.random.Generator) -> Shot:
    """Return the shot with its image: exposed by the brightness of the view, with a dim rim and sensor noise."""
    height, width = shot.depth_m.shape
    origins = np.tile(shot.room_from_camera[:3, 3].astype(np.float32), (len(shot.rays), 1))
    color = shade(layer, origins, shot.rays, shot.hits, lighting, rng)
    u, v = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    rim = 1 - 0.12 * (u**2 + v**2).reshape(-1, 1)
    seen = _soften((color * rim.astype(np.float32)).reshape(height, width, 3)).reshape(-1, 3)
    seen = (seen + rng.normal(0, 2.5, color.shape)).astype(np.float32)
    image = expose(seen, exposure(seen) * float(rng.uniform(0.9, 1.1))).reshape(height, width, 3)
    labels = LabelImage(
        labels=shot.hits.kind.astype(np.int32).reshape(height, width),
        instances=shot.hits.instance.reshape(height, width),
    )
    return Shot(
        room_from_camera=shot.room_from_camera,
        intrinsics=shot.intrinsics,
        depth_m=shot.depth_m,
        hits=shot.hits,
        rays=shot.rays,
        image=image,
        labels=labels,
    )


def _soften(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the image (H, W, 3) as a lens draws it: pixels take a fifth from either neighbour, along both axes."""
    for axis in (0, 1):
        edge = [(1, 1) if number == axis else (0, 0) for number in range(3)]
        padded = np.pad(image, edge, mode="edge")
        before, after = np.delete(padded, [-1, -2], axis=axis), np.delete(padded, [0, 1], axis=axis)
        image = np.float32(0.6) * image + np.float32(0.2) * (before + after)
    return image


def _measure(
    hits: Hits,
    rays: NDArray[np.float64],
    ahead: NDArray[np.float64],
    shape: tuple[int, int],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """Return what a depth camera of the structured-light kind measures, (H, W) float32 m, 0 = nothing.

    The noise grows with the square of the depth: sigma = 1.2 mm + 1.9 mm (z - 0.4)^2 (Nguyen, Izadi and Lovell, 2012).
    Nothing comes back from glass, mirrors, glancing surfaces, too near or too far, and half of the edges.
    """
    depth = np.where(np.isfinite(hits.distance_m), hits.distance_m * ahead, 0.0)
    sigma = 0.0012 + 0.0019 * np.square(depth - 0.4)
    facing = np.abs(np.einsum("nc,nc->n", hits.normal, rays))
    measured = depth + sigma * rng.normal(size=len(depth)) / np.clip(facing, 0.3, 1)
    lost = (depth < MIN_DEPTH_M) | (depth > MAX_DEPTH_M) | (facing < 0.12)
    dark = hits.color.max(axis=1) < 45
    chance = material_table()[hits.material, 1] + 0.08 * dark + 0.25 * (facing < 0.25)
    lost |= rng.random(len(depth)) < chance
    image = depth.reshape(shape)
    edge = np.zeros(shape, bool)
    for rows, columns in _NEIGHBOURS:
        edge |= np.abs(np.roll(image, (rows, columns), axis=(0, 1)) - image) > 0.08 * np.maximum(image, 0.5)
    lost |= edge.ravel() & (rng.random(len(depth)) < 0.5)
    return np.where(lost, 0.0, measured).astype(np.float32).reshape(shape)
