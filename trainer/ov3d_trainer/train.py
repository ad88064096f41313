"""The training loop: samples, teacher, network, loss; checkpoints and metrics; resumes exactly where it stopped.

Every random choice of step s is drawn from a generator seeded with (seed, s), so that nothing but weights, optimiser
and step number has to be kept for a resumed run to equal an undisturbed one.
"""

from __future__ import annotations

import json
import logging
import math
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.inputs import InputSpec

from . import __version__
from .batching import Batch, make_batch, rows_of_step
from .checkpoint import Checkpoint, Vocabulary, load_checkpoint, save_checkpoint
from .config import TrainConfig, check_config, config_to_dict, input_spec, save_config
from .distributed import own_device, own_rows, process_group, rank, share_gradients, sum_over_processes, world_size
from .loss import Objective, make_objective
from .model import SparseUNet, UNetConfig, unet_config
from .optimiser import MovingAverage, make_optimiser
from .prepared import PreparedSamples, prepare_data
from .report import loss_figure, read_metrics, save_figure
from .schedule import rate_factor
from .teacher import Targets, Teacher
from .vocabulary import WordList, queryable

CHECKPOINT_FILE = "checkpoint.pt"
METRICS_FILE = "metrics.jsonl"
CONFIG_FILE = "config.yaml"
PLOT_FILE = "loss.png"
_BALANCE_SAMPLES = 64
_TINY = 1e-30
_MAY_CHANGE = ("out", "cache", "threads", "device", "log_every", "checkpoint_every", "evaluation")

_log = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class Run:
    """Everything a running training holds; `step` counts the steps done."""

    config: TrainConfig
    spec: InputSpec
    words: WordList
    text_space: str
    teacher: Teacher
    samples: PreparedSamples
    network: UNetConfig
    model: SparseUNet
    objective: Objective
    optimiser: torch.optim.Optimizer
    average: MovingAverage | None
    device: torch.device
    step: int = 0


def train(config: TrainConfig, *, resume: bool = False, restart: bool = False) -> Path:
    """Train to the last step and return the checkpoint's path.

    Writes config.yaml, metrics.jsonl, loss.png and checkpoint.pt to `config.out`. `resume` continues from the
    checkpoint there, if there is one; `restart` allows to overwrite it.
    Raises `ConfigError`, `DataError`, `ModelError`.
    """
    check_config(config)
    path = Path(config.out) / CHECKPOINT_FILE
    if path.exists() and not (resume or restart):
        raise ConfigError(f"out: {path} exists. Continue with --resume, overwrite with --restart, or change `out`.")
    if config.threads:
        torch.set_num_threads(config.threads)
    with process_group():
        run = start_run(config)
        if resume and path.exists():
            restore(run, load_checkpoint(path))
        if rank() == 0:
            _train_and_write(run, path)
        else:
            for _ in steps(run):
                pass
    return path


def _train_and_write(run: Run, path: Path) -> None:
    """Do the remaining steps and write what comes of them; of several processes only the first writes."""
    config, out = run.config, path.parent
    out.mkdir(parents=True, exist_ok=True)
    save_config(out / CONFIG_FILE, config)
    _keep_metrics_before(out / METRICS_FILE, run.step)
    _log.info("%s", start_line(run, out / CONFIG_FILE))
    for record in steps(run):
        if run.step % config.log_every == 0 or run.step == config.steps:
            _append_metrics(out / METRICS_FILE, record)
        if run.step % config.checkpoint_every == 0 or run.step == config.steps:
            save_checkpoint(path, make_checkpoint(run))
    save_figure(loss_figure(read_metrics(out / METRICS_FILE)), out / PLOT_FILE)


def start_run(config: TrainConfig) -> Run:
    """Open data, text and teacher and make the network, at step 0."""
    device = own_device(config.device)
    spec = input_spec(config.inputs)
    data = prepare_data(config, device)
    samples, teacher = data.samples, data.teacher
    model = make_model(config, spec, teacher.targets).to(device)
    objective = make_objective(config.loss, teacher)
    objective = objective.balanced(count_targets(samples, spec, objective), config.loss).to(device)
    optimiser = make_optimiser(model.parameters(), config.optimiser)
    return Run(
        config=config,
        spec=spec,
        words=queryable(data.words, data.encoder),
        text_space=data.encoder.space,
        teacher=teacher,
        samples=samples,
        network=model.config,
        model=model,
        objective=objective,
        optimiser=optimiser,
        average=MovingAverage(model, config.average) if config.average else None,
        device=device,
    )


def make_model(config: TrainConfig, spec: InputSpec, targets: Targets) -> SparseUNet:
    """Return a new network for these inputs, with the targets as its anchors where the configuration wants any."""
    network = unet_config(
        config.network.architecture,
        in_features=len(spec.features),
        embedding_dim=targets.text.shape[1],
        stem_kernel=spec.stem_kernel,
        anchors=len(targets.names) if config.network.anchors else 0,
        anchor_temperature=config.network.anchor_temperature,
    )
    model = SparseUNet(network, backend=config.network.backend, seed=config.seed)
    if model.anchors is not None:
        model.anchors.text.copy_(torch.from_numpy(targets.text))
    return model


