"""Command line: `python -m ros2_ws.bootstrap demo|test|devkit|peers` prepares an environment and prints where it is."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from .environment import layout_for
from .install import WITHOUT_ROS, set_up
from .interpreters import DEMO_VERSIONS, DEVKIT_VERSIONS, PEERS_VERSIONS, Ros, find_interpreter, find_ros
from .locks import derive_test_lock, write_lock
from .steps import SetupError

ROOT = Path(__file__).resolve().parents[2]


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line; what follows `--` is the command to run in the environment."""
    words = [*arguments, "--"]
    cut = words.index("--")
    own, command = words[:cut], words[cut + 1 : -1]
    parser = argparse.ArgumentParser(prog="python -m ros2_ws.bootstrap", description=__doc__)
    parser.add_argument(
        "task", choices=("demo", "test", "devkit", "peers", "lock"), help="environment to prepare, or write lock files"
    )
    parser.add_argument("--python", help="interpreter to use (a command or a path)")
    parser.epilog = "Everything after -- is a command to run in the environment once it is ready."
    return parser.parse_args(own, argparse.Namespace(command=command))


def write_locks(asked: str | None) -> None:
    """Write the lock files of every Python found, or of the one asked for."""
    pypi = Ros(None)
    names = [asked] if asked else [f"python{major}.{minor}" for major, minor in sorted(DEMO_VERSIONS)]
    for name in names:
        interpreter = find_interpreter("demo", pypi, name)
        write_lock(ROOT, "demo", interpreter, os.environ)
        if interpreter.version == (3, 11):
            write_lock(ROOT, "test", interpreter, os.environ)
        if interpreter.version in DEVKIT_VERSIONS:
            write_lock(ROOT, "devkit", interpreter, os.environ)
        if interpreter.version in PEERS_VERSIONS:
            write_lock(ROOT, "peers", interpreter, os.environ)
    if not asked:
        derive_test_lock(ROOT, "py312")


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare the environment and run the command in it; exit code 2 and one line where that cannot be done."""
    options = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        if options.task == "lock":
            write_locks(options.python)
            return 0
        ros = Ros(None) if options.task in WITHOUT_ROS else find_ros(os.environ)
        if ros.notice:
            print(f"ov3d: {ros.notice}", file=sys.stderr)
        layout = layout_for(ROOT, options.task, find_interpreter(options.task, ros, options.python), ros)
        set_up(layout, os.environ)
    except SetupError as error:
        print(f"ov3d set-up: {error}", file=sys.stderr)
        return 2
    if options.command:
        sys.stdout.flush()
        wrapper = str(layout.venv / "bin" / "ov3d-env")
        os.execv(wrapper, [wrapper, *options.command])
    print(f"environment ready: {layout.venv / 'bin' / 'ov3d-env'} COMMAND, or `. {layout.venv / 'ov3d_env.sh'}`")
    return 0


if __name__ == "__main__":
    sys.exit(main())
