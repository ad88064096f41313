"""Predictions in the layouts that the official tools of nuScenes-lidarseg and SemanticKITTI read.

Both score closed sets, and every point must have one of their classes: threshold and background words do not count
here, and points beyond the student's range get the class of the nearest point within it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import KDTree

from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.queries import QuerySet
from ov3d_perception.text.bank import fold
from ov3d_perception.types import Frame

from ..config import SourceConfig
from ..data.kitti import categories as kitti
from ..data.nuscenes import categories as nuscenes
from ..scores import Confusion
from ..whole_files import written_whole
from ..words.vocabulary import WordList
from .student import NOWHERE

NUSCENES_SPLITS = ("train", "val", "test", "mini_train", "mini_val")
_SOURCES = ("camera", "lidar", "radar", "map", "external")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a data set wants predictions, and how its official tool averages them.

    `classes` C in the words of the samples' point labels, `titles` as the official tool calls them. `values` (C,) is
    what a file holds per class, in the file's type; `file_of` gives a sample's file within the folder. `files` are
    texts that belong to it. `absent`: IoU of a class that is neither true nor predicted, NaN to leave
    it out of the mean.
    """

    name: str
    classes: tuple[str, ...]
    titles: tuple[str, ...]
    values: NDArray[Any]
    file_of: Callable[[str], Path]
    absent: float
    files: Mapping[Path, str] = field(default_factory=dict)


def layout_of(config: SourceConfig) -> Layout:
    """Return the layout for a data set; `ConfigError` where it has none."""
    if config.kind == "nuscenes":
        return _nuscenes_layout(config.split)
    if config.kind == "kitti":
        return Layout(
            name="SemanticKITTI",
            classes=kitti.CLASSES,
            titles=tuple(name.replace(" ", "-") for name in kitti.CLASSES),
            values=np.array(kitti.RAW_OF_CLASS, "<u4"),
            file_of=_kitti_file,
            absent=0.0,
        )
    raise ConfigError(
        f"--submission: data of kind '{config.kind}' has no official layout, only nuscenes and kitti have. "
        "Give one of them with --data, or leave --submission out."
    )


def _nuscenes_layout(split: str) -> Layout:
    if split not in NUSCENES_SPLITS:
        raise ConfigError(
            f"--submission: the nuScenes devkit knows no split '{split}'. "
            f"Set evaluation.split to one of {', '.join(NUSCENES_SPLITS)}."
        )
    # external: the words' vectors come from a text tower that other data made
    uses = {f"use_{source}": source in ("lidar", "external") for source in _SOURCES}
    return Layout(
        name="nuScenes-lidarseg",
        classes=nuscenes.challenge_words(),
        titles=nuscenes.CHALLENGE_CLASSES,
        values=np.arange(1, len(nuscenes.CHALLENGE_CLASSES) + 1, dtype=np.uint8),
        file_of=lambda token: Path("lidarseg") / split / f"{_plain(token)}_lidarseg.bin",
        absent=float("nan"),
        files={Path(split) / "submission.json": json.dumps({"meta": uses}, indent=1)},
    )


def _kitti_file(name: str) -> Path:
    sequence, _, number = _plain(name).partition("_")
    return Path("sequences") / sequence / "predictions" / f"{number}.label"


def _plain(name: str) -> str:
    """Return a sample's name; `DataError` where it would lead out of its folder."""
    if not name.replace("_", "").replace("-", "").isalnum():
        raise DataError(f"sample {name!r}: not a name of letters and digits. Check the data set's tables.")
    return name


def classes_of_labels(queries: QuerySet, words: WordList, layout: Layout) -> NDArray[np.int64]:
    """Return the layout's class (Q,) that each label stands for: by its name, else by a synonym or an alias of it.

    Raises `ConfigError` that names the labels which stand for none, or for several.
    """
    row_of = {fold(name): row for row, name in enumerate(layout.classes)}
    found, wrong = [], []
    for label in queries.names:
        rows = {row for name, row in row_of.items() if words.label_of(name) == label}
        rows = {row_of[fold(label)]} if fold(label) in row_of else rows
        if len(rows) == 1:
            found.append(rows.pop())
        else:
            several = " and ".join(layout.classes[row] for row in sorted(rows))
            wrong.append(f"'{label}'" + (f" (stands for {several})" if rows else ""))
    if wrong:
        raise ConfigError(
            f"--submission: {', '.join(wrong)} of the vocabulary is no class of {layout.name}. Name each label as the "
            f"class, or give it the class as synonym or alias. Classes: {', '.join(layout.classes)}."
        )
    return np.array(found, np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A folder that predictions are written into; `class_of_label` (Q,) int64 as of `classes_of_labels`."""

    folder: Path
    layout: Layout
    class_of_label: NDArray[np.int64]

    def prepare(self, names: Iterable[str]) -> None:
        """Write what belongs to the layout; `DataError` where predictions of samples other than `names` lie already."""
        wanted = {self.folder / self.layout.file_of(name) for name in names}
        there = {path for folder in {path.parent for path in wanted} for path in folder.glob("*")}
        if strange := sorted(path for path in there - wanted if not path.name.startswith(".")):
            raise DataError(
                f"--submission: {strange[0]} and {len(strange) - 1} more are of other samples. Give an empty folder."
            )
        for path, text in self.layout.files.items():
            _write(self.folder / path, text.encode())

    def write(self, name: str, frame: Frame, best: NDArray[np.int64]) -> NDArray[np.int64]:
        """Write the classes of one sample by its points' best labels (N,) and return them.

        Of several sweeps joined, only the points of the newest one are written and returned; they come first.
        """
        count = own_points(frame)
        best = fill_from_nearest(frame.points[:count], best[:count])
        classes = self.class_of_label[best]
        _write(self.folder / self.layout.file_of(name), self.layout.values[classes].tobytes())
        return classes


def own_points(frame: Frame) -> int:
    """Return how many points, from the first, are of the sweep itself and not of earlier ones."""
    offsets = frame.time_offset_s
    return len(frame.points) if offsets is None else int((offsets == 0).sum())


def fill_from_nearest(points: NDArray[np.float32], best: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the points (N, 3) whose label (N,) is `NOWHERE` that of the nearest other one; label 0 without any."""
    missing = np.flatnonzero(best == NOWHERE)
    present = np.flatnonzero(best != NOWHERE)
    filled = best.copy()
    if not len(present):
        filled[:] = 0
        return filled
    _, nearest = KDTree(points[present]).query(np.nan_to_num(points[missing]))
    filled[missing] = best[present[nearest]]
    return filled


def official_figures(confusion: Confusion, layout: Layout) -> dict[str, Any]:
    """Return `miou` and `iou_per_class` as the official tool computes them: shares, not rounded, None for undefined."""
    iou = confusion.iou()
    counted = np.where(np.isnan(iou), layout.absent, iou)
    return {
        "miou": _number(float(np.nanmean(counted))) if not np.isnan(counted).all() else None,
        "iou_per_class": {name: _number(float(value)) for name, value in zip(layout.titles, counted, strict=True)},
    }


def _number(value: float) -> float | None:
    return None if np.isnan(value) else value


def _write(path: Path, content: bytes) -> None:
    with written_whole(path) as temporary:
        temporary.write_bytes(content)


def truth_of(labels: NDArray[np.int32], names: Sequence[str], layout: Layout) -> NDArray[np.int64]:
    """Return the layout's class (N,) of point labels, C where nothing is known."""
    rows = [layout.classes.index(name) if name in layout.classes else len(layout.classes) for name in names]
    return np.array([*rows, len(layout.classes)], np.int64)[labels]
