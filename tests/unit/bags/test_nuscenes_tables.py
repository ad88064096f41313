"""A hand-made data set in nuScenes' official layout: two samples, a sweep between them, one camera, one radar."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bags.nuscenes_tables import read_scene, recording_of_scene
from bags.writer import write_bag
from ov3d_perception.bags import read_bag_clouds, read_bag_frames
from ov3d_perception.errors import DataError

T0 = 1_532_402_927_000_000  # microseconds
HALF = np.sqrt(0.5)


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (16, 9), (10, 200, 30)).save(buffer, format="JPEG")
    return buffer.getvalue()


def sweep(index: int) -> np.ndarray:
    rows = np.arange(15, dtype=np.float32).reshape(3, 5) + index
    rows[:, 4] = (0, 1, 31)
    return rows


def data_row(token: str, sample: str, sensor: str, time_us: int, filename: str, *, key: bool) -> dict[str, Any]:
    camera = sensor == "cam"
    return {
        "token": token,
        "sample_token": sample,
        "ego_pose_token": f"pose-{token}",
        "calibrated_sensor_token": f"cs-{sensor}",
        "timestamp": time_us,
        "fileformat": "jpg" if camera else "pcd",
        "is_key_frame": key,
        "height": 9 if camera else 0,
        "width": 16 if camera else 0,
        "filename": filename,
        "prev": "",
        "next": "",
    }


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "nuscenes"
    (root / "v1.0-mini").mkdir(parents=True)
    for name, content in tables_of(write_files(root)).items():
        (root / "v1.0-mini" / f"{name}.json").write_text(json.dumps(content))
    return root


def write_files(root: Path) -> list[dict[str, Any]]:
    """Sweeps and images of three stamps; returns their rows of `sample_data`, with some that must be passed over."""
    rows = []
    for index, (sample, key) in enumerate([("s0", True), ("s0", False), ("s1", True)]):
        time_us = T0 + 50_000 * index
        folder = "samples" if key else "sweeps"
        name = f"{folder}/LIDAR_TOP/n015__LIDAR_TOP__{time_us}.pcd.bin"
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(sweep(index).tobytes())
        rows.append(data_row(f"lidar{index}", sample, "lidar", time_us, name, key=key))
        if key:
            name = f"samples/CAM_FRONT/n015__CAM_FRONT__{time_us - 10_000}.jpg"
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(jpeg())
            rows.append(data_row(f"cam{index}", sample, "cam", time_us - 10_000, name, key=True))
    rows.append(data_row("radar0", "s0", "radar", T0, "samples/RADAR_FRONT/missing.pcd", key=True))
    rows.append(data_row("other", "elsewhere", "lidar", T0, "samples/LIDAR_TOP/missing.pcd.bin", key=True))
    return rows


def tables_of(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """All tables, in the official format."""
    poses = [
        {
            "token": row["ego_pose_token"],
            "timestamp": row["timestamp"],
            "rotation": [HALF, 0.0, 0.0, HALF],  # w, x, y, z: 90 degrees about z
            "translation": [100.0, 200.0 + 10.0 * (row["timestamp"] - T0) * 1e-6, 0.0],
        }
        for row in rows
    ]
    return {
        "scene": [
            {"token": "scene-a", "name": "scene-0061", "nbr_samples": 2, "first_sample_token": "s0"},
            {"token": "scene-b", "name": "scene-0103", "nbr_samples": 1, "first_sample_token": "elsewhere"},
        ],
        "sample": [
            {"token": "s0", "timestamp": T0, "scene_token": "scene-a", "prev": "", "next": "s1"},
            {"token": "s1", "timestamp": T0 + 100_000, "scene_token": "scene-a", "prev": "s0", "next": ""},
            {"token": "elsewhere", "timestamp": T0, "scene_token": "scene-b", "prev": "", "next": ""},
        ],
        "sample_data": rows,
        "ego_pose": poses,
        "sensor": [
            {"token": "lidar", "channel": "LIDAR_TOP", "modality": "lidar"},
            {"token": "cam", "channel": "CAM_FRONT", "modality": "camera"},
            {"token": "radar", "channel": "RADAR_FRONT", "modality": "radar"},
        ],
        "calibrated_sensor": [
            {
                "token": f"cs-{sensor}",
                "sensor_token": sensor,
                "translation": translation,
                "rotation": rotation,
                "camera_intrinsic": intrinsic,
            }
            for sensor, translation, rotation, intrinsic in (
                ("lidar", [1.0, 0.0, 2.0], [1.0, 0.0, 0.0, 0.0], []),
                ("cam", [2.0, 0.0, 1.5], [0.5, -0.5, 0.5, -0.5], [[10.0, 0, 7.5], [0, 10.0, 4.0], [0, 0, 1.0]]),
                ("radar", [3.0, 0.0, 0.5], [1.0, 0.0, 0.0, 0.0], []),
            )
        ],
    }


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
