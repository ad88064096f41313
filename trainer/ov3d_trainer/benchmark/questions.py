"""What is asked: classes with their phrases, synonyms that no caption holds, kinds never seen, and free phrases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data.sample import UNKNOWN, Sample, SceneObject
from ..data.simulate.kinds import KIND_OF
from ..data.simulate.words import words_of
from ..words.vocabulary import WordList
from .sources import PROMPTED


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassQuestion:
    """One closed set of classes, each asked for with one or more phrases; the best phrase of all decides.

    `class_of_kind` maps kinds to class names; kinds without an entry are left out of the figures.
    """

    name: str
    phrases: Mapping[str, tuple[str, ...]]
    class_of_kind: Mapping[str, str]

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in order."""
        return tuple(self.phrases)

    def truth(self, sample: Sample) -> NDArray[np.int64]:
        """Return the class (N,) of every point, `UNKNOWN` where it has none or is left out."""
        rows = {name: row for row, name in enumerate(self.classes)}
        table = [rows.get(self.class_of_kind.get(kind, ""), UNKNOWN) for kind in sample.point_label_names]
        assert sample.point_labels is not None  # simulated and annotated samples have them
        return np.array([*table, UNKNOWN], np.int64)[sample.point_labels]

    def columns(self, row_of: Mapping[str, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the columns of the phrases in a table of similarities, and the class of each column."""
        pairs = [(row_of[text], row) for row, name in enumerate(self.classes) for text in self.phrases[name]]
        return np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])


@dataclass(frozen=True, slots=True, kw_only=True)
class RankQuestion:
    """One phrase by which points are ranked: those of `wanted` objects above all others, or above those of `among`."""

    phrase: str
    title: str
    wanted: Callable[[SceneObject], bool]
    among: Callable[[SceneObject], bool] | None = None

    def sides(self, sample: Sample) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which points (N,) are wanted and which take part at all."""
        things = [SceneObject(kind=kind) for kind in sample.point_label_names]
        by_kind = np.array([*map(self.wanted, things), False])
        assert sample.point_labels is not None
        wanted = by_kind[sample.point_labels]
        part = sample.point_labels != UNKNOWN
        if sample.point_instances is not None and sample.objects:
            own = _own_kind(sample)
            by_object = np.array([*map(self.wanted, sample.objects), False])
            wanted = np.where(own, by_object[sample.point_instances], wanted)
            if self.among is not None:
                part &= own & np.array([*map(self.among, sample.objects), False])[sample.point_instances]
        return wanted & part, part


def _own_kind(sample: Sample) -> NDArray[np.bool_]:
    """Return which points (N,) carry the kind of the object that they belong to (a rider's points do not)."""
    rows = {name: row for row, name in enumerate(sample.point_label_names)}
    kind = np.array([*(rows.get(thing.kind, UNKNOWN) for thing in sample.objects), UNKNOWN])
    return (sample.point_instances != UNKNOWN) & (kind[sample.point_instances] == sample.point_labels)


def plain_question(words: WordList, class_of_kind: Mapping[str, str], name: str) -> ClassQuestion:
    """Ask for each class by its name alone."""
    return ClassQuestion(name=name, phrases={one: (one,) for one in words.names}, class_of_kind=class_of_kind)


def prompted_question(words: WordList, class_of_kind: Mapping[str, str], name: str) -> ClassQuestion:
    """Ask for each class by its name and synonyms, each in a prompt ensemble."""
    phrases = {label.name: tuple(PROMPTED + text for text in (label.name, *label.synonyms)) for label in words.labels}
    return ClassQuestion(name=name, phrases=phrases, class_of_kind=class_of_kind)


def vocabulary_question(words: WordList, class_of_kind: Mapping[str, str], name: str) -> ClassQuestion:
    """Ask for each class by its name and the synonyms of the vocabulary file."""
    phrases = {label.name: (label.name, *label.synonyms) for label in words.labels}
    return ClassQuestion(name=name, phrases=phrases, class_of_kind=class_of_kind)


def synonym_question(words: WordList, class_of_kind: Mapping[str, str], name: str) -> ClassQuestion:
    """Ask for each class by the held-out words of its kinds only; classes without any are left out."""
    phrases: dict[str, tuple[str, ...]] = {}
    for label in words.names:
        kinds = [kind for kind, its_class in class_of_kind.items() if its_class == label and not KIND_OF[kind].unseen]
        held_out = tuple(dict.fromkeys(word for kind in kinds for word in words_of(kind).held_out))
        if held_out:
            phrases[label] = held_out
    return ClassQuestion(name=name, phrases=phrases, class_of_kind=class_of_kind)


def unseen_questions(kinds: Sequence[str]) -> list[RankQuestion]:
    """Rank points by the name of every kind that training never saw."""
    return [RankQuestion(phrase=kind, title=kind, wanted=_is_kind((kind,))) for kind in kinds if KIND_OF[kind].unseen]


def _is_kind(kinds: Sequence[str]) -> Callable[[SceneObject], bool]:
    wanted = frozenset(kinds)
    return lambda thing: thing.kind in wanted


CARS = ("car", "taxi", "van")
SEATS = ("bench", "chair", "armchair", "office chair", "stool", "sofa", "couch", "ottoman")
CARRIERS = ("bus", "bendy bus", "tram")
PLANTS = ("tree", "bush", "hedge", "potted plant", "plant", "grass")


def free_questions() -> list[RankQuestion]:
    """Rank points by attributes and free phrases."""
    questions = [
        RankQuestion(
            phrase=f"a {color} car",
            title=f"a {color} car, among cars" if only_cars else f"a {color} car",
            wanted=lambda thing, color=color: thing.kind == "car" and thing.color == color,  # type: ignore[misc]
            among=_is_kind(("car",)) if only_cars else None,
        )
        for color in ("red", "blue", "white")
        for only_cars in (False, True)
    ]
    for phrase, kinds in (
        ("something to sit on", SEATS),
        ("vehicle that carries many people", CARRIERS),
        ("plant", PLANTS),
    ):
        questions.append(RankQuestion(phrase=phrase, title=phrase, wanted=_is_kind(kinds)))
    return questions
