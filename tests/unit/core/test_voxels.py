"""Voxels: floor convention, order, dropped points and the mean."""

import numpy as np
import pytest

from ov3d_perception.errors import ConfigError
from ov3d_perception.voxels import mean_per_voxel, voxelize


def test_negative_coordinates_round_down_not_towards_zero(compiled: bool) -> None:
    voxels = voxelize(np.array([[-0.01, 0.01, 0.1]], dtype=np.float32), 0.1, compiled=compiled)
    np.testing.assert_array_equal(voxels.coords, [[-1, 0, 1]])


def test_voxels_are_unique_and_sorted_by_x_y_z(compiled: bool) -> None:
    points = np.array([[1.5, 0.5, 0.5], [0.5, 1.5, 0.5], [0.5, 0.5, 1.5], [1.6, 0.4, 0.2]], dtype=np.float32)
    voxels = voxelize(points, 1.0, compiled=compiled)
    np.testing.assert_array_equal(voxels.coords, [[0, 0, 1], [0, 1, 0], [1, 0, 0]])
    np.testing.assert_array_equal(voxels.voxel_of_point, [2, 1, 0, 2])


def test_nan_infinite_and_far_points_have_no_voxel(compiled: bool) -> None:
    points = np.array([[np.nan, 0, 0], [np.inf, 0, 0], [0, 3, 4.1], [0, 3, 4], [1e30, 0, 0]], dtype=np.float32)
    voxels = voxelize(points, 1.0, max_range_m=5.0, compiled=compiled)
    np.testing.assert_array_equal(voxels.voxel_of_point, [-1, -1, -1, 0, -1])


def test_empty_cloud_has_no_voxels(compiled: bool) -> None:
    voxels = voxelize(np.empty((0, 3), dtype=np.float32), 0.1, compiled=compiled)
    assert voxels.coords.shape == (0, 3)
    assert mean_per_voxel(np.empty((0, 2), dtype=np.float32), voxels, compiled=compiled).shape == (0, 2)


def test_mean_per_voxel_leaves_out_points_without_voxel(compiled: bool) -> None:
    points = np.array([[0.1, 0, 0], [0.2, 0, 0], [np.nan, 0, 0], [1.5, 0, 0]], dtype=np.float32)
    voxels = voxelize(points, 1.0, compiled=compiled)
    means = mean_per_voxel(np.array([1.0, 3.0, 100.0, 7.0]), voxels, compiled=compiled)
    np.testing.assert_allclose(means, [2.0, 7.0])


def test_voxel_size_zero_is_refused() -> None:
    with pytest.raises(ConfigError, match="voxel_size_m"):
        voxelize(np.zeros((1, 3), dtype=np.float32), 0.0)
