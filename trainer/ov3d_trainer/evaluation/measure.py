"""Student, teacher and both held against all that is known about the samples."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ..data.boxes import points_in_box
from ..data.sample import UNKNOWN, DataSet, Sample
from ..scores import Confusion, harmonic_mean, percentage
from ..teacher import FeatureSupervision, Teacher
from ..words.vocabulary import WordList
from .modes import MODES, modes, point_truth, taught_labels
from .student import Answer, Repeats, Student
from .submission import Submission, official_figures, truth_of
from .tally import RINGS_M, Surety, Tally, ring_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One sample to look at: `points` (N, 3) in the lidar frame, `truth` (N,) and `predicted` (N,).

    Classes are 0..C-1, C for none of them (truth) and unlabelled (predicted), `UNKNOWN` where the truth is not known.
    """

    name: str
    points: NDArray[np.float32]
    truth: NDArray[np.int64]
    predicted: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """A report of plain JSON types, percentages with None where undefined, and what can be looked at."""

    report: dict[str, Any]
    names: tuple[str, ...]
    scenes: tuple[Scene, ...]


class _Counts:
    """All that is counted over the samples of one evaluation."""

    def __init__(self, student: Student, teacher: Teacher | None, words: WordList, submission: Submission | None):
        self.student, self.teacher, self.words, self.submission = student, teacher, words, submission
        self.names = student.queries.names
        self.tally, self.surety = Tally(self.names), Surety()
        self.submitted = Tally(submission.layout.classes if submission else ())
        self.foreign: dict[str, int] = {}
        self.points = self.submitted_points = 0

    def add(self, sample: Sample, repeats: Repeats, generator: np.random.Generator) -> Scene:
        """Let the student answer one sample and count everything."""
        queries = self.student.queries
        cosines = self.student.cosines(sample, repeats, generator)
        answer = cosines.answer(queries)
        self.points += len(answer.label)
        truth = point_truth(sample, self.words, self.names)
        if sample.point_labels is not None:
            known = np.flatnonzero(truth != UNKNOWN)
            sure = cosines.answer(replace(queries, threshold=-1.0))
            self._count_truth(sample, truth[known], answer.label[known], known)
            self.surety.count(truth[known], Answer(label=sure.label[known], score=sure.score[known]), len(self.names))
        box_classes, rows = box_truth(sample, self.words, self.names)
        if sample.boxes:
            self.tally.count("boxes student", box_classes, answer.label[rows])
        if self.teacher is not None:
            taught = self._count_teacher(self.teacher, sample, answer, truth)
            if sample.boxes:
                self.tally.count("boxes teacher", box_classes, taught.label[rows])
        if self.submission is not None:
            classes = self.submission.write(sample.name, sample.frame, cosines.best(queries))
            self.submitted_points += len(classes)
            self._count_submitted(self.submission, sample, classes)
        if sample.point_labels is None:
            truth[rows] = box_classes
        return Scene(name=sample.name, points=sample.frame.points, truth=truth, predicted=answer.label)

    def _count_truth(
        self, sample: Sample, truth: NDArray[np.int64], predicted: NDArray[np.int64], rows: NDArray[np.int64]
    ) -> None:
        self.tally.count("truth", truth, predicted)
        if sample.from_one_sensor:
            rings = ring_of(sample.frame.points[rows])
            for ring in np.unique(rings):
                here = rings == ring
                self.tally.count(f"ring {ring}", truth[here], predicted[here])
        assert sample.point_labels is not None
        counts = np.bincount(sample.point_labels[rows[truth == len(self.names)]])
        for row in np.flatnonzero(counts):
            name = sample.point_label_names[row]
            self.foreign[name] = self.foreign.get(name, 0) + int(counts[row])

    def _count_teacher(self, teacher: Teacher, sample: Sample, answer: Answer, truth: NDArray[np.int64]) -> Answer:
        supervision = teacher.supervise(sample)
        taught = taught_labels(teacher, supervision, self.student.queries, len(answer.label))
        rows = supervision.supervised
        self.tally.count("teacher", taught.label[rows], answer.label[rows])
        if isinstance(supervision, FeatureSupervision) and sample.point_labels is not None:
            seen = rows[truth[rows] != UNKNOWN]
            for mode, labels in modes(answer, taught).items():
                self.tally.count(mode, truth[seen], labels[seen])
        return taught

    def _count_submitted(self, submission: Submission, sample: Sample, classes: NDArray[np.int64]) -> None:
        if sample.point_labels is None:
            return
        layout = submission.layout
        truth = truth_of(sample.point_labels[: len(classes)], sample.point_label_names, layout)
        scored = truth < len(layout.classes)
        self.submitted.count("written", truth[scored], classes[scored])


