"""Teacher `labels`: the true name of each point, for tests, simulated data and supervised baselines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ov3d_perception.errors import DataError

from ..data.sample import UNKNOWN, Sample
from ..words.vocabulary import WordList
from .base import Supervision, Targets, target_of_name


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelTeacher:
    """Supervises every labelled point with the text row of its name; all weights are 1."""

    targets: Targets
    words: WordList

    def supervise(self, sample: Sample) -> Supervision:
        """Read the sample's point labels; `DataError` where it has none."""
        if sample.point_labels is None:
            raise DataError(
                f"sample {sample.name}: no point labels, which teacher.kind=labels needs. Use teacher.kind=masks."
            )
        target = target_of_name(self.words, sample.point_label_names, self.targets)[sample.point_labels]
        weight = (target != UNKNOWN).astype(np.float32)
        return Supervision(target=target, weight=weight, count=len(self.targets.names))
