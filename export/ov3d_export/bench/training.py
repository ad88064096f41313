"""How many samples a second a network trains with, for every backend and precision that this machine has."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F

from ov3d_perception.errors import ConfigError
from ov3d_perception.inputs import InputSpec
from ov3d_perception.types import Frame
from ov3d_trainer.config import PRECISIONS, OptimiserConfig
from ov3d_trainer.loss import DistillationLoss, NamedObjective
from ov3d_trainer.network.backends import index_tensors
from ov3d_trainer.network.model import SparseUNet, UNetConfig
from ov3d_trainer.training.batching import Batch, joint_inputs
from ov3d_trainer.training.optimiser import make_optimiser

STEPS = 50
WARM_UP_STEPS = 5
_TARGETS = 32
_CLIP = 1.0

ON_GPUS = ("torch", "spconv_triton")
"""The backends worth comparing there: MinkowskiEngine is built for CPUs here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingTrial:
    """What to train with."""

    backend: str = "torch"
    precision: str = "fp32"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRate:
    """What `steps` steps over `samples` frames each took: `step_s` are the median and the 95th percentile.

    `voxels` is their mean number in a step, `device` the device's name.
    """

    trial: TrainingTrial
    device: str
    samples: int
    steps: int
    voxels: float
    step_s: tuple[float, float]

    @property
    def samples_per_s(self) -> float:
        """Return the rate that goes with the median step."""
        return self.samples / self.step_s[0]


def trials_on(device: str) -> list[TrainingTrial]:
    """Return what is worth comparing on a device: on a GPU both backends for it in both precisions."""
    if not device.startswith("cuda"):
        return [TrainingTrial()]
    return [TrainingTrial(backend=backend, precision=precision) for backend in ON_GPUS for precision in PRECISIONS]


def rate_lines(trials: Sequence[TrainingTrial], rates: Sequence[TrainingRate | ConfigError]) -> list[str]:
    """Return a Markdown table: samples a second, also as a multiple of the first trial's, or why there are none."""
    lines = ["| backend | precision | samples/s | of the first | step, ms (median, p95) | device |", "|" + "---|" * 6]
    first = rates[0].samples_per_s if isinstance(rates[0], TrainingRate) else None
    for trial, rate in zip(trials, rates, strict=True):
        if isinstance(rate, ConfigError):
            lines.append(f"| {trial.backend} | {trial.precision} | not measured: {rate} | | | |")
            continue
        share = f"{rate.samples_per_s / first:.2f}" if first else ""
        median, high = (1e3 * seconds for seconds in rate.step_s)
        lines.append(
            f"| {trial.backend} | {trial.precision} | {rate.samples_per_s:.1f} | {share} | {median:.1f}, {high:.1f} "
            f"| {rate.device} |"
        )
    return lines


def training_rate(
    network: UNetConfig,
    spec: InputSpec,
    frames: Sequence[Frame],
    trial: TrainingTrial,
    *,
    device: str = "cpu",
    batch: int = 2,
    steps: int = STEPS,
) -> TrainingRate:
    """Return the rate of one trial; `ConfigError` says why it cannot run here."""
    result = training_rates(network, spec, frames, [trial], device=device, batch=batch, steps=steps)[0]
    if isinstance(result, ConfigError):
        raise result
    return result


def training_rates(
    network: UNetConfig,
    spec: InputSpec,
    frames: Sequence[Frame],
    trials: Sequence[TrainingTrial],
    *,
    device: str = "cpu",
    batch: int = 2,
    steps: int = STEPS,
) -> list[TrainingRate | ConfigError]:
    """Return the rate of every trial, or why it cannot run here; trials take turns, step by step.

    `frames` are joined to batches of `batch`, which are used in turn. A step is what a training's is: the batch goes to
    the device, forward pass, loss over text rows (drawn at random, as the targets are), backward pass, gradient's norm,
    AdamW. Making batches is not part of it: a training has a thread for that.
    """
    batches = _batches(spec, frames, batch)
    runs: list[Iterator[float] | ConfigError] = [_try_to_start(network, trial, batches, device) for trial in trials]
    seconds: list[list[float]] = [[] for _ in trials]
    for step in range(WARM_UP_STEPS + steps):
        for number, run in enumerate(runs):
            if isinstance(run, ConfigError):
                continue
            try:
                took = next(run)
            except ConfigError as error:
                runs[number] = error
                continue
            if step >= WARM_UP_STEPS:
                seconds[number].append(took)
    used = [len(batches[step % len(batches)].features) for step in range(WARM_UP_STEPS, WARM_UP_STEPS + steps)]
    return [
        run
        if isinstance(run, ConfigError)
        else TrainingRate(
            trial=trial,
            device=torch.cuda.get_device_name(device) if device.startswith("cuda") else "cpu",
            samples=batch,
            steps=steps,
            voxels=statistics.fmean(used),
            step_s=(float(np.median(taken)), float(np.quantile(taken, 0.95))),
        )
        for trial, run, taken in zip(trials, runs, seconds, strict=True)
    ]


def _try_to_start(
    network: UNetConfig, trial: TrainingTrial, batches: Sequence[Batch], device: str
) -> Iterator[float] | ConfigError:
    try:
        model = SparseUNet(network, backend=trial.backend, precision=trial.precision).to(device)
    except ConfigError as error:
        return error
    return _steps(model, batches, torch.device(device))


def _steps(model: SparseUNet, batches: Sequence[Batch], device: torch.device) -> Iterator[float]:
    """Train for ever; yield the seconds that each step took, the device's work included."""
    text = np.random.default_rng(0).standard_normal((_TARGETS, model.config.embedding_dim), dtype=np.float32)
    rows = F.normalize(torch.from_numpy(text), dim=1)
    loss = DistillationLoss(text=rows, class_weight=torch.ones(_TARGETS))
    objective = NamedObjective(loss=loss).to(device)
    optimiser = make_optimiser(model.train().parameters(), OptimiserConfig())
    step = 0
    while True:
        started = _now(device)
        batch = batches[step % len(batches)].to(device)
        optimiser.zero_grad(set_to_none=True)
        objective(model, batch.features, batch.index, batch.targets).total.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), _CLIP)
        optimiser.step()
        yield _now(device) - started
        step += 1


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def _batches(spec: InputSpec, frames: Sequence[Frame], size: int) -> list[Batch]:
    """Join frames, `size` at a time, with one target drawn for every voxel; `ConfigError` where there are too few."""
    if not 1 <= size <= len(frames):
        raise ConfigError(f"batch: expected 1 to {len(frames)}, as many as there are frames, got {size}.")
    generator = np.random.default_rng(1)
    batches = []
    for first in range(0, len(frames) - size + 1, size):
        inputs, tables = joint_inputs(frames[first : first + size], spec)
        features = torch.from_numpy(np.concatenate([one.features for one in inputs]))
        wanted = torch.from_numpy(generator.integers(_TARGETS, size=len(features)))
        targets = F.one_hot(wanted, _TARGETS).float()
        batches.append(Batch(features=features, index=index_tensors(tables), targets=targets))
    return batches
