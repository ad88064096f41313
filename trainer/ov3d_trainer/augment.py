"""Random changes of a training sweep: the student must not learn where north is or how high the sensor stands."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.types import Frame

from .config import AugmentationConfig


def augment(frame: Frame, config: AugmentationConfig, generator: np.random.Generator) -> Frame:
    """Return a changed copy of the sweep with the same number of points; dropped points become NaN.

    Cameras are left out: their transforms would no longer fit.
    """
    linear = random_linear_map(config, generator)
    points = frame.points.astype(np.float64) @ linear.T
    if config.height_m:
        points[:, 2] += generator.uniform(-config.height_m, config.height_m)
    if config.jitter_m:
        points += generator.normal(0.0, config.jitter_m, points.shape)
    if config.drop:
        share = generator.uniform(0.0, config.drop)
        points[generator.random(len(points)) < share] = np.nan
    intensity = frame.intensity
    if config.intensity:
        reach = math.log1p(config.intensity)
        intensity = intensity * np.float32(math.exp(generator.uniform(-reach, reach)))
    if config.intensity_loss and generator.random() < config.intensity_loss:
        intensity = np.zeros_like(intensity)
    return replace(frame, points=points.astype(np.float32), intensity=intensity, cameras=())


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


def _rotation(axis: int, angle: float) -> NDArray[np.float64]:
    """Rotate by `angle` about x (0), y (1) or z (2)."""
    first, second = [(1, 2), (2, 0), (0, 1)][axis]
    matrix = np.eye(3)
    matrix[first, first] = matrix[second, second] = math.cos(angle)
    matrix[first, second], matrix[second, first] = -math.sin(angle), math.sin(angle)
    return matrix
