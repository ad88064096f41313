"""Build one virtual environment: pinned dependencies, ROS interface packages, the ov3d packages editable."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from .environment import Layout, child_environment, write_scripts
from .interpreters import check_compilers
from .locks import lock_path, pins_for, read_lock
from .minkowski import build_and_install
from .steps import SetupError, run_logged, step

# folder -> the file that defines the package
PACKAGES = {"ros2_ws/src/ov3d_perception": "setup.py", "trainer": "pyproject.toml", "export": "pyproject.toml"}
NEEDS_TORCH = ("export",)
PINS_ONLY = ("devkit",)  # kinds without the ov3d packages
WITHOUT_ROS = ("devkit", "peers")
MESSAGES = "ros2_ws/src/ov3d_msgs"
TF2_MESSAGES = "ros2_ws/pip_underlay/tf2_msgs"
MINIMUM_NUMPY = (1, 26)


def digest(*parts: str | Path) -> str:
    """A hash over texts, files and folders (every file below them, by name)."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, str):
            total.update(part.encode() + b"\0")
            continue
        files = sorted(path for path in part.rglob("*") if path.is_file()) if part.is_dir() else [part]
        for path in files:
            total.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return total.hexdigest()


def read_stamp(layout: Layout) -> dict[str, str]:
    """The hashes of the finished steps; empty where the environment is missing or was left half made."""
    try:
        stamp: dict[str, str] = json.loads((layout.venv / "ov3d_stamp.json").read_text())
        return stamp if layout.python.exists() else {}
    except (OSError, ValueError):
        return {}


def write_stamp(layout: Layout, stamp: Mapping[str, str]) -> None:
    """Write the hashes in one move, so that an interrupted run never leaves half a stamp."""
    path = layout.venv / "ov3d_stamp.json"
    path.with_suffix(".tmp").write_text(json.dumps(dict(stamp), indent=1) + "\n")
    path.with_suffix(".tmp").replace(path)


@contextmanager
def locked(root: Path) -> Iterator[None]:
    """Let one set-up at a time work in this repository; a second one waits."""
    folder = os.open(root, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def packages(layout: Layout) -> list[Path]:
    """The folders of the ov3d packages this environment gets: the demo has no torch, so nothing that needs it."""
    return [layout.root / name for name in PACKAGES if layout.kind != "demo" or name not in NEEDS_TORCH]


def wanted_stamp(layout: Layout, pins: Mapping[str, str]) -> dict[str, str]:
    """What the stamp must say: a hash over everything each step depends on."""
    here = Path(__file__).parent
    facts = json.dumps([str(layout.root), pins, layout.interpreter.full_version, layout.ros.distro])
    dependencies = digest(facts, here / "install.py", here / "locks.py")
    if layout.kind in PINS_ONLY:
        return {"dependencies": dependencies}
    definitions = [package / PACKAGES[str(package.relative_to(layout.root))] for package in packages(layout)]
    stamp = {"dependencies": dependencies, "packages": digest(dependencies, *definitions)}
    if layout.kind in WITHOUT_ROS:
        return {**stamp, "minkowski": digest(dependencies, here / "minkowski.py")}
    interfaces = [path for path in (layout.root / MESSAGES, layout.root / TF2_MESSAGES) if path.is_dir()]
    return {**stamp, "interfaces": digest(dependencies, here / "environment.py", *interfaces)}


def set_up(layout: Layout, environ: Mapping[str, str]) -> None:
    """Bring the virtual environment up to date; each step runs only where its inputs changed."""
    lock = lock_path(layout.root, layout.kind, layout.interpreter.tag)
    command = f"make lock PYTHON={layout.interpreter.path}"
    pins = pins_for(read_lock(lock, command=command), distro=layout.ros.distro)
    wanted = wanted_stamp(layout, pins)
    with locked(layout.root):
        stamp = read_stamp(layout)
        if stamp == wanted:
            return
        origin = f"ROS 2 {layout.ros.distro}" if layout.ros.distro else "ROS 2 from PyPI"
        origin = "without ROS" if layout.kind in WITHOUT_ROS else origin
        print(f"set-up of {layout.venv.name}: Python {layout.interpreter.full_version}, {origin}", flush=True)
        if stamp.get("interfaces") != wanted.get("interfaces"):
            check_compilers(environ)
        if stamp.get("dependencies") != wanted["dependencies"]:
            make_venv(layout, environ)
            install_dependencies(layout, pins, environ)
            write_scripts(layout)  # written again below where interfaces add their folders
            stamp = {"dependencies": wanted["dependencies"]}
            write_stamp(layout, stamp)
        if stamp.get("packages") != wanted.get("packages"):
            install_packages(layout, environ)
            stamp["packages"] = wanted["packages"]
            write_stamp(layout, stamp)
        if stamp.get("minkowski") != wanted.get("minkowski"):
            build_and_install(layout, environ, pins["torch"])
            stamp["minkowski"] = wanted["minkowski"]
            write_stamp(layout, stamp)
        if stamp.get("interfaces") != wanted.get("interfaces"):
            build_interfaces(layout, environ)
            write_scripts(layout)
            write_stamp(layout, wanted)


def make_venv(layout: Layout, environ: Mapping[str, str]) -> None:
    """Make an empty virtual environment, in place of what was there."""
    if layout.venv.exists():
        shutil.rmtree(layout.venv)
    log = layout.root / f"{layout.venv.name}.log"
    hint = "On Debian or Ubuntu: apt install python3-venv."
    flags = ["--system-site-packages"] if layout.ros.distro else []
    with step("virtual environment"):
        command = [layout.interpreter.path, "-m", "venv", *flags, str(layout.venv)]
        run_logged(command, log=log, env=child_environment(layout, environ), cwd=layout.root, hint=hint)
    log.replace(layout.log)
    (layout.venv / "COLCON_IGNORE").touch()
    (layout.venv / ".gitignore").write_text("*\n")


def install_dependencies(layout: Layout, pins: Mapping[str, str], environ: Mapping[str, str]) -> None:
    """Install exactly the pins. Only torch may bring more: the registry's build for Linux needs its CUDA packages."""
    env = child_environment(layout, environ)
    constraints = layout.venv / "pins.txt"
    constraints.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()))
    pip = [str(layout.python), "-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--no-compile"]
    pip += ["--use-pep517"]  # old pips otherwise install empy the legacy way, without metadata
    hint = "Is a package index within reach?"
    if "torch" in pins:
        with step(f"torch {pins['torch']}"):
            command = [*pip, "-c", str(constraints), f"torch=={pins['torch']}"]
            run_logged(command, log=layout.log, env=env, cwd=layout.root, hint=hint)
    with step(f"{len(pins)} pinned packages"):
        command = [*pip, "--no-deps", "-r", str(constraints)]
        run_logged(command, log=layout.log, env=env, cwd=layout.root, hint=hint)
    if layout.ros.distro:
        check_numpy(layout, env)


