"""Damage that happens to data on disks: every reader names the file and what to do, in one line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from PIL import Image

from ov3d_perception.errors import ConfigError, DataError
from ov3d_trainer.config import SourceConfig
from ov3d_trainer.data.dataset import open_source
from ov3d_trainer.data.scannet.sens import COLOR_JPEG, DEPTH_ZLIB, SensFrame, SensHeader, write_sens
from tests.unit.data.tiny_nuscenes import write_tiny_nuscenes

SCAN = "scene0000_00"
PLY = """ply
format ascii 1.0
element vertex 3
property float x
property float y
property float z
property uchar red
property uchar green
property uchar blue
element face 1
property list uchar int vertex_indices
end_header
0 0 0 1 2 3
1 0 0 1 2 3
0 1 0 1 2 3
3 0 1 2
"""


def write_kitti(root: Path) -> None:
    folder = root / "sequences" / "08"
    for name in ("velodyne", "image_2"):
        (folder / name).mkdir(parents=True)
    np.ones((3, 4), "<f4").tofile(folder / "velodyne" / "000000.bin")
    Image.new("RGB", (17, 9), (1, 2, 3)).save(folder / "image_2" / "000000.png")
    (folder / "calib.txt").write_text("P2: 10 0 8 1 0 10 4 0 0 0 1 0\nTr: 0 -1 0 0 0 0 -1 0 1 0 0 -0.25\n")
    (folder / "poses.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n")


def write_scannet(root: Path) -> None:
    folder = root / "scans" / SCAN
    folder.mkdir(parents=True)
    (folder / f"{SCAN}_vh_clean_2.ply").write_text(PLY)
    (root / "scannetv2_val.txt").write_text(f"{SCAN}\n")
    matrix = np.diag([8.0, 8.0, 1.0, 1.0]).astype(np.float32)
    eye = np.eye(4, dtype=np.float32)
    header = SensHeader(
        sensor="test",
        color_intrinsics=matrix,
        color_extrinsics=eye,
        depth_intrinsics=matrix,
        depth_extrinsics=eye,
        color_compression=COLOR_JPEG,
        depth_compression=DEPTH_ZLIB,
        color_size=(16, 8),
        depth_size=(16, 8),
        depth_shift=1000.0,
        frames=1,
    )
    frame = SensFrame(
        index=0,
        scan_from_camera=np.eye(4),
        color=np.full((8, 16, 3), 90, np.uint8),
        depth_m=np.ones((8, 16), np.float32),
        color_us=0,
        depth_us=0,
    )
    write_sens(folder / f"{SCAN}.sens", header, [frame])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("whole")
    write_tiny_nuscenes(root / "nuscenes")
    write_kitti(root / "kitti")
    write_scannet(root / "scannet")
    return root


SPLITS = {"nuscenes": "mini_train", "kitti": "val", "scannet": "val"}


def read_all(root: Path, kind: str, split: str = "") -> None:
    config = SourceConfig(
        kind=kind, path=str(root / kind), version="v1.0-mini", split=split or SPLITS[kind], cameras=True, views=1
    )
    source = open_source(config)
    for index in range(len(source)):
        source[index]


def shorten(path: Path, by: int) -> None:
    path.write_bytes(path.read_bytes()[:-by])


def change(path: Path, before: bytes, after: bytes) -> None:
    content = path.read_bytes()
    assert before in content
    path.write_bytes(content.replace(before, after, 1))


def lose_focal_length(path: Path) -> None:
    change(path, np.diag([8, 8, 1, 1]).astype("<f4").tobytes(), np.zeros((4, 4), "<f4").tobytes())


def lose_camera_of_a_table(path: Path) -> None:
    path.write_text(json.dumps([row for row in json.loads(path.read_text()) if row["token"] != "cs-cam"]))


SWEEP = "samples/LIDAR_TOP/n015__LIDAR_TOP__1532402927000000.pcd.bin"
IMAGE = "samples/CAM_FRONT/n015__CAM_FRONT__1532402926990000.jpg"
SENS = f"scans/{SCAN}/{SCAN}.sens"
MESH = f"scans/{SCAN}/{SCAN}_vh_clean_2.ply"
DAMAGE: list[tuple[str, str, Callable[[Path], object], str]] = [
    ("nuscenes", SWEEP, lambda path: shorten(path, 7), r"pcd\.bin: 53 bytes are not a multiple of 20 .* truncated"),
    ("nuscenes", SWEEP, Path.unlink, r"pcd\.bin: no such file"),
    ("nuscenes", IMAGE, lambda path: shorten(path, 300), r"\.jpg: expected an image, .* Copy the file again"),
    ("nuscenes", IMAGE, Path.unlink, r"\.jpg: no such image\. Unpack"),
    ("nuscenes", "v1.0-mini/calibrated_sensor.json", Path.unlink, r"calibrated_sensor\.json: missing"),
    ("nuscenes", "v1.0-mini/calibrated_sensor.json", lose_camera_of_a_table, r"_sensor\.json: no row 'cs-cam'"),
    ("kitti", "sequences/08/velodyne/000000.bin", lambda path: shorten(path, 7), r"0\.bin: 41 bytes .* truncated"),
    ("kitti", "sequences/08/image_2/000000.png", lambda path: shorten(path, 40), r"000000\.png: expected an image"),
    ("kitti", "sequences/08/calib.txt", Path.unlink, r"calib\.txt: the calibration cannot be read .* Copy it again"),
    ("kitti", "sequences/08/calib.txt", lambda path: change(path, b"-0.25", b"0.25 7"), r"calib\.txt: Tr missing"),
    ("kitti", "sequences/08/calib.txt", lambda path: change(path, b"0 -1 0 0", b"0 1 0 0"), r"Tr: expected a rotation"),
    ("kitti", "sequences/08/poses.txt", lambda path: change(path, b"1", b"-1"), r"poses\.txt: line 1: expected"),
    ("kitti", "sequences/08/poses.txt", lambda path: change(path, b"1", b"x"), r"poses\.txt: expected 12 numbers"),
    ("scannet", SENS, lambda path: change(path, b"\xff\xd8\xff", b"\0\0\0"), r"\.sens: frame 0: colour image"),
    ("scannet", SENS, lambda path: shorten(path, 30), r"\.sens: frame 0: says .* Cut short\? Copy it again"),
    ("scannet", SENS, lose_focal_length, r"\.sens: intrinsics of colour: no focal length"),
    ("scannet", SENS, Path.unlink, r"no scene0000_00\.sens, but 1 views are wanted"),
    ("scannet", MESH, lambda path: shorten(path, 30), r"vh_clean_2\.ply: is not a readable mesh"),
    ("scannet", "scannetv2_val.txt", Path.unlink, r"scannetv2_val\.txt: no such file\. Copy ScanNet's list"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "file", "damage", "message"), DAMAGE)
def test_damage_is_one_line_that_names_the_file(
    whole: Path, tmp_path: Path, kind: str, file: str, damage: Callable[[Path], object], message: str
) -> None:
    copytree(whole / kind, tmp_path / kind)
    read_all(tmp_path, kind)
    damage(tmp_path / kind / file)
    with pytest.raises(DataError, match=message) as caught:
        read_all(tmp_path, kind)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "split", "message"),
    [
        ("nuscenes", "vall", r"data\.split: unknown 'vall'\. Choose from train"),
        ("nuscenes", "test", r"holds no scene of split 'test'\. Set data\.split or data\.version"),
        ("nuscenes", "scene-9999", r"no scene 'scene-9999'\. There are scene-0061"),
        ("kitti", "vall", r"data\.split: unknown 'vall'\. Choose from train, val, test"),
        ("kitti", "test", r"11.velodyne: no scans\. Give the folder that holds sequences"),
        ("scannet", "vall", r"scannetv2_vall\.txt: no such file\. .* set data\.split=all"),
    ],
)
def test_wrong_split_says_which_there_are(whole: Path, kind: str, split: str, message: str) -> None:
    with pytest.raises((ConfigError, DataError), match=message) as caught:
        read_all(whole, kind, split)
    assert "\n" not in str(caught.value)
