"""Samples together with what the teacher says about them: made once, kept in memory and, if wanted, on the disk."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.text.encoder import TextEncoder
from ov3d_perception.types import Frame

from ..config import SourceConfig, TeacherConfig, TrainConfig
from ..data.cache import cache_key
from ..data.dataset import is_simulated, open_source
from ..data.sample import DataSet, Place
from ..distributed import own_device
from ..teacher import expect_images, make_teacher
from ..teacher.base import FeatureSupervision, Supervision, Teacher
from ..whole_files import remove_leftovers
from ..words.text import open_text
from ..words.vocabulary import WordList, read_vocabulary
from ..work import ALONE, RowWork, Workers, work_on
from .codebook import with_codebook
from .consolidate import Seen, consolidate
from .files import SUPERVISION_FORMAT, read_supervision, write_supervision

_KEPT_BYTES = 4_000_000_000
"""Prepared samples are kept in memory up to this size: about 1 MB each for a 32-beam lidar, 30 with CLIP's features
without superpixels."""
_CHUNK = 4
"""Samples that a process of several prepares in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A sweep with its supervision, its name and where it was taken."""

    frame: Frame
    supervision: Supervision | FeatureSupervision
    name: str = ""
    place: Place | None = None


class PreparedSamples:
    """The samples of a source with the teacher's supervision, made once and then kept in memory.

    `codebook`: most vectors that a sample keeps, 0 for all. With a `folder`, supervision is kept there too, a file per
    sample that appears when it is complete: a killed writer leaves nothing half-written, several writers do not disturb
    each other, and images are read but once.
    """

    def __init__(self, source: DataSet, teacher: Teacher, folder: Path | None = None, *, codebook: int = 0) -> None:
        self._source = source
        self._teacher = teacher
        self.folder = folder
        self._codebook = codebook
        self._kept: dict[int, Prepared] = {}
        self._kept_bytes = 0

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Prepared:
        if index in self._kept:
            return self._kept[index]
        prepared = self.prepare(index)
        size = _bytes_of(prepared)
        if self._kept_bytes + size <= _KEPT_BYTES:
            self._kept[index] = prepared
            self._kept_bytes += size
        return prepared

    def path(self, index: int) -> Path | None:
        """Return where a sample's supervision is kept, None without a folder."""
        return None if self.folder is None else self.folder / f"{self._source.key(index)}.npz"

    def prepare(self, index: int) -> Prepared:
        """Return a sample from the folder, or make it; it is not kept in memory."""
        path = self.path(index)
        if path is not None and path.is_file():
            sample = self._source.without_images(index)
            supervision = read_supervision(path)
            _check_fit(path, supervision, sample.frame)
            return Prepared(name=sample.name, frame=sample.frame, place=sample.place, supervision=supervision)
        made = self._make(index)
        if self._codebook and isinstance(made.supervision, FeatureSupervision):
            made = replace(made, supervision=with_codebook(made.supervision, self._codebook))
        if path is not None:
            write_supervision(path, made.supervision)
        return made

    def _make(self, index: int) -> Prepared:
        sample = self._source[index]
        return Prepared(
            name=sample.name,
            frame=replace(sample.frame, cameras=()),
            place=sample.place,
            supervision=self._teacher.supervise(sample),
        )


class ConsolidatedSamples(PreparedSamples):
    """Prepared samples that have also been told what their neighbours in the recording saw; see `consolidate`."""

    def __init__(self, alone: PreparedSamples, options: TeacherConfig, folder: Path | None = None) -> None:
        super().__init__(alone._source, alone._teacher, folder, codebook=options.codebook)
        self.alone = alone
        self._options = options
        self._near: dict[int, Prepared] = {}

    def _make(self, index: int) -> Prepared:
        reach = self._options.neighbours
        first, last = max(0, index - reach), min(len(self) - 1, index + reach)
        self._near = {row: self._near.get(row) or self.alone.prepare(row) for row in range(first, last + 1)}
        own = self._near[index]
        others = [
            _seen(near, self._options.neighbour_factor ** abs(row - index))
            for row, near in self._near.items()
            if row != index and _same_recording(near, own)
        ]
        # a codebook makes vectors few afterwards, over features that are near each other
        share = not self._codebook
        return replace(
            own, supervision=consolidate(_seen(own, 1.0), others, self._options.neighbour_voxel_m, share=share)
        )


def _seen(prepared: Prepared, factor: float) -> Seen:
    return Seen(
        name=prepared.name,
        points=prepared.frame.points,
        place=prepared.place,
        supervision=prepared.supervision,
        factor=factor,
    )


def _bytes_of(prepared: Prepared) -> int:
    """Return the size of a sample's arrays."""
    arrays = [getattr(part, name) for part in (prepared.frame, prepared.supervision) for name in type(part).__slots__]
    return sum(array.nbytes for array in arrays if isinstance(array, np.ndarray))


def _same_recording(one: Prepared, other: Prepared) -> bool:
    """Return whether both are of one recording; also where that is not known, which `consolidate` refuses."""
    return one.place is None or other.place is None or one.place.recording == other.place.recording


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """What a training learns from: the words it may name, the text side, the teacher and its samples."""

    words: WordList
    encoder: TextEncoder
    teacher: Teacher
    source: DataSet
    samples: PreparedSamples


