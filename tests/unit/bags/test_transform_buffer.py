"""The transform tree: interpolation worked by hand, no extrapolation, messages that name frames and stamps."""

from __future__ import annotations

import numpy as np
import pytest

from ov3d_perception.errors import FrameError, GeometryError
from ov3d_perception.geometry import make_transform
from ov3d_perception.transform_buffer import TransformBuffer

S = 1_000_000_000


def moved(x: float, y: float = 0.0, yaw_deg: float = 0.0) -> np.ndarray:
    yaw = np.deg2rad(yaw_deg)
    rotation = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
    return make_transform(rotation, (x, y, 0.0))


def driving() -> TransformBuffer:
    """A car at x = 0 at 0 s, x = 10 at 1 s; lidar 1 m ahead of its origin, camera 2 m ahead."""
    buffer = TransformBuffer()
    buffer.set_static("base_link", "lidar", moved(1))
    buffer.set_static("base_link", "camera", moved(2))
    buffer.add("map", "base_link", 0, moved(0))
    buffer.add("map", "base_link", S, moved(10))
    return buffer


def test_ego_motion_between_the_stamps_is_in_the_transform() -> None:
    camera_from_lidar = driving().lookup("camera", S * 3 // 4, "lidar", S // 4, fixed_frame="map")
    # lidar in map at 0.25 s: 2.5 + 1 = 3.5; camera in map at 0.75 s: 7.5 + 2 = 9.5
    np.testing.assert_allclose(camera_from_lidar[:3, 3], [3.5 - 9.5, 0, 0], atol=1e-12)


def test_equal_stamps_need_no_fixed_frame() -> None:
    camera_from_lidar = driving().lookup("camera", 5 * S, "lidar", 5 * S, fixed_frame="nowhere")
    np.testing.assert_allclose(camera_from_lidar[:3, 3], [-1, 0, 0], atol=1e-12)


def test_rotation_is_interpolated_along_the_arc() -> None:
    buffer = TransformBuffer()
    buffer.add("map", "base_link", 0, moved(0, yaw_deg=-10))
    buffer.add("map", "base_link", S, moved(4, yaw_deg=50))
    np.testing.assert_allclose(
        buffer.lookup("map", S // 4, "base_link", S // 4, fixed_frame="map"), moved(1, yaw_deg=5), atol=1e-12
    )


def test_samples_may_come_in_any_order_and_be_replaced() -> None:
    buffer = TransformBuffer()
    for stamp_ns, x in ((S, 10.0), (0, 0.0), (S // 2, 99.0), (S // 2, 6.0)):
        buffer.add("map", "base_link", stamp_ns, moved(x))
    assert buffer.lookup("map", S // 4, "base_link", S // 4, fixed_frame="map")[0, 3] == pytest.approx(3.0)


@pytest.mark.parametrize("stamp_ns", [-1, S + 1])
def test_motion_is_never_extrapolated(stamp_ns: int) -> None:
    with pytest.raises(FrameError, match=rf"map <- base_link at {stamp_ns} ns would be extrapolated.*0 to {S}"):
        driving().lookup("camera", stamp_ns, "lidar", S // 2, fixed_frame="map")


def test_rigid_mount_is_held_when_declared() -> None:
    buffer = TransformBuffer(rigid_frames=["lidar"])
    buffer.add("base_link", "lidar", S, moved(1))
    assert buffer.lookup("base_link", 9 * S, "lidar", 9 * S, fixed_frame="map")[0, 3] == 1.0
    assert buffer.lookup("base_link", 0, "lidar", 0, fixed_frame="map")[0, 3] == 1.0


def test_long_gap_is_not_bridged() -> None:
    buffer = TransformBuffer(max_gap_s=0.5)
    buffer.add("map", "base_link", 0, moved(0))
    buffer.add("map", "base_link", S, moved(1))
    with pytest.raises(FrameError, match=r"gap of 1.000 s"):
        buffer.lookup("map", S // 2, "base_link", S // 2, fixed_frame="map")
    assert buffer.lookup("map", S, "base_link", S, fixed_frame="map")[0, 3] == 1.0


def test_unconnected_frames_are_named_with_those_known() -> None:
    with pytest.raises(FrameError, match=r"no transform radar <- lidar at 5 ns.*base_link, camera, lidar, map"):
        driving().lookup("radar", 5, "lidar", 5, fixed_frame="map")


def test_cycle_is_reported() -> None:
    buffer = TransformBuffer()
    buffer.set_static("a", "b", moved(1))
    buffer.set_static("b", "a", moved(1))
    with pytest.raises(FrameError, match="cycle"):
        buffer.lookup("a", 0, "c", 0, fixed_frame="a")


def test_broken_matrix_is_refused_when_it_arrives() -> None:
    with pytest.raises(GeometryError, match="base_link <- lidar"):
        TransformBuffer().set_static("base_link", "lidar", np.zeros((4, 4)))


def test_memory_is_bounded_by_age() -> None:
    buffer = TransformBuffer(max_age_s=1.0)
    for second in range(5):
        buffer.add("map", "base_link", second * S, moved(float(second)))
    with pytest.raises(FrameError, match=f"recorded from {3 * S} to {4 * S}"):
        buffer.lookup("map", 2 * S, "base_link", 2 * S, fixed_frame="map")


def test_clear_forgets_motion_and_keeps_mounts() -> None:
    buffer = driving()
    buffer.clear()
    assert buffer.lookup("base_link", 0, "lidar", 0, fixed_frame="map")[0, 3] == 1.0
    with pytest.raises(FrameError, match="not connected"):
        buffer.lookup("map", 0, "lidar", 0, fixed_frame="map")
