"""The keyframe reader gives what the folder holds, or says which file is wrong."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ov3d_perception.errors import DataError
from ov3d_perception.geometry import check_transform, invert_transform
from ov3d_trainer.data.boxes import points_in_box
from ov3d_trainer.data.keyframe import Keyframe
from ov3d_trainer.data.sample import UNKNOWN, Box, Sample

EYE = np.eye(4).tolist()
CAMERA_FROM_LIDAR = [[1, 0, 0, 0.5], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]]


def write_keyframe(folder: Path) -> None:
    """Two points, one 4 x 2 image, one box; the lidar sits on the ego origin, the ego vehicle moved 1 m between."""
    camera = {
        "image": "CAM.png",
        "timestamp_s": 99.96,
        "intrinsics": [[2, 0, 1.5], [0, 2, 0.5], [0, 0, 1]],
        "ego_from_camera": [[1, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]],
        "camera_from_lidar": CAMERA_FROM_LIDAR,
    }
    record = {
        "sample_token": "made-by-hand",
        "timestamp_s": 100.0,
        "lidar": {"file": "sweep.bin", "ego_from_lidar": EYE},
        "global_from_ego": EYE,
        "cameras": {"CAM": camera},
        "boxes_lidar_frame": [{"category": "car", "center_m": [1, 2, 0], "size_lwh_m": [4, 2, 2], "yaw_rad": 0.0}],
    }
    (folder / "frame.json").write_text(json.dumps(record))
    np.array([[1, 2, 0.5, 40, 3], [9, 9, 0, 7, 31]], np.float32).tofile(folder / "sweep.bin")
    Image.fromarray(np.full((2, 4, 3), (10, 20, 30), np.uint8)).save(folder / "CAM.png")
    masks = folder / "masks"
    masks.mkdir()
    (masks / "labels.json").write_text(json.dumps({"labels": ["road", "car", "unlabeled"]}))
    Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8)).save(masks / "CAM.png")
    Image.fromarray(np.array([[255, 51], [0, 102]], np.uint8)).save(masks / "CAM_confidence.png")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_keyframe(tmp_path)
    return tmp_path


def change(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    path = folder / "frame.json"
    record = json.loads(path.read_text())
    edit(record)
    path.write_text(json.dumps(record))


def test_small_keyframe_is_read_whole(folder: Path) -> None:
    source = Keyframe(folder)
    assert len(source) == 1
    sample = source[0]
    frame = sample.frame
    assert frame.points.tolist() == [[1, 2, 0.5], [9, 9, 0]]
    assert frame.intensity.tolist() == [40, 7]
    assert frame.ring is not None
    assert frame.ring.tolist() == [3, 31]
    assert (frame.frame_id, frame.stamp_ns) == ("LIDAR_TOP", 100_000_000_000)
    assert frame.cameras[0].image[1, 3].tolist() == [10, 20, 30]
    assert frame.cameras[0].stamp_ns == 99_960_000_000
    assert points_in_box(frame.points, sample.boxes[0]).tolist() == [True, False]


def test_void_pixels_are_unknown_and_confidence_is_a_share(folder: Path) -> None:
    sample = Keyframe(folder)[0]
    labels = sample.view_labels["CAM"]
    assert sample.view_label_names == ("road", "car")
    assert labels.labels.tolist() == [[0, 1], [UNKNOWN, 1]]
    assert labels.confidence == pytest.approx(np.array([[1.0, 0.2], [0.0, 0.4]]))


def test_ego_pose_at_the_image_follows_from_camera_from_lidar(folder: Path) -> None:
    """The mount only turns, so 0.5 m to the right in camera_from_lidar say: the ego stood 0.5 m further left (-x)."""
    rig = Keyframe(folder)[0].rig
    assert rig is not None
    assert rig.global_from_ego[99_960_000_000][:3, 3] == pytest.approx([-0.5, 0, 0])
    assert_chain(Keyframe(folder)[0], tolerance=1e-12)


def test_keyframe_without_masks_has_no_labels(folder: Path) -> None:
    shutil.rmtree(folder / "masks")
    sample = Keyframe(folder)[0]
    assert sample.view_labels == {}
    assert sample.view_label_names == ()


def test_missing_folder_names_the_file_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere.frame\.json: no such file"):
        Keyframe(tmp_path / "nowhere")


def test_truncated_sweep_is_refused_with_its_size(folder: Path) -> None:
    (folder / "sweep.bin").write_bytes(b"\0" * 30)
    with pytest.raises(DataError, match=r"sweep\.bin: expected rows of 5 float32 \(20 bytes\), got 30 bytes"):
        Keyframe(folder)[0]


def test_garbled_json_is_refused(folder: Path) -> None:
    (folder / "frame.json").write_text("{not json")
    with pytest.raises(DataError, match=r"frame\.json: expected JSON"):
        Keyframe(folder)


def test_missing_entry_is_named_with_its_place(folder: Path) -> None:
    change(folder, lambda record: record["cameras"]["CAM"].pop("intrinsics"))
    with pytest.raises(DataError, match=r"entry cameras\.CAM\.intrinsics is missing"):
        Keyframe(folder)[0]


def test_matrix_that_is_not_rigid_is_refused(folder: Path) -> None:
    def double(record: dict[str, Any]) -> None:
        record["lidar"]["ego_from_lidar"] = np.diag([2, 1, 1, 1]).tolist()

    change(folder, double)
    with pytest.raises(DataError, match=r"lidar\.ego_from_lidar: rotation is not orthonormal"):
        Keyframe(folder)[0]


def test_garbled_image_is_refused(folder: Path) -> None:
    (folder / "CAM.png").write_bytes(b"\x89PNG but no more")
    with pytest.raises(DataError, match=r"CAM\.png: expected an image"):
        Keyframe(folder)[0]


def test_mask_value_without_a_name_is_refused(folder: Path) -> None:
    Image.fromarray(np.full((2, 2), 7, np.uint8)).save(folder / "masks" / "CAM.png")
    with pytest.raises(DataError, match=r"label 7 has no name; labels\.json lists 3"):
        Keyframe(folder)[0]


def test_box_without_size_is_refused(folder: Path) -> None:
    change(folder, lambda record: record["boxes_lidar_frame"][0].pop("size_lwh_m"))
    with pytest.raises(DataError, match="boxes_lidar_frame: expected category"):
        Keyframe(folder)[0]


def test_turned_box_holds_what_lies_along_its_length() -> None:
    """4 m long, 1 m wide, turned by 90 degrees: 1.9 m ahead (y) is inside, 1.9 m to the right (x) is not."""
    box = Box(category="car", center_m=np.zeros(3), size_lwh_m=np.array([4.0, 1.0, 2.0]), yaw_rad=np.pi / 2)
    points = np.array([[0, 1.9, 0], [1.9, 0, 0], [0, 2.1, 0], [0, 0, 1.1], [np.nan, 0, 0]], np.float32)
    assert points_in_box(points, box).tolist() == [True, False, False, False, False]


def test_real_keyframe_is_read_whole(real_data: Path) -> None:
    sample = Keyframe(real_data / "nuscenes_scene-0061")[0]
    assert len(sample.frame.points) == 34_688
    assert len(sample.frame.cameras) == 6
    assert {view.image.shape for view in sample.frame.cameras} == {(900, 1600, 3)}
    assert len(sample.boxes) == 69
    assert sample.frame.stamp_ns == 1_532_402_927_647_951_000
    assert {labels.labels.shape for labels in sample.view_labels.values()} == {(450, 800)}
    assert sample.frame.ring is not None
    assert np.bincount(sample.frame.ring).tolist() == [1084] * 32


def test_real_keyframe_chain_gives_back_camera_from_lidar(real_data: Path) -> None:
    """To 1e-6: the matrices were stored as float32. Each pose is rigid and the car drove at 9.2 m/s throughout."""
    sample = Keyframe(real_data / "nuscenes_scene-0061")[0]
    assert_chain(sample, tolerance=1e-6)
    rig = sample.rig
    assert rig is not None
    here = rig.global_from_ego[sample.frame.stamp_ns]
    for stamp_ns, pose in rig.global_from_ego.items():
        check_transform(str(stamp_ns), pose)
        if stamp_ns < sample.frame.stamp_ns - 5_000_000:  # over 0.5 ms the speed drowns in float32 rounding
            elapsed_s = (sample.frame.stamp_ns - stamp_ns) / 1e9
            assert np.linalg.norm(here[:3, 3] - pose[:3, 3]) / elapsed_s == pytest.approx(9.23, abs=0.05)


def test_points_in_real_boxes_number_as_annotated(real_data: Path) -> None:
    """The annotation counts 1,009 points in 69 boxes; without the boxes' roll and pitch we find 994, 61 boxes equal."""
    folder = real_data / "nuscenes_scene-0061"
    sample = Keyframe(folder)[0]
    annotated = [box["num_lidar_pts"] for box in json.loads((folder / "frame.json").read_text())["boxes_lidar_frame"]]
    found = [int(points_in_box(sample.frame.points, box).sum()) for box in sample.boxes]
    assert sum(annotated) == 1009
    assert sum(found) == pytest.approx(1009, rel=0.02)
    assert sum(a == b for a, b in zip(found, annotated, strict=True)) >= 60


def assert_chain(sample: Sample, tolerance: float) -> None:
    rig, frame = sample.rig, sample.frame
    assert rig is not None
    for view in frame.cameras:
        camera_from_global = invert_transform(rig.global_from_ego[view.stamp_ns] @ rig.ego_from_camera[view.name])
        chain = camera_from_global @ rig.global_from_ego[frame.stamp_ns] @ rig.ego_from_lidar
        assert np.abs(chain - view.camera_from_lidar).max() < tolerance
