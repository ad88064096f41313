"""Sample sources by configuration. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ov3d_perception.errors import ConfigError

from .cache import CachedSource, cache_key
from .images import shrink_view
from .sample import DataSet, Sample
from .worlds import Rooms, Streets

if TYPE_CHECKING:
    from ..config import SourceConfig

_MAX_SEEDS = 100_000


def open_source(config: SourceConfig, cache: Path | str | None = None) -> DataSet:
    """Open the configured data set; with a `cache` folder, samples of simulated worlds are kept there once made.

    Raises `ConfigError` for an unknown kind or missing entries and `DataError` for broken files.
    """
    if config.kind == "worlds":
        rooms = replace(config, kind="room", seeds=config.room_seeds)
        return Joined(sources=(open_source(replace(config, kind="street"), cache), open_source(rooms, cache)))
    if config.kind in _WORLDS:
        source = _WORLDS[config.kind](config)
        if not cache:
            return source
        return CachedSource(source=source, folder=Path(cache) / cache_key(config), cameras=config.cameras)
    if config.kind in _RECORDED:
        if not config.path:
            raise ConfigError(f"data.path: where the {config.kind} data is, is missing. Set data.path=FOLDER.")
        source = _RECORDED[config.kind](config)
        return Shrunk(source=source, width=config.image_width) if config.image_width else source
    raise ConfigError(f"data.kind: unknown '{config.kind}'. Choose from {', '.join(SOURCES)}.")


def is_simulated(config: SourceConfig) -> bool:
    """Return whether the samples are made here, from seeds."""
    return config.kind in _WORLDS or config.kind == "worlds"


def parse_source(text: str, base: SourceConfig) -> SourceConfig:
    """Return `base` with what "KIND:WHAT" says: seeds of simulated worlds, the path of anything else.

    Raises `ConfigError` for other texts.
    """
    kind, separator, value = text.partition(":")
    if not separator or not value or kind not in SOURCES:
        examples = "street:100-107, bag:FOLDER or nuscenes:FOLDER"
        raise ConfigError(f"--data: expected KIND:WHAT such as {examples}, got '{text}'. Kinds: {', '.join(SOURCES)}.")
    simulated = is_simulated(replace(base, kind=kind))
    return replace(base, kind=kind, path="" if simulated else value, seeds=value if simulated else "")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """Several sources, one after the other."""

    sources: Sequence[DataSet]

    def __len__(self) -> int:
        return sum(len(source) for source in self.sources)

    def __getitem__(self, index: int) -> Sample:
        source, row = self._find(index)
        return source[row]

    def key(self, index: int) -> str:
        """Return the number of the source, and the key there."""
        source, row = self._find(index)
        return f"{list(self.sources).index(source)}_{source.key(row)}"

    def without_images(self, index: int) -> Sample:
        """Return the sample of the source that has it."""
        source, row = self._find(index)
        return source.without_images(row)

    def _find(self, index: int) -> tuple[DataSet, int]:
        for source in self.sources:
            if index < len(source):
                return source, index
            index -= len(source)
        raise IndexError(index)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shrunk:
    """A source whose images are at most `width` pixels wide, for readers that cannot shrink while they read."""

    source: DataSet
    width: int

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Sample:
        sample = self.source[index]
        cameras = tuple(shrink_view(view, self.width) for view in sample.frame.cameras)
        return replace(sample, frame=replace(sample.frame, cameras=cameras))

    def key(self, index: int) -> str:
        """Return the sample's key in the source."""
        return self.source.key(index)

    def without_images(self, index: int) -> Sample:
        """Return the source's."""
        return self.source.without_images(index)


def cached_parts(source: DataSet) -> list[CachedSource]:
    """Return the parts of a source that are kept in a cache."""
    if isinstance(source, Joined):
        return [part for one in source.sources for part in cached_parts(one)]
    return [source] if isinstance(source, CachedSource) else []


def _streets(config: SourceConfig) -> DataSet:
    return Streets(
        seeds=parse_seeds(config.seeds),
        frames=config.frames,
        interval_s=config.interval_s,
        cameras=config.cameras,
        unseen=config.unseen,
        varied=config.varied,
    )


def _rooms(config: SourceConfig) -> DataSet:
    return Rooms(seeds=parse_seeds(config.seeds), views=config.views, unseen=config.unseen)


def _keyframe(config: SourceConfig) -> DataSet:
    from .keyframe import Keyframe

    return Keyframe(Path(config.path))


def _nuscenes(config: SourceConfig) -> DataSet:
    from .nuscenes.keyframes import NuScenesKeyframes

    return NuScenesKeyframes(
        Path(config.path),
        version=config.version,
        split=config.split,
        cameras=config.cameras,
        image_width=config.image_width,
        sweeps=config.sweeps,
    )


def _kitti(config: SourceConfig) -> DataSet:
    from .kitti.sequences import KittiSequences

    return KittiSequences(Path(config.path), split=config.split, cameras=config.cameras, image_width=config.image_width)


def _scannet(config: SourceConfig) -> DataSet:
    from .scannet.reader import ScanNetScans, names_of_split

    root = Path(config.path)
    return ScanNetScans(
        root,
        config.views if config.cameras else 0,
        names=names_of_split(root, config.split),
        label_set=config.label_set or "nyu40",
    )


def _openscene(config: SourceConfig) -> DataSet:
    from .openscene.scenes import OpenSceneScenes

    return OpenSceneScenes(
        Path(config.path),
        split=config.split,
        label_set=config.label_set,
        cameras=config.cameras,
        views=config.views,
        image_width=config.image_width,
    )


def _bag(config: SourceConfig) -> DataSet:
    from .recordings import BagSamples

    return BagSamples(
        path=Path(config.path),
        topic=config.topic or None,
        fixed_frame=config.fixed_frame,
        max_skew_s=config.max_skew_s,
        every=config.every,
        cameras=config.cameras,
    )


_WORLDS: dict[str, Callable[[SourceConfig], DataSet]] = {"street": _streets, "room": _rooms}
_RECORDED: dict[str, Callable[[SourceConfig], DataSet]] = {
    "keyframe": _keyframe,
    "nuscenes": _nuscenes,
    "scannet": _scannet,
    "kitti": _kitti,
    "openscene": _openscene,
    "bag": _bag,
}
SOURCES = (*_WORLDS, "worlds", *_RECORDED)
"""Values of `data.kind`."""
