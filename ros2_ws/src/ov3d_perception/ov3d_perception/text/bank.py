"""A bank: names and their text vectors in one small file, for robots that need no text tower.

`bank.npz` holds `names` (T,) unicode, `vectors` (T, D) float16 or float32, and `space` () unicode. It is read without
pickle. Lookup ignores case and treats spaces, underscores and hyphens alike.
"""

from __future__ import annotations

import difflib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError, QueryError

MAX_NAMES = 100_000
MAX_BYTES = 512 * 2**20
_NEAREST = 5
_HINT = "Make it again with write_bank or `python -m ov3d_trainer make-bank`."


class BankEncoder:
    """A `TextEncoder` that looks names up; a name that it lacks is a `QueryError` that offers the nearest ones."""

    supports_templates = False

    def __init__(self, names: Sequence[str], vectors: NDArray[np.floating], space: str) -> None:
        """Take names (T,) and vectors (T, D), which are brought to unit length; `ModelError` when they do not fit."""
        self.names = tuple(names)
        self.space = space
        self._rows = _index(self.names)
        self._vectors = _unit_rows(self.names, np.asarray(vectors))
        self.dim = self._vectors.shape[1]

    def __contains__(self, name: str) -> bool:
        return fold(name) in self._rows

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return the vectors (T, D) float32 of names; raises `QueryError` for the first unknown one."""
        for text in texts:
            if text not in self:
                raise QueryError(self._unknown(text))
        return self._vectors[[self._rows[fold(text)] for text in texts]]

    def nearest_names(self, text: str, count: int = _NEAREST) -> list[str]:
        """Return up to `count` names that look like `text`: by spelling first, then by shared words."""
        wanted = fold(text)[:100]
        close = difflib.get_close_matches(wanted, self._rows, n=count, cutoff=0.6)
        words = set(wanted.split())
        shared = [key for key in self._rows if words & set(key.split()) and key not in close]
        loose = difflib.get_close_matches(wanted, self._rows, n=count, cutoff=0.3)
        ordered = list(dict.fromkeys([*close, *sorted(shared, key=len), *loose]))
        return [self.names[self._rows[key]] for key in ordered[:count]]

    def _unknown(self, text: str) -> str:
        shown = text if len(text) <= 60 else text[:60] + "..."
        nearest = self.nearest_names(text)
        offer = f"Nearest: {', '.join(nearest)}. Use one of these" if nearest else "Use a name of the bank"
        return f'"{shown}" is not in the bank ({len(self.names):,} names). {offer}, or a bundle with a text tower.'


def fold(name: str) -> str:
    """Return the form in which names are compared: lower case, single spaces for underscores and hyphens."""
    return " ".join(name.casefold().replace("_", " ").replace("-", " ").split())


def read_bank(path: Path | str) -> BankEncoder:
    """Read `bank.npz`; raises `ModelError` for a missing, oversized, corrupt or inconsistent file."""
    source = Path(path)
    if not source.is_file():
        raise ModelError(f"bank {source}: does not exist. {_HINT}")
    try:
        with zipfile.ZipFile(source) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > MAX_BYTES:
            raise ModelError(f"bank {source.name}: unpacks to {unpacked:,} bytes, at most {MAX_BYTES:,} are read.")
        with np.load(source, allow_pickle=False) as arrays:
            names, vectors, space = arrays["names"], arrays["vectors"], arrays["space"]
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ModelError(f"bank {source.name}: cannot be read ({' '.join(str(error).split())}). {_HINT}") from error
    if names.ndim != 1 or names.dtype.kind != "U" or space.ndim != 0 or space.dtype.kind != "U":
        raise ModelError(f"bank {source.name}: names and space must be text, got {names.dtype}, {space.dtype}. {_HINT}")
    return BankEncoder(names.tolist(), vectors, str(space))


def write_bank(path: Path | str, names: Sequence[str], vectors: NDArray[np.floating], space: str) -> None:
    """Write names (T,) and vectors (T, D) float16 or float32 as a bank; `ModelError` when they do not fit."""
    BankEncoder(names, vectors, space)  # checks them
    with Path(path).open("wb") as stream:  # np.savez would append a suffix of its own to a bare path
        np.savez_compressed(stream, names=np.array(list(names)), vectors=vectors, space=np.array(space))


def _index(names: Sequence[str]) -> dict[str, int]:
    if not 0 < len(names) <= MAX_NAMES:
        raise ModelError(f"bank: holds {len(names):,} names, expected 1 to {MAX_NAMES:,}. {_HINT}")
    rows: dict[str, int] = {}
    for row, name in enumerate(names):
        key = fold(name)
        if not key or key in rows:
            raise ModelError(f"bank: the name {name!r} in row {row} is empty or occurs twice. {_HINT}")
        rows[key] = row
    return rows


def _unit_rows(names: Sequence[str], vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    if vectors.ndim != 2 or len(vectors) != len(names) or vectors.dtype.kind != "f" or not vectors.shape[1]:
        raise ModelError(
            f"bank: vectors must be floats of shape ({len(names)}, D), got {vectors.dtype} {vectors.shape}. {_HINT}"
        )
    rows = vectors.astype(np.float32)
    norms = np.linalg.norm(rows, axis=1)
    bad = np.flatnonzero(~(np.isfinite(norms) & (norms > 1e-6)))
    if len(bad):
        raise ModelError(f"bank: the vector of {names[bad[0]]!r} has length {norms[bad[0]]}. {_HINT}")
    unit = rows / norms[:, None]
    unit.flags.writeable = False
    return unit
