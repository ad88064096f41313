"""Words to vectors: a vocabulary of labels, synonyms and background words becomes one immutable `QuerySet`.

Each label is asked for by one or more phrases (its name and synonyms). A phrase is put into every template, encoded,
averaged over the templates and normalised again (Radford et al. 2021, section 3.1.4). Background words compete with
the labels: a point that resembles one of them more than any label stays unlabelled.
"""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .errors import ModelError, QueryError

if TYPE_CHECKING:
    from .text.encoder import TextEncoder

MAX_LABELS = 1_000
MAX_PHRASES = 5_000
MAX_PHRASE_LENGTH = 200
MAX_TEMPLATES = 100
MAX_TEXTS = 20_000
"""Phrases times templates: 17 minutes of a large text tower at 50 ms a text, which is long enough."""
DEFAULT_THRESHOLD = 0.0
BACKGROUND = -1
"""Value of `QuerySet.label_of_phrase` for background phrases."""

_PLACEHOLDER = "{}"
_SHOWN_LENGTH = 40
_JOINERS = ("\u200c", "\u200d")  # format characters that Indic and Persian words and emoji need
_UNSEEN_CATEGORIES = ("Cc", "Cf", "Cs", "Zl", "Zp")
_MIN_NORM = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSpec:
    """One label as the user wrote it: the name that results carry, and other words for the same thing."""

    name: str
    synonyms: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class QuerySet:
    """A vocabulary ready to be matched; immutable, so that threads swap it by swapping one reference.

    `text` (P, D) float32, unit length, one row per phrase, read-only. `label_of_phrase` (P,) int64, read-only:
    0..Q-1, in ascending order, then `BACKGROUND` for the background phrases. `threshold` is the least cosine
    similarity (-1..1) of a labelled point. `space` names the text space of `text`; `version` the table that labels
    refer to.
    """

    labels: tuple[LabelSpec, ...]
    background: tuple[str, ...]
    phrases: tuple[str, ...]
    text: NDArray[np.float32]
    label_of_phrase: NDArray[np.int64]
    templates: tuple[str, ...]
    threshold: float
    space: str
    version: int

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the labels; label id i + 1 of a prediction is `names[i]`."""
        return tuple(label.name for label in self.labels)


def make_queries(
    labels: Sequence[LabelSpec | str],
    encoder: TextEncoder,
    *,
    templates: Sequence[str] = (_PLACEHOLDER,),
    background: Sequence[str] = (),
    threshold: float = DEFAULT_THRESHOLD,
    version: int = 1,
) -> QuerySet:
    """Check a vocabulary, encode its phrases and return it as a `QuerySet`.

    A template holds `{}` exactly once; templates are passed over when the encoder says `supports_templates = False`.
    Raises `QueryError` for a vocabulary that cannot be used (empty, duplicate, over-long, unprintable or unknown
    words; the message says which) and `ModelError` for an encoder that breaks its contract.
    """
    specs = check_labels(labels, background)
    words = tuple(_clean(word) for word in background)
    checked_templates = check_templates(templates)
    if not (math.isfinite(threshold) and -1.0 <= threshold <= 1.0):
        raise QueryError(f"threshold: expected a cosine similarity from -1 to 1, got {threshold}.")
    phrases = [(phrase, row) for row, spec in enumerate(specs) for phrase in (spec.name, *spec.synonyms)]
    phrases += [(word, BACKGROUND) for word in words]
    text = _encode([phrase for phrase, _ in phrases], checked_templates, encoder)
    label_of_phrase = np.array([row for _, row in phrases], dtype=np.int64)
    for array in (text, label_of_phrase):
        array.flags.writeable = False
    return QuerySet(
        labels=specs,
        background=words,
        phrases=tuple(phrase for phrase, _ in phrases),
        text=text,
        label_of_phrase=label_of_phrase,
        templates=checked_templates,
        threshold=float(threshold),
        space=encoder.space,
        version=int(version),
    )


def parse_labels(text: str) -> tuple[LabelSpec, ...]:
    """Read `"car, person|pedestrian, tree"`: commas between labels, bars between a name and its synonyms.

    Raises `QueryError` for empty, duplicate, over-long or unprintable words and for too many of them.
    """
    if not text.strip():
        raise QueryError('labels: the list is empty. Write for example "car, person|pedestrian, tree".')
    entries = [entry.split("|") for entry in text.split(",")]
    return check_labels([LabelSpec(name=name, synonyms=tuple(synonyms)) for name, *synonyms in entries])


def drop_asked(background: Sequence[str], labels: Sequence[LabelSpec | str]) -> tuple[str, ...]:
    """Return the background words that no label asks for: a model's default background must not forbid a question."""
    specs = [label if isinstance(label, LabelSpec) else LabelSpec(name=label) for label in labels]
    asked = {_key(phrase) for spec in specs for phrase in (spec.name, *spec.synonyms)}
    return tuple(word for word in background if _key(word) not in asked)


