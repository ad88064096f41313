"""What goes into a bag comes out again: clouds, cameras, transforms, truth, and their names under every preset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bags.presets import PRESETS
from bags.recording import recording_of_samples
from bags.truth import read_truth
from bags.writer import write_bag
from ov3d_perception.bag_io import make_typestore, open_bag
from ov3d_perception.bags import read_bag_clouds, read_bag_frames
from ov3d_perception.errors import ConfigError, DataError, FrameError
from tests.unit.bags.tiny_drive import EGO_FROM_LIDAR, INTERVAL_NS, NAMES, START_NS, TinyDrive


def connections_of(bag: Path) -> dict[str, Any]:
    with open_bag(bag) as reader:
        return {connection.topic: connection for connection in reader.connections}


def messages_of(bag: Path, topic: str) -> list[tuple[int, Any]]:
    typestore = make_typestore()
    with open_bag(bag) as reader:
        wanted = [connection for connection in reader.connections if connection.topic == topic]
        return [
            (time_ns, typestore.deserialize_cdr(raw, connection.msgtype))
            for connection, time_ns, raw in reader.messages(connections=wanted)
        ]


def test_clouds_come_back_bit_for_bit(tiny_bag: Path) -> None:
    frames = list(read_bag_clouds(tiny_bag))
    assert [frame.stamp_ns for frame in frames] == [START_NS + index * INTERVAL_NS for index in range(3)]
    for index, frame in enumerate(frames):
        original = TinyDrive()[index].frame
        np.testing.assert_array_equal(frame.points, original.points)
        np.testing.assert_array_equal(frame.intensity, original.intensity)
        np.testing.assert_array_equal(frame.ring, original.ring)
        assert frame.frame_id == "LIDAR_TOP"


def test_cameras_stand_where_the_data_set_says(tiny_bag: Path) -> None:
    frames = list(read_bag_frames(tiny_bag))
    assert len(frames) == 3
    for index, frame in enumerate(frames):
        expected = {view.name: view for view in TinyDrive()[index].frame.cameras}
        assert {view.name for view in frame.cameras} == set(expected)
        for view in frame.cameras:
            original = expected[view.name]
            # exact stamps, so no interpolation: what is left is quaternions 2 km from the origin in float64
            np.testing.assert_allclose(view.camera_from_lidar, original.camera_from_lidar, atol=1e-9)
            np.testing.assert_array_equal(view.intrinsics, original.intrinsics)
            assert view.stamp_ns == original.stamp_ns
            assert np.abs(view.image.astype(int) - original.image).max() <= 3  # JPEG of one flat colour


def test_images_too_far_in_time_are_left_out(tiny_bag: Path) -> None:
    for frame in read_bag_frames(tiny_bag, max_skew_s=0.017):  # CAM_FRONT is 20 ms away, CAM_BACK 15 ms
        assert [view.name for view in frame.cameras] == ["CAM_BACK"]


def test_chosen_image_topics_only(tiny_bag: Path) -> None:
    (first, *_) = read_bag_frames(tiny_bag, cameras=["/CAM_BACK/image_rect_compressed"])
    assert [view.name for view in first.cameras] == ["CAM_BACK"]
    (first, *_) = read_bag_frames(tiny_bag, cameras=[])
    assert first.cameras == ()
    with pytest.raises(DataError, match="no image topic /nowhere"):
        list(read_bag_frames(tiny_bag, cameras=["/nowhere"]))


def test_unknown_fixed_frame_is_an_error_not_a_guess(tiny_bag: Path) -> None:
    with pytest.raises(FrameError, match="odom"):
        list(read_bag_frames(tiny_bag, fixed_frame="odom"))


def test_default_layout_is_foxgloves(tiny_bag: Path) -> None:
    (_, cloud), *_ = messages_of(tiny_bag, "/LIDAR_TOP")
    assert [(field.name, field.offset, field.datatype) for field in cloud.fields] == [
        ("x", 0, 7),
        ("y", 4, 7),
        ("z", 8, 7),
        ("intensity", 12, 7),
        ("ring", 16, 7),
    ]
    assert (cloud.point_step, cloud.row_step, cloud.is_dense) == (20, 50 * 20, False)
    types = {topic: connection.msgtype for topic, connection in connections_of(tiny_bag).items()}
    assert types == {
        "/LIDAR_TOP": "sensor_msgs/msg/PointCloud2",
        "/CAM_FRONT/image_rect_compressed": "sensor_msgs/msg/CompressedImage",
        "/CAM_FRONT/camera_info": "sensor_msgs/msg/CameraInfo",
        "/CAM_BACK/image_rect_compressed": "sensor_msgs/msg/CompressedImage",
        "/CAM_BACK/camera_info": "sensor_msgs/msg/CameraInfo",
        "/tf": "tf2_msgs/msg/TFMessage",
        "/tf_static": "tf2_msgs/msg/TFMessage",
        "/ground_truth/segmentation": "sensor_msgs/msg/PointCloud2",
        "/ground_truth/labels": "ov3d_msgs/msg/LabelTable",
    }


def test_latched_topics_are_transient_local_and_everything_is_reliable(tiny_bag: Path) -> None:
    connections = connections_of(tiny_bag)
    qos = {topic: connection.ext.offered_qos_profiles[0] for topic, connection in connections.items()}
    for topic in ("/tf_static", "/ground_truth/labels"):
        assert qos[topic].durability.name == "TRANSIENT_LOCAL"
        assert qos[topic].reliability.name == "RELIABLE"
    assert qos["/LIDAR_TOP"].reliability.name == "RELIABLE"  # best effort loses clouds of this size
    assert qos["/tf"].reliability.name == "RELIABLE"


def test_tf_has_the_pose_at_every_stamp_and_the_mounts(tiny_bag: Path) -> None:
    poses = messages_of(tiny_bag, "/tf")
    assert len(poses) == 9  # three sweeps, each with two images at stamps of their own
    for time_ns, message in poses:
        (transform,) = message.transforms
        assert (transform.header.frame_id, transform.child_frame_id) == ("map", "base_link")
        assert transform.header.stamp.sec * 10**9 + transform.header.stamp.nanosec == time_ns
    ((_, static),) = messages_of(tiny_bag, "/tf_static")
    mounts = {item.child_frame_id: item for item in static.transforms}
    assert set(mounts) == {"LIDAR_TOP", "CAM_FRONT", "CAM_BACK"}
    translation = mounts["LIDAR_TOP"].transform.translation
    np.testing.assert_allclose([translation.x, translation.y, translation.z], EGO_FROM_LIDAR[:3, 3])


def test_truth_comes_back_by_stamp(tiny_bag: Path) -> None:
    truth = read_truth(tiny_bag)
    assert truth.names == NAMES
    assert len(truth.labels) == 3
    for index, (stamp_ns, labels) in enumerate(sorted(truth.labels.items())):
        sample = TinyDrive()[index]
        assert stamp_ns == sample.frame.stamp_ns
        assert sample.point_labels is not None
        np.testing.assert_array_equal(labels, sample.point_labels + 1)


def test_bag_without_truth_says_so(tmp_path: Path) -> None:
    recording = recording_of_samples(TinyDrive(1))
    write_bag(type(recording)(mounts=recording.mounts, events=recording.events), tmp_path / "bag")
    with pytest.raises(DataError, match="Only simulated bags have truth"):
        read_truth(tmp_path / "bag")


@pytest.mark.parametrize("preset", ["foxglove_lower", "kitti"])
def test_other_presets_give_the_same_frames_under_other_names(tmp_path: Path, preset: str) -> None:
    out = tmp_path / "bag"
    write_bag(recording_of_samples(TinyDrive(1)), out, preset=preset)
    fixed_frame = PRESETS[preset].frames[0]
    (frame,) = read_bag_frames(out, fixed_frame=fixed_frame)
    original = TinyDrive()[0].frame
    np.testing.assert_array_equal(frame.points, original.points)
    front = next(view for view in frame.cameras if view.name in ("cam_front", "camera_color_left_link"))
    np.testing.assert_allclose(front.camera_from_lidar, original.cameras[0].camera_from_lidar, atol=1e-9)


def test_names_of_presets_are_those_of_the_converters(tmp_path: Path) -> None:
    names = {}
    for preset in PRESETS:
        write_bag(recording_of_samples(TinyDrive(1)), tmp_path / preset, preset=preset)
        names[preset] = set(connections_of(tmp_path / preset))
    assert {"/lidar_top", "/cam_front/image_rect_compressed", "/cam_front/camera_info"} <= names["foxglove_lower"]
    assert {"/lidar_top", "/cam_front/raw", "/tf"} <= names["nuscenes2bag"]
    assert not any("camera_info" in topic for topic in names["nuscenes2bag"])
    assert {
        "/kitti/velo/pointcloud",
        "/kitti/camera_color_left/image_raw",
        "/kitti/camera_color_left/camera_info",
    } <= names["kitti"]
    ((_, static),) = messages_of(tmp_path / "nuscenes2bag", "/tf_static")
    pairs = {(item.header.frame_id, item.child_frame_id) for item in static.transforms}
    assert {("map", "odom"), ("base_link", "lidar_top"), ("base_link", "cam_front")} <= pairs
    assert {item.transforms[0].header.frame_id for _, item in messages_of(tmp_path / "nuscenes2bag", "/tf")} == {"odom"}


def test_camera_without_camera_info_is_refused_unless_left_out(tmp_path: Path) -> None:
    out = tmp_path / "bag"
    write_bag(recording_of_samples(TinyDrive(1)), out, preset="nuscenes2bag")
    with pytest.raises(FrameError, match=r"/cam_\w+/raw: no CameraInfo for frame"):
        list(read_bag_frames(out))
    (frame,) = read_bag_frames(out, cameras=[])
    assert frame.frame_id == "lidar_top"


def test_sqlite_storage_and_single_file_are_read_alike(tmp_path: Path) -> None:
    write_bag(recording_of_samples(TinyDrive(1)), tmp_path / "db", storage="sqlite3")
    write_bag(recording_of_samples(TinyDrive(1)), tmp_path / "mcap")
    (mcap_file,) = (tmp_path / "mcap").glob("*.mcap")
    for path in (tmp_path / "db", tmp_path / "mcap", mcap_file):
        (frame,) = read_bag_frames(path)
        np.testing.assert_array_equal(frame.points, TinyDrive()[0].frame.points)
        assert len(frame.cameras) == 2


def test_repeating_shifts_every_stamp_and_leaves_images_out_on_request(tmp_path: Path) -> None:
    recording = recording_of_samples(TinyDrive(2), repeat=3, interval_s=0.25)
    counts = write_bag(recording, tmp_path / "bag", images=False)
    assert counts["/LIDAR_TOP"] == 6
    assert not any("CAM" in topic for topic in counts)
    stamps = [frame.stamp_ns - START_NS for frame in read_bag_clouds(tmp_path / "bag")]
    # two sweeps 0.1 s apart, then 0.25 s pause
    assert stamps == [0, 100_000_000, 350_000_000, 450_000_000, 700_000_000, 800_000_000]


def test_existing_folder_and_unknown_preset_are_refused(tiny_bag: Path, tmp_path: Path) -> None:
    recording = recording_of_samples(TinyDrive(1))
    with pytest.raises(ConfigError, match="exists already"):
        write_bag(recording, tiny_bag)
    with pytest.raises(ConfigError, match="foxglove_upper"):
        write_bag(recording, tmp_path / "bag", preset="apollo")
    with pytest.raises(ConfigError, match="mcap, sqlite3"):
        write_bag(recording, tmp_path / "bag", storage="rosbag1")
