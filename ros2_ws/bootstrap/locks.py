"""Read and write requirements/*.txt: exact pins, one file per kind and Python version; no hashes, no addresses."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from .environment import GUARD
from .interpreters import Interpreter
from .steps import SetupError, run_logged, step

# Left to a sourced distribution: its own build tools need these exact versions, or compile against them (numpy).
LEFT_TO_DISTRIBUTION = frozenset({"numpy", "pyyaml", "empy", "lark", "lark-parser", "catkin-pkg"})
# Kinds that take the pins of another; the devkit's environment is apart and has an older numpy.
PINS_THAT_HOLD = {"test": "demo", "peers": "test"}
LIST_INSTALLED = """
import importlib.metadata, json
# ROS wheels carry their Python modules with an .egg-info of another name: only .dist-info was installed by pip.
found = (d for d in importlib.metadata.distributions() if str(d._path).endswith(".dist-info"))
print(json.dumps({d.metadata["Name"]: d.version for d in found}))
"""


def lock_path(root: Path, kind: str, tag: str) -> Path:
    """Where the lock file of this kind and Python lies."""
    return root / "requirements" / f"{kind}-{tag}.txt"


def normal(name: str) -> str:
    """The normalised project name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read_lock(path: Path, *, command: str = "make lock") -> dict[str, str]:
    """Normalised project name -> version; SetupError for a missing file or a line that is no exact pin."""
    if not path.is_file():
        raise SetupError(f"{path.name} is missing in {path.parent}. Use a Python that has one, or write it: {command}.")
    pins: dict[str, str] = {}
    for number, line in enumerate(path.read_text().splitlines(), 1):
        text = line.split("#")[0].strip()
        if not text:
            continue
        match = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9._!]+)", text)
        if not match:
            raise SetupError(f"{path.name}:{number}: {text!r} is no exact pin, expected name==version.")
        pins[normal(match[1])] = match[2]
    return pins


def pins_for(pins: Mapping[str, str], *, distro: str | None) -> dict[str, str]:
    """The pins to install: all of them, or without ROS and what a sourced distribution must keep."""
    if distro is None:
        return dict(pins)
    return {
        name: version
        for name, version in pins.items()
        if not name.startswith("ros-") and name not in LEFT_TO_DISTRIBUTION
    }


def installed(python: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Distributions that pip put where `python` sees them: name as published -> version."""
    env = {**environ, GUARD: "1"}
    done = subprocess.run([str(python), "-c", LIST_INSTALLED], capture_output=True, text=True, check=True, env=env)
    found: dict[str, str] = json.loads(done.stdout)
    return found


def write_lock(root: Path, kind: str, interpreter: Interpreter, environ: Mapping[str, str]) -> Path:
    """Resolve requirements/<kind>.in for this Python in a throw-away environment and write the exact result."""
    source = root / "requirements" / f"{kind}.in"
    path = lock_path(root, kind, interpreter.tag)
    with tempfile.TemporaryDirectory(prefix="ov3d-lock-") as folder, step(f"{path.name} from {source.name}"):
        venv, log = Path(folder, "venv"), Path(folder, "log")
        env = {**environ, GUARD: "1"}
        run_logged([interpreter.path, "-m", "venv", str(venv)], log=log, env=env, cwd=root, hint="No virtual env.")
        pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--no-compile", "--use-pep517"]
        hint = f"Look at {source.name}."
        if kind in PINS_THAT_HOLD:
            pip += ["-c", str(lock_path(root, PINS_THAT_HOLD[kind], interpreter.tag))]
        run_logged([*pip, "-r", str(source)], log=log, env=env, cwd=root, hint=hint)
        found = installed(venv / "bin" / "python", env)
    lines = [f"# Python {interpreter.tag[2]}.{interpreter.tag[3:]}; written by `make lock` from {source.name}."]
    for name in sorted(found, key=normal):
        version = found[name].split("+")[0]  # a local build is the same release
        if normal(name) == "pip" or normal(name).startswith(("nvidia-", "cuda-", "triton")):
            continue  # what one machine's build of torch brings along is torch's business
        lines.append(f"{normal(name)}=={version}")
    path.write_text("\n".join(lines) + "\n")
    return path


def derive_test_lock(root: Path, tag: str, *, source: str = "py311") -> Path:
    """Write test-<tag>.txt: the tests' pins of the Python `source` with what the demo pins for `tag`.

    Nothing is resolved: whoever installs it has a sourced distribution, whose torch may be of any build.
    """
    pins = {**read_lock(lock_path(root, "test", source)), **read_lock(lock_path(root, "demo", tag))}
    names = f"test-{source}.txt with the pins of demo-{tag}.txt"
    head = f"# Python {tag[2]}.{tag[3:]}; {names}, for a sourced Jazzy or Kilted."
    path = lock_path(root, "test", tag)
    path.write_text("\n".join([head, *(f"{name}=={pins[name]}" for name in sorted(pins))]) + "\n")
    return path
