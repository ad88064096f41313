"""Clouds survive the bytes that middleware carries."""

import numpy as np
import pytest

from ov3d_perception.pointcloud2 import decode_pointcloud2, encode_cloud

pytest.importorskip("rclpy", reason="needs ROS 2 (`make test` sets it up)")
pytest.importorskip("ov3d_msgs.msg", reason="needs the built ov3d_msgs (`make test` sets it up)")

from ov3d_perception.ros import wire


def test_a_cloud_comes_back_from_its_bytes():
    points = np.array([[1, 2, 3], [-4, 5.5, np.nan]], dtype=np.float32)
    columns = {name: points[:, axis] for axis, name in enumerate("xyz")}
    parts = encode_cloud({**columns, "intensity": np.array([7, 8], np.float32), "ring": np.array([0, 31], np.uint16)})
    message = wire.cloud_message(parts, stamp_ns=1_500_000_002, frame_id="LIDAR_TOP")
    frame = decode_pointcloud2(wire.cloud_from_bytes(wire.to_bytes(message)))
    np.testing.assert_array_equal(frame.points, points)
    np.testing.assert_array_equal(frame.intensity, [7, 8])
    np.testing.assert_array_equal(frame.ring, [0, 31])
    assert (frame.stamp_ns, frame.frame_id) == (1_500_000_002, "LIDAR_TOP")
