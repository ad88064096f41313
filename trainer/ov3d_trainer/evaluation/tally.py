"""Counts that grow sample by sample: confusions by name, and how sure right and wrong answers were."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.types import IntArray

from ..scores import Confusion, add_confusions, count_confusion, percentage
from .student import Answer

RINGS_M = (0.0, 10.0, 20.0, 30.0, 50.0, float("inf"))
"""Borders of the rings that figures are given for: horizontal distance from the sensor, from 0 up to below 10 m, ..."""
_BINS = 200
_STEP = 5  # bins: a threshold every 0.05


def ring_of(points: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the ring (N,) of every point (N, 3) in the lidar frame; the last one for points that are no numbers."""
    return np.searchsorted(RINGS_M[1:-1], np.hypot(points[:, 0], points[:, 1]), side="right")


class Tally:
    """Confusions of the same classes by name, each the sum of what was counted under it."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._sums: dict[str, Confusion] = {}

    def count(self, part: str, truth: IntArray, predicted: IntArray) -> None:
        """Count points (N,) under a name; see `count_confusion`."""
        counted = count_confusion(self.names, truth, predicted)
        self._sums[part] = add_confusions([self._sums[part], counted]) if part in self._sums else counted

    def found(self, part: str) -> Confusion | None:
        """Return what was counted under a name, None where nothing ever was."""
        return self._sums.get(part)


class Surety:
    """How many points a threshold leaves labelled, and how many of these are right."""

    def __init__(self) -> None:
        self._bins = np.zeros((3, _BINS), np.int64)  # right, wrong, of no class that is asked for
        self._known = self._foreign = 0

    def count(self, truth: IntArray, answer: Answer, none: int) -> None:
        """Count points by their best label, given without a threshold; class `none` is no class that is asked for."""
        foreign = truth == none
        self._foreign += int(foreign.sum())
        self._known += int((~foreign).sum())
        claimed = answer.label != none
        bins = np.clip(np.floor((answer.score.astype(np.float64) + 1.0) * (_BINS / 2)), 0, _BINS - 1).astype(np.int64)
        right = answer.label == truth
        for row, chosen in enumerate((right & ~foreign, ~right & ~foreign, foreign)):
            self._bins[row] += np.bincount(bins[claimed & chosen], minlength=_BINS)

    def curve(self) -> list[dict[str, Any]]:
        """Return the figures (%) at thresholds 0.05 apart, from where the first point is lost to where hardly
        one in a hundred is left.

        `labelled`: share of the points with a known class that keep a label; `accuracy` of these; `foreign_labelled`:
        share of the points of no class that is asked for which get a label all the same. Cosines count to 0.01.
        """
        kept = self._bins[:, ::-1].cumsum(axis=1)[:, ::-1]  # points at or above the bin's lower border
        rows = [
            {
                "threshold": round(2.0 * start / _BINS - 1.0, 2),
                "labelled": percentage(_share(right + wrong, self._known)),
                "accuracy": percentage(_share(right, right + wrong)),
                "foreign_labelled": percentage(_share(foreign, self._foreign)),
            }
            for start, (right, wrong, foreign) in enumerate(kept.T.tolist())
            if start % _STEP == 0
        ]
        all_labelled = [at for at, row in enumerate(rows) if row["labelled"] == rows[0]["labelled"]]
        some_labelled = [at for at, row in enumerate(rows) if (row["labelled"] or 0.0) >= 1.0]
        return rows[all_labelled[-1] : some_labelled[-1] + 1] if some_labelled else []


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
