"""A hand-made data set in nuScenes' official layout: two keyframes, a sweep between them, one camera, one radar."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

T0 = 1_532_402_927_000_000  # microseconds
HALF = np.sqrt(0.5)
LABELS = ((1, 0, 2), (2, 2, 1))
"""Raw labels of the two keyframes; see CATEGORIES."""
CATEGORIES = ("noise", "vehicle.car", "movable_object.trafficcone")


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


def write_tiny_nuscenes(root: Path) -> Path:
    """Write it, and return the root."""
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
    for index, labels in enumerate(LABELS):
        path = root / f"lidarseg/v1.0-mini/lidar{2 * index}_lidarseg.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        np.array(labels, np.uint8).tofile(path)
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
        **annotations(),
    }


def annotations() -> dict[str, Any]:
    """Categories, one box and the label files."""
    return {
        "category": [{"token": f"cat{i}", "name": name, "index": i} for i, name in enumerate(CATEGORIES)],
        "instance": [{"token": "parked", "category_token": "cat1"}],
        "sample_annotation": [
            {
                "token": "box0",
                "sample_token": "s0",
                "instance_token": "parked",
                "translation": [100.0, 211.0, 1.0],  # 10 m before the lidar of the first keyframe, 1 m below it
                "size": [2.0, 4.0, 1.5],
                "rotation": [HALF, 0.0, 0.0, HALF],
            }
        ],
        "lidarseg": [
            {
                "token": f"lidar{2 * i}",
                "sample_data_token": f"lidar{2 * i}",
                "filename": f"lidarseg/v1.0-mini/lidar{2 * i}_lidarseg.bin",
            }
            for i in range(2)
        ],
    }
