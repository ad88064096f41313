"""What a teacher is: something that says, for some points of a sample, which text vector they should have."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ov3d_perception.errors import ConfigError, QueryError
from ov3d_perception.types import Voxels
from ov3d_perception.voxels import mean_per_voxel

from ..data.sample import UNKNOWN, Sample
from ..supervision.lift import voxel_targets
from ..words.vocabulary import WordList

if TYPE_CHECKING:
    from ov3d_perception.text.encoder import TextEncoder

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """The text rows a student can be pulled towards.

    `names` K words, `text` (K, D) float32, unit length. `not_queryable` maps teacher names that supervise nothing to
    the reason. `decoder` (C, D) float32 turns the codes of a teacher with features of its own into these; None for a
    teacher that names points.
    """

    names: tuple[str, ...]
    text: NDArray[np.float32]
    not_queryable: Mapping[str, str]
    decoder: NDArray[np.float32] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervision:
    """What a teacher that names points says about one sample.

    `target` (N,) int64, row of `Targets.text` per point, `UNKNOWN` where it says nothing; `weight` (N,) float32 in
    0..1, 0 where it says nothing. `count` is the number of rows.
    """

    target: NDArray[np.int64]
    weight: NDArray[np.float32]
    count: int

    @property
    def supervised(self) -> NDArray[np.int64]:
        """Rows of the points that have a target."""
        return np.flatnonzero(self.target != UNKNOWN)

    def pool(self, voxels: Voxels) -> NDArray[np.float32]:
        """Return (V, K), see `lift.voxel_targets`."""
        return voxel_targets(self.target, self.weight, self.count, voxels)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSupervision:
    """What a teacher with features of its own says about one sample: `code @ decoder` for the points `rows`.

    `points` N of the sample, `rows` (S,) int64 of those that have a feature, in ascending order, `vectors` (M, C)
    float16, of which each row has one, `vector_of_row` (S,) int32, `weight` (S,) float32 in 0..1. Points of one
    superpixel share a vector.
    """

    points: int
    rows: NDArray[np.int64]
    vectors: NDArray[np.float16]
    vector_of_row: NDArray[np.int32]
    weight: NDArray[np.float32]

    @classmethod
    def of_points(cls, points: int, rows: NDArray[np.int64], code: NDArray[np.floating[Any]]) -> FeatureSupervision:
        """Return what gives each of `rows` a vector of its own, `code` (S, C), and weight 1."""
        return cls(
            points=points,
            rows=rows,
            vectors=code.astype(np.float16),
            vector_of_row=np.arange(len(rows), dtype=np.int32),
            weight=np.ones(len(rows), np.float32),
        )

    @classmethod
    def of_groups(
        cls,
        points: int,
        rows: NDArray[np.int64],
        code: NDArray[np.floating[Any]],
        group: NDArray[np.int64],
        weight: NDArray[np.float32] | None = None,
    ) -> FeatureSupervision:
        """Return what gives the rows of one `group` (S,), any numbers, the mean of their `code` (S, C).

        `weight` (S,), by default 1, is each row's own, and its share of the mean.
        """
        weight = np.ones(len(rows), np.float32) if weight is None else weight
        groups, group_of_row = np.unique(group, return_inverse=True)
        order = np.argsort(group_of_row, kind="stable")
        starts = np.searchsorted(group_of_row[order], np.arange(len(groups)))
        vectors = code[order] * weight[order, None]
        if len(groups):
            shares = np.add.reduceat(weight[order], starts)
            vectors = np.add.reduceat(vectors, starts, axis=0) / shares[:, None]
        return cls(
            points=points,
            rows=rows,
            vectors=vectors.astype(np.float16),
            vector_of_row=group_of_row.astype(np.int32),
            weight=weight,
        )

    @property
    def supervised(self) -> NDArray[np.int64]:
        """Rows of the points that have a feature."""
        return self.rows

    @property
    def code(self) -> NDArray[np.float32]:
        """The vector (S, C) of each row."""
        return self.vectors[self.vector_of_row].astype(np.float32)

    def pool(self, voxels: Voxels) -> NDArray[np.float32]:
        """Return (V, C + 1): means over each voxel's points of weight x code, and of the weight."""
        voxel = voxels.voxel_of_point[self.rows]
        inside = voxel >= 0
        weight = np.zeros(len(voxels.voxel_of_point), np.float32)
        weight[self.rows] = self.weight
        points = np.bincount(voxels.voxel_of_point[voxels.voxel_of_point >= 0], minlength=len(voxels.coords))
        # how much of each vector a voxel gets: (V, M), nearly all zero; points that share vectors are added up once
        share = csr_matrix(
            (self.weight[inside] / points[voxel[inside]], (voxel[inside], self.vector_of_row[inside])),
            shape=(len(voxels.coords), len(self.vectors)),
            dtype=np.float32,
        )
        pooled = share @ self.vectors.astype(np.float32)
        return np.concatenate([pooled, mean_per_voxel(weight, voxels)[:, None]], axis=1)


