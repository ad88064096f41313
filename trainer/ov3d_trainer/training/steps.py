"""The steps of a training: batches made while the network is busy, losses, gradients, new weights."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from ov3d_perception.errors import ConfigError

from ..distributed import own_rows, rank, share_gradients, sum_over_processes
from .batching import Batch, make_batch, rows_of_step
from .memory import memory_errors, peak_memory_mb
from .run import Run
from .schedule import rate_factor

_TINY = 1e-30


def steps(run: Run) -> Iterator[dict[str, Any]]:
    """Train step by step, yielding each step's metrics; the next batch is made while the current one is used.

    Raises `ConfigError` where the loss is no number any more, and where memory does not suffice.
    """
    config = run.config
    if run.step >= config.steps:
        return
    hidden = rank() > 0 or not sys.stderr.isatty()
    bar = tqdm(total=config.steps, initial=run.step, desc=config.name, disable=hidden)
    with ThreadPoolExecutor(max_workers=1) as worker, bar:
        coming = worker.submit(batches_of_step, run, run.step)
        while run.step < config.steps:
            asked = time.perf_counter()
            with memory_errors(f"step {run.step}", sweeps=config.batch):
                batches = coming.result()
            if run.step + 1 < config.steps:
                coming = worker.submit(batches_of_step, run, run.step + 1)
            started = time.perf_counter()
            with memory_errors(f"step {run.step}", sweeps=config.batch, voxels=max(len(b.features) for b in batches)):
                record = one_step(run, batches)
            record |= _costs(run, waited=started - asked, computed=time.perf_counter() - started)
            run.step += 1
            bar.update()
            bar.set_postfix(loss=f"{record['loss']:.3f}", agreement=f"{record['agreement']:.2f}", refresh=False)
            yield record


def _costs(run: Run, *, waited: float, computed: float) -> dict[str, float]:
    """Return what a step cost: seconds spent on it and on waiting for its data, both per sweep, and memory."""
    sweeps = run.config.batch * run.config.accumulate
    return {
        "seconds": round(computed, 4),
        "waiting_seconds": round(waited, 4),
        "seconds_per_sweep": round((waited + computed) / sweeps, 4),
        "peak_memory_mb": round(peak_memory_mb(run.device), 1),
    }


def batches_of_step(run: Run, step: int) -> list[Batch]:
    """Make this process's part of the batches of a step; the same whenever it is asked for."""
    config = run.config
    rows = rows_of_step(step, config.batch * config.accumulate, len(run.samples), config.seed)
    batches = []
    for first in range(0, len(rows), config.batch):
        places = own_rows(list(range(first, first + config.batch)), pairs=config.augmentation.mix > 0)
        samples = [run.samples[rows[place]] for place in places]
        generators = [np.random.default_rng([config.seed, 2, step, place]) for place in places]
        batches.append(make_batch(samples, run.spec, config.augmentation, generators))
    return batches


def one_step(run: Run, batches: Sequence[Batch]) -> dict[str, Any]:
    """Update the weights once, with all processes; return metrics over all of them.

    `agreement` is the share of supervised voxels with the right word.
    """
    config = run.config
    rate = config.optimiser.learning_rate * rate_factor(run.step, config.steps, config.schedule)
    for group in run.optimiser.param_groups:
        group["lr"] = rate
    run.model.train()
    run.optimiser.zero_grad(set_to_none=True)
    sums = sum_over_processes(torch.stack([_backward(run, batch) for batch in batches]).sum(dim=0))
    *means, agreeing, supervised, voxels, weight = sums
    loss, cosine, cross_entropy = (float(mean / weight.clamp_min(_TINY)) for mean in means)
    share_gradients(run.model.parameters(), weight.clamp_min(_TINY))
    limit = config.optimiser.gradient_clip or float("inf")
    norm = torch.nn.utils.clip_grad_norm_(run.model.parameters(), limit)
    if not (math.isfinite(loss) and bool(torch.isfinite(norm))):
        raise ConfigError(
            f"step {run.step}: the loss is {loss}, the gradient's norm {float(norm)}. Lower optimiser.learning_rate "
            f"(now {rate:.1e}), or set optimiser.gradient_clip; --resume continues from the last checkpoint."
        )
    run.optimiser.step()
    if run.average is not None:
        run.average.update(run.model, run.step)
    return {
        "step": run.step + 1,
        "loss": loss,
        "cosine": cosine,
        "cross_entropy": cross_entropy,
        "agreement": float(agreeing / supervised.clamp_min(1.0)),
        "learning_rate": rate,
        "gradient_norm": float(norm),
        "voxels": int(voxels),
    }


def _backward(run: Run, batch: Batch) -> torch.Tensor:
    """Add the gradient of the sum of weighted losses; return the sums (7,) that the step's metrics are made of."""
    batch = batch.to(run.device)
    parts = run.objective(run.model, batch.features, batch.index, batch.targets)
    (parts.total * parts.weight).backward()  # type: ignore[no-untyped-call]
    means = torch.stack([parts.total.detach(), parts.cosine, parts.cross_entropy])
    supervised, voxels = (parts.weight.new_tensor(float(count)) for count in (parts.supervised, len(batch.features)))
    counts = torch.stack([parts.agreement * supervised, supervised, voxels, parts.weight])
    return torch.cat([means * parts.weight, counts])
