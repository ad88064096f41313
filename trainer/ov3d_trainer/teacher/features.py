"""Teacher `features`: features per point that somebody else has fused, as OpenScene publishes them.

A file holds `feat` (m, C), any float type, and `mask_full` (N,) bool: which points of the scene have one. Files are
called SAMPLE.pt or, where several share a scene's points, SAMPLE_0.pt, SAMPLE_1.pt and so on (format of OpenScene,
Peng et al. 2023).
"""

from __future__ import annotations

import glob
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.text.encoder import TextEncoder

from ..data.names import plain_name
from ..data.sample import Sample
from ..torch_files import load_arrays
from ..words.vocabulary import WordList
from .base import FeatureSupervision, Targets, feature_targets


@dataclass(frozen=True, slots=True, kw_only=True)
class FileTeacher:
    """Supervises the points that have a feature in the files of a folder; `targets` are the vocabulary's words."""

    folder: Path
    targets: Targets

    def supervise(self, sample: Sample) -> FeatureSupervision:
        """Read the sample's files; `DataError` where there is none, or where they do not fit the sample."""
        paths = self._paths(sample.name)
        points, dim = len(sample.frame.points), self.targets.text.shape[1]
        total = np.zeros((points, dim), np.float32)
        count = np.zeros(points, np.int64)
        for path in paths:
            features, mask = _read(path)
            if len(mask) != points or features.shape != (int(mask.sum()), dim):
                raise DataError(
                    f"{path}: feat {features.shape} and mask_full ({len(mask)},) do not fit {points} points and texts "
                    f"of {dim} numbers. Is it of this scene, and `text` of this model?"
                )
            total[mask] += features
            count[mask] += 1
        rows = np.flatnonzero(count)
        return FeatureSupervision.of_points(points, rows, total[rows] / count[rows, None])

    def _paths(self, name: str) -> list[Path]:
        single = self.folder / f"{plain_name(name, f'{self.folder}: sample')}.pt"
        paths = [single] if single.is_file() else sorted(self.folder.glob(f"{glob.escape(name)}_*.pt"))
        if not paths:
            raise DataError(f"{single}: no such file, nor {name}_0.pt. Set teacher.path to the folder of features.")
        return paths


def open_file_teacher(path: str, words: WordList, encoder: TextEncoder) -> FileTeacher:
    """Open a folder of features; `ConfigError` where it is none."""
    if not Path(path).is_dir() or not path:
        raise ConfigError(f"teacher.path: {path or 'nothing'} is no folder of features. Set teacher.path=FOLDER.")
    return FileTeacher(folder=Path(path), targets=feature_targets(words, encoder))


def _read(path: Path) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    content = load_arrays(path)
    features, mask = (content.get(key) if isinstance(content, dict) else None for key in ("feat", "mask_full"))
    if not (_is_numbers(features) and _is_numbers(mask)) or mask.ndim != 1:
        raise DataError(f"{path}: expected feat (m, C) and mask_full (N,) as tensors. Is it a file of fused features?")
    return features.astype(np.float32), mask.astype(bool)


def _is_numbers(value: Any) -> TypeGuard[NDArray[Any]]:
    return isinstance(value, np.ndarray) and value.dtype.kind in "fiub"
