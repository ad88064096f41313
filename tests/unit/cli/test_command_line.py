"""`python -m ov3d_perception`: what it prints, what it writes, and one line per mistake."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ov3d_perception.__main__ import main
from tests.unit.engine.tiny_student import card_with, write_bank, write_bundle

CLOUD = np.array([(20, 0, 0), (0, 20, 0), (0, 0, 20), (-20, 0, 0), (np.nan, 0, 0)], dtype=np.float32)


@pytest.fixture
def cloud(tmp_path: Path) -> Path:
    path = tmp_path / "cloud.npy"
    np.save(path, np.concatenate([CLOUD, np.ones((len(CLOUD), 1), dtype=np.float32)], axis=1))
    return path


def label_of(path: Path) -> list[int]:
    return list(np.load(path, allow_pickle=False)["label"])


def run(*arguments: object) -> int:
    return main([str(argument) for argument in arguments])


def expect_error(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert run(*arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert captured.err.startswith("ov3d: ")
    return captured.err


def test_info_prints_the_card_and_the_provider(tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", tiny_bundle, "--device", "cpu") == 0
    printed = capsys.readouterr().out
    for fact in ("by hand", "directions", "east, north", "voxel_size_m 1.0", "student.onnx", "CPUExecutionProvider"):
        assert fact in printed


def test_info_as_json_holds_card_and_sizes(tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("info", tiny_bundle, "--json", "--device", "cpu") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["embedding_dim"] == 3
    assert facts["files"]["student.onnx"] == (tiny_bundle / "student.onnx").stat().st_size
    assert facts["provider"] == "CPUExecutionProvider"
    assert facts["text_side"].startswith("bank")


def test_default_words_are_those_of_the_card(tiny_bundle: Path, cloud: Path, tmp_path: Path) -> None:
    # card: east, north against background up, threshold 0.5
    assert run("label", tiny_bundle, cloud, "--out", tmp_path / "out.npy") == 0
    assert label_of(tmp_path / "out.npy") == [1, 2, 0, 0, 0]


def test_words_on_the_command_line_replace_those_of_the_card(tiny_bundle: Path, cloud: Path, tmp_path: Path) -> None:
    # "up" is asked for, so it is no longer background
    assert run("label", tiny_bundle, cloud, "--queries", "up, west|north", "--out", tmp_path / "out.npy") == 0
    assert label_of(tmp_path / "out.npy") == [0, 2, 1, 2, 0]


def test_threshold_and_background_can_be_given(tiny_bundle: Path, cloud: Path, tmp_path: Path) -> None:
    options = ("--queries", "east", "--threshold", "-1", "--out", tmp_path / "out.npy")
    assert run("label", tiny_bundle, cloud, *options, "--background", "") == 0
    assert label_of(tmp_path / "out.npy") == [1, 1, 1, 1, 0]
    assert run("label", tiny_bundle, cloud, *options, "--background", "north,west") == 0
    assert label_of(tmp_path / "out.npy") == [1, 0, 1, 0, 0]


def test_report_counts_points_per_label_and_times_per_stage(
    tiny_bundle: Path, cloud: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("label", tiny_bundle, cloud, "--device", "cpu") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["label", "points", "share", "median", "score"]
    assert lines[1].split() == ["east", "1", "20.0", "%", "1.000"]
    assert lines[3].split() == ["unlabelled", "3", "60.0", "%", "0.000"]
    assert all(stage in lines[4] for stage in ("words", "inputs", "network", "labels", "1 sweep", "CPUExecution"))


def test_every_output_asked_for_is_written(tiny_bundle: Path, cloud: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    outputs = [tmp_path / f"out.{suffix}" for suffix in ("npy", "ply", "png", "json")]
    assert run("label", tiny_bundle, cloud, "--out", *outputs) == 0
    assert all(path.stat().st_size > 0 for path in outputs)


def test_missing_bundle_is_one_line(tmp_path: Path, cloud: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "ModelError: bundle" in expect_error(capsys, "info", tmp_path / "absent")
    assert "ModelError: bundle" in expect_error(capsys, "label", tmp_path / "absent", cloud)


def test_missing_cloud_is_one_line(tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "absent.bin: does not exist" in expect_error(capsys, "label", tiny_bundle, tmp_path / "absent.bin")


def test_cloud_of_unknown_content_is_one_line(
    tiny_bundle: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cloud.ply").write_bytes(b"nonsense")
    assert "DataError" in expect_error(capsys, "label", tiny_bundle, tmp_path / "cloud.ply")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--queries", ""), "the list is empty"),
        (("--queries", "east,,up"), "one of the words is empty"),
        (("--queries", "east, EAST"), "occurs twice"),
        (("--queries", "x" * 10_000), "has 10,000 characters"),
        (("--queries", "nowhere"), "nowhere"),
        (("--threshold", "nan"), "threshold"),
        (("--template", "a photo"), "holds {} 0 times"),
        (("--threads", "0"), "threads: expected at least 1"),
        (("--out", "labels.xyz"), "suffix '.xyz'"),
        (("--out", "absent/labels.npy"), "does not exist. Create it first"),
        (("--out", "labels.mcap"), "a bag can be written from a bag only"),
        (("--out", "a.mcap", "b.mcap"), "got 2 bags"),
    ],
)
def test_mistake_on_the_command_line_is_one_line(
    tiny_bundle: Path, cloud: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], message: str
) -> None:
    assert message in expect_error(capsys, "label", tiny_bundle, cloud, *options)


def test_card_without_labels_needs_words(tmp_path: Path, cloud: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = write_bundle(tmp_path / "bundle", card_with(labels=()))
    assert "the card names no labels" in expect_error(capsys, "label", bundle, cloud)


def test_bank_of_another_space_is_one_line(tmp_path: Path, cloud: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bundle = write_bundle(tmp_path / "bundle")
    write_bank(bundle / "bank.npz", space="clip")
    assert "text space" in expect_error(capsys, "label", bundle, cloud)


def test_nothing_is_written_after_a_mistake(tiny_bundle: Path, cloud: Path, tmp_path: Path) -> None:
    assert run("label", tiny_bundle, cloud, "--queries", "nowhere", "--out", tmp_path / "out.npy") == 2
    assert not (tmp_path / "out.npy").exists()


def test_module_runs_and_returns_its_exit_code(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ov3d_perception", "info", str(tmp_path / "absent")]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert finished.returncode == 2
    assert finished.stdout == ""
    assert finished.stderr.startswith("ov3d: ModelError: bundle")


def test_real_sweep_comes_back_whole_and_in_order(tiny_bundle: Path, real_data: Path, tmp_path: Path) -> None:
    sweep = real_data / "nuscenes_scene-0061" / "LIDAR_TOP.pcd.bin"
    assert run("label", tiny_bundle, sweep, "--queries", "east,north,west", "--out", tmp_path / "out.npy") == 0
    labelled = np.load(tmp_path / "out.npy", allow_pickle=False)
    raw = np.fromfile(sweep, dtype="<f4").reshape(-1, 5)
    assert len(labelled) == 34_688
    for column, name in enumerate(("x", "y", "z", "intensity")):
        np.testing.assert_array_equal(labelled[name], raw[:, column])
    # nuScenes: x points right, so what is labelled east lies on the right (a voxel of 1 m may reach across)
    assert labelled["x"][labelled["label"] == 1].min() > -1.0