def prepare_data(config: TrainConfig, device: torch.device | None = None) -> TrainingData:
    """Open what a configuration names; `DataError` for an empty data set.

    The teacher works on `device`, by default the configuration's.
    """
    words, encoder = read_vocabulary(config.vocabulary), open_text(config.text)
    source = open_source(config.data, config.cache or None)
    if not len(source):
        raise DataError("data: the data set has no samples. Check `data`.")
    expect_images(config.teacher, config.data)
    teacher = make_teacher(config.teacher, words, encoder, source[0], device or own_device(config.device))
    samples = _prepared(config, source, teacher, words)
    return TrainingData(words=words, encoder=encoder, teacher=teacher, source=source, samples=samples)


def _prepared(config: TrainConfig, source: DataSet, teacher: Teacher, words: WordList) -> PreparedSamples:
    folder, own = supervision_folder(config, teacher, words), config.teacher
    if not own.neighbours:
        return PreparedSamples(source, teacher, folder, codebook=own.codebook)
    alone = PreparedSamples(source, teacher, supervision_folder(_alone(config), teacher, words), codebook=own.codebook)
    return ConsolidatedSamples(alone, own, folder)


def _alone(config: TrainConfig) -> TrainConfig:
    """Return the configuration whose samples know nothing of each other."""
    plain = {name: getattr(TeacherConfig, name) for name in ("neighbours", "neighbour_voxel_m", "neighbour_factor")}
    return replace(config, teacher=replace(config.teacher, **plain))


def supervision_folder(config: TrainConfig, teacher: Teacher, words: WordList) -> Path | None:
    """Return where supervision is kept; its name changes with everything that it depends on.

    None where `teacher.keep` is off. Raises `ConfigError` where it is on and `cache` names no folder.
    """
    if not config.teacher.keep:
        return None
    if not config.cache:
        raise ConfigError("teacher.keep: supervision is kept in `cache`, which names no folder. Set cache=FOLDER.")
    facts = [SUPERVISION_FORMAT, _source_facts(config.data), asdict(config.teacher), list(teacher.targets.names)]
    facts += [sorted(words.label_of_alias.items()), sorted(words.ignore)]  # which names mean which target
    if config.teacher.neighbours:  # who stands next to a sample
        facts.append([config.data.every, config.data.frames])
    digest = hashlib.sha256(json.dumps(facts).encode())
    for name in (config.teacher.path, config.teacher.model, config.teacher.pretrained):
        if name and Path(name).exists():
            _add_content(digest, Path(name).resolve())
    return Path(config.cache) / f"supervision-{digest.hexdigest()[:16]}"


def _add_content(digest: Any, path: Path) -> None:
    """Add a file's content, or of a folder where it is, and name, size and time of every file in it."""
    if path.is_file():
        digest.update(path.read_bytes())
        return
    digest.update(str(path).encode())
    for file in sorted(path.rglob("*")):
        if file.is_file():
            state = file.stat()
            digest.update(f"{file.relative_to(path)} {state.st_size} {state.st_mtime_ns}".encode())


def _source_facts(config: SourceConfig) -> list[object]:
    """Return what the images and points of a sample depend on, beside its name."""
    if config.kind == "worlds":
        return [cache_key(replace(config, kind=kind)) for kind in ("street", "room")]
    if is_simulated(config):
        return [cache_key(config)]
    return [
        config.kind, str(Path(config.path).resolve()), config.version, config.sweeps, config.image_width, config.views,
        config.topic, config.fixed_frame, config.max_skew_s, config.label_set, config.cameras,
    ]  # fmt: skip


def fill_supervision(config: TrainConfig, workers: Workers = ALONE) -> tuple[int, int]:
    """Make the supervision that is missing; return how much there is, and how much was new."""
    samples = prepare_data(config).samples
    if isinstance(samples, ConsolidatedSamples):
        _fill(samples.alone, _alone(config), workers)
    return len(samples), _fill(samples, config, workers)


def _fill(samples: PreparedSamples, config: TrainConfig, workers: Workers) -> int:
    """Make what is missing in the samples' folder; return how much that was."""
    missing = [row for row in range(len(samples)) if not _is_there(samples, row)]
    if samples.folder is not None:
        remove_leftovers(samples.folder)
    work_on(missing, samples.prepare, partial(_open_elsewhere, config), workers, chunk=_CHUNK, title="teacher")
    return len(missing)


def _open_elsewhere(config: TrainConfig) -> RowWork:
    torch.set_num_threads(1)
    return prepare_data(config).samples.prepare


def _is_there(samples: PreparedSamples, row: int) -> bool:
    path = samples.path(row)
    return path is not None and path.is_file()


def _check_fit(path: Path, supervision: Supervision | FeatureSupervision, frame: Frame) -> None:
    points = supervision.points if isinstance(supervision, FeatureSupervision) else len(supervision.target)
    if points != len(frame.points):
        raise DataError(f"{path}: is of {points} points, the sample has {len(frame.points)}. Delete the folder.")
