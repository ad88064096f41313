"""Transforms: directions, inverses and quaternions worked by hand."""

import warnings

import numpy as np
import pytest

from ov3d_perception.errors import GeometryError
from ov3d_perception.geometry import (
    check_transform,
    interpolate_transform,
    invert_transform,
    make_transform,
    quaternion_from_rotation,
    rotation_from_quaternion,
    transform_points,
)

QUARTER_TURN_LEFT = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # x -> y about z


def test_quarter_turn_about_z_moves_x_onto_y() -> None:
    rotation = rotation_from_quaternion([0.0, 0.0, np.sqrt(0.5), np.sqrt(0.5)])
    np.testing.assert_allclose(rotation, QUARTER_TURN_LEFT, atol=1e-12)


def test_transform_rotates_first_then_translates() -> None:
    target_from_source = make_transform(QUARTER_TURN_LEFT, [10.0, 0.0, 1.0])
    moved = transform_points(target_from_source, np.array([[2.0, 0.0, 0.0]], dtype=np.float32))
    np.testing.assert_allclose(moved, [[10.0, 2.0, 1.0]], atol=1e-6)
    assert moved.dtype == np.float32


def test_inverse_brings_points_back() -> None:
    b_from_a = make_transform(QUARTER_TURN_LEFT, [1.0, 2.0, 3.0])
    np.testing.assert_allclose(invert_transform(b_from_a) @ b_from_a, np.eye(4), atol=1e-12)


def test_centimetres_survive_coordinates_of_a_kilometre() -> None:
    global_from_ego = make_transform(np.eye(3), [1180.0, 411.0, 0.0])
    points = np.array([[0.01, 0.02, 0.03]])
    back = transform_points(invert_transform(global_from_ego), transform_points(global_from_ego, points))
    np.testing.assert_allclose(back, points, atol=1e-9)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 0.3, np.pi - 1e-7, np.pi])
@pytest.mark.parametrize("axis", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.6, 0.0, 0.8)])
def test_quaternion_and_rotation_agree_at_every_angle(angle: float, axis: tuple[float, ...]) -> None:
    quaternion = np.append(np.sin(angle / 2) * np.asarray(axis), np.cos(angle / 2))
    rotation = rotation_from_quaternion(quaternion)
    np.testing.assert_allclose(rotation_from_quaternion(quaternion_from_rotation(rotation)), rotation, atol=1e-9)


def test_halfway_between_two_poses_is_half_the_angle_and_half_the_way() -> None:
    end = make_transform(QUARTER_TURN_LEFT, [4.0, 0.0, 0.0])
    middle = interpolate_transform(np.eye(4), end, 0.5)
    assert middle[0, 0] == pytest.approx(np.cos(np.pi / 4))
    np.testing.assert_allclose(middle[:3, 3], [2.0, 0.0, 0.0], atol=1e-12)


def test_motion_is_not_extrapolated() -> None:
    with pytest.raises(GeometryError, match="not extrapolated"):
        interpolate_transform(np.eye(4), np.eye(4), 1.1)


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (np.eye(3), "shape"),
        (np.full((4, 4), np.nan), "NaN"),
        (np.diag([2.0, 2.0, 2.0, 1.0]), "orthonormal"),
        (np.diag([1.0, 1.0, -1.0, 1.0]), "right-handed"),
        (make_transform(np.eye(3), [1.0, 0.0, 0.0]).T, "last row"),
    ],
)
def test_broken_transform_is_refused_by_name(broken: np.ndarray, message: str) -> None:
    with pytest.raises(GeometryError, match=message):
        check_transform("base_from_lidar", broken)


def test_zero_quaternion_of_an_empty_message_is_refused() -> None:
    with pytest.raises(GeometryError, match="quaternion"):
        rotation_from_quaternion([0.0, 0.0, 0.0, 0.0])


def test_points_that_are_not_finite_stay_so_without_a_warning() -> None:
    points = np.array([[np.inf, 0.0, 0.0], [0.0, np.nan, 0.0], [1.0, 2.0, 3.0]], dtype=np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        moved = transform_points(make_transform(QUARTER_TURN_LEFT, [0.0, 0.0, 0.0]), points)
    assert np.isfinite(moved).all(axis=1).tolist() == [False, False, True]
