"""Which package may import which: ov3d_export -> ov3d_trainer -> ov3d_perception; torch and rclpy only at the rim."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

CORE = "ros2_ws/src/ov3d_perception/ov3d_perception"
SOURCES = (CORE, "ros2_ws/src/ov3d_perception/launch", "trainer", "export", "bags", "launch")
ROS_MODULES = ("rclpy", "ov3d_msgs", "tf2_ros", "sensor_msgs", "rosidl_runtime_py", "launch_ros")
# folder -> what nothing below it may import
FORBIDDEN = {
    CORE: ("torch", "torchvision", "open_clip", "ov3d_trainer", "ov3d_export", "bags"),
    "trainer": ("ov3d_export", *ROS_MODULES),
    "export": ROS_MODULES,
    "bags": ("torch", "ov3d_export"),
    "launch": ("torch", "ov3d_export"),
}
# A thin script for people who look for it; the walk itself lives in ov3d_export.
EXCEPTIONS = {("trainer/export.py", "ov3d_export")}


def imported(path: Path) -> set[str]:
    """Top-level names of every absolute import in a file, those inside functions too."""
    tree = ast.parse(path.read_text(), str(path))
    found = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    found |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0}
    return {name.split(".")[0] for name in found}


@pytest.mark.parametrize("folder", FORBIDDEN)
def test_no_import_points_back(repository, folder):
    found = [
        f"{path.relative_to(repository)} imports {name}"
        for path in sorted((repository / folder).rglob("*.py"))
        for name in sorted(imported(path) & set(FORBIDDEN[folder]))
        if (str(path.relative_to(repository)), name) not in EXCEPTIONS
    ]
    assert not found


def test_only_the_ros_folder_of_the_core_imports_ros(repository):
    core = repository / CORE
    outside = [path for path in core.rglob("*.py") if "ros" not in path.relative_to(core).parts[:1]]
    assert outside, "no source files found: has the core moved?"
    assert not [str(path.relative_to(core)) for path in outside if imported(path) & set(ROS_MODULES)]


def run_blocked(blocked: tuple[str, ...], code: str) -> subprocess.CompletedProcess:
    """Run code in a fresh Python in which importing a blocked module fails."""
    hook = (
        "import sys, importlib.abc\n"
        "class Blocked(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {blocked!r}:\n"
        "            raise ModuleNotFoundError(f'{name} is blocked by the test', name=name)\n"
        "sys.meta_path.insert(0, Blocked())\n"
    )
    return subprocess.run([sys.executable, "-c", hook + code], capture_output=True, text=True, timeout=120)


IMPORT_ALL = """
import importlib, pkgutil
package = importlib.import_module({package!r})
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if not module.name.endswith("__main__") and not module.name.startswith({leave!r}):
        importlib.import_module(module.name)
"""


def test_trainer_data_imports_without_torch_and_devkit():
    code = IMPORT_ALL.format(package="ov3d_trainer.data", leave="-")
    done = run_blocked(("torch", "torchvision", "nuscenes", "open_clip"), code)
    assert done.returncode == 0, done.stderr


def test_every_core_module_imports_without_torch_ros_and_optional_readers():
    code = IMPORT_ALL.format(package="ov3d_perception", leave="ov3d_perception.ros.")
    done = run_blocked(("torch", "rosbags", "plyfile", "pypcd4", "matplotlib", "PIL", *ROS_MODULES), code)
    assert done.returncode == 0, done.stderr
