"""Ranking points by one phrase: the area under the ROC curve, from histograms, so that any number of points fits."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

BINS = 4000


@dataclass(slots=True)
class RankingScore:
    """Counts of cosines in -1..1 for points that should (`hits`) and should not (`others`) rank high."""

    hits: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))
    others: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def add(self, cosine: NDArray[np.float32], wanted: NDArray[np.bool_]) -> None:
        """Count points (N,)."""
        bins = np.clip(((cosine + 1.0) * (BINS / 2)).astype(np.int64), 0, BINS - 1)
        self.hits += np.bincount(bins[wanted], minlength=BINS)
        self.others += np.bincount(bins[~wanted], minlength=BINS)

    def area(self) -> float:
        """Return the chance that a random hit ranks above a random other point (half for ties); NaN without either."""
        hits, others = int(self.hits.sum()), int(self.others.sum())
        if not hits or not others:
            return float("nan")
        below = np.cumsum(self.others) - self.others
        return float((self.hits * (below + 0.5 * self.others)).sum() / (hits * others))
