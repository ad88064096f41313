"""OpenScene's processed scenes as samples, against files written by hand in its layout."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.projection import project
from ov3d_trainer.config import SourceConfig
from ov3d_trainer.data.dataset import open_source
from ov3d_trainer.data.openscene.label_sets import LABEL_SETS
from ov3d_trainer.data.sample import UNKNOWN, DataSet
from ov3d_trainer.torch_files import load_arrays

POINTS = np.array([[0, 0, 0], [4, 0, 0], [0, 6, 0], [4, 6, 2]])  # the middle is (2, 3), the floor z = 0
COLORS = np.array([[-1, 0, 1]] * 4, np.float32)


def write_scene(path: Path, labels: object, *, points: object = POINTS, colors: object = COLORS) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save((points, colors, labels), path)


def write_image(folder: Path, name: str, place: tuple[float, float, float]) -> None:
    """A camera that looks along x: its x axis is -y of the scene, its y axis (down) is -z."""
    for part in ("color", "depth", "pose"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 8), (9, 8, 7)).save(folder / "color" / f"{name}.jpg")
    Image.fromarray(np.full((8, 16), 6000, np.uint16)).save(folder / "depth" / f"{name}.png")
    matrix = np.array([[0, 0, 1, place[0]], [-1, 0, 0, place[1]], [0, -1, 0, place[2]], [0, 0, 0, 1]], np.float64)
    np.savetxt(folder / "pose" / f"{name}.txt", matrix)


INTRINSICS = np.array([[8, 0, 7.5, 0], [0, 8, 3.5, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


def open_scenes(root: Path, **choices: Any) -> DataSet:
    return open_source(SourceConfig(kind="openscene", path=str(root), **{"split": "train", **choices}))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "scannet_3d"
    write_scene(root / "train" / "scene0001_00_vh_clean_2.pth", np.array([0, 19, 255, -100]))
    write_scene(root / "train" / "scene0000_00_vh_clean_2.pth", np.array([1, 1, 1, 1], np.uint8))
    images = tmp_path / "scannet_2d"
    write_image(images / "scene0001_00", "0", (-1.0, 3.0, 1.5))
    np.savetxt(images / "intrinsics.txt", INTRINSICS)
    return root


def test_scene_comes_with_points_colours_and_labels(root: Path) -> None:
    source = open_scenes(root, label_set="scannet20")
    assert [source.key(index) for index in range(len(source))] == ["scene0000_00", "scene0001_00"]
    sample = source[1]
    np.testing.assert_allclose(
        sample.frame.points, [[-2, -3, -1.5], [2, -3, -1.5], [-2, 3, -1.5], [2, 3, 0.5]], atol=1e-6
    )
    assert sample.frame.colors is not None
    assert sample.frame.colors[0].tolist() == [0, 128, 255]  # 127.5 to the even one
    assert sample.point_labels is not None
    assert sample.point_labels.tolist() == [0, 19, UNKNOWN, UNKNOWN]
    assert sample.point_label_names[19] == "otherfurniture"
    assert sample.frame.cameras == ()


def test_scene_is_of_no_single_sensor(root: Path) -> None:
    assert not open_scenes(root, label_set="scannet20")[0].from_one_sensor


def test_images_see_the_points_and_depth_is_in_metres(root: Path) -> None:
    sample = open_scenes(root, label_set="scannet20", cameras=True)[1]
    (view,) = sample.frame.cameras
    found = project(sample.frame.points, view)
    # (4, 6, 2) from (-1, 3, 1.5): 5 m ahead, 3 m to the left, 0.5 m up; u = 7.5 - 8 * 3 / 5, v = 3.5 - 8 * 0.5 / 5
    np.testing.assert_allclose(found.pixels[3], [2.7, 2.7], rtol=1e-5)
    assert found.depth_m[3] == pytest.approx(5.0)
    assert (sample.view_depths["0"] == 6.0).all()  # ScanNet: 1000 units a metre
    half = open_scenes(root, label_set="matterport21", cameras=True, image_width=8)[1]
    np.testing.assert_allclose(project(half.frame.points, half.frame.cameras[0]).pixels[3], (2.7 + 0.5) / 2 - 0.5)
    assert (half.view_depths["0"] == 1.5).all()  # Matterport3D: 4000
    assert open_scenes(root, label_set="scannet20", cameras=True).without_images(1).view_depths == {}


def test_clouds_without_colour_or_labels_are_fine(tmp_path: Path) -> None:
    write_scene(tmp_path / "office0.pth", torch.full((4,), 255), points=torch.from_numpy(POINTS), colors=0)
    sample = open_scenes(tmp_path, split="all", label_set="replica")[0]
    assert (sample.name, sample.frame.colors, sample.point_labels) == ("office0", None, None)
    assert not sample.frame.intensity.any()


def test_region_takes_images_from_within_it(tmp_path: Path) -> None:
    root = tmp_path / "matterport_3d"
    write_scene(root / "val" / "house_region7.pth", np.zeros(4))
    # e stands over the middle of the region, but a storey higher
    places = {"a": (9.0, 9, 1), "b": (1.0, 1, 1), "c": (3.0, 5, 1), "d": (7.0, 3, 1), "e": (2.0, 3.0, 4.5)}
    for name, place in places.items():
        write_image(tmp_path / "matterport_2d" / "house", name, place)
        (tmp_path / "matterport_2d" / "house" / "intrinsic").mkdir(exist_ok=True)
        np.savetxt(tmp_path / "matterport_2d" / "house" / "intrinsic" / f"{name}.txt", INTRINSICS[:3, :3])

    def seen(root: Path) -> list[str]:
        sample = open_scenes(root, split="val", label_set="matterport21", cameras=True, views=2)[0]
        return [view.name for view in sample.frame.cameras]

    assert seen(root) == ["b", "c"]
    write_scene(root / "val" / "house_region7.pth", np.zeros(4), points=POINTS + 100)
    assert seen(root) == ["a", "d"]  # none within: the nearest two


def test_images_come_in_the_order_of_their_numbers(root: Path) -> None:
    images = root.parent / "scannet_2d" / "scene0001_00"
    for number in (20, 100, 1000):
        write_image(images, str(number), (-1.0, 3.0, 1.5))
    cameras = open_scenes(root, label_set="scannet20", cameras=True, views=4)[1].frame.cameras
    assert [view.name for view in cameras] == ["0", "20", "100", "1000"]


def test_parameters_are_read_as_arrays_and_other_tensors_refused(tmp_path: Path) -> None:
    torch.save(torch.nn.Parameter(torch.ones(2)), tmp_path / "parameter.pt")
    np.testing.assert_array_equal(load_arrays(tmp_path / "parameter.pt"), [1.0, 1.0])
    torch.save(torch.ones(2).to_sparse(), tmp_path / "sparse.pt")
    with pytest.raises(DataError, match=r"sparse\.pt: expected tensors or arrays"):
        load_arrays(tmp_path / "sparse.pt")


def test_label_sets_have_the_published_sizes() -> None:
    assert {name: len(names.names) for name, names in LABEL_SETS.items()} == {
        "scannet20": 20, "matterport21": 21, "matterport40": 40, "matterport80": 80, "matterport160": 160,
        "replica": 0, "nuscenes16": 16, "none": 0,
    }  # fmt: skip
    assert all(len(set(names.names)) == len(names.names) for names in LABEL_SETS.values())
    assert LABEL_SETS["matterport21"].names[19:] == ("other", "ceiling")
    assert (LABEL_SETS["matterport40"].names[-1], LABEL_SETS["matterport80"].names[-1]) == ("faucet", "bucket")


@pytest.mark.parametrize("old", [True, False], ids=["before torch 1.6", "archive"])
@pytest.mark.parametrize("dtype", ["<f4", "<f8", "<i8", "|u1"])
def test_arrays_of_numbers_are_read_from_both_formats(tmp_path: Path, dtype: str, *, old: bool) -> None:
    path = tmp_path / "a.pth"
    array = np.arange(6).astype(dtype).reshape(2, 3)
    torch.save((array, 0, np.float64(1.5)), path, _use_new_zipfile_serialization=not old)
    found, zero, number = load_arrays(path)
    np.testing.assert_array_equal(found, array)
    assert (found.dtype, zero, number) == (np.dtype(dtype), 0, 1.5)


class Harmful:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, (str(self.folder),))


@pytest.mark.parametrize("old", [True, False])
def test_code_in_a_file_is_refused_and_not_run(tmp_path: Path, *, old: bool) -> None:
    path, folder = tmp_path / "train" / "a.pth", tmp_path / "harm"
    path.parent.mkdir()
    harmful = Harmful(folder)
    objects = np.array([harmful] * 4, dtype=object)
    for content, reason in (((POINTS, harmful, 0), r"names posix\.mkdir: refused"), ((POINTS, 0, objects), "else")):
        torch.save(content, path, _use_new_zipfile_serialization=not old)
        with pytest.raises(DataError, match=rf"a\.pth: expected tensors or arrays .*{reason}"):
            open_scenes(tmp_path, label_set="none")[0]
    assert not folder.exists()
    torch.load(path, weights_only=False)  # what the others' code does
    assert folder.exists()


def test_scenes_that_do_not_fit_are_named(root: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.label_set: ''; say what .* scannet20, matterport21"):
        open_scenes(root)
    with pytest.raises(DataError, match=r"test: no scenes \(\.pth\)\. There are the splits train"):
        open_scenes(root, split="test", label_set="scannet20")
    path = root / "train" / "scene0000_00_vh_clean_2.pth"
    for content, reason in (
        ((POINTS, COLORS), "expected points, colours and labels"),
        ((POINTS[:, :2], COLORS, np.zeros(4)), "finite points"),
        ((POINTS, COLORS[:3], np.zeros(4)), "expected 4 colours or 0"),
        ((POINTS, COLORS * 255, np.zeros(4)), "colours from -1 to 1, got up to 255"),
        ((POINTS, COLORS, np.zeros(3)), "expected 4 labels"),
        ((POINTS, COLORS, np.full(4, 20)), "label 20, the label set has 20"),
    ):
        torch.save(content, path)
        with pytest.raises(DataError, match=reason):
            open_scenes(root, label_set="scannet20")[0]
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(DataError, match=r"scene0000_00_vh_clean_2\.pth: expected tensors"):
        open_scenes(root, label_set="scannet20")[0]


def test_images_that_do_not_fit_are_named(root: Path) -> None:
    folder = root.parent / "scannet_2d"
    with pytest.raises(DataError, match=r"scene0000_00.color: no images"):
        open_scenes(root, label_set="scannet20", cameras=True)[0]
    np.savetxt(folder / "intrinsics.txt", INTRINSICS * 4)
    with pytest.raises(DataError, match=r"intrinsics\.txt: .* of another size"):
        open_scenes(root, label_set="scannet20", cameras=True)[1]
    (folder / "intrinsics.txt").unlink()
    with pytest.raises(DataError, match="no intrinsics of 0, looked for"):
        open_scenes(root, label_set="scannet20", cameras=True)[1]
    pose = folder / "scene0001_00" / "pose" / "0.txt"
    np.savetxt(pose, np.diag([1, 1, -1, 1]))
    with pytest.raises(DataError, match=r"pose.0\.txt: expected a rotation"):
        open_scenes(root, label_set="scannet20", cameras=True)[1]
    np.savetxt(pose, np.full((4, 4), -np.inf))  # lost: left out
    assert open_scenes(root, label_set="scannet20", cameras=True)[1].frame.cameras == ()
    pose.unlink()
    with pytest.raises(DataError, match=r"pose.0\.txt: no such file"):
        open_scenes(root, label_set="scannet20", cameras=True)[1]
