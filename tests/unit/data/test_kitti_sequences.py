"""SemanticKITTI's published files as samples, against numbers worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.projection import project
from ov3d_trainer.config import SourceConfig
from ov3d_trainer.data.dataset import open_source
from ov3d_trainer.data.kitti.categories import CLASSES, RAW_OF_CLASS, class_of_raw
from ov3d_trainer.data.kitti.sequences import KittiSequences
from ov3d_trainer.data.sample import UNKNOWN

CALIBRATION = """P0: 10 0 8 0 0 10 4 0 0 0 1 0
P1: 10 0 8 -5 0 10 4 0 0 0 1 0
P2: 10 0 8 1 0 10 4 0 0 0 1 0
P3: 10 0 8 -4 0 10 4 0 0 0 1 0
Tr: 0 -1 0 0 0 0 -1 0 1 0 0 -0.25
"""
POINTS = np.array([[5, 0, 0, 0.5], [10, -2, 1, 0.25], [-5, 0, 0, 1.0]], "<f4")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "sequences" / "08"
    for name in ("velodyne", "labels", "image_2"):
        (folder / name).mkdir(parents=True)
    for number in ("000000", "000001"):
        POINTS.tofile(folder / "velodyne" / f"{number}.bin")
        np.array([10 | 7 << 16, 252, 1], "<u4").tofile(folder / "labels" / f"{number}.label")
        Image.new("RGB", (17, 9), (1, 2, 3)).save(folder / "image_2" / f"{number}.png")
    (folder / "calib.txt").write_text(CALIBRATION)
    (folder / "times.txt").write_text("0.0\n1.039e-01\n")
    (folder / "poses.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n1 0 0 0 0 1 0 0 0 0 1 2\n")
    return tmp_path


def test_scans_come_with_image_labels_and_pose(root: Path) -> None:
    source = open_source(SourceConfig(kind="kitti", path=str(root), split="val", cameras=True))
    assert len(source) == 2
    sample = source[1]
    assert (sample.name, sample.frame.stamp_ns) == ("08_000001", 103_900_000)
    np.testing.assert_array_equal(sample.frame.points, POINTS[:, :3])
    np.testing.assert_allclose(sample.frame.intensity, [127.5, 63.75, 255.0])
    assert sample.point_labels is not None
    assert [CLASSES[row] if row != UNKNOWN else "" for row in sample.point_labels] == ["car", "car", ""]
    assert sample.rig is not None
    assert sample.place is not None
    assert sample.place.recording == "08"
    np.testing.assert_array_equal(sample.place.world_from_lidar, sample.rig.global_from_ego[103_900_000])
    # the first camera looks along the lidar's x axis: 2 m along its z axis is 2 m of x
    start = source[0].rig
    assert start is not None
    moved = sample.rig.global_from_ego[103_900_000] - start.global_from_ego[0]
    np.testing.assert_allclose(moved[:3, 3], [0, 0, 2])


def test_projection_equals_the_published_formula(root: Path) -> None:
    sample = KittiSequences(root, split="08")[0]
    (view,) = sample.frame.cameras
    found = project(sample.frame.points, view, min_depth_m=0.1)
    # uv ~ P2 [Tr; 0 0 0 1] x for the second point: camera (2, -1, 9.75); u = (10*2 + 8*9.75 + 1) / 9.75
    np.testing.assert_allclose(found.pixels[1], [(20 + 78 + 1) / 9.75, (-10 + 39) / 9.75], rtol=1e-6)
    assert found.visible.tolist() == [True, True, False]


def test_learning_map_and_its_inverse_fit() -> None:
    table = class_of_raw()
    assert [int(table[raw]) for raw in RAW_OF_CLASS] == list(range(19))
    assert [CLASSES[table[raw]] for raw in (13, 16, 60, 252, 255, 258)] == [
        "other vehicle", "other vehicle", "road", "car", "motorcyclist", "truck",
    ]  # fmt: skip
    assert (table[[0, 1, 52, 99]] == UNKNOWN).all()
    assert (table != UNKNOWN).sum() == 30


def test_sequence_without_labels_or_poses_is_fine(root: Path) -> None:
    folder = root / "sequences" / "08"
    for path in (folder / "labels").iterdir():
        path.unlink()
    (folder / "labels").rmdir()
    (folder / "poses.txt").unlink()
    sample = KittiSequences(root, split="08", cameras=False)[0]
    assert sample.point_labels is None
    assert sample.rig is None
    assert sample.place is None
    assert sample.frame.cameras == ()


def test_damage_is_named(root: Path) -> None:
    folder = root / "sequences" / "08"
    with pytest.raises(ConfigError, match="unknown 'valid'"):
        KittiSequences(root, split="valid")
    for nothing in ("", ",", " , "):
        with pytest.raises(ConfigError, match="unknown"):
            KittiSequences(root, split=nothing)
    assert len(KittiSequences(root, split="8,")) == len(KittiSequences(root, split="08"))
    with pytest.raises(DataError, match=r"00.velodyne: no scans"):
        KittiSequences(root, split="train")
    (folder / "labels" / "000000.label").write_bytes(b"\0" * 8)
    with pytest.raises(DataError, match=r"000000\.label: 2 labels"):
        KittiSequences(root, split="08")[0]
    (folder / "labels" / "000000.label").unlink()
    with pytest.raises(DataError, match=r"000000\.label: no such file"):
        KittiSequences(root, split="08")[0]
    (folder / "image_2" / "000001.png").unlink()
    with pytest.raises(DataError, match=r"000001\.png: no such image"):
        KittiSequences(root, split="08")[1]
    (folder / "poses.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n")
    with pytest.raises(DataError, match=r"poses\.txt: 1 lines"):
        KittiSequences(root, split="08")
    (folder / "calib.txt").write_text(CALIBRATION.replace("Tr:", "T:"))
    with pytest.raises(DataError, match=r"calib\.txt: Tr missing"):
        KittiSequences(root, split="08")
