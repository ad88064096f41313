"""Run set-up commands quietly: one line per step with its seconds, everything else in a log file."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

# pip repeats these for every package when a configured find-links folder lacks it; they never explain a failure.
NOISE = ("WARNING: Location ", "WARNING: Running pip as", "WARNING: Skipping ", "[notice]", "Looking in ")
TAIL_LINES = 25


class SetupError(Exception):
    """Set-up cannot go on; the message says what, where and what to do."""


@contextmanager
def step(title: str) -> Iterator[None]:
    """Print `title` while the block runs and its seconds when it is done."""
    begin = time.monotonic()
    sys.stdout.write(f"  {title:<46}")
    sys.stdout.flush()
    try:
        yield
    except BaseException:
        sys.stdout.write(" failed\n")
        raise
    sys.stdout.write(f"{time.monotonic() - begin:7.1f} s\n")
    sys.stdout.flush()


def run_logged(command: Sequence[str], *, log: Path, env: Mapping[str, str], cwd: Path, hint: str) -> None:
    """Run `command` with its output appended to `log`; SetupError with the log's last telling lines on failure."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as stream:
        stream.write(("$ " + " ".join(command) + "\n").encode())
        begin = stream.tell()
        stream.flush()
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, env=dict(env), cwd=cwd
        )
    if done.returncode == 0:
        return
    with log.open("rb") as stream:
        stream.seek(begin)
        lines = stream.read().decode(errors="replace").splitlines()
    telling = [line for line in lines if line.strip() and not line.startswith(NOISE)][-TAIL_LINES:]
    said = "\n".join("    " + line for line in telling)
    raise SetupError(f"{command[0]} ended with exit code {done.returncode}. {hint}\n{said}\n  whole output: {log}")
