"""What a training holds: data, teacher, network, optimiser; how it starts, and how a checkpoint keeps it.

Every random choice of step s is drawn from a generator seeded with (seed, s), so that nothing but weights, optimiser
and step number has to be kept for a resumed run to equal an undisturbed one.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.inputs import InputSpec

from .. import __version__
from ..checkpoint import Checkpoint, Vocabulary
from ..config import AugmentationConfig, TrainConfig, config_to_dict, input_spec
from ..distributed import own_device
from ..loss import Objective, make_objective
from ..network.model import SparseUNet, UNetConfig, unet_config
from ..supervision.prepared import PreparedSamples, prepare_data
from ..teacher import Targets, Teacher
from ..words.vocabulary import WordList, queryable
from .batching import make_batch
from .optimiser import MovingAverage, make_optimiser

_BALANCE_SAMPLES = 64
_FREE = ("out", "cache", "log_every", "checkpoint_every", "evaluation", "tensorboard")
"""Settings without influence on what is learnt."""

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


def start_run(config: TrainConfig) -> Run:
    """Open data, text and teacher and make the network, at step 0."""
    device = own_device(config.device)
    spec = input_spec(config.inputs)
    if config.teacher.neighbours and not config.teacher.keep:
        raise ConfigError("teacher.neighbours: samples come in random order. Set teacher.keep=true and cache=FOLDER.")
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
    if network.levels != spec.levels:
        raise ConfigError(f"inputs.levels: {network.architecture} has {network.levels} levels, got {spec.levels}.")
    model = SparseUNet(network, backend=config.network.backend, seed=config.seed, precision=config.precision)
    if model.anchors is not None:
        model.anchors.text.copy_(torch.from_numpy(targets.text))
    return model


def count_targets(samples: PreparedSamples, spec: InputSpec, objective: Objective) -> torch.Tensor:
    """Return (K,) how much supervision each target has, in voxels, over up to 64 samples spread over the data set.

    Raises `DataError` when there is none at all.
    """
    nothing, generator = AugmentationConfig(), np.random.default_rng(0)
    totals = torch.zeros(1, dtype=torch.float64)
    rows = np.unique(np.linspace(0, len(samples) - 1, min(len(samples), _BALANCE_SAMPLES)).astype(int))
    for row in tqdm(rows, desc="samples", disable=not sys.stderr.isatty()):
        batch = make_batch([samples[int(row)]], spec, nothing, [generator])
        totals = totals + objective.count(batch.targets)
    if totals.sum() == 0:
        raise DataError("teacher: it supervises no point of the data set. Check `vocabulary`, `text` and `teacher`.")
    return totals


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
    (fixed_before, rest_before), (fixed, rest) = _fixed(before), _fixed(now)
    for key in fixed:
        if fixed_before.get(key) != fixed[key]:
            raise ConfigError(
                f"--resume: {key} is {fixed[key]!r}, the checkpoint was trained with {fixed_before.get(key)!r}. "
                "Resume with the same settings, or start anew with another `out`."
            )
    _check_contents(make_checkpoint(run), checkpoint)
    if rest_before != rest:
        _log.warning("%s was %s: the run goes on, but no longer equals an undisturbed one", rest, rest_before)
    run.model.load_state_dict(checkpoint.trainer_state.get("model", checkpoint.model_state))
    if run.average is not None:
        run.average.state = {name: value.to(run.device, copy=True) for name, value in checkpoint.model_state.items()}
    run.optimiser.load_state_dict(checkpoint.trainer_state["optimiser"])
    run.step = checkpoint.step
    _log.info("resuming at step %d of %d", run.step, run.config.steps)


def _check_contents(now: Checkpoint, before: Checkpoint) -> None:
    """Raise `ConfigError` where files of the same name no longer hold what the checkpoint was trained with."""
    words, words_before = asdict(now.vocabulary), asdict(before.vocabulary)
    pairs = {f"vocabulary ({name})": (words[name], words_before[name]) for name in words}
    pairs |= {name: (now.training[name], before.training.get(name)) for name in ("targets", "samples")}
    for name, (here, there) in pairs.items():
        if here != there:
            raise ConfigError(
                f"--resume: {name}: now {_shortly(here)}, the checkpoint was trained with {_shortly(there)}. "
                "Give it the same vocabulary and data, or start anew with another `out`."
            )


def _shortly(value: object) -> str:
    return text if len(text := repr(value)) <= 160 else f"{text[:160]} ..."


def _fixed(config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the settings that a resumed run must share, and those that it may change for want of memory or sense."""
    fixed = {key: value for key, value in config.items() if key not in _FREE}
    rest = {key: fixed.pop(key, None) for key in ("batch", "accumulate", "precision", "device", "threads")}
    fixed["batch x accumulate"] = (rest["batch"] or 0) * (rest["accumulate"] or 1)
    network, optimiser = dict(fixed.get("network", {})), dict(fixed.get("optimiser", {}))
    rest["backend"] = network.pop("backend", None)
    rest |= {key: optimiser.pop(key, None) for key in ("learning_rate", "gradient_clip")}
    return {**fixed, "network": network, "optimiser": optimiser}, rest
