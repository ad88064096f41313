"""What a trained student is worth: against the truth of points, against its teacher, and inside annotated boxes.

Labels are decided exactly as on the robot: the same `build_inputs`, the same `make_queries` with synonyms and
background words, the same `label_voxels`.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from ov3d_perception.engine import label_voxels, scatter_to_points
from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.inputs import build_inputs
from ov3d_perception.queries import LabelSpec, QuerySet, make_queries
from ov3d_perception.text.encoder import TextEncoder

from .backends import index_tensors
from .checkpoint import Checkpoint, build_model, load_checkpoint
from .config import SourceConfig, TrainConfig, config_from_dict, evaluation_source
from .data.boxes import points_in_box
from .data.dataset import open_source, parse_source
from .data.sample import UNKNOWN, Sample, SampleSource
from .model import SparseUNet
from .report import table
from .scores import Confusion, add_confusions, count_confusion, percentage
from .teacher import FeatureSupervision, Supervision, Teacher, make_teacher
from .text import open_text
from .vocabulary import WordList, queryable, read_vocabulary
from .whole_files import written_whole

DISTILL, FUSION, ENSEMBLE = MODES = ("distill", "fusion", "ensemble")
"""Who labels a point: the student, the teacher's lifted features, or both (the names are OpenScene's)."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`label` (N,) of every point: 0..Q-1, or Q where unlabelled; `score` (N,): the label's cosine."""

    label: NDArray[np.int64]
    score: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Student:
    """A trained network with the vocabulary it is asked."""

    checkpoint: Checkpoint
    model: SparseUNet
    queries: QuerySet

    def label(self, sample: Sample) -> Answer:
        """Label every point."""
        inputs = build_inputs(sample.frame, self.checkpoint.inputs)
        with torch.inference_mode():
            embedding = self.model(torch.from_numpy(inputs.features), index_tensors(inputs.index)).numpy()
        label, score = label_voxels(embedding @ self.queries.text.T, self.queries)
        return _answer(self.queries, *scatter_to_points(label, score, inputs.voxels.voxel_of_point))


def evaluate_checkpoint(
    path: Path | str, *, data: str = "", text: str = "", vocabulary: str = "", cache: str | None = None
) -> dict[str, Any]:
    """Evaluate a checkpoint and return a report of plain JSON types.

    By default everything is as in training, on the run's `evaluation` data; `data` ("street:100-107",
    "keyframe:FOLDER"), `text`, `vocabulary` and `cache` replace the run's own. Percentages; None where undefined.
    """
    checkpoint = load_checkpoint(path)
    config = config_from_dict(checkpoint.training.get("config", {}))
    source_config = parse_data(data, config)
    words = read_vocabulary(vocabulary or config.vocabulary)
    encoder = open_text(text or config.text)
    if encoder.space != checkpoint.text_space:
        raise ConfigError(
            f"text: {text or config.text} is of space {encoder.space!r}, the checkpoint of {checkpoint.text_space!r}. "
            "Give the bank it was trained with."
        )
    source = open_source(source_config, (config.cache if cache is None else cache) or None)
    teacher = make_teacher(config.teacher, words, encoder, source[0])
    student = Student(checkpoint=checkpoint, model=build_model(checkpoint), queries=ask_for(words, teacher, encoder))
    report = {"checkpoint": str(path), "step": checkpoint.step, "data": _describe(source_config)}
    return {**report, **evaluate(student, teacher, words, source)}


def ask_for(words: WordList, teacher: Teacher, encoder: TextEncoder) -> QuerySet:
    """Make the queries of an evaluation: the vocabulary's labels, then whatever else the teacher supervises.

    Names without a text row are left out, and so are synonyms that the text side lacks.
    """
    words = queryable(words, encoder)
    if teacher.targets.decoder is not None:  # the kinds it was trained with are no vocabulary
        return make_queries(
            words.labels, encoder, templates=words.templates, background=words.background, threshold=words.threshold
        )
    specs = {spec.name: spec for spec in words.labels}
    labels = [specs.get(name, LabelSpec(name=name)) for name in teacher.targets.names]
    return make_queries(
        labels,
        encoder,
        templates=words.templates,
        background=words.background,
        threshold=words.threshold,
    )


