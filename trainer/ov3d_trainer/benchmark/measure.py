"""Puts the questions to a bundle, sample by sample, and adds up the answers."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ov3d_perception.text.encoder import TextEncoder

from ..data.sample import UNKNOWN, Sample, SampleSource
from ..scores import Confusion, add_confusions, count_confusion
from .questions import ClassQuestion, RankQuestion
from .ranking import RankingScore
from .sources import ENSEMBLE, STUDENT, BundleSources, Similarities, encode_phrase

SEEN, HIDDEN, ALL = "seen by a camera", "seen by none", "all"
REGIONS = (SEEN, HIDDEN, ALL)


@dataclass(slots=True, kw_only=True)
class Answers:
    """Confusion per (question, source, region), and ranking per (question's title, source)."""

    classes: dict[tuple[str, str, str], Confusion] = field(default_factory=dict)
    text_alone: dict[str, Confusion] = field(default_factory=dict)
    ranks: dict[tuple[str, str], RankingScore] = field(default_factory=dict)
    samples: int = 0
    points: int = 0


def phrases_of(classes: Sequence[ClassQuestion], ranks: Sequence[RankQuestion]) -> list[str]:
    """Return every phrase that is asked, once."""
    texts = [text for question in classes for group in question.phrases.values() for text in group]
    return list(dict.fromkeys([*texts, *(question.phrase for question in ranks)]))


def measure(
    bundle: BundleSources, source: SampleSource, classes: Sequence[ClassQuestion], ranks: Sequence[RankQuestion]
) -> Answers:
    """Ask about every sample of a source."""
    answers = Answers()
    upper = {question.name: text_choice(question, bundle.encoder) for question in classes}
    for index in tqdm(range(len(source)), desc="benchmark", disable=not sys.stderr.isatty()):
        sample = source[index]
        similarities = bundle.ask(sample)
        answers.samples += 1
        answers.points += len(sample.frame.points)
        for question in classes:
            _count_classes(answers, question, sample, similarities, bundle, upper[question.name])
        for rank in ranks:
            _count_ranks(answers, rank, sample, similarities, bundle)
    return answers


def text_choice(question: ClassQuestion, encoder: TextEncoder) -> dict[str, int]:
    """Return, per kind, the class that the text side itself picks for the kind's name."""
    texts = [text for name in question.classes for text in question.phrases[name]]
    owners = np.array([row for row, name in enumerate(question.classes) for _ in question.phrases[name]])
    kinds = list(question.class_of_kind)
    asked = np.stack([encode_phrase(text, encoder) for text in texts])
    nearest = (np.asarray(encoder.encode(kinds)) @ asked.T).argmax(axis=1)
    return {kind: int(owners[row]) for kind, row in zip(kinds, nearest, strict=True)}


def _count_classes(
    answers: Answers,
    question: ClassQuestion,
    sample: Sample,
    similarities: Similarities,
    bundle: BundleSources,
    upper: dict[str, int],
) -> None:
    truth = question.truth(sample)
    known = truth != UNKNOWN
    columns, owners = question.columns(bundle.rows)
    places = {SEEN: known & similarities.seen, HIDDEN: known & ~similarities.seen, ALL: known}
    for source, table in similarities.of.items():
        predicted = owners[table[:, columns].argmax(axis=1)]
        for region, rows in places.items():
            if source == STUDENT or region == SEEN:
                _add(answers.classes, (question.name, source, region), question, truth[rows], predicted[rows])
        if source == ENSEMBLE:  # the ensemble on all points: the student's answer where no camera sees
            _add(answers.classes, (question.name, source, ALL), question, truth[known], predicted[known])
    by_kind = np.array([*(upper.get(kind, len(owners)) for kind in sample.point_label_names), 0])
    chosen = by_kind[sample.point_labels][known]  # type: ignore[index]
    found = count_confusion(question.classes, truth[known], np.minimum(chosen, len(question.classes)))
    before = answers.text_alone.get(question.name)
    answers.text_alone[question.name] = found if before is None else add_confusions([before, found])


def _count_ranks(
    answers: Answers, rank: RankQuestion, sample: Sample, similarities: Similarities, bundle: BundleSources
) -> None:
    wanted, part = rank.sides(sample)
    column = bundle.rows[rank.phrase]
    for source, table in similarities.of.items():
        for region, rows in ((SEEN, part & similarities.seen), (ALL, part)):
            if region == ALL and source != STUDENT:
                continue
            score = answers.ranks.setdefault((rank.title, f"{source}, {region}"), RankingScore())
            score.add(table[rows, column], wanted[rows])


def _add(
    table: dict[tuple[str, str, str], Confusion],
    key: tuple[str, str, str],
    question: ClassQuestion,
    truth: NDArray[np.int64],
    predicted: NDArray[Any],
) -> None:
    found = count_confusion(question.classes, truth, predicted)
    table[key] = add_confusions([table[key], found]) if key in table else found
