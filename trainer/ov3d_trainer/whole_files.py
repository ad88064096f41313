"""Files that appear under their name only when they are complete. No torch here."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ov3d_perception.errors import DataError

_LEFTOVER = re.compile(r"\..+\.[0-9a-f]+\.tmp")


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, which takes its place when the block ends well; missing folders are made.

    A killed writer leaves nothing half-written under the name, and several writers do not disturb each other. What it
    leaves beside it `remove_leftovers` finds. `DataError` where the disk is full or refuses.
    """
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary, lock = _locked_file(path)
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
            os.close(lock)


def write_whole(path: Path, content: str) -> None:
    """Write a text that appears under its name when it is complete; `DataError` where the disk is full or refuses."""
    with written_whole(path) as temporary:
        temporary.write_text(content, encoding="utf-8")


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Raise what the operating system says about writing to `path` as a `DataError`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise DataError(f"{path}: cannot be written ({reason}). Free space there, or set another folder.") from error


def remove_leftovers(folder: Path) -> int:
    """Remove the temporary files of killed writers; return how many there were.

    A writer holds a lock on its file, which ends with the process: files that others are writing stay. Where the file
    system knows no locks, all stay.
    """
    removed = 0
    for path in folder.glob(".*.tmp"):
        if not _LEFTOVER.fullmatch(path.name):
            continue
        try:
            descriptor = os.open(path, os.O_RDWR)
        except OSError:  # its writer has just finished
            continue
        if _lock(descriptor):
            path.unlink(missing_ok=True)
            removed += 1
        os.close(descriptor)
    return removed


def replace_link(link: Path, target: str) -> None:
    """Let the symbolic link point to `target` at once, whatever it pointed to before; `OSError` where it cannot."""
    temporary = link.with_name(f".{link.name}.{secrets.token_hex(8)}.tmp")
    try:
        temporary.symlink_to(target)
        os.replace(temporary, link)
    finally:
        temporary.unlink(missing_ok=True)


def _locked_file(path: Path) -> tuple[Path, int]:
    """Make an empty file beside `path` and lock it; return it and the descriptor that holds the lock."""
    while True:
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        taken = _lock(descriptor) is False
        if not taken and temporary.exists():
            return temporary, descriptor
        os.close(descriptor)  # `remove_leftovers` of another process came between


def _lock(descriptor: int) -> bool | None:
    """Return whether the lock is ours now; None where the file system knows none."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True
