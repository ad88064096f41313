"""A data set of a few points, two small images and a vehicle that drives and turns: everything a bag can carry."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.geometry import invert_transform, make_transform
from ov3d_perception.types import CameraView, Frame
from ov3d_trainer.data.sample import Rig, Sample

START_NS = 1_600_000_000_000_000_000
INTERVAL_NS = 100_000_000
NAMES = ("car", "tree")
OFFSETS_NS = {"CAM_FRONT": -20_000_000, "CAM_BACK": 15_000_000}
SIZE = (32, 24)


def turned(yaw: float, translation: tuple[float, float, float]) -> NDArray[np.float64]:
    cosine, sine = np.cos(yaw), np.sin(yaw)
    return make_transform(np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]]), translation)


CAMERA_AXES = make_transform(np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]]), (1.7, 0.1, 1.5))
EGO_FROM_LIDAR = turned(-np.pi / 2, (0.9, 0.0, 1.8))
EGO_FROM_CAMERA = {"CAM_FRONT": CAMERA_AXES, "CAM_BACK": turned(np.pi, (0.0, 0.0, 0.0)) @ CAMERA_AXES}
INTRINSICS = np.array([[25.0, 0, 15.5], [0, 25.0, 11.5], [0, 0, 1]])


def pose_at(stamp_ns: int) -> NDArray[np.float64]:
    """10 m/s along a curve, far from the origin as in real maps."""
    time_s = (stamp_ns - START_NS) * 1e-9
    return turned(0.3 * time_s, (1000.0 + 10.0 * time_s, 2000.0, 0.0))


class TinyDrive:
    """A `SampleSource` with everything worked out from `pose_at`."""

    def __init__(self, frames: int = 3, *, points: int = 50) -> None:
        self.frames = frames
        self.points = points

    def __len__(self) -> int:
        return self.frames

    def __getitem__(self, index: int) -> Sample:
        rng = np.random.default_rng(index)
        stamp_ns = START_NS + index * INTERVAL_NS
        points = rng.uniform(-20, 20, (self.points, 3)).astype(np.float32)
        points[0] = np.nan
        poses = {stamp_ns: pose_at(stamp_ns)}
        views = []
        for name, offset_ns in OFFSETS_NS.items():
            poses[stamp_ns + offset_ns] = pose_at(stamp_ns + offset_ns)
            global_from_camera = poses[stamp_ns + offset_ns] @ EGO_FROM_CAMERA[name]
            image = np.full((SIZE[1], SIZE[0], 3), (40 * index + 30, 100, 200), np.uint8)
            views.append(
                CameraView(
                    name=name,
                    image=image,
                    intrinsics=INTRINSICS,
                    camera_from_lidar=invert_transform(global_from_camera) @ poses[stamp_ns] @ EGO_FROM_LIDAR,
                    stamp_ns=stamp_ns + offset_ns,
                )
            )
        return Sample(
            name=f"tiny/{index}",
            frame=Frame(
                points=points,
                intensity=rng.uniform(0, 255, self.points).astype(np.float32),
                ring=rng.integers(0, 32, self.points).astype(np.uint16),
                stamp_ns=stamp_ns,
                frame_id="LIDAR_TOP",
                cameras=tuple(views),
            ),
            rig=Rig(ego_from_lidar=EGO_FROM_LIDAR, ego_from_camera=EGO_FROM_CAMERA, global_from_ego=poses),
            point_labels=rng.integers(-1, 2, self.points).astype(np.int32),
            point_label_names=NAMES,
        )
