"""How well the text tower stands in for its teacher: cosine on texts it never saw, and synonyms' nearest kinds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.simulate import words as simulated_words
from ..data.simulate.words import Words, read_words, with_article

Encode = Callable[[Sequence[str]], NDArray[np.float32]]
WORLDS = ("street", "room")


def measure_tower(tower: Encode, teacher: Encode, held_back: Sequence[str]) -> dict[str, Any]:
    """Return mean cosines to the teacher and, per world, the share of held-out synonyms whose kind is nearest."""
    report: dict[str, Any] = {"cosine_held_back": mean_cosine(tower, teacher, held_back)}
    for world in WORLDS:
        kinds = list(read_words(Path(simulated_words.__file__).parent / world / "words.yaml").values())
        questions = [with_article(word) for kind in kinds for word in kind.held_out]
        if not questions:
            continue
        report[world] = {
            "synonyms": len(questions),
            "cosine": mean_cosine(tower, teacher, questions),
            "nearest_by_tower": nearest_share(tower, kinds),
            "nearest_by_teacher": nearest_share(teacher, kinds),
            "nearest_by_tower_all_names": nearest_share(tower, kinds, synonyms=True),
            "nearest_by_teacher_all_names": nearest_share(teacher, kinds, synonyms=True),
        }
    return report


def mean_cosine(tower: Encode, teacher: Encode, texts: Sequence[str]) -> float:
    """Return the mean cosine between what the two say of each text; NaN without texts."""
    return float((tower(texts) * teacher(texts)).sum(axis=1).mean()) if texts else float("nan")


def nearest_share(encode: Encode, kinds: Sequence[Words], *, synonyms: bool = False) -> float:
    """Return the share of held-out synonyms that are nearest to a name of their own kind.

    Each is asked as "a WORD" among "a NAME" of all kinds; with `synonyms` among these too.
    """
    names = [(row, name) for row, kind in enumerate(kinds) for name in (kind.names if synonyms else (kind.name,))]
    questions = [(row, word) for row, kind in enumerate(kinds) for word in kind.held_out]
    similarity = (
        encode([with_article(word) for _, word in questions]) @ encode([with_article(name) for _, name in names]).T
    )
    nearest = np.array([row for row, _ in names])[similarity.argmax(axis=1)]
    return float((nearest == np.array([row for row, _ in questions])).mean())
