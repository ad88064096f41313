"""Launch files: their arguments are documented everywhere, and they build and expand where ROS launch is installed."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path
from typing import Any

import pytest

from ov3d_perception.ros import names

ROOT = Path(__file__).resolve().parents[2]
SEGMENT = ROOT / "ros2_ws" / "src" / "ov3d_perception" / "launch" / "segment.launch.py"
DEMO = ROOT / "launch" / "demo.launch.py"


def arguments(path: Path) -> dict[str, Any]:
    """Names and defaults of a launch file's table ARGUMENTS, read without importing launch."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "ARGUMENTS":
            return {name: default for name, default, _ in ast.literal_eval(node.value)}
    pytest.fail(f"{path.name} has no table ARGUMENTS")


def load(path: Path) -> Any:
    """Import a launch file; skips where ROS launch is not installed (its PyPI namesake is something else)."""
    reason = "ROS launch and launch_ros come with a distribution's ROS, not from PyPI"
    pytest.importorskip("launch.actions", reason=reason)
    pytest.importorskip("launch_ros.actions", reason=reason)
    spec = importlib.util.spec_from_file_location(path.name.replace(".", "_"), path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", [SEGMENT, DEMO], ids=lambda path: path.name)
def test_every_launch_argument_is_documented(path: Path) -> None:
    text = (ROOT / "docs" / "deployment.md").read_text()
    for name in arguments(path):
        assert f"`{name}`" in text or f"{name}:=" in text, f"{path.name}: {name} is not in docs/deployment.md"


def test_documented_launch_arguments_exist() -> None:
    text = (ROOT / "docs" / "deployment.md").read_text()
    table = text.split("| argument of `segment.launch.py`")[1].split("\n\n")[0]
    documented = [line.split("`")[1] for line in table.splitlines() if line.startswith("| `")]
    assert documented == list(arguments(SEGMENT))


def test_the_launch_file_starts_the_node_under_its_own_name() -> None:
    assert arguments(SEGMENT)["node_name"] == names.NODE_NAME
    assert f'"{names.INPUT_CLOUD}"' in SEGMENT.read_text()


@pytest.mark.parametrize("path", [SEGMENT, DEMO], ids=lambda path: path.name)
def test_the_launch_description_declares_its_arguments(path: Path) -> None:
    module = load(path)
    description = module.generate_launch_description()
    declared = [entity.name for entity in description.entities if type(entity).__name__ == "DeclareLaunchArgument"]
    assert declared == list(arguments(path))


def test_the_segment_launch_file_turns_arguments_into_one_node(tmp_path: Path) -> None:
    module = load(SEGMENT)
    from launch.launch_context import LaunchContext

    context = LaunchContext()
    context.launch_configurations.update(
        {
            **arguments(SEGMENT),
            "params_file": str(tmp_path / "none.yaml"),
            "queries": "car, person|pedestrian",
            "namespace": "/left",
        }
    )
    (node,) = module._node(context)
    node._perform_substitutions(context)
    assert node.node_name == "/left/ov3d_segmentation"
