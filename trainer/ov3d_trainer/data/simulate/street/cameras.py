"""Six pinhole cameras placed as on a nuScenes car.

Camera frame: x right, y down, z forward; pixel centres at integers. Ego frame: x forward, y left, z up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.geometry import make_transform


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraMount:
    """Where a camera sits on the ego vehicle (m, degrees to the left of forward), its focal length as a share of the
    image width, and when it exposes relative to the sweep (ms)."""

    name: str
    position: tuple[float, float, float]
    yaw_deg: float
    focal: float = 0.79
    offset_ms: float = 0.0


CAMERAS: tuple[CameraMount, ...] = (
    CameraMount(name="CAM_FRONT", position=(1.70, 0.0, 1.51), yaw_deg=0.0, offset_ms=-35),
    CameraMount(name="CAM_FRONT_RIGHT", position=(1.55, -0.49, 1.50), yaw_deg=-56.0, offset_ms=-28),
    CameraMount(name="CAM_BACK_RIGHT", position=(1.01, -0.48, 1.56), yaw_deg=-110.0, offset_ms=-20),
    CameraMount(name="CAM_BACK", position=(0.03, 0.0, 1.58), yaw_deg=180.0, focal=0.506, offset_ms=-10),
    CameraMount(name="CAM_BACK_LEFT", position=(1.04, 0.48, 1.59), yaw_deg=109.0, offset_ms=-1),
    CameraMount(name="CAM_FRONT_LEFT", position=(1.52, 0.49, 1.51), yaw_deg=55.0, offset_ms=-43),
)
"""In the order in which they fire clockwise from the front."""

CAMERA_NAMES: tuple[str, ...] = tuple(mount.name for mount in CAMERAS)


def intrinsics(mount: CameraMount, image_size: tuple[int, int]) -> NDArray[np.float64]:
    """Return (3, 3) for an image of (width, height): square pixels, optical centre near the middle as in nuScenes."""
    width, height = image_size
    focal = mount.focal * width
    return np.array([[focal, 0, 0.51 * width - 0.5], [0, focal, 0.545 * height - 0.5], [0, 0, 1]])


def ego_from_camera(mount: CameraMount) -> NDArray[np.float64]:
    """Return (4, 4): the camera looks level, `yaw_deg` to the left of forward."""
    yaw = math.radians(mount.yaw_deg)
    right, down, forward = (math.sin(yaw), -math.cos(yaw), 0.0), (0.0, 0.0, -1.0), (math.cos(yaw), math.sin(yaw), 0.0)
    return make_transform(np.array([right, down, forward]).T, mount.position)