def check_labels(labels: Sequence[LabelSpec | str], background: Sequence[str] = ()) -> tuple[LabelSpec, ...]:
    """Return the labels with outer spaces removed; `QueryError` unless every phrase is usable and occurs once."""
    if isinstance(labels, str) or isinstance(background, str):
        raise QueryError("labels and background: expected lists of words, got one string. Use parse_labels for text.")
    if not labels:
        raise QueryError("labels: the list is empty. Ask for at least one word.")
    if len(labels) > MAX_LABELS:
        raise QueryError(f"labels: got {len(labels)}, at most {MAX_LABELS} fit. Ask for fewer words at once.")
    specs = [label if isinstance(label, LabelSpec) else LabelSpec(name=label) for label in labels]
    cleaned = tuple(
        LabelSpec(name=_clean(spec.name), synonyms=tuple(_clean(word) for word in spec.synonyms)) for spec in specs
    )
    owners = [(phrase, f"label {_shown(spec.name)}") for spec in cleaned for phrase in (spec.name, *spec.synonyms)]
    owners += [(_clean(word), "the background words") for word in background]
    if len(owners) > MAX_PHRASES:
        raise QueryError(f"labels: got {len(owners)} words with synonyms and background, at most {MAX_PHRASES} fit.")
    _refuse_duplicates(owners)
    return cleaned


def _clean(phrase: str) -> str:
    """Remove outer white space; `QueryError` for what no encoder or table could hold."""
    if not isinstance(phrase, str):
        raise QueryError(f"labels: expected words, got {phrase!r} of type {type(phrase).__name__}.")
    if len(phrase) > MAX_PHRASE_LENGTH:
        raise QueryError(
            f"labels: {_shown(phrase)} has {len(phrase):,} characters, at most {MAX_PHRASE_LENGTH} fit. Shorten it."
        )
    stripped = phrase.strip()
    if not stripped:
        raise QueryError("labels: one of the words is empty. Remove it, or a surplus comma or bar.")
    _refuse_unseen("labels", stripped)
    return stripped


def _refuse_unseen(what: str, phrase: str) -> None:
    for character in phrase:
        if unicodedata.category(character) in _UNSEEN_CATEGORIES and character not in _JOINERS:
            raise QueryError(
                f"{what}: {_shown(phrase)} holds the control or invisible character U+{ord(character):04X}. Remove it."
            )


def _key(phrase: str) -> str:
    """Two phrases are the same word when their keys are equal: case, width and white space do not count."""
    return " ".join(unicodedata.normalize("NFKC", phrase).casefold().split())


def _refuse_duplicates(owners: Iterable[tuple[str, str]]) -> None:
    """Every phrase may occur once, whatever its case and inner spaces: two rows of one word would tie at random."""
    seen: dict[str, str] = {}
    for phrase, owner in owners:
        key = _key(phrase)
        if key in seen:
            raise QueryError(f"labels: {_shown(phrase)} occurs twice, in {seen[key]} and in {owner}. Remove one.")
        seen[key] = owner


def check_templates(templates: Sequence[str]) -> tuple[str, ...]:
    """Return the templates; `QueryError` unless there are some and each is short and holds `{}` exactly once."""
    if isinstance(templates, str) or not templates:
        raise QueryError('templates: expected a list of at least one, for example ["a photo of a {}"].')
    if len(templates) > MAX_TEMPLATES:
        raise QueryError(f"templates: got {len(templates)}, at most {MAX_TEMPLATES} fit.")
    for template in templates:
        if len(template) > MAX_PHRASE_LENGTH:
            raise QueryError(
                f"templates: {_shown(template)} has {len(template):,} characters, at most "
                f"{MAX_PHRASE_LENGTH} fit. Shorten it."
            )
        if template.count(_PLACEHOLDER) != 1:
            raise QueryError(
                f"templates: {_shown(template)} holds {{}} {template.count(_PLACEHOLDER)} times, expected once. "
                'Write for example "a photo of a {}".'
            )
        _refuse_unseen("templates", template)
    return tuple(templates)


def _encode(phrases: Sequence[str], templates: Sequence[str], encoder: TextEncoder) -> NDArray[np.float32]:
    """Encode every phrase in every template, average over the templates, normalise: (P, D) float32."""
    if not getattr(encoder, "supports_templates", True):
        templates = (_PLACEHOLDER,)
    if len(phrases) * len(templates) > MAX_TEXTS:
        raise QueryError(
            f"labels: {len(phrases):,} words in {len(templates)} templates make more than {MAX_TEXTS:,} texts. "
            "Use fewer words or templates."
        )
    texts = [template.replace(_PLACEHOLDER, phrase) for phrase in phrases for template in templates]
    vectors = np.asarray(encoder.encode(texts), dtype=np.float32)
    if vectors.shape != (len(texts), encoder.dim) or not np.isfinite(vectors).all():
        raise ModelError(
            f"text encoder {encoder.space}: expected finite vectors of shape ({len(texts)}, {encoder.dim}), "
            f"got {vectors.shape}{'' if np.isfinite(vectors).all() else ' with NaN or infinity'}. Export it again."
        )
    means = vectors.reshape(len(phrases), len(templates), encoder.dim).mean(axis=1)  # (P, D)
    norms = np.linalg.norm(means, axis=1, keepdims=True)
    if (norms < _MIN_NORM).any():
        phrase = phrases[int(np.argmin(norms))]
        raise QueryError(f"labels: {_shown(phrase)} has a text vector of zero length. Use another word or template.")
    return (means / norms).astype(np.float32)


def _shown(phrase: str) -> str:
    """Quote a phrase for a message: printable and short."""
    return repr(phrase) if len(phrase) <= _SHOWN_LENGTH else f"{phrase[:_SHOWN_LENGTH]!r}..."
