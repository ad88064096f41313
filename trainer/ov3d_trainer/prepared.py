"""Samples together with what the teacher says about them: made once, kept in memory and, if wanted, on the disk."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from tqdm import tqdm

from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.text.encoder import TextEncoder
from ov3d_perception.types import Frame

from .config import SourceConfig, TrainConfig
from .data.cache import cache_key
from .data.dataset import is_simulated, open_source
from .data.sample import DataSet
from .supervision_files import SUPERVISION_FORMAT, read_supervision, write_supervision
from .teacher import make_teacher
from .teacher.base import FeatureSupervision, Supervision, Teacher
from .text import open_text
from .vocabulary import WordList, read_vocabulary

_KEPT_SAMPLES = 2000
"""Prepared samples kept in memory, about 1 MB each for a 32-beam lidar."""
_CHUNK = 4
"""Samples that a process prepares in a row."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A sweep with its supervision."""

    frame: Frame
    supervision: Supervision | FeatureSupervision


class PreparedSamples:
    """The samples of a source with the teacher's supervision, made once and then kept in memory.

    With a `folder`, supervision is kept there too, a file per sample that appears when it is complete: a killed writer
    leaves nothing half-written, several writers do not disturb each other, and images are read but once.
    """

    def __init__(self, source: DataSet, teacher: Teacher, folder: Path | None = None) -> None:
        self._source = source
        self._teacher = teacher
        self._folder = folder
        self._kept: dict[int, Prepared] = {}

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, index: int) -> Prepared:
        if index in self._kept:
            return self._kept[index]
        prepared = self._prepare(index)
        if len(self._kept) < _KEPT_SAMPLES:
            self._kept[index] = prepared
        return prepared

    def path(self, index: int) -> Path | None:
        """Return where a sample's supervision is kept, None without a folder."""
        return None if self._folder is None else self._folder / f"{self._source.key(index)}.npz"

    def _prepare(self, index: int) -> Prepared:
        path = self.path(index)
        if path is not None and path.is_file():
            frame = self._source.without_images(index).frame
            supervision = read_supervision(path)
            _check_fit(path, supervision, frame)
            return Prepared(frame=frame, supervision=supervision)
        sample = self._source[index]
        supervision = self._teacher.supervise(sample)
        if path is not None:
            write_supervision(path, supervision)
        return Prepared(frame=replace(sample.frame, cameras=()), supervision=supervision)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingData:
    """What a training learns from: the words it may name, the text side, the teacher and its samples."""

    words: WordList
    encoder: TextEncoder
    teacher: Teacher
    samples: PreparedSamples


def prepare_data(config: TrainConfig, device: torch.device | None = None) -> TrainingData:
    """Open what a configuration names, the teacher on a device; `DataError` for an empty data set."""
    words, encoder = read_vocabulary(config.vocabulary), open_text(config.text)
    source = open_source(config.data, config.cache or None)
    if not len(source):
        raise DataError("data: the data set has no samples. Check `data`.")
    teacher = make_teacher(config.teacher, words, encoder, source[0], device)
    samples = PreparedSamples(source, teacher, supervision_folder(config, teacher))
    return TrainingData(words=words, encoder=encoder, teacher=teacher, samples=samples)


def supervision_folder(config: TrainConfig, teacher: Teacher) -> Path | None:
    """Return where supervision is kept; its name changes with everything that it depends on.

    None where `teacher.keep` is off. Raises `ConfigError` where it is on and `cache` names no folder.
    """
    if not config.teacher.keep:
        return None
    if not config.cache:
        raise ConfigError("teacher.keep: supervision is kept in `cache`, which names no folder. Set cache=FOLDER.")
    facts = [SUPERVISION_FORMAT, _source_facts(config.data), asdict(config.teacher), list(teacher.targets.names)]
    digest = hashlib.sha256(json.dumps(facts).encode())
    for name in (config.teacher.path, config.teacher.pretrained):
        if name and Path(name).is_file():
            digest.update(Path(name).read_bytes())
    return Path(config.cache) / f"supervision-{digest.hexdigest()[:16]}"


def _source_facts(config: SourceConfig) -> list[object]:
    """Return what the images and points of a sample depend on, beside its name."""
    if config.kind == "worlds":
        return [cache_key(replace(config, kind=kind)) for kind in ("street", "room")]
    if is_simulated(config):
        return [cache_key(config)]
    return [
        config.kind, str(Path(config.path).resolve()), config.version, config.sweeps, config.image_width, config.views,
        config.topic, config.fixed_frame, config.max_skew_s, config.label_set,
    ]  # fmt: skip


def fill_supervision(config: TrainConfig, *, jobs: int = 1) -> tuple[int, int]:
    """Make the supervision that is missing, in `jobs` processes; return how much there is, and how much was new."""
    samples = prepare_data(config).samples
    missing = [row for row in range(len(samples)) if not _is_there(samples, row)]
    bar = tqdm(total=len(missing), desc="teacher", disable=not sys.stderr.isatty())
    if jobs < 2:
        for row in missing:
            samples._prepare(row)
            bar.update()
        return len(samples), len(missing)
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    chunks = [missing[at : at + _CHUNK] for at in range(0, len(missing), _CHUNK)]
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn"), initializer=_open_here, initargs=(config,)) as pool:
        for made in pool.map(_prepare_rows, chunks):
            bar.update(made)
    return len(samples), len(missing)


_here: list[PreparedSamples] = []
"""What a worker process has opened: a teacher is loaded once per process."""


def _open_here(config: TrainConfig) -> None:
    torch.set_num_threads(1)
    _here.append(prepare_data(config).samples)


def _prepare_rows(rows: Sequence[int]) -> int:
    for row in rows:
        _here[0]._prepare(row)
    return len(rows)


def _is_there(samples: PreparedSamples, row: int) -> bool:
    path = samples.path(row)
    return path is not None and path.is_file()


def _check_fit(path: Path, supervision: Supervision | FeatureSupervision, frame: Frame) -> None:
    points = supervision.points if isinstance(supervision, FeatureSupervision) else len(supervision.target)
    if points != len(frame.points):
        raise DataError(f"{path}: is of {points} points, the sample has {len(frame.points)}. Delete the folder.")
