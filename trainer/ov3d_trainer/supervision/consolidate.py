"""Consolidation over time: what neighbours in a recording saw of the same place is averaged with what a sample saw.

A robot sees a thing from several places, and with one camera only part of what its lidar sees at a time. Everything is
taken to stand still: samples are brought together in voxels of the world, small enough that what moves seldom meets
something else in one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.errors import DataError
from ov3d_perception.geometry import invert_transform, transform_points
from ov3d_perception.voxels import voxelize

from ..data.sample import UNKNOWN, Place
from ..teacher.base import FeatureSupervision, Supervision


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One sample of a recording: `points` (N, 3) in its own lidar frame, its place, and what the teacher says.

    `factor`: how much that counts, beside the sample that asks.
    """

    name: str
    points: NDArray[np.float32]
    place: Place | None
    supervision: Supervision | FeatureSupervision
    factor: float = 1.0


def consolidate(
    own: Seen, others: Sequence[Seen], voxel_size_m: float, *, share: bool = True
) -> Supervision | FeatureSupervision:
    """Return the supervision of `own`, averaged at each of its points with what `others` say about the point's voxel.

    Points that `own` does not supervise but another does get supervision too, with that one's factor as weight. Points
    that shared a vector share one again, unless `share` is off: then each has its own. Raises `DataError` where nobody
    knows where a sample was.
    """
    voxel_of_own, voxel_of_others = _common_voxels(own, others, voxel_size_m)
    if isinstance(own.supervision, Supervision):
        return _consolidate_names(own.supervision, voxel_of_own, others, voxel_of_others)
    return _consolidate_features(own.supervision, voxel_of_own, others, voxel_of_others, share)


def _common_voxels(
    own: Seen, others: Sequence[Seen], voxel_size_m: float
) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Return the voxel of every own point, and of every point of the others; -1 where none of `own` is in it."""
    clouds = [own.points, *(transform_points(_own_from_other(own, other), other.points) for other in others)]
    voxels = voxelize(np.concatenate(clouds), voxel_size_m).voxel_of_point
    voxel_of_own, *rest = np.split(voxels, np.cumsum([len(cloud) for cloud in clouds])[:-1])
    wanted, numbered = np.unique(voxel_of_own[voxel_of_own >= 0], return_inverse=True)
    number_of = np.full(int(voxels.max(initial=-1)) + 2, -1, np.int64)  # the last entry is for -1
    number_of[wanted] = np.arange(len(wanted))
    result = np.full(len(voxel_of_own), -1, np.int64)
    result[voxel_of_own >= 0] = numbered
    return result, [number_of[part] for part in rest]


def _own_from_other(own: Seen, other: Seen) -> NDArray[np.float64]:
    for seen in (own, other):
        if seen.place is None:
            raise DataError(
                f"{seen.name}: nobody knows where the lidar stood, which teacher.neighbours needs. Give poses "
                "(poses.txt, /tf to data.fixed_frame; caches made anew), or set teacher.neighbours=0."
            )
    assert own.place is not None
    assert other.place is not None
    return invert_transform(own.place.world_from_lidar) @ other.place.world_from_lidar


def _consolidate_names(
    own: Supervision,
    voxel_of_own: NDArray[np.int64],
    others: Sequence[Seen],
    voxel_of_others: Sequence[NDArray[np.int64]],
) -> Supervision:
    """Let the names vote with their weights; the winner's share is its weight."""
    votes = np.zeros((int(voxel_of_own.max(initial=-1)) + 2, own.count), np.float32)  # the last row is for -1
    for other, voxel in zip(others, voxel_of_others, strict=True):
        assert isinstance(other.supervision, Supervision)
        rows = other.supervision.supervised
        rows = rows[voxel[rows] >= 0]
        # one vote per voxel and name: its mean weight there
        cell = voxel[rows] * own.count + other.supervision.target[rows]
        cells, _, mean = _mean_of_groups(cell, other.supervision.weight[rows, None], np.ones(len(rows), np.float32))
        votes.reshape(-1)[cells] += np.float32(other.factor) * mean[:, 0]
    total = votes[voxel_of_own]
    rows = own.supervised
    total[rows, own.target[rows]] += own.weight[rows]
    best = total.max(axis=1, initial=0.0)
    target = np.where(best > 0, total.argmax(axis=1), UNKNOWN)
    weight = best / np.maximum(total.sum(axis=1), 1.0)
    return Supervision(target=target.astype(np.int64), weight=weight.astype(np.float32), count=own.count)


def _consolidate_features(
    own: FeatureSupervision,
    voxel_of_own: NDArray[np.int64],
    others: Sequence[Seen],
    voxel_of_others: Sequence[NDArray[np.int64]],
    share: bool,
) -> FeatureSupervision:
    width, voxels = own.vectors.shape[1], int(voxel_of_own.max(initial=-1)) + 1
    total, weight = np.zeros((voxels + 1, width), np.float32), np.zeros(voxels + 1, np.float32)  # the last is for -1
    strongest, group_of_voxel = np.zeros(voxels + 1, np.float32), np.zeros(voxels + 1, np.int64)
    groups = len(own.vectors)
    for other, voxel in zip(others, voxel_of_others, strict=True):
        said = other.supervision
        assert isinstance(said, FeatureSupervision)
        chosen = np.flatnonzero(voxel[said.rows] >= 0)
        cell = voxel[said.rows[chosen]]
        vector = said.vector_of_row[chosen]
        cells, first, mean = _mean_of_groups(cell, said.vectors[vector].astype(np.float32), said.weight[chosen])
        counts = np.minimum(np.bincount(cell, said.weight[chosen], voxels + 1)[cells], 1.0) * other.factor
        total[cells] += counts[:, None] * mean
        weight[cells] += counts
        nearer = counts > strongest[cells]
        group_of_voxel[cells[nearer]] = groups + vector[first[nearer]]
        strongest[cells] = np.maximum(strongest[cells], counts)
        groups += len(said.vectors)
    group = group_of_voxel[voxel_of_own]
    feature, at_point = total[voxel_of_own], weight[voxel_of_own].copy()
    feature[own.rows] += own.code * own.weight[:, None]
    at_point[own.rows] += own.weight
    group[own.rows] = own.vector_of_row
    rows = np.flatnonzero(at_point)
    code = feature[rows] / at_point[rows, None]
    chosen = group[rows] if share else rows
    return FeatureSupervision.of_groups(own.points, rows, code, chosen, np.minimum(at_point[rows], 1.0))


def _mean_of_groups(
    group: NDArray[np.int64], values: NDArray[np.float32], weight: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Return the groups (G,), a member of each (G,), and the weighted mean (G, C) of their values (S, C)."""
    order = np.argsort(group, kind="stable")
    groups, starts = np.unique(group[order], return_index=True)
    if not len(groups):
        return groups, groups, np.zeros((0, values.shape[1]), np.float32)
    sums = np.add.reduceat(values[order] * weight[order, None], starts, axis=0)
    shares = np.add.reduceat(weight[order], starts)
    return groups, order[starts], (sums / np.maximum(shares, 1e-6)[:, None]).astype(np.float32)
