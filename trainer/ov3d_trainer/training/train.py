"""The training loop: starts or continues a run, does its steps, and writes what comes of them."""

from __future__ import annotations

import logging
from pathlib import Path

import torch

from ov3d_perception.errors import ConfigError

from .. import __version__
from ..checkpoint import load_checkpoint
from ..config import TrainConfig, check_config
from ..distributed import own_device, process_group, rank, world_size
from .run import Run, make_checkpoint, restore, start_run
from .run_folder import CHECKPOINT_FILE, CONFIG_FILE, RunFolder
from .steps import steps

_log = logging.getLogger(__name__)


def train(config: TrainConfig, *, resume: bool = False, restart: bool = False) -> Path:
    """Train to the last step and return the checkpoint's path.

    Writes config.yaml, metrics.jsonl, loss.png, checkpoint.pt and, if wanted, tensorboard/ to `config.out`. `resume`
    continues from the checkpoint there, if there is one; `restart` allows to overwrite it.
    Raises `ConfigError`, `DataError`, `ModelError`.
    """
    check_config(config)
    folder = RunFolder(config)
    path = folder.path / CHECKPOINT_FILE
    if path.exists() and not (resume or restart):
        raise ConfigError(f"out: {path} exists. Continue with --resume, overwrite with --restart, or change `out`.")
    if config.threads:
        torch.set_num_threads(config.threads)
    with process_group(own_device(config.device)):
        run = start_run(config)
        if resume and path.exists():
            restore(run, load_checkpoint(path))
        if rank() == 0:
            _train_and_write(run, folder)
        else:
            for _ in steps(run):
                pass
    return path


def _train_and_write(run: Run, folder: RunFolder) -> None:
    """Do the remaining steps and write what comes of them; of several processes only the first writes."""
    config = run.config
    folder.start(run.step)
    _log.info("%s", start_line(run, folder.path / CONFIG_FILE))
    try:
        for record in steps(run):
            last = run.step == config.steps
            if run.step % config.log_every == 0 or last:
                folder.add(record)
            if run.step % config.checkpoint_every == 0 or last:
                folder.keep(make_checkpoint(run))
    finally:
        folder.close()
    folder.plot()


def start_line(run: Run, config_path: Path) -> str:
    """Return one line that says what is trained on what and how to do it again."""
    parameters = sum(parameter.numel() for parameter in run.model.parameters())
    names = run.teacher.targets.names
    return (
        f"ov3d_trainer {__version__}: {run.config.name}, {run.network.architecture} with {parameters:,} parameters, "
        f"{len(run.samples)} samples, {len(names)} targets in {run.text_space}, steps {run.step}..{run.config.steps} "
        f"of batch {run.config.batch}, seed {run.config.seed}, {torch.get_num_threads()} threads on {run.device}, "
        f"{world_size()} processes, {run.config.precision}, torch {torch.__version__}; again: "
        f"python -m ov3d_trainer train --config {config_path}"
    )
