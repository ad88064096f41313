"""The bench of training counts what it says: steps, samples, and backends that cannot run here."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from ov3d_export.bench import training
from ov3d_export.bench.training import TrainingRate, TrainingTrial, rate_lines, training_rate, training_rates, trials_on
from ov3d_perception.errors import ConfigError
from ov3d_perception.inputs import InputSpec
from ov3d_perception.types import Frame
from ov3d_trainer.network.model import UNetConfig

SPEC = InputSpec(voxel_size_m=0.5, features=("one", "z"), levels=2)
NETWORK = UNetConfig(
    architecture="tiny", in_features=2, embedding_dim=4, stem_channels=3, channels=(4, 3), layers=(1, 1), levels=2
)


def frame_of(points: int) -> Frame:
    """Points a metre apart: as many voxels."""
    xyz = np.zeros((points, 3), np.float32)
    xyz[:, 0] = np.arange(points) + 0.25
    return Frame(points=xyz, intensity=np.zeros(points, np.float32), cameras=(), stamp_ns=0, frame_id="lidar")


FRAMES = [frame_of(points) for points in (10, 20, 30, 40)]


def test_rate_is_of_the_frames_that_a_median_step_took(monkeypatch):
    # the clock gives 0, 1, 10, 12, 20, 23: the first step takes 1 s, the second 2 s, the third 3 s
    clock = iter([0.0, 1.0, 10.0, 12.0, 20.0, 23.0])
    monkeypatch.setattr(training, "_now", lambda device: next(clock))
    monkeypatch.setattr(training, "WARM_UP_STEPS", 0)
    rate = training_rate(NETWORK, SPEC, FRAMES, TrainingTrial(), batch=2, steps=3)
    assert rate.step_s[0] == 2.0
    assert rate.samples_per_s == 1.0  # two frames in two seconds
    assert rate.voxels == pytest.approx((30 + 70 + 30) / 3)  # two batches, used in turn


def test_steps_train(monkeypatch):
    losses = []
    original = training.NamedObjective.__call__

    def noted(self, *arguments):
        parts = original(self, *arguments)
        losses.append(float(parts.total.detach()))
        return parts

    monkeypatch.setattr(training.NamedObjective, "__call__", noted)
    training_rate(NETWORK, SPEC, FRAMES[:1], TrainingTrial(precision="bf16"), batch=1, steps=15)
    assert len(losses) == 15 + training.WARM_UP_STEPS
    assert losses[-1] < losses[0]


def test_a_backend_that_cannot_run_here_leaves_the_others_their_turn(monkeypatch):
    monkeypatch.setitem(sys.modules, "spconv_triton", None)
    monkeypatch.setitem(sys.modules, "spconv_triton.pytorch", None)
    trials = [TrainingTrial(), TrainingTrial(backend="spconv_triton")]
    first, second = training_rates(NETWORK, SPEC, FRAMES, trials, batch=2, steps=2)
    assert isinstance(first, TrainingRate)
    assert isinstance(second, ConfigError)
    lines = rate_lines(trials, [first, second])
    assert "| torch | fp32 | " in lines[2]
    assert "| 1.00 |" in lines[2]
    assert "not measured: backend spconv_triton: it cannot be imported" in lines[3]
    with pytest.raises(ConfigError, match="spconv_triton"):
        training_rate(NETWORK, SPEC, FRAMES, trials[1], steps=1)


def test_a_gpu_compares_every_backend_and_precision():
    assert trials_on("cpu") == [TrainingTrial(backend="torch", precision="fp32")]
    assert [(trial.backend, trial.precision) for trial in trials_on("cuda")] == [
        ("torch", "fp32"),
        ("torch", "bf16"),
        ("spconv_triton", "fp32"),
        ("spconv_triton", "bf16"),
    ]


def test_a_batch_of_more_frames_than_there_are_is_refused():
    with pytest.raises(ConfigError, match="batch: expected 1 to 4"):
        training_rate(NETWORK, SPEC, FRAMES, TrainingTrial(), batch=5)
