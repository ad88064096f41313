"""`colcon build` and `colcon test` of ov3d_perception, as a user of a distribution runs them."""

import subprocess
import sys

import pytest

pytest.importorskip("colcon_core", reason="colcon is not installed: run through `make test`")


def colcon(tmp_path, repository, verb, *arguments):
    """Run colcon on ov3d_perception with everything it writes below tmp_path."""
    command = [sys.executable, "-m", "colcon", f"--log-base={tmp_path / 'log'}", verb]
    command += ["--base-paths", str(repository / "ros2_ws/src/ov3d_perception"), f"--build-base={tmp_path / 'build'}"]
    command += [f"--install-base={tmp_path / 'install'}", *arguments]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)


def test_package_builds_installs_and_passes_its_own_tests(tmp_path, repository):
    built = colcon(tmp_path, repository, "build")
    assert built.returncode == 0, built.stdout + built.stderr
    assert "1 package finished" in built.stdout
    prefix = tmp_path / "install" / "ov3d_perception"
    assert (prefix / "lib" / "ov3d_perception" / "segment_node").is_file()
    assert (prefix / "share" / "ov3d_perception" / "launch" / "segment.launch.py").is_file()

    tested = colcon(
        tmp_path, repository, "test", "--return-code-on-test-failure", "--event-handlers", "console_direct+"
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr
    assert " passed" in tested.stdout
    assert " skipped" not in tested.stdout
