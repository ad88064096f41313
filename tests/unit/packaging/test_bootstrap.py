"""Set-up decisions: which ROS, which Python, what the environment looks like, what is said when something lacks."""

import os
import subprocess
from pathlib import Path

import pytest

from ros2_ws.bootstrap import __main__ as command_line
from ros2_ws.bootstrap import install, interpreters
from ros2_ws.bootstrap.environment import child_environment, layout_for, write_scripts
from ros2_ws.bootstrap.interpreters import Interpreter, Ros
from ros2_ws.bootstrap.steps import SetupError, run_logged

PYTHON_312 = Interpreter("/usr/bin/python3.12", (3, 12), "3.12.3")


@pytest.fixture
def prefix(tmp_path):
    """A folder laid out like /opt/ros/jazzy with rclpy for Python 3.12."""
    module = tmp_path / "ros" / "lib" / "python3.12" / "site-packages" / "rclpy"
    module.mkdir(parents=True)
    (module / "_rclpy_pybind11.cpython-312-x86_64-linux-gnu.so").touch()
    return tmp_path / "ros"


def test_sourced_jazzy_is_used_with_its_python(prefix):
    found = interpreters.find_ros({"ROS_DISTRO": "jazzy", "AMENT_PREFIX_PATH": f"/nowhere:{prefix}"})
    assert found == Ros("jazzy", (3, 12))


def test_python_is_found_in_a_folder_that_names_no_minor_version(tmp_path):
    module = tmp_path / "lib" / "python3" / "dist-packages" / "rclpy"
    module.mkdir(parents=True)
    (module / "_rclpy_pybind11.cpython-313-aarch64-linux-gnu.so").touch()
    found = interpreters.find_ros({"ROS_DISTRO": "lyrical", "AMENT_PREFIX_PATH": str(tmp_path)})
    assert found == Ros("lyrical", (3, 13))


def test_sourced_humble_is_too_old_and_pypi_is_used(prefix):
    found = interpreters.find_ros({"ROS_DISTRO": "humble", "AMENT_PREFIX_PATH": str(prefix)})
    assert found.distro is None
    assert "humble" in found.notice


def test_distro_name_without_rclpy_means_pypi(tmp_path):
    found = interpreters.find_ros({"ROS_DISTRO": "jazzy", "AMENT_PREFIX_PATH": str(tmp_path)})
    assert found.distro is None
    assert "no rclpy" in found.notice


def test_nothing_sourced_means_pypi_without_a_word():
    assert interpreters.find_ros({}) == Ros(None)


def test_environments_of_different_pythons_and_ros_do_not_share_a_folder():
    root = Path("/repository")
    names = {
        layout_for(root, kind, Interpreter("x", version, ""), ros).venv.name
        for kind in ("demo", "test", "devkit", "peers")
        for version in ((3, 10), (3, 11), (3, 12))
        for ros in (Ros(None), Ros("jazzy"), Ros("kilted"))
    }
    assert len(names) == 4 * 3 * 3


def test_python_that_does_not_start_is_named():
    with pytest.raises(SetupError, match=r"PYTHON=/nowhere/python3\.11 does not start"):
        interpreters.find_interpreter("demo", Ros(None), "/nowhere/python3.11")


def test_python_without_lock_file_is_refused(monkeypatch):
    monkeypatch.setattr(interpreters, "probe", lambda command: Interpreter(command, (3, 9), "3.9.2"))
    with pytest.raises(SetupError, match=r"is 3\.9\.2, expected Python 3\.10, 3\.11, 3\.12"):
        interpreters.find_interpreter("demo", Ros(None), "python3.9")


def test_sourced_ros_decides_the_python(monkeypatch):
    monkeypatch.setattr(interpreters, "probe", lambda command: Interpreter(command, (3, 12), "3.12.3"))
    assert interpreters.find_interpreter("test", Ros("jazzy", (3, 12)), None).path == "/usr/bin/python3.12"


def test_missing_cmake_and_compilers_are_said_in_one_line(tmp_path):
    with pytest.raises(SetupError) as caught:
        interpreters.check_compilers({"PATH": str(tmp_path)})
    assert "\n" not in str(caught.value)
    assert all(word in str(caught.value) for word in ("cmake", "a C compiler", "a C++ compiler", "apt install"))


def test_pypi_environment_forgets_a_sourced_ros(tmp_path):
    layout = layout_for(tmp_path, "demo", PYTHON_312, Ros(None))
    sourced = {"ROS_DISTRO": "humble", "AMENT_PREFIX_PATH": "/opt/ros/humble", "PYTHONPATH": "/opt/ros/humble/lib"}
    env = child_environment(layout, {**sourced, "PATH": "/usr/bin", "MAKEFLAGS": "-j9"})
    assert "ROS_DISTRO" not in env
    assert "MAKEFLAGS" not in env
    assert "/opt/ros" not in env["AMENT_PREFIX_PATH"] + env["PYTHONPATH"] + env["CMAKE_PREFIX_PATH"]
    assert env["PATH"].split(os.pathsep) == [str(layout.venv / "bin"), "/usr/bin"]


def test_distribution_environment_keeps_what_was_sourced_behind_the_interfaces(tmp_path):
    layout = layout_for(tmp_path, "demo", PYTHON_312, Ros("jazzy", (3, 12)))
    env = child_environment(
        layout, {"ROS_DISTRO": "jazzy", "AMENT_PREFIX_PATH": "/opt/ros/jazzy", "PYTHONPATH": "/ros"}
    )
    assert env["AMENT_PREFIX_PATH"] == f"{layout.interfaces / 'install'}:/opt/ros/jazzy"
    assert env["PYTHONPATH"] == "/ros"
    assert env["ROS_DISTRO"] == "jazzy"


