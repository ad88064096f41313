"""Sample sources by configuration, and the cache that keeps samples which are slow to make. No torch here."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.types import Frame

from .sample import Box, Sample, SampleSource

if TYPE_CHECKING:
    from ..config import SourceConfig

SOURCES = ("keyframe", "street")
CACHE_FORMAT = 1
_MAX_SEEDS = 100_000


def open_source(config: SourceConfig, cache: Path | str | None = None) -> SampleSource:
    """Open the configured data set; with a `cache` folder, samples are kept there once made.

    Raises `ConfigError` for an unknown kind or missing entries and `DataError` for broken files.
    """
    if config.kind == "keyframe":
        return _open_keyframe(config)
    if config.kind != "street":
        raise ConfigError(f"data.kind: unknown '{config.kind}'. Choose from {', '.join(SOURCES)}.")
    seeds = parse_seeds(config.seeds)
    street = Streets(seeds=seeds, frames=config.frames, interval_s=config.interval_s, cameras=config.cameras)
    if cache:
        if config.cameras:
            raise ConfigError("cache: it keeps lidar sweeps and point labels only. Set data.cameras=false or cache=''.")
        return CachedSource(source=street, folder=Path(cache) / cache_key(config))
    return street


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

    def __len__(self) -> int:
        return len(self.seeds) * self.frames

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        street = _street(self.seeds[index // self.frames], self.frames, self.interval_s, self.cameras)
        return street[index % self.frames]

    def key(self, index: int) -> str:
        """Return seed and frame number."""
        return f"{self.seeds[index // self.frames]:06d}_{index % self.frames:04d}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedSource:
    """A source whose samples are written to `folder` when first asked for and read from there afterwards.

    Files appear under their name only when complete, so that a killed writer leaves nothing half-written and several
    writers do not disturb each other. Camera images and the rig are not kept.
    """

    source: KeyedSource
    folder: Path

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        path = self.path(index)
        if path.is_file():
            return read_sample(path)
        sample = self.source[index]
        write_sample(path, sample)
        return sample

    def path(self, index: int) -> Path:
        """Return where a sample is kept."""
        return self.folder / f"{self.source.key(index)}.npz"


def cache_key(config: SourceConfig) -> str:
    """Return the cache folder's name: it changes with all that a sample depends on, the simulator's code included."""
    facts = [CACHE_FORMAT, config.kind, config.interval_s]
    digest = hashlib.sha256(json.dumps(facts).encode())
    for path in sorted((Path(__file__).parent / "simulate").rglob("*.py")):
        digest.update(path.read_bytes())
    return f"{config.kind}-{digest.hexdigest()[:16]}"


def write_sample(path: Path, sample: Sample) -> None:
    """Write the lidar side of a sample as .npz, atomically; coordinates stay float32."""
    path.parent.mkdir(parents=True, exist_ok=True)
    frame = sample.frame
    arrays: dict[str, Any] = {"points": frame.points, "intensity": frame.intensity}
    for name, values in (("ring", frame.ring), ("colors", frame.colors), ("time_offset_s", frame.time_offset_s)):
        if values is not None:
            arrays[name] = values
    if sample.point_labels is not None:
        arrays["point_labels"] = sample.point_labels.astype(np.int16)
    boxes = [
        {
            "category": box.category,
            "center_m": [float(value) for value in box.center_m],
            "size_lwh_m": [float(value) for value in box.size_lwh_m],
            "yaw_rad": float(box.yaw_rad),
        }
        for box in sample.boxes
    ]
    facts = {
        "name": sample.name,
        "stamp_ns": frame.stamp_ns,
        "frame_id": frame.frame_id,
        "point_label_names": list(sample.point_label_names),
        "boxes": boxes,
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as stream:
            np.savez_compressed(stream, facts=np.array(json.dumps(facts)), **arrays)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_sample(path: Path) -> Sample:
    """Read what `write_sample` wrote; `DataError` for anything else."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        facts = json.loads(str(arrays["facts"]))
        labels = arrays.get("point_labels")
        frame = Frame(
            points=arrays["points"],
            intensity=arrays["intensity"],
            stamp_ns=int(facts["stamp_ns"]),
            frame_id=facts["frame_id"],
            colors=arrays.get("colors"),
            ring=arrays.get("ring"),
            time_offset_s=arrays.get("time_offset_s"),
        )
        return Sample(
            name=facts["name"],
            frame=frame,
            point_labels=None if labels is None else labels.astype(np.int32),
            point_label_names=tuple(facts["point_label_names"]),
            boxes=tuple(_read_box(box) for box in facts["boxes"]),
        )
    except (OSError, EOFError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"cached sample {path}: cannot be read ({error}). Delete it; it is made again.") from error
    except Exception as error:  # zipfile and zlib raise their own
        raise DataError(f"cached sample {path}: damaged ({error}). Delete it; it is made again.") from error


def _read_box(box: dict[str, Any]) -> Box:
    return Box(
        category=box["category"],
        center_m=np.array(box["center_m"], dtype=np.float64),
        size_lwh_m=np.array(box["size_lwh_m"], dtype=np.float64),
        yaw_rad=float(box["yaw_rad"]),
    )


@lru_cache(maxsize=2)
def _street(seed: int, frames: int, interval_s: float, cameras: bool) -> SampleSource:
    """Keep the streets in use: building one takes longer than one sweep of it."""
    from .simulate import CAMERA_NAMES, SimulatedStreet

    return SimulatedStreet(seed, frames, interval_s=interval_s, cameras=CAMERA_NAMES if cameras else ())


def _open_keyframe(config: SourceConfig) -> SampleSource:
    if not config.path:
        raise ConfigError("data.path: the folder of the keyframe is missing. Give it with --set data.path=FOLDER.")
    from .keyframe import Keyframe

    return Keyframe(Path(config.path))
