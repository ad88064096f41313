"""Bundle folders as a whole: an export either replaces the folder in one move or leaves it untouched."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ov3d_perception.artifact import GPU_STUDENT_FILE, STUDENT_FILE, TOWER_FILES
from ov3d_perception.errors import ConfigError, ModelError
from ov3d_perception.text.encoder import BANK_FILE

TEXT_FILES = (BANK_FILE, *TOWER_FILES)
STUDENT_FILES = (STUDENT_FILE, GPU_STUDENT_FILE)
KNOWN_FILES = (*STUDENT_FILES, *TEXT_FILES, "image.onnx")


def find_text_files(text: Path) -> tuple[Path, ...]:
    """Return the files of a text side: `text` is a bank.npz (of any name) or a folder that holds one or a tower.

    Raises `ModelError` where there is none, or half of one.
    """
    if text.is_file() and text.suffix == ".npz":
        return (text,)
    tower = tuple(text / name for name in TOWER_FILES)
    if all(path.is_file() for path in tower):
        return tower
    if (text / BANK_FILE).is_file():
        return (text / BANK_FILE,)
    raise ModelError(
        f"text side {text}: expected an .npz bank, or a folder with {BANK_FILE} or with {' and '.join(TOWER_FILES)}. "
        "Make a tower with `python -m ov3d_export text-tower`."
    )


@contextmanager
def staged_bundle(out_dir: Path, text: Path | None) -> Iterator[Path]:
    """Yield a temporary folder that becomes `out_dir` when the block ends well, and vanishes when it does not.

    It starts with the text side `text`, or with the one that `out_dir` has already. Raises `ConfigError` where
    `out_dir` holds anything that is not part of a bundle.
    """
    out_dir = out_dir.absolute()
    kept = _existing_files(out_dir)
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    workplace = Path(tempfile.mkdtemp(prefix=f".{out_dir.name}.", dir=out_dir.parent))
    staged, replaced = workplace / "new", workplace / "old"
    try:
        staged.mkdir()
        if text is not None:
            kept = [path for path in kept if path.name not in TEXT_FILES]
            for path in find_text_files(text):
                shutil.copyfile(path, staged / (BANK_FILE if path.suffix == ".npz" else path.name))
        for path in kept:
            shutil.copyfile(path, staged / path.name)
        yield staged
        if out_dir.exists():
            out_dir.rename(replaced)
        staged.rename(out_dir)
    finally:
        if replaced.exists() and not out_dir.exists():
            replaced.rename(out_dir)
        shutil.rmtree(workplace, ignore_errors=True)


def _existing_files(out_dir: Path) -> list[Path]:
    """Return the files of an existing bundle that a new student leaves as they are."""
    if not out_dir.exists():
        return []
    if not out_dir.is_dir():
        raise ConfigError(f"--out {out_dir}: is a file. Name the folder that the bundle shall be.")
    strange = sorted(path.name for path in out_dir.iterdir() if path.name not in KNOWN_FILES)
    if strange:
        raise ConfigError(
            f"--out {out_dir}: holds {', '.join(strange[:3])}, which no bundle has. Name a new or empty folder."
        )
    return [path for path in out_dir.iterdir() if path.name not in STUDENT_FILES]