def count_targets(samples: PreparedSamples, spec: InputSpec, objective: Objective) -> torch.Tensor:
    """Return (K,) how much supervision each target has, in voxels, over up to 64 samples spread over the data set.

    Raises `DataError` when there is none at all.
    """
    from .config import AugmentationConfig

    nothing, generator = AugmentationConfig(), np.random.default_rng(0)
    totals = torch.zeros(1, dtype=torch.float64)
    rows = np.unique(np.linspace(0, len(samples) - 1, min(len(samples), _BALANCE_SAMPLES)).astype(int))
    for row in tqdm(rows, desc="samples", disable=not sys.stderr.isatty()):
        batch = make_batch([samples[int(row)]], spec, nothing, [generator])
        totals = totals + objective.count(batch.targets)
    if totals.sum() == 0:
        raise DataError("teacher: it supervises no point of the data set. Check `vocabulary`, `text` and `teacher`.")
    return totals


def steps(run: Run) -> Iterator[dict[str, Any]]:
    """Train step by step, yielding each step's metrics; the next batch is made while the current one is used."""
    config = run.config
    hidden = rank() > 0 or not sys.stderr.isatty()
    bar = tqdm(total=config.steps, initial=run.step, desc=config.name, disable=hidden)
    with ThreadPoolExecutor(max_workers=1) as worker, bar:
        coming = worker.submit(batches_of_step, run, run.step)
        while run.step < config.steps:
            batches = coming.result()
            if run.step + 1 < config.steps:
                coming = worker.submit(batches_of_step, run, run.step + 1)
            record = one_step(run, batches)
            run.step += 1
            bar.update()
            bar.set_postfix(loss=f"{record['loss']:.3f}", agreement=f"{record['agreement']:.2f}", refresh=False)
            yield record


def batches_of_step(run: Run, step: int) -> list[Batch]:
    """Make this process's part of the batches of a step; the same whenever it is asked for."""
    config = run.config
    rows = rows_of_step(step, config.batch * config.accumulate, len(run.samples), config.seed)
    batches = []
    for first in range(0, len(rows), config.batch):
        places = own_rows(list(range(first, first + config.batch)))
        samples = [run.samples[rows[place]] for place in places]
        generators = [np.random.default_rng([config.seed, 2, step, place]) for place in places]
        batches.append(make_batch(samples, run.spec, config.augmentation, generators))
    return batches


def one_step(run: Run, batches: Sequence[Batch]) -> dict[str, Any]:
    """Update the weights once, with all processes; return metrics over all of them.

    `agreement` is the share of supervised voxels with the right word.
    """
    config, started = run.config, time.perf_counter()
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
        "seconds": round(time.perf_counter() - started, 4),
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


def make_checkpoint(run: Run) -> Checkpoint:
    """Collect what the run has learnt and decided."""
    targets = run.teacher.targets
    return Checkpoint(
        network=run.network,
        inputs=run.spec,
        text_space=run.text_space,
        vocabulary=Vocabulary(
            labels=run.words.labels,
            background=run.words.background,
            templates=run.words.templates,
            threshold=run.words.threshold,
        ),
        training={
            "name": run.config.name,
            "trainer": __version__,
            "config": config_to_dict(run.config),
            "targets": list(targets.names),
            "not_queryable": dict(targets.not_queryable),
            "samples": len(run.samples),
        },
        step=run.step,
        model_state=run.model.state_dict() if run.average is None else run.average.state,
        trainer_state={
            "optimiser": run.optimiser.state_dict(),
            **({} if run.average is None else {"model": run.model.state_dict()}),
        },
    )


def restore(run: Run, checkpoint: Checkpoint) -> None:
    """Put a run where a checkpoint stopped; `ConfigError` names a setting that differs and must not."""
    before, now = checkpoint.training.get("config", {}), config_to_dict(run.config)
    for key in now:
        if key not in _MAY_CHANGE and before.get(key) != now[key]:
            raise ConfigError(
                f"--resume: {key} is {now[key]!r}, the checkpoint was trained with {before.get(key)!r}. "
                "Resume with the same settings, or start anew with another `out`."
            )
    run.model.load_state_dict(checkpoint.trainer_state.get("model", checkpoint.model_state))
    if run.average is not None:
        run.average.state = {name: value.to(run.device, copy=True) for name, value in checkpoint.model_state.items()}
    run.optimiser.load_state_dict(checkpoint.trainer_state["optimiser"])
    run.step = checkpoint.step
    _log.info("resuming at step %d of %d", run.step, run.config.steps)


def start_line(run: Run, config_path: Path) -> str:
    """Return one line that says what is trained on what and how to do it again."""
    parameters = sum(parameter.numel() for parameter in run.model.parameters())
    names = run.teacher.targets.names
    return (
        f"ov3d_trainer {__version__}: {run.config.name}, {run.network.architecture} with {parameters:,} parameters, "
        f"{len(run.samples)} samples, {len(names)} targets in {run.text_space}, steps {run.step}..{run.config.steps} "
        f"of batch {run.config.batch}, seed {run.config.seed}, {torch.get_num_threads()} threads on {run.device}, "
        f"{world_size()} processes, torch {torch.__version__}; again: python -m ov3d_trainer train "
        f"--config {config_path}"
    )


def _append_metrics(path: Path, record: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(record) + "\n")


def _keep_metrics_before(path: Path, step: int) -> None:
    """Drop what a run wrote after its last checkpoint: those steps are done again."""
    kept = [record for record in read_metrics(path) if record["step"] <= step] if path.exists() and step else []
    path.write_text("".join(json.dumps(record) + "\n" for record in kept), encoding="utf-8")
