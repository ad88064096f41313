"""How the ego vehicle moves: its pose at any time, and where the lidar sits on it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.geometry import make_transform

from .plan import Centreline, StreetPlan

START_NS = 1_600_000_000_000_000_000
"""Stamp of the first frame of every drive."""

_WEAVE_M = 0.12
_LIDAR_POSITION = (0.94, 0.0, 1.84)


def seconds(stamp_ns: int) -> float:
    """Return the time since the drive began."""
    return (stamp_ns - START_NS) / 1e9


def ego_pose(plan: StreetPlan, line: Centreline, stamp_ns: int) -> NDArray[np.float64]:
    """Return `global_from_ego` (4, 4) at a time: along its lane with some weaving, pitch of the road, a little sway."""
    time_s = seconds(stamp_ns)
    s = plan.ego_speed_mps * time_s
    phase = 2 * math.pi * s / 60.0 + plan.seed
    d = plan.lane_center(-1, plan.ego_lane) + _WEAVE_M * math.sin(phase)
    weave = _WEAVE_M * 2 * math.pi / 60.0 * math.cos(phase)
    yaw = float(line.heading(s)) + math.atan(weave)
    pitch = -math.atan(line.slope(s)) + 0.004 * math.sin(1.9 * time_s + plan.seed)
    roll = 0.005 * math.sin(1.3 * time_s + 2.0 * plan.seed)
    return make_transform(_rotation(yaw, pitch, roll), line.to_global(s, d))


def lidar_mount(plan: StreetPlan) -> NDArray[np.float64]:
    """Return `ego_from_lidar` (4, 4): x right, y forward, z up on the roof, tilted a little, differently by seed."""
    pitch, roll = plan.lidar_tilt
    right_forward_up = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    return make_transform(_rotation(0.0, pitch, roll) @ right_forward_up, _LIDAR_POSITION)


def _rotation(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """Return Rz(yaw) Ry(pitch) Rx(roll); positive pitch points the nose down."""
    about_z = [[math.cos(yaw), -math.sin(yaw), 0], [math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]]
    about_y = [[math.cos(pitch), 0, math.sin(pitch)], [0, 1, 0], [-math.sin(pitch), 0, math.cos(pitch)]]
    about_x = [[1, 0, 0], [0, math.cos(roll), -math.sin(roll)], [0, math.sin(roll), math.cos(roll)]]
    return np.array(about_z) @ np.array(about_y) @ np.array(about_x)
