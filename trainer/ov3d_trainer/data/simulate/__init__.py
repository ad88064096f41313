"""Simulated worlds with their truth: numpy, trimesh and embreex, no torch."""

from .kinds import KINDS, VIEW_KINDS
from .street.cameras import CAMERA_NAMES
from .street.drive import SimulatedStreet
from .street.lidar import LidarSpec

__all__ = ["CAMERA_NAMES", "KINDS", "VIEW_KINDS", "LidarSpec", "SimulatedStreet"]
