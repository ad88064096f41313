"""Samples made by hand for the training tests."""

import numpy as np

from ov3d_perception.types import CameraView, Frame
from ov3d_trainer.data.sample import LabelImage, Sample

# Camera looking along the lidar's y axis: camera x = lidar x, camera y (down) = -lidar z, camera z = lidar y.
CAMERA_FROM_LIDAR = np.array([[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]], dtype=np.float64)


def make_view(name="front", *, width=8, height=4, focal=4.0, camera_from_lidar=CAMERA_FROM_LIDAR):
    """A pinhole whose centre pixel is (4, 2): a point at (x, y, z) falls on u = 4 + f x / y, v = 2 - f z / y."""
    return CameraView(
        name=name,
        image=np.zeros((height, width, 3), dtype=np.uint8),
        intrinsics=np.array([[focal, 0, 4.0], [0, focal, 2.0], [0, 0, 1]]),
        camera_from_lidar=camera_from_lidar,
        stamp_ns=0,
    )


def make_sample(points, *, views=(), labels=None, names=("tree", "car", "sky"), point_labels=None, point_names=()):
    points = np.array(points, dtype=np.float32).reshape(-1, 3)
    frame = Frame(
        points=points,
        intensity=np.zeros(len(points), dtype=np.float32),
        stamp_ns=0,
        frame_id="lidar",
        cameras=tuple(views),
    )
    return Sample(
        name="hand-made",
        frame=frame,
        point_labels=None if point_labels is None else np.array(point_labels, dtype=np.int32),
        point_label_names=tuple(point_names),
        view_labels=labels or {},
        view_label_names=tuple(names),
    )


def label_image(labels, confidence=None):
    return LabelImage(
        labels=np.array(labels, dtype=np.int32),
        confidence=None if confidence is None else np.array(confidence, dtype=np.float32),
    )
