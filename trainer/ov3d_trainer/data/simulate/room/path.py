"""Where a hand-held camera goes in a room, and which way it looks.

Camera frame: x right, y down, z forward; pixel centres at integers. Room frame: z up, origin in the middle of the
floor.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.geometry import make_transform

from .space import Space

_FOCAL = 0.9
"""Focal length as a share of the image width: that of the depth cameras that ScanNet was made with."""
_CLEAR_M = (0.28, 0.12, 0.0)


def intrinsics(image_size: tuple[int, int]) -> NDArray[np.float64]:
    """Return (3, 3) of a camera with square pixels and its optical centre in the middle of (width, height)."""
    width, height = image_size
    return np.array([[_FOCAL * width, 0, (width - 1) / 2], [0, _FOCAL * width, (height - 1) / 2], [0, 0, 1]])


def draw_path(space: Space, rng: np.random.Generator, count: int) -> list[NDArray[np.float64]]:
    """Return `count` poses (4, 4) `room_from_camera` along one round through the room.

    The person walks an ellipse, holds the camera 1.2 to 1.7 m high and pans left and right, mostly across the room and
    somewhat down.
    """
    begin, sense = rng.uniform(0, 2 * math.pi), rng.choice([-1.0, 1.0])
    height, wave = rng.uniform(1.35, 1.6), rng.uniform(0, 2 * math.pi, 4)
    poses = []
    for number in range(count):
        share = number / count
        around = begin + sense * 2 * math.pi * share
        reach = 0.27 + 0.08 * math.sin(3 * around + wave[0])
        eye = np.array(
            [
                reach * space.length * math.cos(around),
                reach * space.width * math.sin(around),
                height + 0.1 * math.sin(5 * around + wave[1]) + rng.normal(0, 0.02),
            ]
        )
        eye = _step_aside(space, rng, eye)
        yaw = around + math.pi + 1.1 * math.sin(7 * around + wave[2]) + rng.normal(0, 0.1)
        pitch = -0.36 + 0.36 * math.sin(11 * around + wave[3]) + rng.normal(0, 0.04)
        poses.append(_look(eye, yaw, pitch, roll=rng.normal(0, 0.04)))
    return poses


def _step_aside(space: Space, rng: np.random.Generator, eye: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the place nearest by where nothing is in the way; the middle of the room where there is none."""
    for margin in _CLEAR_M:
        for spread in np.linspace(0.0, 1.2, 25):
            x, y = eye[:2] + rng.normal(0, 1, 2) * spread * 0.6
            if space.clear_at(float(x), float(y), float(eye[2]), max(margin, 0.1)) and space.clear_at(
                float(x), float(y), 1.1, margin
            ):
                return np.array([x, y, eye[2]])
    return np.array([0.0, 0.0, space.height - 0.6])


def _look(eye: NDArray[np.float64], yaw: float, pitch: float, *, roll: float) -> NDArray[np.float64]:
    flat = math.cos(pitch)
    forward = np.array([flat * math.cos(yaw), flat * math.sin(yaw), math.sin(pitch)])
    right = np.array([math.sin(yaw), -math.cos(yaw), 0.0])
    down = np.cross(forward, right)
    tilted = right * math.cos(roll) + down * math.sin(roll)
    return make_transform(np.stack([tilted, np.cross(forward, tilted), forward], axis=1), tuple(eye.tolist()))
