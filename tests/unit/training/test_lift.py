from dataclasses import replace

import numpy as np

from ov3d_perception.types import Voxels
from ov3d_trainer.data.sample import UNKNOWN
from ov3d_trainer.supervision.lift import (
    LiftOptions,
    away_from_borders,
    lift_view_labels,
    pixels_in_label_image,
    voxel_targets,
)
from ov3d_trainer.teacher.views import mean_over_views
from tests.unit.training.hand_made import label_image, make_sample, make_view

EVERYWHERE = LiftOptions(occlusion_test=False)


def test_point_gets_label_of_the_pixel_it_falls_on():
    # (1, 4, -0.5): u = 4 + 4 * 1 / 4 = 5, v = 2 + 4 * 0.5 / 4 = 2.5 -> row 3 (halves go up), column 5
    labels = np.zeros((4, 8), dtype=int)
    labels[3, 5] = 1
    sample = make_sample([[1, 4, -0.5], [0, 4, 0]], views=[make_view()], labels={"front": label_image(labels)})
    lifted = lift_view_labels(sample, EVERYWHERE)
    assert lifted.label.tolist() == [1, 0]
    assert lifted.confidence.tolist() == [1.0, 1.0]


def test_point_behind_camera_gets_no_label():
    sample = make_sample([[0, -4, 0]], views=[make_view()], labels={"front": label_image(np.ones((4, 8)))})
    assert lift_view_labels(sample, EVERYWHERE).label.tolist() == [UNKNOWN]


def test_half_size_label_image_is_read_at_pixel_centres():
    # u = 3 in 8 columns: (3 + 0.5) * 4 / 8 - 0.5 = 1.25 -> column 1; u = 4 -> 1.75 -> column 2.
    # v = 1 in 4 rows: (1 + 0.5) * 2 / 4 - 0.5 = 0.25 -> row 0; v = 2 -> 0.75 -> row 1.
    pixels = np.array([[3, 1], [4, 2], [-0.5, -0.5], [7.49, 3.49]], dtype=np.float32)
    row, column = pixels_in_label_image(pixels, (4, 8), (2, 4))
    assert column.tolist() == [1, 2, 0, 3]
    assert row.tolist() == [0, 1, 0, 1]


def test_most_confident_camera_wins():
    other = make_view("other")
    labels = {
        "front": label_image(np.zeros((4, 8)), np.full((4, 8), 0.4)),
        "other": label_image(np.ones((4, 8)), np.full((4, 8), 0.9)),
    }
    for views in ([make_view(), other], [other, make_view()]):
        lifted = lift_view_labels(make_sample([[0, 4, 0]], views=views, labels=labels), EVERYWHERE)
        assert lifted.label.tolist() == [1]
        np.testing.assert_allclose(lifted.confidence, [0.9], rtol=1e-6)  # float32


def test_doubtful_pixels_give_nothing():
    labels = {"front": label_image(np.ones((4, 8)), np.full((4, 8), 0.4))}
    sample = make_sample([[0, 4, 0]], views=[make_view()], labels=labels)
    assert lift_view_labels(sample, LiftOptions(min_confidence=0.5)).label.tolist() == [UNKNOWN]
    assert lift_view_labels(sample, LiftOptions(min_confidence=0.3)).label.tolist() == [1]


def test_erosion_drops_pixels_near_another_label():
    labels = np.zeros((5, 7), dtype=np.int32)
    labels[:, 3:] = 1
    inner = away_from_borders(labels, 1)
    assert inner[2].tolist() == [True, True, False, False, True, True, True]
    assert away_from_borders(labels, 0).all()


def test_point_behind_a_nearer_surface_gets_no_label():
    # One pixel cell holds a point 4 m away and one 8 m away on the same ray: the camera sees the near one only.
    view = make_view(width=800, height=400, focal=400.0)
    labels = {"front": label_image(np.ones((400, 800)))}
    sample = make_sample([[0, 4, 0], [0, 8, 0]], views=[view], labels=labels)
    assert lift_view_labels(sample).label.tolist() == [1, UNKNOWN]
    assert lift_view_labels(sample, EVERYWHERE).label.tolist() == [1, 1]


def test_camera_without_labels_gives_nothing():
    assert lift_view_labels(make_sample([[0, 4, 0]], views=[make_view()])).label.tolist() == [UNKNOWN]


def test_voxel_target_is_mean_of_weighted_points():
    # Voxel 0: a car of weight 1, a tree of weight 0.5, a point without target -> (0.5, 1, 0) / 3. Voxel 1: nothing.
    voxels = Voxels(coords=np.array([[0, 0, 0], [1, 0, 0]], dtype=np.int32), voxel_of_point=np.array([0, 0, 0, 1, -1]))
    target = np.array([1, 0, UNKNOWN, UNKNOWN, 2])
    weight = np.array([1.0, 0.5, 0.0, 0.0, 1.0], dtype=np.float32)
    pooled = voxel_targets(target, weight, 3, voxels)
    np.testing.assert_allclose(pooled, [[0.5 / 3, 1 / 3, 0], [0, 0, 0]], rtol=1e-6)  # float32


def test_depth_image_says_which_points_a_camera_sees():
    # Points on one ray each, at 4 m and 4.1 m (both within 5 % of 4.05 m), at 5 m, and where nothing was measured.
    view = make_view()
    points = [[0, 4, 0], [0, 4.1, 0], [0, 5, 0], [-4, 4, 0]]
    sample = make_sample(points, views=[view], labels={"front": label_image(np.ones((4, 8)))})
    depth = np.full((4, 8), 4.05, np.float32)
    depth[:, 0] = 0.0
    seen = replace(sample, view_depths={"front": depth})
    assert lift_view_labels(seen).label.tolist() == [1, 1, UNKNOWN, UNKNOWN]
    assert lift_view_labels(seen, LiftOptions(depth_tolerance=0.25)).label.tolist() == [1, 1, 1, UNKNOWN]
    assert lift_view_labels(seen, EVERYWHERE).label.tolist() == [1, 1, 1, 1]


def test_depth_image_of_half_the_size_is_read_at_pixel_centres():
    # u = 3 falls into column 1 of 4, u = 4 into column 2 (see above): the depth images differ there.
    sample = make_sample([[-1, 4, 0], [0, 4, 0]], views=[make_view()], labels={"front": label_image(np.ones((4, 8)))})
    depth = np.array([[9, 9, 4, 9]] * 2, np.float32)
    assert lift_view_labels(replace(sample, view_depths={"front": depth})).label.tolist() == [UNKNOWN, 1]


def test_features_are_lifted_by_the_depth_image_too():
    sample = replace(
        make_sample([[0, 4, 0], [0, 8, 0]], views=[make_view()]), view_depths={"front": np.full((4, 8), 8)}
    )
    found = mean_over_views(sample, LiftOptions(), 2, lambda view, pixels: np.ones((len(pixels), 2), np.float32))
    assert found.rows.tolist() == [1]  # by the sweep alone it would be the nearer one
