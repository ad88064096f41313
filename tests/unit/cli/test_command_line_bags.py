"""`python -m ov3d_perception label BUNDLE BAG`: every sweep is labelled, one of them also goes to cloud files."""

import sys
from pathlib import Path

import numpy as np
import pytest

from ov3d_perception.__main__ import main

rosbags = pytest.importorskip("rosbags")

SWEEPS = ([(20, 0, 0), (0, 20, 0)], [(0, 0, 20), (0, 20, 0), (20, 0, 0)])
STAMP_NS = 1_500_000_000_000_000_000


@pytest.fixture
def bag(tmp_path: Path) -> Path:
    from ov3d_perception.bag_io import POINTCLOUD2_TYPE, create_bag, make_typestore
    from ov3d_perception.bags import cloud_message
    from ov3d_perception.pointcloud2 import encode_cloud

    typestore = make_typestore()
    types = typestore.types
    with create_bag(tmp_path / "drive") as writer:
        connection = writer.add_connection("/LIDAR_TOP", POINTCLOUD2_TYPE, typestore=typestore)
        for number, sweep in enumerate(SWEEPS):
            points = np.array(sweep, dtype=np.float32)
            columns = {name: points[:, axis].copy() for axis, name in enumerate("xyz")}
            stamp = types["builtin_interfaces/msg/Time"](sec=STAMP_NS // 10**9, nanosec=number)
            header = types["std_msgs/msg/Header"](stamp=stamp, frame_id="LIDAR_TOP")
            message = cloud_message(typestore, encode_cloud(columns), header)
            writer.write(connection, STAMP_NS + number, typestore.serialize_cdr(message, POINTCLOUD2_TYPE))
    return tmp_path / "drive"


def run(*arguments: object) -> int:
    return main([str(argument) for argument in (*arguments, "--queries", "east,north,up", "--device", "cpu")])


def labels_in(bag: Path) -> list[list[int]]:
    from ov3d_perception.bag_io import LABELLED_TOPIC, make_typestore, open_bag
    from ov3d_perception.pointcloud2 import read_field

    typestore = make_typestore()
    with open_bag(bag) as reader:
        connections = [connection for connection in reader.connections if connection.topic == LABELLED_TOPIC]
        return [
            read_field(typestore.deserialize_cdr(raw, connection.msgtype), "label").tolist()
            for connection, _, raw in reader.messages(connections=connections)
        ]


@pytest.mark.parametrize("name", ["labelled", "labelled.mcap"], ids=["folder", "one file"])
def test_bag_comes_back_with_every_sweep_labelled(tiny_bundle: Path, bag: Path, tmp_path: Path, name: str) -> None:
    assert run("label", tiny_bundle, bag, "--out", tmp_path / name) == 0
    assert labels_in(tmp_path / name) == [[1, 2], [3, 2, 1]]
    assert (tmp_path / name).is_file() == name.endswith(".mcap")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["drive", name])


def test_report_counts_all_sweeps(
    tiny_bundle: Path, bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("label", tiny_bundle, bag, "--out", tmp_path / "labelled") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:5]] == [
        ["east", "2"],
        ["north", "2"],
        ["up", "1"],
        ["unlabelled", "0"],
    ]
    assert "median of 2 sweeps" in lines[5]


def test_sweep_that_is_asked_for_goes_to_the_cloud_file(tiny_bundle: Path, bag: Path, tmp_path: Path) -> None:
    assert (
        run("label", tiny_bundle, bag, "--sweep", "1", "--out", tmp_path / "out.npy", tmp_path / "labelled.mcap") == 0
    )
    assert np.load(tmp_path / "out.npy", allow_pickle=False)["label"].tolist() == [3, 2, 1]
    assert len(labels_in(tmp_path / "labelled.mcap")) == 2


def test_without_a_bag_to_write_reading_stops_at_the_sweep(
    tiny_bundle: Path, bag: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("label", tiny_bundle, bag, "--out", tmp_path / "out.npy") == 0
    assert np.load(tmp_path / "out.npy", allow_pickle=False)["label"].tolist() == [1, 2]
    assert "1 sweep," in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--sweep", "2", "--out", "OUT/out.npy"), "--sweep 2: there are 2 sweeps, counted from 0"),
        (("--sweep", "-1", "--out", "OUT/out.npy"), "--sweep"),
        (("--topic", "/absent", "--out", "OUT/labelled"), "/LIDAR_TOP"),
        (("--out", "OUT/drive"), "exists already"),
        (("--out", "OUT/absent/labelled.mcap"), "Create it first"),
    ],
)
def test_mistake_about_a_bag_is_one_line_and_leaves_nothing_behind(
    tiny_bundle: Path,
    bag: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    message: str,
) -> None:
    assert run("label", tiny_bundle, bag, *(option.replace("OUT", str(tmp_path)) for option in options)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["drive"]


def test_folder_that_is_no_bag_is_one_line(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("label", tiny_bundle, tmp_path) == 2
    assert capsys.readouterr().err.startswith("ov3d: DataError: ")


def test_bag_without_rosbags_says_what_to_install(
    tiny_bundle: Path, bag: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rosbags.rosbag2", None)
    assert run("label", tiny_bundle, bag) == 2
    assert "pip install rosbags" in capsys.readouterr().err
