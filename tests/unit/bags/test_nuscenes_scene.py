"""A scene of nuScenes becomes a bag; the tables are read by hand-made numbers (tests/unit/data/tiny_nuscenes.py)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bags.nuscenes_scene import recording_of_scene
from bags.writer import write_bag
from ov3d_perception.bags import read_bag_clouds, read_bag_frames
from ov3d_perception.errors import DataError
from ov3d_trainer.data.nuscenes.read_tables import read_scene
from tests.unit.data.tiny_nuscenes import T0, jpeg, sweep, write_tiny_nuscenes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tiny_nuscenes(tmp_path / "nuscenes")


def test_scene_is_read_in_order_of_stamps_without_radars_and_other_scenes(root: Path) -> None:
    data = read_scene(root, "v1.0-mini", "scene-0061")
    assert [(item.channel, (item.stamp_ns - T0 * 1000) // 1_000_000) for item in data] == [
        ("CAM_FRONT", -10),
        ("LIDAR_TOP", 0),
        ("LIDAR_TOP", 50),
        ("CAM_FRONT", 90),
        ("LIDAR_TOP", 100),
    ]


def test_quaternions_have_the_real_part_first(root: Path) -> None:
    lidar = next(item for item in read_scene(root, "v1.0-mini", "scene-0061") if item.modality == "lidar")
    np.testing.assert_allclose(lidar.global_from_ego[:3, :3], [[0, -1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-12)
    np.testing.assert_allclose(lidar.ego_from_sensor[:3, 3], [1, 0, 2])


def test_scene_becomes_a_bag_with_sweeps_and_ego_motion(root: Path, tmp_path: Path) -> None:
    counts = write_bag(recording_of_scene(root, "v1.0-mini", "scene-0061"), tmp_path / "bag")
    assert counts["/LIDAR_TOP"] == 3
    assert counts["/CAM_FRONT/image_rect_compressed"] == counts["/CAM_FRONT/camera_info"] == 2
    assert counts["/tf"] == 5
    assert "/RADAR_FRONT" not in counts
    frames = list(read_bag_frames(tmp_path / "bag", max_skew_s=0.02))
    np.testing.assert_array_equal(frames[1].points, sweep(1)[:, :3])
    np.testing.assert_array_equal(frames[0].ring, [0, 1, 31])
    assert [len(frame.cameras) for frame in frames] == [1, 0, 1]
    (view,) = frames[0].cameras
    # The lidar's origin is 1 m behind and 0.5 m above the camera; the car drives 10 m/s along its own x axis, so 10 ms
    # later it has moved 0.1 m forward: 0.9 m behind. Camera axes: x right, y down, z forward.
    np.testing.assert_allclose(view.camera_from_lidar[:3, 3], [0.0, -0.5, -0.9], atol=1e-9)
    assert view.image.shape == (9, 16, 3)


def test_jpeg_files_go_into_the_bag_as_they_are(root: Path) -> None:
    events = list(recording_of_scene(root, "v1.0-mini", "scene-0061").events())
    assert [event.jpeg for event in events if hasattr(event, "jpeg")] == [jpeg(), jpeg()]


def test_keyframes_only_leaves_out_sweeps(root: Path, tmp_path: Path) -> None:
    write_bag(recording_of_scene(root, "v1.0-mini", "scene-0061", keyframes_only=True), tmp_path / "bag")
    assert len(list(read_bag_clouds(tmp_path / "bag"))) == 2


def test_what_is_missing_is_named(root: Path) -> None:
    with pytest.raises(DataError, match=r"no scene 'scene-9'. There are scene-0061, scene-0103"):
        read_scene(root, "v1.0-mini", "scene-9")
    with pytest.raises(DataError, match=r"v1.0-test/scene.json: missing"):
        read_scene(root, "v1.0-test", "scene-0061")
    next((root / "sweeps" / "LIDAR_TOP").iterdir()).unlink()
    with pytest.raises(DataError, match=r"pcd.bin: missing"):
        list(recording_of_scene(root, "v1.0-mini", "scene-0061").events())
    (root / "v1.0-mini" / "sensor.json").write_text("[{]")
    with pytest.raises(DataError, match=r"sensor.json: is not valid JSON"):
        read_scene(root, "v1.0-mini", "scene-0061")


def test_table_that_leads_out_of_the_data_set_is_refused(root: Path) -> None:
    table = root / "v1.0-mini" / "sample_data.json"
    table.write_text(table.read_text().replace("sweeps/LIDAR_TOP/", "../../"))
    with pytest.raises(DataError, match="outside the data set"):
        read_scene(root, "v1.0-mini", "scene-0061")
