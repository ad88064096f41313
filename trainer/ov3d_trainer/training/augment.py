"""Random changes of a training sweep: the student must not learn where north is or how high the sensor stands."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.errors import ConfigError
from ov3d_perception.types import Frame

from .augmentation import AugmentationConfig

_MOST_CELLS = 4_000_000
_FULL_RANGE = 255.0


def augment(
    frame: Frame, config: AugmentationConfig, generator: np.random.Generator, *, reach_m: float = math.inf
) -> Frame:
    """Return a changed copy of the sweep with the same number of points; those left out become NaN.

    Points farther than `reach_m`, which the network would not see, are left out first: one stray point must not
    stretch the grid of elastic distortion.
    Cameras are left out: their transforms would no longer fit.
    """
    points = frame.points.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        points[~(np.linalg.norm(points, axis=1) <= reach_m)] = np.nan
    for granularity_m, magnitude_m in config.elastic:
        points += magnitude_m * smooth_noise(points, granularity_m, generator)
    points = points @ random_linear_map(config, generator).T
    if config.height_m:
        points[:, 2] += generator.uniform(-config.height_m, config.height_m)
    if config.translate_m:
        points[:, :2] += generator.uniform(-config.translate_m, config.translate_m, 2)
    if config.jitter_m:
        points += generator.normal(0.0, config.jitter_m, points.shape)
    _leave_out(points, config, generator)
    intensity = frame.intensity
    if config.intensity:
        reach = math.log1p(config.intensity)
        intensity = intensity * np.float32(math.exp(generator.uniform(-reach, reach)))
    if config.intensity_loss and generator.random() < config.intensity_loss:
        intensity = np.zeros_like(intensity)
    colors = None if frame.colors is None else change_colors(frame.colors, config, generator)
    return replace(frame, points=points.astype(np.float32), intensity=intensity, colors=colors, cameras=())


def random_linear_map(config: AugmentationConfig, generator: np.random.Generator) -> NDArray[np.float64]:
    """Draw the (3, 3) matrix of rotation about z, tilt, flip and scale."""
    matrix = np.eye(3)
    if config.rotate:
        angle = generator.uniform(0.0, 2.0 * math.pi)
        matrix = _rotation(2, angle) @ matrix
    if config.tilt_deg:
        roll, pitch = np.radians(generator.normal(0.0, config.tilt_deg, 2))
        matrix = _rotation(0, roll) @ _rotation(1, pitch) @ matrix
    if config.flip and generator.random() < 0.5:
        matrix = np.diag([-1.0, 1.0, 1.0]) @ matrix
    if config.scale:
        matrix = matrix * generator.uniform(1.0 - config.scale, 1.0 + config.scale)
    return matrix


def smooth_noise(
    points: NDArray[np.float64], granularity_m: float, generator: np.random.Generator
) -> NDArray[np.float64]:
    """Return a vector (N, 3) per point: standard normal noise on a grid, smoothed twice over three cells along each
    axis, read between the grid's nodes (elastic distortion of Choy et al. 2019). 0 for points that are not finite.

    Smoothing leaves a standard deviation of 0.11. Raises `ConfigError` where the grid would be beyond reason.
    """
    noise = np.zeros_like(points)
    known = np.isfinite(points).all(axis=1)
    if not known.any():
        return noise
    cells = points[known] / granularity_m
    low = np.floor(cells.min(axis=0)) - 1.0
    size = (np.floor(cells.max(axis=0)) - low + 3.0).astype(np.int64)
    if float(np.prod(size.astype(np.float64))) > _MOST_CELLS:
        extent = " x ".join(f"{count * granularity_m:.0f}" for count in size)
        raise ConfigError(
            f"augmentation.elastic: cells of {granularity_m} m over {extent} m are more than {_MOST_CELLS:,}. "
            "Choose a coarser granularity."
        )
    grid = generator.normal(size=(*size, 3))
    for axis in (0, 1, 2, 0, 1, 2):
        grid = _mean_of_three(grid, axis)
    noise[known] = read_between(grid, cells - low)
    return noise


def read_between(grid: NDArray[np.float64], places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what a grid (X, Y, Z, C) holds at places (P, 3) in cells: linear between its nodes, (P, C)."""
    lower = np.clip(np.floor(places).astype(np.int64), 0, np.array(grid.shape[:3]) - 2)
    share = places - lower
    found = np.zeros((len(places), grid.shape[3]))
    for corner in np.ndindex(2, 2, 2):
        node = lower + corner
        weight = np.where(corner, share, 1.0 - share).prod(axis=1)
        found += weight[:, None] * grid[node[:, 0], node[:, 1], node[:, 2]]
    return found


def change_colors(
    colors: NDArray[np.uint8], config: AugmentationConfig, generator: np.random.Generator
) -> NDArray[np.uint8]:
    """Return colours (N, 3) with another contrast, tint and noise."""
    changed = colors.astype(np.float64)
    if config.color_contrast and len(colors) and generator.random() < config.color_contrast:
        low, high = changed.min(axis=0), changed.max(axis=0)
        stretched = (changed - low) * (_FULL_RANGE / np.maximum(high - low, 1.0))
        blend = generator.random()
        changed = np.where(high > low, (1.0 - blend) * changed + blend * stretched, changed)
    if config.color_shift:
        changed += generator.uniform(-config.color_shift, config.color_shift, 3) * _FULL_RANGE
    if config.color_jitter:
        changed += generator.normal(0.0, config.color_jitter * _FULL_RANGE, changed.shape)
    return np.rint(np.clip(changed, 0.0, _FULL_RANGE)).astype(np.uint8)


def _leave_out(points: NDArray[np.float64], config: AugmentationConfig, generator: np.random.Generator) -> None:
    """Make NaN of points, in place: single ones, those in cuboids, those outside of the crop."""
    if config.drop:
        share = generator.uniform(0.0, config.drop)
        points[generator.random(len(points)) < share] = np.nan
    for _ in range(int(generator.integers(0, config.cuboids + 1)) if config.cuboids else 0):
        half = generator.uniform(0.0, config.cuboid_m, 3) / 2.0
        center = _random_point(points, generator)
        points[(np.abs(points - center) <= half).all(axis=1)] = np.nan
    if config.crop_m:
        center = _random_point(points, generator)
        points[(np.abs(points - center)[:, :2] > config.crop_m / 2.0).any(axis=1)] = np.nan


def _random_point(points: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    """Return one of the finite points (3,); NaN where there is none."""
    known = np.flatnonzero(np.isfinite(points).all(axis=1))
    return points[generator.choice(known)].copy() if len(known) else np.full(3, np.nan)


def _mean_of_three(grid: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """Average each node with its neighbours along an axis; beyond the grid lies 0."""
    padding = [(0, 0)] * grid.ndim
    padding[axis] = (1, 1)
    padded, count = np.pad(grid, padding), grid.shape[axis]
    parts = (np.take(padded, range(first, first + count), axis=axis) for first in range(3))
    return np.asarray(sum(parts) / 3.0)


def _rotation(axis: int, angle: float) -> NDArray[np.float64]:
    """Rotate by `angle` about x (0), y (1) or z (2)."""
    first, second = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = math.cos(angle)
    matrix[first, second], matrix[second, first] = -math.sin(angle), math.sin(angle)
    return matrix
