"""Who labels a point: the student, the teacher's lifted features, or both (the names are OpenScene's)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.engine import label_voxels
from ov3d_perception.queries import QuerySet

from ..data.sample import UNKNOWN, Sample
from ..teacher import FeatureSupervision, Supervision, Teacher
from ..words.vocabulary import WordList
from .student import Answer, numbered_from_zero

DISTILL, FUSION, ENSEMBLE = MODES = ("distill", "fusion", "ensemble")


def modes(student: Answer, teacher: Answer) -> dict[str, NDArray[np.int64]]:
    """Return the labels (N,) of the student, of the teacher, and of both by OpenScene's rule.

    By that rule (Peng et al. 2023) a point keeps the student's label unless the teacher's best cosine is higher.
    """
    both = np.where(teacher.score > student.score, teacher.label, student.label)
    return {DISTILL: student.label, FUSION: teacher.label, ENSEMBLE: both}


def taught_labels(
    teacher: Teacher, supervision: Supervision | FeatureSupervision, queries: QuerySet, points: int
) -> Answer:
    """Return what the teacher itself calls each point; unlabelled with score -1 where it says nothing.

    A teacher that names points has no cosines: its score is 1.
    """
    none = len(queries.labels)
    label, score = np.full(points, none, dtype=np.int64), np.full(points, -1.0, dtype=np.float32)
    rows = supervision.supervised
    if isinstance(supervision, Supervision):
        label[:] = class_of(teacher.targets.names, queries.names)[supervision.target]
        score[rows] = 1.0
        return Answer(label=label, score=score)
    assert teacher.targets.decoder is not None  # such a teacher has one
    features: NDArray[np.float32] = supervision.code @ teacher.targets.decoder
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    found = numbered_from_zero(queries, *label_voxels(features @ queries.text.T, queries))
    label[rows], score[rows] = found.label, found.score
    return Answer(label=label, score=score)


def point_truth(sample: Sample, words: WordList, names: Sequence[str]) -> NDArray[np.int64]:
    """Return the true class (N,) of every point: 0..C-1 of `names`, C for others, `UNKNOWN` where it is not known."""
    if sample.point_labels is None:
        return np.full(len(sample.frame.points), UNKNOWN, np.int64)
    classes = class_of([words.label_of(name) or name for name in sample.point_label_names], names)
    return np.where(sample.point_labels == UNKNOWN, UNKNOWN, classes[sample.point_labels])


def class_of(own_names: Sequence[str], names: Sequence[str]) -> NDArray[np.int64]:
    """Class per own name; other names, and `UNKNOWN` through the last entry, give len(names)."""
    rows = [names.index(name) if name in names else len(names) for name in own_names]
    return np.array([*rows, len(names)], dtype=np.int64)
