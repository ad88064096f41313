from dataclasses import replace

import numpy as np
import pytest
import torch

from ov3d_perception.inputs import InputSpec
from ov3d_perception.types import Frame
from ov3d_trainer.config import AugmentationConfig, ScheduleConfig
from ov3d_trainer.network.model import SparseUNet, UNetConfig
from ov3d_trainer.supervision.prepared import Prepared
from ov3d_trainer.teacher import Supervision
from ov3d_trainer.training.augment import augment, random_linear_map
from ov3d_trainer.training.batching import make_batch, rows_of_step, set_apart
from ov3d_trainer.training.schedule import rate_factor

SPEC = InputSpec(voxel_size_m=0.5, levels=3)
NETWORK = UNetConfig(
    architecture="test",
    in_features=3,
    embedding_dim=8,
    stem_channels=4,
    channels=(4, 5, 5, 4),
    layers=(1,) * 4,
    levels=3,
)


def make_prepared(seed, count=300):
    generator = np.random.default_rng(seed)
    points = generator.uniform(-6, 6, (count, 3)).astype(np.float32)
    frame = Frame(points=points, intensity=np.full(count, 9.0, dtype=np.float32), stamp_ns=0, frame_id="lidar")
    target, weight = generator.integers(0, 3, count), np.ones(count, dtype=np.float32)
    return Prepared(frame=frame, supervision=Supervision(target=target, weight=weight, count=3))


def test_joint_batch_gives_what_single_sweeps_give():
    # Same sums in the same order per voxel, but other matrix sizes: 1e-5 covers float32 rounding.
    samples, nothing = [make_prepared(1), make_prepared(2), make_prepared(3, count=0)], AugmentationConfig()
    model = SparseUNet(NETWORK, seed=3).eval()
    generator = np.random.default_rng(0)
    joint = make_batch(samples, SPEC, nothing, [generator] * len(samples))
    single = [make_batch([sample], SPEC, nothing, [generator]) for sample in samples]
    with torch.no_grad():
        together = model(joint.features, joint.index)
        apart = torch.cat([model(batch.features, batch.index) for batch in single])
    torch.testing.assert_close(together, apart, atol=1e-5, rtol=0)
    torch.testing.assert_close(joint.targets, torch.cat([batch.targets for batch in single]))


def test_sweeps_are_set_apart_by_whole_coarsest_voxels():
    # Unit 2^3 = 8. First sweep -3..5 moves by +8 to 5..13; the next starts at (13 // 8 + 3) * 8 = 32: 17 goes to 33.
    first = np.array([[-3, 0, 0], [5, 0, 0]], dtype=np.int32)
    second = np.array([[17, 1, 0]], dtype=np.int32)
    assert set_apart([first, second], 3)[:, 0].tolist() == [5, 13, 33]
    assert set_apart([], 3).shape == (0, 3)


def test_every_epoch_visits_every_sample_once_in_another_order():
    epochs = [[row for step in range(5) for row in rows_of_step(5 * epoch + step, 2, 10, 7)] for epoch in range(2)]
    assert sorted(epochs[0]) == sorted(epochs[1]) == list(range(10))
    assert epochs[0] != epochs[1]


def test_batch_is_the_same_whenever_it_is_made():
    everything = AugmentationConfig(rotate=True, flip=True, scale=0.1, jitter_m=0.01, drop=0.3, intensity=0.2)
    first, second = (
        make_batch([make_prepared(1)], SPEC, everything, [np.random.default_rng([0, 2, 5])]) for _ in range(2)
    )
    assert torch.equal(first.features, second.features)
    assert torch.equal(first.targets, second.targets)


def test_rotation_and_flip_keep_lengths_and_height():
    for seed in range(4):
        matrix = random_linear_map(AugmentationConfig(rotate=True, flip=True), np.random.default_rng(seed))
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(3), atol=1e-12)
        np.testing.assert_allclose(matrix[2], [0, 0, 1], atol=1e-12)


def test_dropped_points_become_nan_and_keep_their_place():
    frame = make_prepared(1, count=2000).frame
    changed = augment(frame, AugmentationConfig(drop=0.5), np.random.default_rng(1))
    gone = np.isnan(changed.points).any(axis=1)
    assert 0 < gone.sum() < 1000 + 100  # at most half, plus chance
    np.testing.assert_array_equal(changed.points[~gone], frame.points[~gone])


def test_no_augmentation_changes_nothing():
    frame = make_prepared(1).frame
    changed = augment(frame, AugmentationConfig(), np.random.default_rng(1))
    np.testing.assert_array_equal(changed.points, frame.points)


@pytest.mark.parametrize("kind", ["one_cycle", "cosine", "constant"])
def test_rate_rises_to_one_and_ends_as_asked(kind):
    config = ScheduleConfig(kind=kind, warm_up=0.2, final=0.1)
    rates = [rate_factor(step, 101, config) for step in range(101)]
    assert max(rates) == pytest.approx(1.0, abs=0.01)
    assert rates[0] < 0.1
    assert rates[-1] == pytest.approx(1.0 if kind == "constant" else 0.1)
    assert np.argmax(rates) == pytest.approx(20, abs=1)


def test_rate_without_warm_up_starts_at_the_peak():
    assert rate_factor(0, 10, replace(ScheduleConfig(), warm_up=0.0)) == pytest.approx(1.0)
