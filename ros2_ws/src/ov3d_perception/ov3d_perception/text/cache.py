"""Encoded texts kept in memory and on disk: a vocabulary that was asked for once costs nothing the next time."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .encoder import TextEncoder

MEMORY_ENTRIES = 8192
DISK_ENTRIES = 20_000
"""Bounds of memory and folder: a 512-d vector takes 2 KB in memory and, with its header, one 4 KB block on disk."""

_KEY_FORMAT = "ov3d-text-1"  # count up when cleaning or tokenising changes: old entries are then never read again
_KEPT_SHARE = 0.9
_ENTRY_NAME = re.compile(r"[0-9a-f]{64}\.npy")
_TEMPORARY_PREFIX = ".ov3d-text-"
_STALE_AFTER_S = 3600.0
_UNIT_TOLERANCE = 1e-3  # float32 rows that were normalised differ from 1 by less than 1e-5

_log = logging.getLogger(__name__)


class CachedEncoder:
    """A `TextEncoder` that asks another one only for texts it has not seen; may be used from several threads."""

    def __init__(
        self,
        encoder: TextEncoder,
        *,
        digest: str,
        folder: Path | str | None = None,
        memory_entries: int = MEMORY_ENTRIES,
        disk_entries: int = DISK_ENTRIES,
    ) -> None:
        """Wrap `encoder`; `digest` identifies its weights, `folder` keeps vectors between runs (None: memory only)."""
        self.encoder = encoder
        self._prefix = f"{_KEY_FORMAT}\0{encoder.space}\0{digest}\0".encode()
        self._memory: OrderedDict[str, NDArray[np.float32]] = OrderedDict()
        self._memory_entries = memory_entries
        self._lock = threading.Lock()
        self._disk = None if folder is None else VectorFolder(Path(folder), dim=encoder.dim, max_entries=disk_entries)

    @property
    def space(self) -> str:
        """Name of the text space."""
        return self.encoder.space

    @property
    def dim(self) -> int:
        """Length D of the vectors."""
        return self.encoder.dim

    @property
    def supports_templates(self) -> bool:
        """Whether the wrapped encoder reads whole sentences."""
        return self.encoder.supports_templates

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (T, D) float32, unit length; raises what the wrapped encoder raises, and keeps nothing of that."""
        keys = [self._key(text) for text in texts]
        found = {key: vector for key in dict.fromkeys(keys) if (vector := self._recall(key)) is not None}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        if missing:
            encoded = self.encoder.encode(list(missing.values()))
            for key, vector in zip(missing, encoded, strict=True):
                found[key] = vector
                self._remember(key, vector)
                if self._disk is not None:
                    self._disk.write(key, vector)
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        for row, key in enumerate(keys):
            vectors[row] = found[key]
        return vectors

    def _key(self, text: str) -> str:
        return hashlib.sha256(self._prefix + str(text).encode("utf-8", "surrogatepass")).hexdigest()

    def _recall(self, key: str) -> NDArray[np.float32] | None:
        with self._lock:
            if key in self._memory:
                self._memory.move_to_end(key)
                return self._memory[key]
        vector = None if self._disk is None else self._disk.read(key)
        if vector is not None:
            self._remember(key, vector)
        return vector

    def _remember(self, key: str, vector: NDArray[np.float32]) -> None:
        with self._lock:
            self._memory[key] = np.array(vector, dtype=np.float32)
            self._memory.move_to_end(key)
            while len(self._memory) > self._memory_entries:
                self._memory.popitem(last=False)


class VectorFolder:
    """A folder of unit vectors, one .npy file per key, shared by any number of processes.

    Files appear whole or not at all (written aside, then renamed); a damaged one is read as absent and replaced by the
    next writer. Beyond `max_entries` the files that were not read for longest go. A folder that cannot be
    written is a warning, never an error. Files that the cache did not make are left alone.
    """

    def __init__(self, folder: Path, *, dim: int, max_entries: int) -> None:
        self.folder = folder
        self._dim = dim
        self._max_entries = max_entries
        self._lock = threading.Lock()
        self._warned = False
        self._count = 0
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._prune()
        except OSError as error:
            self._warn(error)

    def read(self, key: str) -> NDArray[np.float32] | None:
        """Return the vector (D,) float32 of a key, None when it is absent or damaged."""
        path = self._path(key)
        expected_bytes = 4 * self._dim
        try:
            if not expected_bytes <= path.stat().st_size <= expected_bytes + 4096:
                return None
            vector = np.load(path, allow_pickle=False)
            if vector.shape != (self._dim,) or vector.dtype != np.float32:
                return None
            if not abs(float(np.linalg.norm(vector)) - 1.0) <= _UNIT_TOLERANCE:  # NaN fails too
                return None
        except (OSError, ValueError, EOFError, SyntaxError):
            return None
        with contextlib.suppress(OSError):  # somebody else's file, or gone by now
            os.utime(path)  # pruning goes by this time
        return np.asarray(vector)

    def write(self, key: str, vector: NDArray[np.float32]) -> None:
        """Store a vector (D,); a failure is logged once."""
        try:
            descriptor, temporary = tempfile.mkstemp(prefix=_TEMPORARY_PREFIX, dir=self.folder)
            try:
                with os.fdopen(descriptor, "wb") as stream:
                    np.save(stream, np.asarray(vector, dtype=np.float32), allow_pickle=False)
                os.replace(temporary, self._path(key))
            except BaseException:
                Path(temporary).unlink(missing_ok=True)
                raise
            with self._lock:
                self._count += 1
                if self._count > self._max_entries:
                    self._prune()
        except OSError as error:
            self._warn(error)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.npy"

    def _prune(self) -> None:
        """Count the entries, remove the oldest beyond the bound and what writers that died have left."""
        entries: list[tuple[float, str]] = []
        with os.scandir(self.folder) as listing:
            for entry in listing:
                try:
                    changed_s = entry.stat(follow_symlinks=False).st_mtime
                    if _ENTRY_NAME.fullmatch(entry.name):
                        entries.append((changed_s, entry.path))
                    elif entry.name.startswith(_TEMPORARY_PREFIX) and time.time() - changed_s > _STALE_AFTER_S:
                        os.unlink(entry.path)
                except FileNotFoundError:
                    continue
        self._count = len(entries)
        if len(entries) > self._max_entries:
            kept = int(_KEPT_SHARE * self._max_entries)
            for _, path in sorted(entries)[: len(entries) - kept]:
                Path(path).unlink(missing_ok=True)
            self._count = kept

    def _warn(self, error: OSError) -> None:
        if not self._warned:
            self._warned = True
            _log.warning("text cache %s: cannot be written (%s). Words are encoded anew each time.", self.folder, error)
