"""Simulated worlds with their truth: numpy, trimesh and embreex, no torch."""

from .kinds import KINDS, VIEW_KINDS
from .room.source import SimulatedRoom
from .street.cameras import CAMERA_NAMES
from .street.drive import SimulatedStreet
from .street.lidar import HDL_64E, LidarSpec

__all__ = ["CAMERA_NAMES", "HDL_64E", "KINDS", "VIEW_KINDS", "LidarSpec", "SimulatedRoom", "SimulatedStreet"]
