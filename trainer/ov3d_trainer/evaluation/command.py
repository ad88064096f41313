"""`evaluate`: opens what a run was made of, measures, and writes report and page."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ov3d_perception.errors import ConfigError, DataError, Ov3dError
from ov3d_perception.text.encoder import TextEncoder

from ..checkpoint import build_model, load_checkpoint
from ..config import SourceConfig, TrainConfig, config_from_dict, evaluation_source
from ..data.dataset import open_source, parse_source
from ..data.sample import DataSet
from ..distributed import own_device
from ..teacher import Teacher, expect_images, make_teacher
from ..whole_files import write_whole
from ..words.text import open_text
from ..words.vocabulary import WordList, read_vocabulary
from .measure import Findings, evaluate
from .page import page
from .student import Repeats, Student, ask_for
from .submission import Submission, classes_of_labels, layout_of

_MOST_PICTURES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationOptions:
    """What to measure, and how; by default everything is as in training, on the run's `evaluation` data.

    `data` ("street:100-107", "nuscenes:FOLDER"), `text`, `vocabulary` and `cache` replace the run's own; `settings`
    change further entries of its configuration ("evaluation.split=val"). `submission`: folder for predictions in the
    data set's official layout. `repeats` voxelisations are averaged, with random moves from `seed`. `threshold`
    replaces the vocabulary's. `teacher` False measures the student alone. `pictures`: samples shown on the page.
    """

    checkpoint: Path
    data: str = ""
    text: str = ""
    vocabulary: str = ""
    cache: str | None = None
    settings: tuple[str, ...] = ()
    submission: Path | None = None
    repeats: int = 1
    seed: int = 0
    threshold: float | None = None
    teacher: bool = True
    pictures: int = 3


def evaluate_checkpoint(options: EvaluationOptions) -> Findings:
    """Evaluate a checkpoint.

    With a vocabulary of one's own, or for a submission, exactly its labels are asked for; otherwise also what else a
    teacher that names points supervises.
    """
    repeats = Repeats(count=options.repeats)
    if not 0 <= options.pictures <= _MOST_PICTURES:
        raise ConfigError(f"--pictures: expected 0 to {_MOST_PICTURES}, got {options.pictures}.")
    if options.seed < 0:
        raise ConfigError(f"--seed: expected 0 or more, got {options.seed}.")
    checkpoint = load_checkpoint(options.checkpoint)
    config = _configured(checkpoint.training.get("config", {}), options)
    layout = layout_of(config.evaluation) if options.submission is not None else None
    words = _words(config.vocabulary, options)
    encoder = open_text(config.text)
    if encoder.space != checkpoint.text_space:
        raise ConfigError(
            f"text: {config.text} is of space {encoder.space!r}, the checkpoint of {checkpoint.text_space!r}. "
            "Give the bank it was trained with."
        )
    device = own_device(config.device)
    source = open_source(config.evaluation, config.cache or None)
    teacher = _open_teacher(config, words, encoder, source) if options.teacher else None
    exact = bool(options.vocabulary) or layout is not None
    student = Student(
        inputs=checkpoint.inputs,
        model=build_model(checkpoint).to(device),
        queries=ask_for(words, None if exact else teacher, encoder),
        device=device,
    )
    submission = None
    if layout is not None and options.submission is not None:
        rows = classes_of_labels(student.queries, words, layout)
        submission = Submission(folder=options.submission, layout=layout, class_of_label=rows)
    found = evaluate(
        student,
        teacher,
        words,
        source,
        repeats=replace(repeats, rotate=config.augmentation.rotate),
        seed=options.seed,
        submission=submission,
        pictures=options.pictures,
    )
    return replace(found, report={**_provenance(checkpoint.step, config, options, student), **found.report})


def _configured(values: dict[str, Any], options: EvaluationOptions) -> TrainConfig:
    """Return the run's configuration with what the options change; `evaluation` is the data to measure on."""
    own = values.get("evaluation") or {}
    values = {**values, "evaluation": own if own.get("kind") else values.get("data", {})}
    config = config_from_dict(values, options.settings)
    config.evaluation = evaluation_source(config)
    if options.data:
        config.evaluation = parse_source(options.data, config.evaluation)
    config.vocabulary = options.vocabulary or config.vocabulary
    config.text = options.text or config.text
    config.cache = config.cache if options.cache is None else options.cache
    return config


def _words(path: str, options: EvaluationOptions) -> WordList:
    words = read_vocabulary(path)
    if options.threshold is None:
        return words
    if not -1.0 <= options.threshold <= 1.0:
        raise ConfigError(f"--threshold: expected a cosine similarity from -1 to 1, got {options.threshold}.")
    return replace(words, threshold=options.threshold)


def _open_teacher(config: TrainConfig, words: WordList, encoder: TextEncoder, source: DataSet) -> Teacher:
    try:
        expect_images(config.teacher, config.evaluation)
        teacher = make_teacher(config.teacher, words, encoder, source[0], own_device(config.device))
        if config.teacher.kind == "labels" and source.without_images(0).point_labels is None:
            raise DataError(f"teacher.kind=labels: sample {source.key(0)} has no point labels.")
    except Ov3dError as error:
        raise type(error)(f"{error} Or measure the student alone: --no-teacher.") from error
    return teacher


def _provenance(step: int, config: TrainConfig, options: EvaluationOptions, student: Student) -> dict[str, Any]:
    return {
        "checkpoint": str(options.checkpoint),
        "step": step,
        "data": _describe(config.evaluation),
        "vocabulary": config.vocabulary,
        "text": config.text,
        "teacher_kind": config.teacher.kind if options.teacher else "",
        "threshold": student.queries.threshold,
        "background": list(student.queries.background),
        "repeats": options.repeats,
        "seed": options.seed,
    }


def _describe(config: SourceConfig) -> str:
    if not config.path:
        return f"{config.kind} {config.seeds} x {config.frames}"
    splits = {
        "nuscenes": f" {config.version} {config.split}",
        "kitti": f" {config.split}",
        "scannet": f" {config.split}",
        "openscene": f" {config.split} {config.label_set}".rstrip(),
    }
    return f"{config.kind} {config.path}{splits.get(config.kind, '')}"


def save_findings(path: Path, findings: Findings) -> Path:
    """Write the report as JSON, then the page beside it, each atomically; return the page's path."""
    write_whole(path, json.dumps(findings.report, indent=1))
    html = path.with_suffix(".html")
    write_whole(html, page(findings))
    return html
