"""Two sweeps laid over each other: their points and what the teacher says stay together."""

import numpy as np
import pytest

from ov3d_perception.inputs import InputSpec
from ov3d_perception.types import Frame
from ov3d_trainer.data.sample import UNKNOWN
from ov3d_trainer.supervision.prepared import Prepared
from ov3d_trainer.teacher import FeatureSupervision, Supervision
from ov3d_trainer.training.augmentation import AugmentationConfig
from ov3d_trainer.training.batching import make_batch
from ov3d_trainer.training.mixing import join_supervision, lay_over, mix_pairs

SPEC = InputSpec(voxel_size_m=1.0, features=("one",), levels=2)


def prepared(x, targets, colors=True):
    """A point at each x, with a target each of three."""
    points = np.array([[value, 0.5, 0.5] for value in x], np.float32)
    frame = Frame(
        points=points,
        intensity=np.arange(len(points), dtype=np.float32),
        colors=np.full((len(points), 3), 7, np.uint8) if colors else None,
        stamp_ns=0,
        frame_id="lidar",
    )
    target = np.array(targets, np.int64)
    weight = (target != UNKNOWN).astype(np.float32)
    return Prepared(frame=frame, supervision=Supervision(target=target, weight=weight, count=3))


FIRST, SECOND = prepared([0.5, 1.5], [0, UNKNOWN]), prepared([1.5, 2.5, 2.6], [1, 2, 2])


def test_points_keep_their_own_targets():
    mixed = lay_over(FIRST, SECOND)
    assert mixed.frame.points[:, 0].tolist() == pytest.approx([0.5, 1.5, 1.5, 2.5, 2.6])
    assert mixed.supervision.target.tolist() == [0, UNKNOWN, 1, 2, 2]
    assert mixed.frame.intensity.tolist() == [0, 1, 0, 1, 2]
    assert mixed.frame.colors.shape == (5, 3)
    assert lay_over(FIRST, prepared([0.5], [1], colors=False)).frame.colors is None


def test_voxels_that_both_fill_have_both_targets():
    config, generators = AugmentationConfig(mix=1.0), [np.random.default_rng(seed) for seed in (0, 1)]
    batch = make_batch([FIRST, SECOND], SPEC, config, generators)
    # voxel 0: target 0; voxel 1: a point without and one with target 1; voxel 2: twice target 2
    assert batch.targets.tolist() == [[1, 0, 0], [0, 0.5, 0], [0, 0, 1]]


def test_features_keep_their_rows():
    def supervision(points, rows, vectors, of_row):
        return FeatureSupervision(
            points=points,
            rows=np.array(rows, np.int64),
            vectors=np.array(vectors, np.float16),
            vector_of_row=np.array(of_row, np.int32),
            weight=np.full(len(rows), 0.5, np.float32),
        )

    joined = join_supervision(
        supervision(4, [1, 3], [[1, 0]], [0, 0]), supervision(2, [0, 1], [[2, 0], [3, 0]], [1, 0])
    )
    assert (joined.points, joined.rows.tolist()) == (6, [1, 3, 4, 5])
    assert joined.code[:, 0].tolist() == [1, 1, 3, 2]
    with pytest.raises(TypeError):
        join_supervision(FIRST.supervision, joined)


def test_pairs_are_mixed_by_chance_and_the_odd_one_stays_alone():
    samples = [FIRST, SECOND, FIRST, SECOND, FIRST]

    def counts(chance):
        generators = [np.random.default_rng(seed) for seed in range(5)]
        return [len(one.frame.points) for one in mix_pairs(samples, chance, generators)]

    assert counts(1.0) == [5, 5, 2]
    assert counts(0.0) == [2, 3, 2, 3, 2]
    draws = [np.random.default_rng(seed).random() for seed in (0, 2)]  # the first of each pair decides: 0.64, 0.26
    assert counts(0.5) == [2, 3, 5, 2]
    assert draws[1] < 0.5 < draws[0]
