"""A simulated street with its truth: numpy, trimesh and embreex, no torch."""

from .camera import CAMERA_NAMES
from .drive import SimulatedStreet
from .kinds import KINDS, VIEW_KINDS
from .lidar import LidarSpec

__all__ = ["CAMERA_NAMES", "KINDS", "VIEW_KINDS", "LidarSpec", "SimulatedStreet"]
