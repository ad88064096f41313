"""Superpixels: an image of two colours, and the vectors of the points that fall into its halves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("skimage", reason="superpixels need scikit-image")

from ov3d_trainer.supervision.lift import LiftOptions
from ov3d_trainer.teacher.superpixels import superpixel_at, superpixels
from ov3d_trainer.teacher.views import mean_over_views
from tests.unit.training.hand_made import CAMERA_FROM_LIDAR, make_sample, make_view


@pytest.fixture
def halves():
    image = np.zeros((60, 80, 3), np.uint8)
    image[:, 40:] = (250, 240, 30)
    return image


def test_no_superpixel_crosses_a_border_of_colours(halves):
    found = superpixels(halves, 8)
    assert found.shape == (60, 80)
    assert 4 <= len(np.unique(found)) <= 12
    assert not set(np.unique(found[:, :40])) & set(np.unique(found[:, 40:]))


def test_wide_images_are_shrunk_and_pixels_find_their_place(halves):
    wide = np.kron(halves, np.ones((20, 20, 1), np.uint8))  # 1600 columns
    assert superpixels(wide, 8).shape == (360, 480)
    left, right, far = superpixel_at(wide, np.array([[780, 600], [820, 600], [1599.4, 1199.4]], np.float32), 2)
    assert left != right == far


def test_points_of_a_superpixel_share_the_mean_of_their_vectors(halves):
    view = replace(make_view(width=80, height=60, focal=40.0), image=halves)
    view = replace(view, intrinsics=np.array([[40.0, 0, 39.5], [0, 40.0, 29.5], [0, 0, 1]]))
    # one metre before the camera, x in metres is 40 pixels: two points on the left half, one on the right
    sample = make_sample([[-0.5, 2, 0], [-0.3, 2, 0], [0.5, 2, 0]], views=[view])

    def read(view, pixels):
        return np.stack([pixels[:, 0], np.ones(len(pixels))], axis=1)

    found = mean_over_views(sample, LiftOptions(superpixels=2, occlusion_test=False), 2, read)
    assert found.rows.tolist() == [0, 1, 2]
    assert found.vector_of_row[0] == found.vector_of_row[1] != found.vector_of_row[2]
    np.testing.assert_allclose(found.code[:, 0], [31.5, 31.5, 49.5])  # columns 29.5 and 33.5; 49.5


def test_the_nearer_view_counts_more_where_that_is_asked_for():
    # the second camera stands three metres behind the first, so that it sees the point at 4 m, the first at 1 m
    behind = CAMERA_FROM_LIDAR.copy()
    behind[2, 3] = 3.0
    sample = make_sample([[0, 1, 0]], views=[make_view("front"), make_view("behind", camera_from_lidar=behind)])
    value = {"front": 1.0, "behind": 0.0}

    def read(view, pixels):
        return np.full((len(pixels), 1), value[view.name], np.float32)

    options = LiftOptions(min_depth_m=0.5)
    assert mean_over_views(sample, options, 1, read).code.tolist() == [[0.5]]
    near = mean_over_views(sample, replace(options, view_weight="near"), 1, read)
    np.testing.assert_allclose(near.code, [[1.0 / (1.0 + 0.25)]], atol=1e-3)


def test_a_sample_that_no_camera_sees_has_no_vectors():
    found = mean_over_views(make_sample([[0, 1, 0]]), LiftOptions(superpixels=4), 3, lambda view, pixels: pixels)
    assert (found.points, len(found.rows), found.vectors.shape) == (1, 0, (0, 3))
