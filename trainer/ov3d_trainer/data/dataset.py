"""Sample sources by configuration, and the cache that keeps samples which are slow to make. No torch here."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from tqdm import tqdm

from ov3d_perception.errors import ConfigError

from .sample import Sample, SampleSource
from .sample_files import SAMPLE_FORMAT, read_sample, write_sample

if TYPE_CHECKING:
    from ..config import SourceConfig

SOURCES = ("keyframe", "street", "room", "worlds")
_MAX_SEEDS = 100_000
_CHUNK = 6
"""Samples that one process makes in a row: a few of one street, which is built once for them."""


def open_source(config: SourceConfig, cache: Path | str | None = None) -> SampleSource:
    """Open the configured data set; with a `cache` folder, samples are kept there once made.

    Raises `ConfigError` for an unknown kind or missing entries and `DataError` for broken files.
    """
    if config.kind == "keyframe":
        return _open_keyframe(config)
    if config.kind == "street":
        return _cached(_open_streets(config), config, cache)
    if config.kind == "room":
        return _cached(Rooms(seeds=parse_seeds(config.seeds), views=config.views, unseen=config.unseen), config, cache)
    if config.kind == "worlds":
        rooms = replace(config, kind="room", seeds=config.room_seeds)
        return Joined(sources=(open_source(replace(config, kind="street"), cache), open_source(rooms, cache)))
    raise ConfigError(f"data.kind: unknown '{config.kind}'. Choose from {', '.join(SOURCES)}.")


def parse_seeds(text: str) -> tuple[int, ...]:
    """Read "0-23, 40" as 0, 1, ... 23, 40; `ConfigError` where that fails."""
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        try:
            low, high = int(first), int(last if dash else first)
        except ValueError as error:
            raise ConfigError(f"data.seeds: expected numbers such as '0-23, 40', got '{text}'.") from error
        if not 0 <= low <= high < low + _MAX_SEEDS:
            raise ConfigError(f"data.seeds: '{part.strip()}' is not a range of seeds.")
        seeds.extend(range(low, high + 1))
    return tuple(seeds)


class KeyedSource(SampleSource, Protocol):
    """A source whose samples have names of their own, whatever else is in the source."""

    def key(self, index: int) -> str:
        """Return a file name without suffix."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Streets:
    """Several simulated streets, one after the other."""

    seeds: tuple[int, ...]
    frames: int
    interval_s: float
    cameras: bool
    unseen: bool = False
    varied: bool = False

    def __len__(self) -> int:
        return len(self.seeds) * self.frames

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        number, frame = divmod(index, self.frames)
        street = _street(self.seeds[number], self.frames, self.interval_s, self.cameras, self.unseen, self.varied)
        return street[frame]

    def key(self, index: int) -> str:
        """Return seed and frame number."""
        return f"{self.seeds[index // self.frames]:06d}_{index % self.frames:04d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """Simulated rooms, one sample each."""

    seeds: tuple[int, ...]
    views: int
    unseen: bool = False

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, index: int) -> Sample:
        from .simulate import SimulatedRoom

        if not 0 <= index < len(self):
            raise IndexError(index)
        return SimulatedRoom(self.seeds[index], self.views, unseen=self.unseen)[0]

    def key(self, index: int) -> str:
        """Return the seed."""
        return f"{self.seeds[index]:06d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Several sources, one after the other."""

    sources: Sequence[SampleSource]

    def __len__(self) -> int:
        return sum(len(source) for source in self.sources)

    def __getitem__(self, index: int) -> Sample:
        for source in self.sources:
            if index < len(source):
                return source[index]
            index -= len(source)
        raise IndexError(index)


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedSource:
    """A source whose samples are written to `folder` when first asked for and read from there afterwards.

    Files appear under their name only when complete, so that a killed writer leaves nothing half-written and several
    writers do not disturb each other. The rig is not kept; without `cameras` images are not read.
    """

    source: KeyedSource
    folder: Path
    cameras: bool = True

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        path = self.path(index)
        if path.is_file():
            return read_sample(path, cameras=self.cameras)
        sample = self.source[index]
        write_sample(path, sample)
        return sample

    def path(self, index: int) -> Path:
        """Return where a sample is kept."""
        return self.folder / f"{self.source.key(index)}.npz"


def cached_parts(source: SampleSource) -> list[CachedSource]:
    """Return the parts of a source that are kept in a cache."""
    if isinstance(source, Joined):
        return [part for one in source.sources for part in cached_parts(one)]
    return [source] if isinstance(source, CachedSource) else []


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


def _cached(source: KeyedSource, config: SourceConfig, cache: Path | str | None) -> SampleSource:
    if not cache:
        return source
    return CachedSource(source=source, folder=Path(cache) / cache_key(config), cameras=config.cameras)


def _open_streets(config: SourceConfig) -> Streets:
    return Streets(
        seeds=parse_seeds(config.seeds),
        frames=config.frames,
        interval_s=config.interval_s,
        cameras=config.cameras,
        unseen=config.unseen,
        varied=config.varied,
    )


@lru_cache(maxsize=2)
def _street(seed: int, frames: int, interval_s: float, cameras: bool, unseen: bool, varied: bool) -> SampleSource:
    """Keep the streets in use: building one takes longer than one sweep of it."""
    from .simulate import CAMERA_NAMES, SimulatedStreet

    names = CAMERA_NAMES if cameras else ()
    return SimulatedStreet(seed, frames, interval_s=interval_s, cameras=names, unseen=unseen, varied=varied)


def _open_keyframe(config: SourceConfig) -> SampleSource:
    if not config.path:
        raise ConfigError("data.path: the folder of the keyframe is missing. Give it with --set data.path=FOLDER.")
    from .keyframe import Keyframe

    return Keyframe(Path(config.path))
