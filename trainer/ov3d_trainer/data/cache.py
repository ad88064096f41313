"""The cache that keeps samples which are slow to make. No torch here."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from .sample import DataSet, Sample, lidar_only
from .sample_files import SAMPLE_FORMAT, read_sample, write_sample

if TYPE_CHECKING:
    from ..config import SourceConfig

_CHUNK = 6
"""Samples that one process makes in a row: a few of one street, which is built once for them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedSource:
    """A source whose samples are written to `folder` when first asked for and read from there afterwards.

    Files appear under their name only when complete, so that a killed writer leaves nothing half-written and several
    writers do not disturb each other. What is made is read back too: images are JPEG then, and figures must not depend
    on who came first. The rig is not kept; without `cameras` images are not read.
    """

    source: DataSet
    folder: Path
    cameras: bool = True

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        path = self.path(index)
        if not path.is_file():
            write_sample(path, self.source[index])
        return read_sample(path, cameras=self.cameras)

    def key(self, index: int) -> str:
        """Return the sample's key in the source."""
        return self.source.key(index)

    def without_images(self, index: int) -> Sample:
        """Read the sample without its images, if it is there."""
        path = self.path(index)
        return read_sample(path, cameras=False) if path.is_file() else lidar_only(self[index])

    def path(self, index: int) -> Path:
        """Return where a sample is kept."""
        return self.folder / f"{self.source.key(index)}.npz"


def fill_cache(source: CachedSource, *, jobs: int = 1, title: str = "samples") -> int:
    """Make the samples that are missing, in `jobs` processes; return how many there were."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    missing = [row for row in range(len(source)) if not source.path(row).is_file()]
    bar = tqdm(total=len(missing), desc=title, disable=not sys.stderr.isatty())
    if jobs < 2:
        for row in missing:
            source[row]
            bar.update()
        return len(missing)
    chunks = [missing[at : at + _CHUNK] for at in range(0, len(missing), _CHUNK)]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for made in pool.map(_make_rows, [source] * len(chunks), chunks):
            bar.update(made)
    return len(missing)


def _make_rows(source: CachedSource, rows: Sequence[int]) -> int:
    for row in rows:
        source[row]
    return len(rows)


def cache_key(config: SourceConfig) -> str:
    """Return the cache folder's name: it changes with all that a sample depends on, the simulator's code included."""
    facts = [SAMPLE_FORMAT, config.kind, config.interval_s, config.cameras, config.unseen, config.varied, config.views]
    digest = hashlib.sha256(json.dumps(facts).encode())
    folder = Path(__file__).parent / "simulate"
    other = folder / ("room" if config.kind == "street" else "street")
    for path in sorted(folder.rglob("*.py")):
        if other not in path.parents or path.name == "kinds.py":
            digest.update(path.read_bytes())
    return f"{config.kind}-{digest.hexdigest()[:16]}"
