"""The cache that keeps samples which are slow to make. No torch here."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..whole_files import remove_leftovers
from ..work import ALONE, RowWork, Workers, work_on
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
        self.make(index)
        return read_sample(self.path(index), cameras=self.cameras)

    def make(self, index: int) -> None:
        """Write the sample if it is not there."""
        path = self.path(index)
        if not path.is_file():
            write_sample(path, self.source[index])

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


def fill_cache(source: CachedSource, workers: Workers = ALONE, *, title: str = "samples") -> int:
    """Make the samples that are missing; return how many there were."""
    missing = [row for row in range(len(source)) if not source.path(row).is_file()]
    remove_leftovers(source.folder)
    work_on(missing, source.make, partial(_make_of, source), workers, chunk=_CHUNK, title=title)
    return len(missing)


def _make_of(source: CachedSource) -> RowWork:
    return source.make


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
