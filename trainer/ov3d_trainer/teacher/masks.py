"""Teacher `masks`: any external segmenter's label image per camera, lifted to the points."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.sample import UNKNOWN, Sample
from ..lift import LiftOptions, lift_view_labels
from ..vocabulary import WordList
from .base import Supervision, Targets, target_of_name


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskTeacher:
    """Supervises the points that a camera sees with the text row of the pixel's label, weighted by its confidence.

    Labels are merged over cameras before names without a text row are dropped: a confident "road" is not overruled by
    a doubtful "car" merely because "road" cannot be asked for.
    """

    targets: Targets
    words: WordList
    lift: LiftOptions

    def supervise(self, sample: Sample) -> Supervision:
        """Lift the sample's label images."""
        lifted = lift_view_labels(sample, self.lift)
        target = target_of_name(self.words, sample.view_label_names, self.targets)[lifted.label]
        weight = np.where(target == UNKNOWN, np.float32(0.0), lifted.confidence).astype(np.float32)
        return Supervision(target=target, weight=weight, count=len(self.targets.names))