def evaluate(student: Student, teacher: Teacher, words: WordList, source: SampleSource) -> dict[str, Any]:
    """Compare student and teacher with all that is known about the samples."""
    names = student.queries.names
    against_truth: list[Confusion] = []
    against_teacher: list[Confusion] = []
    in_boxes: dict[str, list[Confusion]] = {"student": [], "teacher": []}
    by_mode: dict[str, list[Confusion]] = {mode: [] for mode in MODES}
    points = 0
    for index in tqdm(range(len(source)), desc="evaluate", disable=not sys.stderr.isatty()):
        sample = source[index]
        points += len(sample.frame.points)
        answer = student.label(sample)
        supervision = teacher.supervise(sample)
        lifted = taught_labels(teacher, supervision, student.queries, len(answer.label))
        predicted, taught, rows = answer.label, lifted.label, supervision.supervised
        against_teacher.append(count_confusion(names, taught[rows], predicted[rows]))
        if sample.point_labels is not None:
            truth = class_of([words.label_of(name) or name for name in sample.point_label_names], names)
            known = np.flatnonzero(sample.point_labels != UNKNOWN)
            against_truth.append(count_confusion(names, truth[sample.point_labels[known]], predicted[known]))
            if isinstance(supervision, FeatureSupervision):
                seen = rows[sample.point_labels[rows] != UNKNOWN]
                for mode, labels in modes(answer, lifted).items():
                    by_mode[mode].append(count_confusion(names, truth[sample.point_labels[seen]], labels[seen]))
        if sample.boxes:
            truth_in_boxes, rows = box_truth(sample, words, names)
            for who, labels in (("student", predicted), ("teacher", taught)):
                in_boxes[who].append(count_confusion(names, truth_in_boxes, labels[rows]))
    agreement = add_confusions(against_teacher)
    report: dict[str, Any] = {
        "samples": len(source),
        "points": points,
        "supervised_points": int(agreement.counts.sum()),
        "teacher_agreement": percentage(agreement.accuracy()),
        "not_queryable": dict(teacher.targets.not_queryable),
        "teacher": agreement.to_dict(),
    }
    if against_truth:
        report["truth"] = add_confusions(against_truth).to_dict()
    if by_mode[DISTILL]:
        report["where_the_teacher_sees"] = {mode: add_confusions(found).to_dict() for mode, found in by_mode.items()}
    if in_boxes["student"]:
        report["boxes"] = {who: add_confusions(confusions).to_dict() for who, confusions in in_boxes.items()}
    return report


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
    found = _answer(queries, *label_voxels(features @ queries.text.T, queries))
    label[rows], score[rows] = found.label, found.score
    return Answer(label=label, score=score)


def modes(student: Answer, teacher: Answer) -> dict[str, NDArray[np.int64]]:
    """Return the labels (N,) of the student, of the teacher, and of both by OpenScene's rule.

    By that rule (Peng et al. 2023) a point keeps the student's label unless the teacher's best cosine is higher.
    """
    both = np.where(teacher.score > student.score, teacher.label, student.label)
    return {DISTILL: student.label, FUSION: teacher.label, ENSEMBLE: both}


def _answer(queries: QuerySet, label: NDArray[np.uint16], score: NDArray[np.float32]) -> Answer:
    """Number labels from 0, and unlabelled as the one after the last."""
    return Answer(label=np.where(label == 0, len(queries.labels), label.astype(np.int64) - 1), score=score)


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


def parse_data(text: str, config: TrainConfig) -> SourceConfig:
    """Return the data to evaluate on: the run's own, or "KIND:WHAT" in its place."""
    own = evaluation_source(config)
    return parse_source(text, own) if text else own


def save_report(path: Path, report: dict[str, Any]) -> None:
    """Write a report as JSON, atomically."""
    try:
        with written_whole(path) as temporary:
            temporary.write_text(json.dumps(report, indent=1), encoding="utf-8")
    except OSError as error:
        raise DataError(f"report {path}: cannot be written ({error.strerror}).") from error


def report_text(report: dict[str, Any]) -> str:
    """Return a report as readable text: agreement with the teacher, then a table per kind of truth."""
    parts = [
        f"{report['samples']} samples, {report['points']:,} points. Student agrees with its teacher on "
        f"{report['teacher_agreement']} % of {report['supervised_points']:,} supervised points."
    ]
    if report["not_queryable"]:
        parts.append("Not queryable: " + ", ".join(report["not_queryable"]) + ".")
    if "truth" in report:
        truth = report["truth"]
        parts.append(
            f"Against the truth of the points (%): mean IoU {truth['mean_iou']}, weighted by frequency "
            f"{truth['weighted_iou']}, mean accuracy {truth['mean_accuracy']}, accuracy {truth['accuracy']}"
        )
        rows = [
            [name, row["points"], row["iou"], row["precision"], row["recall"]]
            for name, row in truth["classes"].items()
            if row["points"] or row["precision"] is not None
        ]
        parts.append(table(["class", "points", "IoU", "precision", "recall"], rows))
    if "where_the_teacher_sees" in report:
        parts.append("Where the teacher sees, against the truth (%):")
        found = report["where_the_teacher_sees"]
        keys = ("mean_iou", "weighted_iou", "mean_accuracy", "accuracy")
        parts.append(
            table(
                ["mode", *(key.replace("_", " ") for key in keys)],
                [[mode, *(values[key] for key in keys)] for mode, values in found.items()],
            )
        )
    if "boxes" in report:
        student, teacher = (report["boxes"][who]["classes"] for who in ("student", "teacher"))
        parts.append("Points in annotated boxes, student beside its teacher (%):")
        rows = [
            [name, row["points"], row["iou"], teacher[name]["iou"], row["precision"], teacher[name]["precision"]]
            for name, row in student.items()
            if row["points"]
        ]
        header = ["class", "points", "IoU", "IoU teacher", "precision", "precision teacher"]
        parts.append(table(header, rows) if rows else "none of the annotated categories is queryable")
    return "\n".join(parts)


def class_of(own_names: Sequence[str], names: Sequence[str]) -> NDArray[np.int64]:
    """Class per own name; other names, and `UNKNOWN` through the last entry, give len(names)."""
    rows = [names.index(name) if name in names else len(names) for name in own_names]
    return np.array([*rows, len(names)], dtype=np.int64)


def _describe(config: SourceConfig) -> str:
    return f"{config.kind} {config.path}" if config.path else f"{config.kind} {config.seeds} x {config.frames}"
