"""Confusion matrices and what follows from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.errors import ConfigError
from ov3d_perception.types import IntArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Counts (C + 1, C + 1) int64 of points by truth (row) and prediction (column).

    Classes 0..C-1 are `names`; row C is a truth that is none of them, column C a prediction of none of them
    (unlabelled).
    """

    names: tuple[str, ...]
    counts: NDArray[np.int64]

    def iou(self) -> NDArray[np.float64]:
        """Return TP / (TP + FP + FN) per class (C,); NaN where a class is neither true nor predicted."""
        hits = self._hits()
        return _share(hits, self._true() + self._predicted() - hits)

    def precision(self) -> NDArray[np.float64]:
        """Return TP / (TP + FP) per class (C,); NaN where a class is never predicted."""
        return _share(self._hits(), self._predicted())

    def recall(self) -> NDArray[np.float64]:
        """Return TP / (TP + FN) per class (C,); NaN where a class never occurs."""
        return _share(self._hits(), self._true())

    def mean_iou(self) -> float:
        """Return the mean IoU over the classes that occur in the truth; NaN where there is none."""
        occurring = self._true() > 0
        return float(self.iou()[occurring].mean()) if occurring.any() else float("nan")

    def mean_accuracy(self) -> float:
        """Return the mean recall over the classes that occur in the truth (mAcc); NaN where there is none."""
        occurring = self._true() > 0
        return float(self.recall()[occurring].mean()) if occurring.any() else float("nan")

    def weighted_iou(self) -> float:
        """Return the IoU weighted by how many points each class truly has (f-mIoU); NaN without any."""
        share = _share(self._true(), self._true().sum())
        return float(np.nansum(share * self.iou())) if self._true().any() else float("nan")

    def group_iou(self, groups: Mapping[str, Sequence[str]]) -> dict[str, float]:
        """Return the mean IoU of each group of classes, such as head, common and tail, or base and novel.

        Classes that do not occur in the truth are left out; NaN for a group without any. Unknown names are a
        `ConfigError`.
        """
        return self._group_means(groups, self.iou())

    def group_accuracy(self, groups: Mapping[str, Sequence[str]]) -> dict[str, float]:
        """Return the mean recall of each group of classes; as `group_iou`."""
        return self._group_means(groups, self.recall())

    def _group_means(self, groups: Mapping[str, Sequence[str]], values: NDArray[np.float64]) -> dict[str, float]:
        found = {}
        for group, names in groups.items():
            unknown = sorted(set(names) - set(self.names))
            if unknown:
                raise ConfigError(f"group {group}: no class {', '.join(unknown)}. Classes: {', '.join(self.names)}.")
            rows = [self.names.index(name) for name in names if self._true()[self.names.index(name)]]
            found[group] = float(values[rows].mean()) if rows else float("nan")
        return found

    def accuracy(self) -> float:
        """Return the share of points with a true class that are predicted as it; NaN without any."""
        return float(_share(self._hits().sum(), self._true().sum()))

    def agreement(self) -> float:
        """Return the share of all points that are the same in row and column, no class included; NaN without any."""
        return float(_share(self.counts.trace(), self.counts.sum()))

    def unlabelled(self) -> float:
        """Return the share of points with a true class that are left unlabelled; NaN without any."""
        return float(_share(self.counts[:-1, -1].sum(), self._true().sum()))

    def accuracy_of_labelled(self) -> float:
        """Return the accuracy over the points with a true class that are not left unlabelled; NaN without any."""
        return float(_share(self._hits().sum(), self.counts[:-1, :-1].sum()))

    def foreign_labelled(self) -> float:
        """Return the share of points whose truth is none of the classes that are called one; NaN without any."""
        return float(_share(self.counts[-1, :-1].sum(), self.counts[-1].sum()))

    def points(self) -> NDArray[np.int64]:
        """Return the true points per class (C,)."""
        return self._true()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types; shares as percentages, None where undefined."""
        columns = {"iou": self.iou(), "precision": self.precision(), "recall": self.recall()}
        classes = {
            name: {
                "points": int(self._true()[row]),
                **{key: percentage(float(values[row])) for key, values in columns.items()},
            }
            for row, name in enumerate(self.names)
        }
        return {
            "mean_iou": percentage(self.mean_iou()),
            "mean_accuracy": percentage(self.mean_accuracy()),
            "weighted_iou": percentage(self.weighted_iou()),
            "accuracy": percentage(self.accuracy()),
            "classes": classes,
            "confusion": self.counts.tolist(),
        }

    def _hits(self) -> NDArray[np.int64]:
        return self.counts.diagonal()[:-1]

    def _true(self) -> NDArray[np.int64]:
        return self.counts.sum(axis=1)[:-1]

    def _predicted(self) -> NDArray[np.int64]:
        return self.counts.sum(axis=0)[:-1]


def count_confusion(names: Sequence[str], truth: IntArray, predicted: IntArray) -> Confusion:
    """Count points by truth and prediction (N,), each 0..C-1 or C for none of the names."""
    size = len(names) + 1
    counts = np.bincount(truth.astype(np.int64) * size + predicted.astype(np.int64), minlength=size * size)
    return Confusion(names=tuple(names), counts=counts.reshape(size, size).astype(np.int64))


def add_confusions(confusions: Sequence[Confusion]) -> Confusion:
    """Add up the counts of several samples; at least one."""
    return Confusion(names=confusions[0].names, counts=np.sum([one.counts for one in confusions], axis=0))


def harmonic_mean(first: float, second: float) -> float:
    """Return 2 a b / (a + b), which the lower one dominates: 0 where both are 0, NaN where one is."""
    return 0.0 if first + second == 0 else 2 * first * second / (first + second)


def percentage(share: float) -> float | None:
    """Return a share as a percentage with two decimals, None for NaN."""
    return None if np.isnan(share) else round(100.0 * share, 2)


def _share(part: Any, whole: Any) -> Any:
    part, whole = np.asarray(part, dtype=np.float64), np.asarray(whole, dtype=np.float64)
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)