def test_environment_of_an_environment_is_the_same(tmp_path):
    layout = layout_for(tmp_path, "demo", PYTHON_312, Ros(None))
    once = child_environment(layout, {"PATH": "/usr/bin"})
    assert child_environment(layout, once) == once


def run_wrapper(layout: Path, env: dict[str, str]) -> subprocess.CompletedProcess:
    """Run `env` through the generated wrapper."""
    wrapper = [str(layout / "bin" / "ov3d-env"), "env"]
    return subprocess.run(wrapper, env={"PATH": "/usr/bin:/bin", **env}, capture_output=True, text=True)


def test_wrapper_gives_a_bare_shell_the_ros_environment(tmp_path):
    layout = layout_for(tmp_path / "a folder", "demo", PYTHON_312, Ros(None))
    (layout.venv / "bin").mkdir(parents=True)
    write_scripts(layout)
    said = dict(line.split("=", 1) for line in run_wrapper(layout.venv, {"ROS_DISTRO": "humble"}).stdout.splitlines())
    assert "ROS_DISTRO" not in said
    assert said["AMENT_PREFIX_PATH"] == f"{layout.interfaces / 'install'}:{layout.venv}"
    assert said["PATH"] == f"{layout.venv / 'bin'}:/usr/bin:/bin"


def test_wrapper_of_a_distribution_asks_for_the_distribution(tmp_path):
    layout = layout_for(tmp_path, "demo", PYTHON_312, Ros("jazzy", (3, 12)))
    (layout.venv / "bin").mkdir(parents=True)
    write_scripts(layout)
    refused = run_wrapper(layout.venv, {})
    assert refused.returncode == 2
    assert "source ROS 2 jazzy first" in refused.stderr
    assert run_wrapper(layout.venv, {"ROS_DISTRO": "jazzy"}).returncode == 0


def test_build_machine_paths_of_the_wheels_become_ours(tmp_path, monkeypatch):
    layout = layout_for(tmp_path, "demo", PYTHON_312, Ros(None))
    cmake = layout.venv / "share" / "std_msgs" / "cmake" / "export.cmake"
    cmake.parent.mkdir(parents=True)
    root = "/opt/python/cp312-cp312"
    old = f'"{root}/include/python3.12;{root}/lib/python3.12/site-packages/numpy/_core/include"'
    cmake.write_text(f"set_target_properties(x INTERFACE_INCLUDE_DIRECTORIES {old})\n")
    (tmp_path / "Python.h").touch()
    answer = subprocess.CompletedProcess([], 0, stdout=f"{tmp_path}\n/venv/numpy/include\n")
    monkeypatch.setattr(install.subprocess, "run", lambda *_, **__: answer)
    assert install.rewrite_cmake_paths(layout, {}) == 1
    assert f'"{tmp_path};/venv/numpy/include"' in cmake.read_text()
    assert install.rewrite_cmake_paths(layout, {}) == 0


def test_changed_interface_rebuilds_interfaces_only(tmp_path):
    for folder, name in install.PACKAGES.items():
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / name).write_text("")
    message = tmp_path / install.MESSAGES / "msg" / "Label.msg"
    message.parent.mkdir(parents=True)
    message.write_text("uint16 id\n")
    layout = layout_for(tmp_path, "demo", PYTHON_312, Ros(None))
    before = install.wanted_stamp(layout, {"numpy": "2.4.6"})
    message.write_text("uint32 id\n")
    after = install.wanted_stamp(layout, {"numpy": "2.4.6"})
    assert [step for step in before if before[step] != after[step]] == ["interfaces"]


def test_changed_pin_rebuilds_everything(tmp_path):
    for folder, name in install.PACKAGES.items():
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / name).write_text("")
    layout = layout_for(tmp_path, "demo", PYTHON_312, Ros(None))
    before = install.wanted_stamp(layout, {"numpy": "2.4.6"})
    after = install.wanted_stamp(layout, {"numpy": "2.4.7"})
    assert all(before[step] != after[step] for step in before)


def test_devkit_environment_is_pins_alone(tmp_path):
    layout = layout_for(tmp_path, "devkit", PYTHON_312, Ros(None))
    assert list(install.wanted_stamp(layout, {"numpy": "1.26.4"})) == ["dependencies"]


def test_devkit_environment_does_without_the_sourced_ros(prefix, monkeypatch):
    made = []
    monkeypatch.setenv("ROS_DISTRO", "jazzy")
    monkeypatch.setenv("AMENT_PREFIX_PATH", str(prefix))
    monkeypatch.setattr(command_line, "find_interpreter", lambda kind, ros, asked: PYTHON_312)
    monkeypatch.setattr(command_line, "set_up", lambda layout, environ: made.append(layout.venv.name))
    assert command_line.main(["devkit"]) == 0
    assert made == [".venv-devkit-py312"]


def test_failing_command_shows_its_last_words_without_pip_noise(tmp_path):
    log = tmp_path / "log"
    code = "echo 'WARNING: Location x is ignored'; echo 'no such package'; exit 3"
    with pytest.raises(SetupError) as caught:
        run_logged(["sh", "-c", code], log=log, env=os.environ, cwd=tmp_path, hint="Look here.")
    assert "exit code 3. Look here." in str(caught.value)
    assert "    no such package" in str(caught.value)
    assert "WARNING" not in str(caught.value)


def test_command_after_two_dashes_is_taken_as_it_stands():
    options = command_line.parse(["demo", "--python", "python3.10", "--", "ls", "--python", "--"])
    assert (options.task, options.python, options.command) == ("demo", "python3.10", ["ls", "--python", "--"])


def test_without_two_dashes_there_is_no_command():
    assert command_line.parse(["test"]).command == []
