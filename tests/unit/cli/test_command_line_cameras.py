"""`label BUNDLE BAG --cameras --heat WORDS --fuse`: the bag's cameras in the picture and in the features."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ov3d_perception import label_files
from ov3d_perception.__main__ import main
from ov3d_perception.image_tower import CARD_KEY, ImageCard
from ov3d_perception.scene_picture import Heat
from tests.unit.engine.tiny_student import SPACE

pytest.importorskip("matplotlib")
pytest.importorskip("rosbags")

TOPIC = "/LIDAR_TOP"


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sweeps of 50 points, the first of each invalid, with a camera to the front and one to the back."""
    from bags.recording import recording_of_samples
    from bags.writer import write_bag
    from tests.unit.bags.tiny_drive import TinyDrive

    out = tmp_path_factory.mktemp("bags") / "drive"
    write_bag(recording_of_samples(TinyDrive()), out)
    return out


@pytest.fixture
def fused_bundle(tiny_bundle: Path, tmp_path: Path) -> Path:
    """The tiny bundle with an image tower to which every pixel is `up`."""
    folder = tmp_path / "bundle"
    shutil.copytree(tiny_bundle, folder)
    write_tower(folder / "image.onnx")
    return folder


def write_tower(path: Path, *, space: str = SPACE) -> None:
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("MatMul", ["pixels", "nothing"], ["zeros"]),
        helper.make_node("Add", ["zeros", "up"], ["feature"]),
    ]
    constants = [
        helper.make_tensor("nothing", TensorProto.FLOAT, [2, 3], np.zeros(6, "f4")),
        helper.make_tensor("up", TensorProto.FLOAT, [3], np.array([0, 0, 1], "f4")),
    ]
    inputs = [value("image", TensorProto.UINT8, ["H", "W", 3]), value("pixels", TensorProto.FLOAT, ["P", 2])]
    outputs = [value("feature", TensorProto.FLOAT, ["P", 3])]
    graph = helper.make_graph(nodes, "tower", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {CARD_KEY: ImageCard(text_space=space, embedding_dim=3, image_width=1000).to_json()})
    onnx.save(model, str(path))


def run(*arguments: object) -> int:
    return main([str(argument) for argument in (*arguments, "--device", "cpu", "--topic", TOPIC)])


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What pictures were drawn of."""
    pictures: list[dict[str, Any]] = []
    original = label_files.scene_picture

    def spy(frame: Any, prediction: Any, names: Any, *, heat: Heat | None, title: str) -> Any:
        pictures.append({"frame": frame, "names": names, "heat": heat, "title": title})
        return original(frame, prediction, names, heat=heat, title=title)

    monkeypatch.setattr(label_files, "scene_picture", spy)
    return pictures


def test_picture_has_the_cameras_and_scores_of_the_sweep_asked_for(
    tiny_bundle: Path, bag: Path, tmp_path: Path, drawn: list[dict[str, Any]]
) -> None:
    out = tmp_path / "picture.png"
    assert run("label", tiny_bundle, bag, "--sweep", "1", "--cameras", "--heat", "up", "--out", out) == 0
    assert out.read_bytes().startswith(b"\x89PNG")
    (picture,) = drawn
    frame, heat = picture["frame"], picture["heat"]
    assert [view.name for view in frame.cameras] == ["CAM_FRONT", "CAM_BACK"]
    assert abs(int(frame.cameras[0].image[0, 0, 0]) - 70) < 8  # the image of sweep 1
    assert heat.query == "up"
    assert np.isnan(heat.score[0])  # no voxel
    mean_up = frame.points[1:, 2] / np.linalg.norm(frame.points[1:], axis=1)
    np.testing.assert_allclose(heat.score[1:], mean_up, atol=1e-5)


def test_without_cameras_the_picture_shows_the_scores_alone(
    tiny_bundle: Path, bag: Path, tmp_path: Path, drawn: list[dict[str, Any]]
) -> None:
    assert run("label", tiny_bundle, bag, "--heat", "up", "--out", tmp_path / "picture.png") == 0
    assert drawn[0]["frame"].cameras == ()
    assert drawn[0]["heat"].query == "up"


def test_without_either_the_picture_is_the_plan(
    tiny_bundle: Path, bag: Path, tmp_path: Path, drawn: list[dict[str, Any]]
) -> None:
    assert run("label", tiny_bundle, bag, "--out", tmp_path / "picture.png") == 0
    assert (tmp_path / "picture.png").is_file()
    assert drawn == []


def test_only_the_sweep_asked_for_is_labelled_when_no_bag_is_written(
    tiny_bundle: Path, bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("label", tiny_bundle, bag, "--sweep", "2", "--out", tmp_path / "cloud.npy") == 0
    assert "1 sweep," in capsys.readouterr().out


def test_fusion_changes_the_points_that_a_camera_sees(fused_bundle: Path, bag: Path, tmp_path: Path) -> None:
    options = ("--queries", "east,up,west,north", "--background", "", "--threshold", "-1")
    labels = {}
    for name, more in (("alone", ("--cameras",)), ("fused", ("--fuse",))):
        out = tmp_path / f"{name}.npy"
        assert run("label", fused_bundle, bag, *options, *more, "--out", out) == 0
        labels[name] = np.load(out, allow_pickle=False)
    changed = labels["alone"]["score"] != labels["fused"]["score"]
    assert 0 < changed.sum() < 30  # the two cameras see some, not all
    ups = labels["fused"]["label"] == 2
    assert ups[changed].mean() > labels["alone"]["label"][changed].tolist().count(2) / changed.sum()


def test_labelled_bag_has_the_fused_labels_of_every_sweep(fused_bundle: Path, bag: Path, tmp_path: Path) -> None:
    from ov3d_perception.bag_io import LABELLED_TOPIC, make_typestore, open_bag
    from ov3d_perception.pointcloud2 import read_field

    out = tmp_path / "labelled.mcap"
    cloud = tmp_path / "cloud.npy"
    assert run("label", fused_bundle, bag, "--fuse", "--sweep", "2", "--out", out, cloud) == 0
    typestore = make_typestore()
    with open_bag(out) as reader:
        connections = [connection for connection in reader.connections if connection.topic == LABELLED_TOPIC]
        scores = [
            read_field(typestore.deserialize_cdr(raw, connection.msgtype), "score")
            for connection, _, raw in reader.messages(connections=connections)
        ]
    assert len(scores) == 3
    np.testing.assert_array_equal(scores[2], np.load(cloud, allow_pickle=False)["score"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--fuse",), "has no image.onnx. Leave --fuse out."),
        (("--heat", "sunshine"), "sunshine"),
        (("--heat", " "), "one of the words is empty"),
        (("--sweep", "7", "--cameras"), "--sweep 7: there are 3 sweeps, counted from 0"),
    ],
)
def test_mistake_is_one_line(
    tiny_bundle: Path, bag: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    assert run("label", tiny_bundle, bag, *options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_cloud_file_has_no_cameras(tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "cloud.npy", np.zeros((3, 4), np.float32))
    assert run("label", tiny_bundle, tmp_path / "cloud.npy", "--cameras") == 2
    assert "is a cloud file and has no images. Give a bag." in capsys.readouterr().err


def test_tower_of_another_text_space_is_refused(
    fused_bundle: Path, bag: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tower(fused_bundle / "image.onnx", space="elsewhere")
    assert run("label", fused_bundle, bag, "--fuse") == 2
    assert "lives in text space 'elsewhere', the student in 'directions'" in capsys.readouterr().err
