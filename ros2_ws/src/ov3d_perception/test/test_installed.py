"""What `colcon test` checks: the package is installed where ROS looks for it."""

import os
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest

NAME = "ov3d_perception"


def installed_prefix() -> Path:
    """The colcon prefix that holds the package; skips where the test runs on bare sources."""
    for prefix in filter(None, os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)):
        if Path(prefix, "share/ament_index/resource_index/packages", NAME).is_file():
            return Path(prefix)
    pytest.skip("ov3d_perception is not installed by colcon: run `colcon build`, then `colcon test`")


def test_package_is_in_the_ament_index_with_its_manifest():
    assert (installed_prefix() / "share" / NAME / "package.xml").is_file()


def test_node_is_where_ros2_run_looks_for_it():
    script = installed_prefix() / "lib" / NAME / "segment_node"
    assert os.access(script, os.X_OK)
    assert "python" in script.read_text().splitlines()[0]


def test_every_launch_and_config_file_is_installed():
    share = installed_prefix() / "share" / NAME
    sources = Path(__file__).resolve().parents[1]
    expected = {f"{path.parent.name}/{path.name}" for path in sources.glob("launch/*.launch.py")}
    expected |= {f"{path.parent.name}/{path.name}" for path in sources.glob("config/*.yaml")}
    found = {f"{path.parent.name}/{path.name}" for path in share.glob("*/*") if path.is_file()}
    assert expected <= found


def test_version_of_the_installed_package_is_the_modules():
    import ov3d_perception

    try:
        stated = distribution(NAME).version
    except PackageNotFoundError:
        pytest.skip("no metadata: the package is neither built by colcon nor installed by pip")
    assert stated == ov3d_perception.__version__


def test_core_imports_without_torch():
    import sys

    import ov3d_perception  # noqa: F401

    assert "torch" not in sys.modules
