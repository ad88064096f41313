"""Find the ROS to use (a sourced distribution, or wheels from PyPI) and the Python interpreter that goes with it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from .steps import SetupError

# Distributions older than Jazzy, ROS 1 included. Anything newer is taken on trust: names are not known in advance.
TOO_OLD = {"ardent", "bouncy", "crystal", "dashing", "eloquent", "foxy", "galactic", "humble", "iron"}
TOO_OLD |= {"kinetic", "lunar", "melodic", "noetic"}
RCLPY_PLACES = tuple(
    f"{lib}/python3*/{packages}/rclpy/_rclpy_pybind11.*so"
    for lib in ("lib", "local/lib")
    for packages in ("site-packages", "dist-packages")
)
DEMO_VERSIONS = ((3, 11), (3, 12), (3, 10))
TEST_VERSIONS = ((3, 11),)
DEVKIT_VERSIONS = ((3, 11), (3, 12))
PEERS_VERSIONS = ((3, 11),)
VERSIONS = {"demo": DEMO_VERSIONS, "test": TEST_VERSIONS, "devkit": DEVKIT_VERSIONS, "peers": PEERS_VERSIONS}


@dataclass(frozen=True)
class Ros:
    """Which ROS is used: `distro` is None for wheels from PyPI; `python` the version its rclpy was built for."""

    distro: str | None
    python: tuple[int, int] | None = None
    notice: str | None = None


@dataclass(frozen=True)
class Interpreter:
    """A Python interpreter found on this machine."""

    path: str
    version: tuple[int, int]
    full_version: str

    @property
    def tag(self) -> str:
        """The name used in lock files and folders, for example `py311`."""
        return f"py{self.version[0]}{self.version[1]}"


def find_ros(environ: Mapping[str, str]) -> Ros:
    """Decide between the sourced distribution (ROS_DISTRO set, AMENT_PREFIX_PATH holds rclpy) and PyPI."""
    distro = environ.get("ROS_DISTRO")
    if not distro:
        return Ros(None)
    if distro in TOO_OLD:
        return Ros(None, notice=f"ROS {distro} is sourced, ov3d needs Jazzy or newer: using ROS from PyPI instead")
    for prefix in filter(None, environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep)):
        for pattern in RCLPY_PLACES:
            for module in sorted(Path(prefix).glob(pattern)):
                # the folder names the minor version, or else (Debian's lib/python3) the compiled module does
                match = re.search(r"/python(\d)\.(\d+)/", str(module)) or re.search(r"cpython-(\d)(\d+)", module.name)
                if match:
                    return Ros(distro, (int(match[1]), int(match[2])))
    return Ros(None, notice=f"ROS_DISTRO={distro}, but no rclpy in AMENT_PREFIX_PATH: using ROS from PyPI instead")


def probe(command: str) -> Interpreter | None:
    """Start `command` and ask for its version; None where it does not start (a pyenv shim may exist and fail)."""
    # the real interpreter, not the virtual environment that happens to be active
    code = "import os, sys; python = getattr(sys, '_base_executable', None) or sys.executable\n"
    code += "print(os.path.realpath(python), *sys.version_info[:3], sep='\\n')"
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env["_ROS_WHEELS_BOOTSTRAP_COMPLETE"] = "1"
    try:
        done = subprocess.run([command, "-c", code], capture_output=True, text=True, env=env, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = done.stdout.split("\n")
    if done.returncode != 0 or len(lines) < 4:
        return None
    return Interpreter(lines[0], (int(lines[1]), int(lines[2])), ".".join(lines[1:4]))


def candidates(version: tuple[int, int], *, prefer_system: bool) -> list[str]:
    """Commands that may start this Python version, in order: PATH, then pyenv's versions that PATH does not show."""
    name = f"python{version[0]}.{version[1]}"
    found = [f"/usr/bin/{name}", "/usr/bin/python3"] if prefer_system else []
    found += [name, "python3"]
    root = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    return found + [str(path) for path in sorted(root.glob(f"{version[0]}.{version[1]}.*/bin/python"), reverse=True)]


def find_interpreter(kind: str, ros: Ros, asked: str | None) -> Interpreter:
    """Choose the interpreter: the one asked for, or the first that fits; SetupError says what was looked for."""
    if ros.python:
        wanted: tuple[tuple[int, int], ...] = (ros.python,)
        reason = f"rclpy of the sourced ROS 2 {ros.distro} is built for it"
    else:
        wanted = VERSIONS[kind]
        reason = f"{kind} has lock files for it"
    names = ", ".join(f"{major}.{minor}" for major, minor in sorted(wanted))
    if asked:
        found = probe(asked)
        version = re.search(r"(\d+)\.(\d+)$", asked)
        if found is None and version and "/" not in asked:
            key = (int(version[1]), int(version[2]))
            started = map(probe, candidates(key, prefer_system=False))
            found = next((each for each in started if each and each.version == key), None)
        if found is None:
            raise SetupError(f"PYTHON={asked} does not start. Install it, or give the path of a Python {names}.")
        if found.version not in wanted:
            raise SetupError(f"PYTHON={asked} is {found.full_version}, expected Python {names}: {reason}.")
        return found
    for version_key in wanted:
        for command in candidates(version_key, prefer_system=ros.distro is not None):
            found = probe(command)
            if found and found.version == version_key:
                return found
    raise SetupError(f"no Python {names} found ({reason}). Install one, or say make ... PYTHON=/path/to/python.")


def check_compilers(environ: Mapping[str, str]) -> None:
    """Fail in one line where cmake or a compiler is missing; building ROS interfaces needs C and C++."""
    missing = []
    if not shutil.which("cmake", path=environ.get("PATH")):
        missing.append("cmake")
    for variable, names in (("CC", ("cc", "gcc", "clang")), ("CXX", ("c++", "g++", "clang++"))):
        choices = (environ[variable].split()[0],) if environ.get(variable, "").strip() else names
        if not any(shutil.which(name, path=environ.get("PATH")) for name in choices):
            missing.append(f"a {'C' if variable == 'CC' else 'C++'} compiler ({' or '.join(choices)})")
    if missing:
        raise SetupError(f"missing: {', '.join(missing)}. On Debian or Ubuntu: apt install cmake build-essential.")
