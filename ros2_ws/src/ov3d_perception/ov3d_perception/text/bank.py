"""A bank: names and their text vectors in one small file, for robots that need no text tower.

`bank.npz` holds `names` (T,) unicode, `vectors` (T, D) float16 or float32, and `space` () unicode. It is read without
pickle. Lookup ignores case and treats spaces, underscores and hyphens alike.
"""

from __future__ import annotations

import difflib
import json
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError, QueryError

MAX_NAMES = 100_000
MAX_BYTES = 512 * 2**20
_NEAREST = 5
_COMPARED_CHARACTERS = 100
_CLOSE, _LOOSE = 0.6, 0.4  # difflib ratios: a slip of the finger, a vague likeness
_PART_CHARACTERS = 3  # shorter parts are in everything
_HINT = "Make it again with write_bank or `python -m ov3d_trainer make-bank`."


_UNREADABLE = (
    *(OSError, ValueError, KeyError, EOFError, SyntaxError, MemoryError, OverflowError),
    *(zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError),
)
"""What a damaged or hostile .npz makes zipfile and numpy raise."""


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
        """Return up to `count` names that look like `text`: by spelling, then shared words, then parts of words."""
        wanted = fold(text)[:_COMPARED_CHARACTERS]
        close = difflib.get_close_matches(wanted, self._rows, n=count, cutoff=_CLOSE)
        words = set(wanted.split())
        shared = sorted((key for key in self._rows if words & set(key.split())), key=len)
        within = sorted((key for key in self._rows if _holds_other(wanted, key)), key=len)
        loose = difflib.get_close_matches(wanted, self._rows, n=count, cutoff=_LOOSE)
        ordered = list(dict.fromkeys([*close, *shared, *within, *loose]))
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
    except _UNREADABLE as error:
        raise ModelError(f"bank {source.name}: cannot be read ({' '.join(str(error).split())}). {_HINT}") from error
    if names.ndim != 1 or names.dtype.kind != "U" or space.ndim != 0 or space.dtype.kind != "U":
        raise ModelError(f"bank {source.name}: names and space must be text, got {names.dtype}, {space.dtype}. {_HINT}")
    return BankEncoder(names.tolist(), vectors, str(space))


def write_bank(path: Path | str, names: Sequence[str], vectors: NDArray[np.floating], space: str) -> None:
    """Write names (T,) and vectors (T, D) as a bank; `ModelError` when they do not fit.

    float16 stays float16 (half the file; a unit vector's numbers lose 3 digits of 7), the rest becomes float32.
    """
    rows = np.asarray(vectors)
    BankEncoder(names, rows, space)  # checks them
    if rows.dtype != np.float16:
        rows = rows.astype(np.float32)
    with Path(path).open("wb") as stream:  # np.savez would append a suffix of its own to a bare path
        np.savez_compressed(stream, names=np.array(list(names)), vectors=rows, space=np.array(space))


def bank_from_lists(names_path: Path | str, vectors_path: Path | str, space: str) -> BankEncoder:
    """Make a bank from a JSON list of names and an .npy of their vectors (T, D), row by row.

    An entry is a name, or an object with `name` and maybe `synonyms` (LVIS), which get the row's vector where no
    other row carries that name. Of a name that occurs twice the first row is taken. Raises `ModelError`.
    """
    entries = _read_name_entries(Path(names_path))
    vectors = _read_vectors(Path(vectors_path))
    if len(entries) != len(vectors):
        raise ModelError(
            f"{vectors_path}: {len(vectors)} rows for the {len(entries)} names of {names_path}. "
            "Give the two files of one list."
        )
    rows: dict[str, int] = {}
    for row, (name, _) in enumerate(entries):
        rows.setdefault(fold(name), row)
    for row, (_, synonyms) in enumerate(entries):
        for synonym in synonyms:
            rows.setdefault(fold(synonym), row)
    return BankEncoder(tuple(rows), vectors[list(rows.values())], space)


def _read_name_entries(path: Path) -> list[tuple[str, list[str]]]:
    try:
        entries: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"names {path}: cannot be read as JSON ({' '.join(str(error).split())}).") from error
    pairs: list[tuple[str, list[str]]] = []
    for entry in entries if isinstance(entries, list) and entries else [None]:
        named: dict[str, Any] = entry if isinstance(entry, dict) else {"name": entry}
        name: Any = named.get("name")
        synonyms: Any = named.get("synonyms", [])
        words = [name, *synonyms] if isinstance(synonyms, list) else [None]
        if not all(isinstance(word, str) and word.strip() for word in words):
            raise ModelError(f"names {path}: expected a list of names, or of objects with name and synonyms.")
        pairs.append((name, synonyms))
    return pairs


def _read_vectors(path: Path) -> NDArray[np.floating]:
    try:
        return np.asarray(np.load(path, allow_pickle=False, mmap_mode="r"))
    except _UNREADABLE as error:
        raise ModelError(f"vectors {path}: cannot be read ({' '.join(str(error).split())}).") from error


def _holds_other(wanted: str, key: str) -> bool:
    """One of the two is part of the other, as "lift" is of "forklift"."""
    short, long = sorted((wanted, key), key=len)
    return len(short) >= _PART_CHARACTERS and short in long


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