class Teacher(Protocol):
    """One source of supervision."""

    @property
    def targets(self) -> Targets:
        """The text rows that it supervises with."""

    def supervise(self, sample: Sample) -> Supervision | FeatureSupervision:
        """Say which points of the sample should resemble which text row, or which feature."""


def choose_targets(words: WordList, teacher_names: Sequence[str], encoder: TextEncoder) -> Targets:
    """Find the text rows for a teacher's names: the vocabulary's label where it knows the name, else the name itself.

    The vocabulary's labels come first, in order. A name without a text row (the bank lacks it), or that the vocabulary
    ignores, lands in `not_queryable`; `ConfigError` when nothing is left.
    """
    wanted = list(words.names)
    not_queryable: dict[str, str] = {}
    for name in teacher_names:
        if words.ignores(name):
            not_queryable[name] = "ignored by the vocabulary"
        elif (label := words.label_of(name) or name) not in wanted:
            wanted.append(label)
    return _targets_of(wanted, words, encoder, not_queryable)


def feature_targets(words: WordList, encoder: TextEncoder) -> Targets:
    """Return every phrase of the vocabulary, synonyms and background words too, as targets of a teacher of features.

    Its codes are features: the decoder is the identity. Raises `ConfigError` where no phrase has a text row.
    """
    phrases = [phrase for label in words.labels for phrase in (label.name, *label.synonyms)]
    targets = _targets_of(list(dict.fromkeys([*phrases, *words.background])), words, encoder, {})
    return replace(targets, decoder=np.eye(encoder.dim, dtype=np.float32))


def _targets_of(
    wanted: Sequence[str], words: WordList, encoder: TextEncoder, not_queryable: Mapping[str, str]
) -> Targets:
    names, rows, missing = [], [], dict(not_queryable)
    for word in wanted:
        try:
            rows.append(encode_word(word, words.templates, encoder))
            names.append(word)
        except QueryError:
            missing[word] = f"no text row in {encoder.space}"
    if not names:
        raise ConfigError(
            f"teacher: none of its names ({', '.join(wanted)}) has a text row in {encoder.space}. "
            "Check `vocabulary` and `text`."
        )
    if missing:
        listed = "; ".join(f"{name} ({reason})" for name, reason in missing.items())
        _log.warning("not queryable, points with these names supervise nothing: %s", listed)
    return Targets(names=tuple(names), text=np.stack(rows), not_queryable=missing)


def encode_word(word: str, templates: Sequence[str], encoder: TextEncoder) -> NDArray[np.float32]:
    """Return the unit vector (D,) of one word, averaged over the templates as queries are; `QueryError` if unknown."""
    if not getattr(encoder, "supports_templates", True):
        templates = ("{}",)
    vector = np.asarray(encoder.encode([template.format(word) for template in templates])).mean(axis=0)
    return (vector / np.linalg.norm(vector)).astype(np.float32)


def target_of_name(words: WordList, names: Sequence[str], targets: Targets) -> NDArray[np.int64]:
    """Return (len(names) + 1,) int64: target row per teacher name; the last entry, which `UNKNOWN` finds, is `UNKNOWN`.

    Names that supervise nothing give `UNKNOWN`.
    """
    row_of = {name: row for row, name in enumerate(targets.names)}
    rows = [UNKNOWN if words.ignores(name) else row_of.get(words.label_of(name) or name, UNKNOWN) for name in names]
    return np.array([*rows, UNKNOWN], dtype=np.int64)
