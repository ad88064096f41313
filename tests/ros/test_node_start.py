"""Starting and stopping the node as a process: exit codes and the one line that says what is wrong."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.ros.hand_made_bundle import SPEC, write_bundle

pytestmark = pytest.mark.usefixtures("ros")

COMMAND = [sys.executable, "-m", "ov3d_perception.ros.node"]


def run_node(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False)


def parameters(**values: Any) -> list[str]:
    return ["--ros-args", *(word for name, value in values.items() for word in ("-p", f"{name}:={value}"))]


def refusal(*arguments: str) -> str:
    """The one line that a node which cannot start writes."""
    done = run_node(*arguments)
    lines = done.stderr.strip().splitlines()
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1, done.stderr
    assert done.stdout == ""
    assert lines[0].startswith("ov3d_segmentation: ")
    return lines[0]


def test_a_missing_bundle_parameter_is_named() -> None:
    assert "parameter bundle" in refusal()


def test_a_bundle_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "no_such_bundle: does not exist" in refusal(*parameters(bundle=tmp_path / "no_such_bundle"))


def test_a_corrupt_student_is_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    (tmp_path / "student.onnx").write_bytes(b"not a network")
    assert "student.onnx" in refusal(*parameters(bundle=tmp_path))


def test_a_card_that_disagrees_with_the_graph_is_refused(tmp_path: Path) -> None:
    import dataclasses

    write_bundle(tmp_path, inputs=dataclasses.replace(SPEC, features=("z", "one", "intensity")))
    assert "features" in refusal(*parameters(bundle=tmp_path))


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"device": "tpu"}, "parameter device"),
        ({"threads": -4}, "parameter threads"),
        ({"threads": "many"}, "parameter threads"),
        ({"queries": '["above", "unicorn"]'}, "unicorn"),
    ],
)
def test_a_parameter_that_cannot_be_used_is_named(bundle_dir: Path, values: dict[str, Any], complaint: str) -> None:
    assert complaint in refusal(*parameters(bundle=bundle_dir, **values))


def test_arguments_that_ros_does_not_know_are_refused() -> None:
    assert "--bundle" in refusal("--bundle", "x")


def test_the_start_line_reproduces_the_run_and_an_interrupt_ends_it_cleanly(bundle_dir: Path) -> None:
    arguments = parameters(bundle=bundle_dir, device="cpu", threads=1, queries='["above|high", "below"]')
    process = subprocess.Popen(
        [*COMMAND, *arguments, "-r", "~/input/pointcloud:=/LIDAR_TOP"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "RCUTILS_LOGGING_BUFFERED_STREAM": "0"},
    )
    try:
        assert process.stdout is not None
        line = next(line for line in process.stdout if "again with" in line)
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 0, rest
    assert "Traceback" not in rest
    for part in (
        "CPUExecutionProvider",
        f"bundle:={bundle_dir}",
        "threads:=1",
        "above|high",
        "/LIDAR_TOP",
        "hand-made",
    ):
        assert part in line