def evaluate(
    student: Student,
    teacher: Teacher | None,
    words: WordList,
    source: DataSet,
    *,
    repeats: Repeats | None = None,
    seed: int = 0,
    submission: Submission | None = None,
    pictures: int = 0,
) -> Findings:
    """Compare student and teacher with all that is known about the samples.

    Random moves of sample i are drawn from a generator seeded with (`seed`, i). `pictures` samples, evenly spread, are
    kept to look at. Without a teacher, images are not read.
    """
    counts = _Counts(student, teacher, words, submission)
    if submission is not None:
        submission.prepare(source.key(index) for index in range(len(source)))
    shown = set(np.linspace(0, len(source) - 1, min(pictures, len(source))).round().astype(int).tolist())
    scenes = []
    for index in tqdm(range(len(source)), desc="evaluate", disable=not sys.stderr.isatty()):
        sample = source.without_images(index) if teacher is None else source[index]
        scene = counts.add(sample, repeats or Repeats(), np.random.default_rng((seed, index)))
        if index in shown:
            scenes.append(scene)
    report = {"samples": len(source), "points": counts.points, **_report(counts)}
    return Findings(report=report, names=counts.names, scenes=tuple(scenes))


def _report(counts: _Counts) -> dict[str, Any]:
    tally, names = counts.tally, counts.names
    taught = counts.teacher.targets.not_queryable if counts.teacher is not None else {}
    lost = {name: "no text row" for name in counts.words.names if name not in names}
    report: dict[str, Any] = {"not_queryable": {**lost, **taught}}
    agreement = tally.found("teacher")
    if agreement is not None:
        report["supervised_points"] = int(agreement.counts.sum())
        report["teacher_agreement"] = percentage(agreement.agreement())
        report["teacher"] = agreement.to_dict()
    truth = tally.found("truth")
    if truth is not None:
        report["truth"] = truth.to_dict()
        report["not_asked"] = dict(sorted(counts.foreign.items(), key=lambda entry: -entry[1]))
        report["groups"] = group_figures(truth, counts.words.groups)
        report["distance"] = _rings(tally)
        report["unlabelled"] = {
            "threshold": counts.student.queries.threshold,
            "share": percentage(truth.unlabelled()),
            "accuracy_of_the_rest": percentage(truth.accuracy_of_labelled()),
            "foreign_labelled": percentage(truth.foreign_labelled()),
            "curve": counts.surety.curve(),
        }
    seen = {mode: found.to_dict() for mode in MODES if (found := tally.found(mode)) is not None}
    if seen:
        report["where_the_teacher_sees"] = seen
    boxes = {who: found.to_dict() for who in ("student", "teacher") if (found := tally.found(f"boxes {who}"))}
    if boxes:
        report["boxes"] = boxes
    if counts.submission is not None:
        written = counts.submitted.found("written")
        report["submission"] = {
            "layout": counts.submission.layout.name,
            "folder": str(counts.submission.folder),
            "points": counts.submitted_points,
            **(official_figures(written, counts.submission.layout) if written is not None else {}),
        }
    return report


def group_figures(truth: Confusion, groups: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return mean IoU and mean accuracy (%) of every group over its classes that occur.

    With groups base and novel, also `harmonic_mean` of both. Labels without a text row are left out.
    """
    asked = {group: [name for name in names if name in truth.names] for group, names in groups.items()}
    ious, recalls = truth.group_iou(asked), truth.group_accuracy(asked)
    occurring = {name for name, points in zip(truth.names, truth.points(), strict=True) if points}
    figures: dict[str, Any] = {
        group: {
            "classes": len(set(names)),
            "occurring": len(occurring & set(asked[group])),
            "mean_iou": percentage(ious[group]),
            "mean_accuracy": percentage(recalls[group]),
        }
        for group, names in groups.items()
    }
    if {"base", "novel"} <= set(groups):
        figures["harmonic_mean"] = {
            "mean_iou": percentage(harmonic_mean(ious["base"], ious["novel"])),
            "mean_accuracy": percentage(harmonic_mean(recalls["base"], recalls["novel"])),
        }
    return figures


def _rings(tally: Tally) -> list[dict[str, Any]]:
    """Return the figures of every ring that has points."""
    found = []
    for ring, (near, far) in enumerate(pairwise(RINGS_M)):
        confusion = tally.found(f"ring {ring}")
        if confusion is None:
            continue
        found.append(
            {
                "from_m": near,
                "to_m": None if np.isinf(far) else far,
                "points": int(confusion.points().sum()),
                "mean_iou": percentage(confusion.mean_iou()),
                "accuracy": percentage(confusion.accuracy()),
                "classes": {
                    name: percentage(float(iou)) for name, iou in zip(confusion.names, confusion.iou(), strict=True)
                },
            }
        )
    return found


def box_truth(sample: Sample, words: WordList, names: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return class and row of every point in an annotated box; class len(names) where the category is none of them.

    Where boxes overlap, the last one counts.
    """
    truth = np.full(len(sample.frame.points), UNKNOWN, dtype=np.int64)
    for box in sample.boxes:
        label = words.label_of(box.category) or box.category
        inside = points_in_box(sample.frame.points, box)
        truth[inside] = names.index(label) if label in names else len(names)
    rows = np.flatnonzero(truth != UNKNOWN)
    return truth[rows], rows