def check_numpy(layout: Layout, env: Mapping[str, str]) -> None:
    """Fail where the distribution's numpy is missing or too old for ov3d; it is never replaced."""
    code = "import numpy; print(numpy.__version__)"
    done = subprocess.run([str(layout.python), "-c", code], capture_output=True, text=True, env=dict(env))
    found = done.stdout.strip() or "none"
    match = re.match(r"(\d+)\.(\d+)", found)
    if not match or (int(match[1]), int(match[2])) < MINIMUM_NUMPY:
        raise SetupError(f"numpy of the system is {found}, expected 1.26 or newer. apt install python3-numpy.")


def install_packages(layout: Layout, environ: Mapping[str, str]) -> None:
    """Install the ov3d packages editable: the sources stay where they are."""
    env = child_environment(layout, environ)
    pip = [str(layout.python), "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
    editable = [word for package in packages(layout) for word in ("-e", str(package))]
    with step("ov3d packages, editable"):
        command = [*pip, "--no-deps", "--no-index", "--no-build-isolation", *editable]
        run_logged(command, log=layout.log, env=env, cwd=layout.root, hint="Is a package definition wrong?")


def rewrite_cmake_paths(layout: Layout, env: Mapping[str, str]) -> int:
    """Point the wheels' exported .cmake files at this interpreter's headers; returns how many files changed.

    They name the machine the wheels were built on (/opt/python/cp3XX-cp3XX/...), which CMake refuses.
    """
    code = "import numpy, sysconfig; print(sysconfig.get_paths()['include']); print(numpy.get_include())"
    done = subprocess.run([str(layout.python), "-c", code], capture_output=True, text=True, check=True, env=dict(env))
    python_include, numpy_include = done.stdout.split("\n")[:2]
    if not Path(python_include, "Python.h").is_file():
        major, minor = layout.interpreter.version
        raise SetupError(
            f"{python_include}/Python.h is missing. On Debian or Ubuntu: apt install python{major}.{minor}-dev."
        )
    build_machine = r"/opt/(?:python|_internal)/[^/;\"]+"
    rules = (
        (re.compile(build_machine + r"/lib/python3\.\d+/site-packages/numpy/_?core/include"), numpy_include),
        (re.compile(build_machine + r"/include/python3\.\d+t?"), python_include),
    )
    changed = 0
    for path in sorted((layout.venv / "share").rglob("*.cmake")):
        old = path.read_text(errors="surrogateescape")
        new = old
        for pattern, replacement in rules:
            new = pattern.sub(lambda _, text=replacement: text, new)  # type: ignore[misc]
        if new != old:
            path.write_text(new, errors="surrogateescape")
            changed += 1
        left = re.search(build_machine + r"[^;\"]*", new)
        if left:
            raise SetupError(f"{path}: names {left[0]} of the machine that built the wheel, and no rule covers it.")
    return changed


def build_interfaces(layout: Layout, environ: Mapping[str, str]) -> None:
    """Build ov3d_msgs, and tf2_msgs where ROS lacks it, with colcon into the virtual environment."""
    # A job count of our own: colcon's also limits by load average, and then a busy machine builds one file at a time.
    env = {**child_environment(layout, environ), "MAKEFLAGS": f"-j{os.cpu_count() or 1}"}
    folders = [layout.root / MESSAGES]
    known = [Path(prefix, "share/tf2_msgs") for prefix in env.get("AMENT_PREFIX_PATH", "").split(os.pathsep)]
    installed_prefix = layout.interfaces / "install"
    if not any(path.is_dir() and installed_prefix not in path.parents for path in known):
        folders.append(layout.root / TF2_MESSAGES)
    folders = [folder for folder in folders if (folder / "package.xml").is_file()]
    if layout.ros.distro is None:
        rewrite_cmake_paths(layout, env)
    shutil.rmtree(layout.interfaces, ignore_errors=True)
    place = [f"--{name}-base={layout.interfaces / name}" for name in ("build", "install")]
    command = [str(layout.python), "-m", "colcon", f"--log-base={layout.interfaces / 'log'}", "build", *place]
    command += ["--merge-install", "--base-paths", *map(str, folders), "--executor", "parallel"]
    command += ["--event-handlers", "console_cohesion+", "--cmake-args", "-DBUILD_TESTING=OFF"]
    command += [f"-DPython3_EXECUTABLE={layout.python}", "-Wno-dev"]
    names = ", ".join(folder.name for folder in folders)
    with step(f"interfaces: {names}"):
        run_logged(command, log=layout.log, env=env, cwd=layout.root, hint="The interface packages did not build.")
