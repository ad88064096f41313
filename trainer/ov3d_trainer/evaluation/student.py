"""What a student says about points: labels decided exactly as on the robot, or the best label in any case.

`Student.cosines` runs the network, over several voxelisations if asked to; the rest is read from its cosines, by the
same `label_voxels` as on the robot.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ov3d_perception.engine import label_voxels, scatter_to_points
from ov3d_perception.errors import ConfigError
from ov3d_perception.inputs import InputSpec, build_inputs
from ov3d_perception.queries import LabelSpec, QuerySet, make_queries
from ov3d_perception.text.encoder import TextEncoder
from ov3d_perception.types import Frame

from ..data.sample import Sample
from ..network.backends import index_tensors
from ..network.model import SparseUNet
from ..teacher import Teacher
from ..words.vocabulary import WordList, queryable

NOWHERE = -1
"""The class of a point that has no cosines: too far away, or not a number."""
_MOST_REPEATS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """`label` (N,) of every point: 0..Q-1, or Q where unlabelled; `score` (N,): the label's cosine."""

    label: NDArray[np.int64]
    score: NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosines:
    """`rows` (R, P) float32 to every phrase; `row_of_point` (N,) int64 says which row a point has, -1 for none."""

    rows: NDArray[np.float32]
    row_of_point: NDArray[np.int64]

    def answer(self, queries: QuerySet) -> Answer:
        """Label every point as the robot does, with background words and threshold."""
        return numbered_from_zero(queries, *scatter_to_points(*label_voxels(self.rows, queries), self.row_of_point))

    def best(self, queries: QuerySet) -> NDArray[np.int64]:
        """Return the most similar label (N,) of every point, whatever background and threshold say; or `NOWHERE`."""
        asked = len(queries.phrases) - len(queries.background)  # background phrases come last
        best = queries.label_of_phrase[self.rows[:, :asked].argmax(axis=1)]
        return np.append(best, NOWHERE)[self.row_of_point]


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeats:
    """Average over `count` voxelisations: the cloud as it is, then moved ones.

    A moved cloud is shifted by a random part of a voxel along each axis, and turned by any angle about z if `rotate`.
    """

    count: int = 1
    rotate: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.count <= _MOST_REPEATS:
            raise ConfigError(f"--repeats: expected 1 to {_MOST_REPEATS}, got {self.count}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Student:
    """A trained network with the vocabulary it is asked."""

    inputs: InputSpec
    model: SparseUNet
    queries: QuerySet
    device: torch.device

    def cosines(self, sample: Sample, repeats: Repeats, generator: np.random.Generator) -> Cosines:
        """Compare every point with every phrase.

        With repeats a point's cosines are the mean over those in which it has a voxel, as OpenScene accumulates its
        logits (Peng et al. 2023); that is the cosine to the mean feature, up to the length of that.
        """
        rows, row_of_point = self._compare(sample.frame)
        if repeats.count == 1:
            return Cosines(rows=rows, row_of_point=row_of_point)
        total = np.zeros((len(row_of_point), rows.shape[1]), np.float32)
        times = np.zeros(len(row_of_point), np.int64)
        for repeat in range(repeats.count):
            if repeat:
                frame = moved(sample.frame, self.inputs.voxel_size_m, generator, rotate=repeats.rotate)
                rows, row_of_point = self._compare(frame)
            inside = np.flatnonzero(row_of_point >= 0)
            total[inside] += rows[row_of_point[inside]]
            times[inside] += 1
        total /= np.maximum(times, 1)[:, None]
        return Cosines(rows=total, row_of_point=np.where(times > 0, np.arange(len(times)), -1))

    def _compare(self, frame: Frame) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        inputs = build_inputs(frame, self.inputs)
        features = torch.from_numpy(inputs.features).to(self.device)
        with torch.inference_mode():
            embedding = self.model(features, index_tensors(inputs.index, self.device)).cpu().numpy()  # (V, D)
        return embedding @ self.queries.text.T, inputs.voxels.voxel_of_point


def moved(frame: Frame, voxel_size_m: float, generator: np.random.Generator, *, rotate: bool) -> Frame:
    """Return the frame with its points turned about z and shifted by less than a voxel along each axis."""
    angle_rad = generator.uniform(0.0, 2.0 * math.pi) if rotate else 0.0
    shift_m = generator.uniform(0.0, voxel_size_m, size=3)
    cosine, sine = math.cos(angle_rad), math.sin(angle_rad)
    turned = frame.points @ np.array([[cosine, sine, 0], [-sine, cosine, 0], [0, 0, 1]])
    return replace(frame, points=(turned + shift_m).astype(np.float32))


def ask_for(words: WordList, teacher: Teacher | None, encoder: TextEncoder) -> QuerySet:
    """Make the queries of an evaluation: the vocabulary's labels, then whatever else the teacher supervises.

    Names without a text row are left out, and so are synonyms that the text side lacks. Without a teacher, or with one
    that names no points, the vocabulary is all. Raises `ConfigError` where no label is left.
    """
    given, words = words, queryable(words, encoder)
    if not words.labels:
        raise ConfigError(
            f"vocabulary: none of its labels ({', '.join(given.names)}) has a text row in {encoder.space}. "
            "Choose other words, or give the text side that knows them."
        )
    labels = list(words.labels)
    if teacher is not None and teacher.targets.decoder is None:  # else its names are no vocabulary
        specs = {spec.name: spec for spec in words.labels}
        labels = [specs.get(name, LabelSpec(name=name)) for name in teacher.targets.names]
    return make_queries(
        labels, encoder, templates=words.templates, background=words.background, threshold=words.threshold
    )


def numbered_from_zero(queries: QuerySet, label: NDArray[np.uint16], score: NDArray[np.float32]) -> Answer:
    """Number labels from 0, and unlabelled as the one after the last."""
    return Answer(label=np.where(label == 0, len(queries.labels), label.astype(np.int64) - 1), score=score)
