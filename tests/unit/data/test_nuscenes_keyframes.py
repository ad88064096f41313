"""nuScenes' official files as samples, against numbers worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ov3d_perception.errors import ConfigError, DataError
from ov3d_trainer.config import SourceConfig
from ov3d_trainer.data.dataset import open_source
from ov3d_trainer.data.nuscenes.keyframes import NuScenesKeyframes
from ov3d_trainer.data.nuscenes.splits import scenes_of_split
from ov3d_trainer.data.sample import UNKNOWN
from tests.unit.data.tiny_nuscenes import T0, sweep, write_tiny_nuscenes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tiny_nuscenes(tmp_path / "nuscenes")


def open_all(root: Path, **choices: object) -> NuScenesKeyframes:
    return NuScenesKeyframes(root, version="v1.0-mini", split="scene-0061", **choices)  # type: ignore[arg-type]


def test_keyframes_come_with_points_images_and_labels(root: Path) -> None:
    source = open_all(root)
    assert [source.key(index) for index in range(len(source))] == ["lidar0", "lidar2"]
    sample = source[0]
    np.testing.assert_array_equal(sample.frame.points, sweep(0)[:, :3])
    np.testing.assert_array_equal(sample.frame.intensity, sweep(0)[:, 3])
    assert (sample.frame.stamp_ns, sample.frame.frame_id) == (T0 * 1000, "LIDAR_TOP")
    assert sample.point_labels is not None
    names = [sample.point_label_names[row] if row != UNKNOWN else "" for row in sample.point_labels]
    assert names == ["car", "", "traffic cone"]
    (view,) = sample.frame.cameras
    # as worked out in tests/unit/bags/test_nuscenes_scene.py, where the image comes 10 ms before the sweep: 0.1 m of
    # driving on top of 1 m between the mounts
    np.testing.assert_allclose(view.camera_from_lidar[:3, 3], [0.0, -0.5, -0.9], atol=1e-9)


def test_a_sample_knows_its_drive_and_where_the_lidar_stood(root: Path) -> None:
    place = open_all(root, cameras=False)[0].place
    assert place is not None
    assert place.recording == "scene-0061"
    np.testing.assert_allclose(place.world_from_lidar[:3, 3], [100.0, 201.0, 2.0], atol=1e-9)  # see the boxes below


def test_boxes_lie_in_the_lidars_frame(root: Path) -> None:
    (box,) = open_all(root)[0].boxes
    # The car heads along the global y axis (yaw 90 degrees); its lidar is at (100, 201, 2), turned as the car.
    np.testing.assert_allclose(box.center_m, [10.0, 0.0, -1.0], atol=1e-9)
    np.testing.assert_allclose(box.size_lwh_m, [4.0, 2.0, 1.5])
    assert box.yaw_rad == pytest.approx(0.0, abs=1e-9)
    assert (box.category, box.key) == ("car", "parked")
    assert open_all(root)[1].boxes == ()


def test_earlier_sweeps_are_moved_to_the_keyframe(root: Path) -> None:
    sample = open_all(root, sweeps=2, cameras=False)[1]
    frame = sample.frame
    # The sweep 50 ms before was taken 0.5 m further back along the lidar's x axis; none of its points is near the car.
    np.testing.assert_allclose(
        frame.points, np.concatenate([sweep(2)[:, :3], sweep(1)[:, :3] - [0.5, 0, 0]]), atol=1e-5
    )
    assert frame.time_offset_s is not None
    np.testing.assert_allclose(frame.time_offset_s, [0, 0, 0, -0.05, -0.05, -0.05], atol=1e-6)
    assert sample.point_labels is not None
    assert (sample.point_labels[3:] == UNKNOWN).all()
    assert len(open_all(root, sweeps=2, cameras=False)[0].frame.points) == 3  # nothing comes before the first
    with pytest.raises(ConfigError, match=r"data\.sweeps"):
        open_all(root, sweeps=11)


def test_shrunk_images_keep_where_points_fall(root: Path) -> None:
    whole, half = (open_all(root, image_width=width)[0].frame.cameras[0] for width in (0, 8))
    assert half.image.shape == (4, 8, 3)
    # Pixel centres lie at integers: the middle of a 16 pixel row is 7.5, of an 8 pixel row 3.5.
    assert (whole.intrinsics[0, 2], half.intrinsics[0, 2]) == (7.5, 3.5)
    assert half.intrinsics[0, 0] == 5.0


def test_without_lidarseg_points_have_no_labels(root: Path) -> None:
    (root / "v1.0-mini" / "lidarseg.json").unlink()
    assert open_all(root)[0].point_labels is None


def test_split_takes_what_the_tables_hold_of_it(root: Path) -> None:
    config = SourceConfig(kind="nuscenes", path=str(root), version="v1.0-mini", split="mini_train", cameras=True)
    assert len(open_source(config)) == 2  # scene-0061; the other seven are not here
    with pytest.raises(DataError, match="holds no scene of split 'test'"):
        NuScenesKeyframes(root, version="v1.0-mini", split="test")
    with pytest.raises(ConfigError, match="unknown 'vall'"):
        NuScenesKeyframes(root, version="v1.0-mini", split="vall")


def test_splits_have_the_published_sizes_and_do_not_overlap() -> None:
    names = ("train", "val", "test", "train_search", "train_verify", "mini_train", "mini_val")
    of = {name: scenes_of_split(name) or frozenset() for name in names}
    assert [len(of[name]) for name in names] == [700, 150, 150, 600, 100, 8, 2]
    assert len(of["train"] | of["val"] | of["test"]) == 1000
    assert of["train_search"] | of["train_verify"] == of["train"]
    assert of["mini_train"] - of["train"] == {"scene-0553", "scene-0796"}  # they are in val: mini is for trying out
    assert of["mini_val"] < of["val"]


def test_damage_is_named(root: Path) -> None:
    label = root / "lidarseg/v1.0-mini/lidar0_lidarseg.bin"
    label.write_bytes(b"\0")
    with pytest.raises(DataError, match=r"lidar0_lidarseg\.bin: expected 3 labels"):
        open_all(root)[0]
    label.unlink()
    with pytest.raises(DataError, match=r"lidar0_lidarseg\.bin: no lidarseg labels"):
        open_all(root)[0]
    for image in (root / "samples/CAM_FRONT").iterdir():
        image.write_bytes(image.read_bytes()[:40])
    (root / "v1.0-mini" / "lidarseg.json").unlink()
    with pytest.raises(DataError, match=r"jpg: expected an image"):
        open_all(root)[0]
    table = root / "v1.0-mini" / "calibrated_sensor.json"
    rows = json.loads(table.read_text())
    del rows[0]["rotation"]
    table.write_text(json.dumps(rows))
    with pytest.raises(DataError, match=r"sample_data\.json: row .*rotation"):
        open_all(root)
    table.write_text("[]")
    with pytest.raises(DataError, match=r"calibrated_sensor\.json: no row 'cs-lidar'"):
        open_all(root)
