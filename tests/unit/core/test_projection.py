"""Projection and occlusion on cameras small enough to work out by hand."""

from pathlib import Path

import numpy as np
import pytest

from ov3d_perception.errors import GeometryError
from ov3d_perception.projection import not_occluded, project
from ov3d_perception.types import CameraView

# Lidar x right, y forward, z up; camera x right, y down, z forward; the camera sits 1 m below the lidar.
CAMERA_FROM_LIDAR = np.array([[1.0, 0, 0, 0], [0, 0, -1, -1.0], [0, 1, 0, 0], [0, 0, 0, 1]])


def _view(**changes: object) -> CameraView:
    values: dict = {
        "name": "CAM_FRONT",
        "image": np.zeros((100, 200, 3), dtype=np.uint8),
        "intrinsics": np.array([[100.0, 0, 100], [0, 100, 50], [0, 0, 1]]),
        "camera_from_lidar": CAMERA_FROM_LIDAR,
        "stamp_ns": 0,
    }
    return CameraView(**{**values, **changes})


def test_point_lands_on_the_pixel_worked_by_hand() -> None:
    # (2, 10, -3) m -> camera (2, 3 - 1, 10) -> u = 100 * 2/10 + 100 = 120, v = 100 * 2/10 + 50 = 70.
    projection = project(np.array([[2.0, 10.0, -3.0]], dtype=np.float32), _view())
    np.testing.assert_allclose(projection.pixels, [[120.0, 70.0]], atol=1e-4)
    assert projection.depth_m[0] == pytest.approx(10.0)
    assert projection.visible[0]


def test_point_behind_camera_is_not_visible() -> None:
    projection = project(np.array([[2.0, -10.0, -3.0]], dtype=np.float32), _view())
    assert not projection.visible[0]


def test_point_nearer_than_the_minimum_depth_is_not_visible() -> None:
    points = np.array([[0.0, 0.9, -1.0], [0.0, 1.1, -1.0]], dtype=np.float32)
    assert project(points, _view(), min_depth_m=1.0).visible.tolist() == [False, True]


def test_image_ends_half_a_pixel_beyond_the_last_centre() -> None:
    # u = 10 x + 100 at depth 10: x = 9.94 -> 199.4 inside, 9.96 -> 199.6 outside of a 200 px wide image.
    points = np.array([[9.94, 10.0, -1.0], [9.96, 10.0, -1.0]], dtype=np.float32)
    assert project(points, _view()).visible.tolist() == [True, False]


def test_nan_point_is_not_visible() -> None:
    assert not project(np.full((1, 3), np.nan, dtype=np.float32), _view()).visible[0]


def test_no_points_give_no_pixels() -> None:
    projection = project(np.empty((0, 3), dtype=np.float32), _view())
    assert projection.pixels.shape == (0, 2)
    assert not_occluded(projection, (100, 200)).shape == (0,)


def test_uncalibrated_camera_is_refused() -> None:
    with pytest.raises(GeometryError, match="focal"):
        project(np.zeros((1, 3), dtype=np.float32), _view(intrinsics=np.zeros((3, 3))))


def test_wall_behind_a_panel_is_hidden_and_wall_beside_it_is_not() -> None:
    # A panel 2 m wide at 5 m depth covers u = 80..120; the wall at 20 m spans u = 20..180. Both at the camera's height.
    panel = np.array([[x, 5.0, -1.0] for x in np.linspace(-1, 1, 21)], dtype=np.float32)
    wall = np.array([[x, 20.0, -1.0] for x in np.linspace(-16, 16, 65)], dtype=np.float32)
    projection = project(np.concatenate([panel, wall]), _view())
    clear = not_occluded(projection, (100, 200), cell_px=8)
    wall_u = projection.pixels[len(panel) :, 0]
    assert clear[: len(panel)].all()
    assert not clear[len(panel) :][(wall_u > 88) & (wall_u < 112)].any()
    assert clear[len(panel) :][(wall_u < 72) | (wall_u > 128)].all()


def test_gap_between_two_beams_on_one_object_is_closed() -> None:
    # Two beams hit a panel at 5 m in cells two apart; a point at 20 m between them is behind the panel.
    points = np.array([[0.0, 5.0, -1.0 - 0.5], [0.0, 5.0, -1.0 + 0.5], [0.0, 20.0, -1.0]], dtype=np.float32)
    clear = not_occluded(project(points, _view()), (100, 200), cell_px=8)
    assert clear.tolist() == [True, True, False]


def test_flat_road_does_not_hide_itself() -> None:
    # A 32-beam lidar, beams 1.33 degrees apart, 1.84 m above the ground; a nuScenes camera 0.34 m below the lidar.
    view = _view(
        image=np.zeros((900, 1600, 3), dtype=np.uint8),
        intrinsics=np.array([[1266.0, 0, 816], [0, 1266, 491], [0, 0, 1]]),
        camera_from_lidar=CAMERA_FROM_LIDAR + np.array([[0, 0, 0, 0], [0, 0, 0, 0.66], [0, 0, 0, 0], [0, 0, 0, 0]]),
    )
    depression, azimuth = np.meshgrid(np.radians(np.arange(2.0, 30, 1.33)), np.radians(np.arange(-30, 30, 0.33)))
    distance = 1.84 / np.tan(depression)
    road = np.stack([distance * np.sin(azimuth), distance * np.cos(azimuth), np.full_like(distance, -1.84)], axis=-1)
    projection = project(road.reshape(-1, 3).astype(np.float32), view)
    assert projection.visible.sum() > 1000
    assert not_occluded(projection, (900, 1600))[projection.visible].mean() > 0.99


def test_keyframe_chain_puts_annotated_cars_on_car_pixels(real_data: Path) -> None:
    """On the real keyframe, points in annotated car boxes land on pixels that the segmenter calls car."""
    from ov3d_trainer.data.boxes import points_in_box
    from ov3d_trainer.data.keyframe import Keyframe

    sample = Keyframe(real_data / "nuscenes_scene-0061")[0]
    in_car = np.zeros(len(sample.frame.points), dtype=bool)
    for box in sample.boxes:
        if "car" in box.category:
            in_car |= points_in_box(sample.frame.points, box)
    hits = total = 0
    for view in sample.frame.cameras:
        labels = sample.view_labels[view.name].labels
        projection = project(sample.frame.points, view)
        rows = np.flatnonzero(not_occluded(projection, view.image.shape[:2]) & in_car)
        pixel = np.rint((projection.pixels[rows] + 0.5) * labels.shape[1] / view.image.shape[1] - 0.5).astype(int)
        names = np.array([*sample.view_label_names, "none"])[labels[pixel[:, 1], pixel[:, 0]]]
        hits, total = hits + int((names == "car").sum()), total + len(rows)
    assert total > 60  # 79 points lie in car boxes, most of them in an image
    assert hits / total > 0.7  # the data's README: about 4 of 5
