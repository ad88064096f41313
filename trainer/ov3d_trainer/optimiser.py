"""The optimiser that all trainings share."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from .config import OptimiserConfig


def make_optimiser(parameters: Iterable[torch.nn.Parameter], config: OptimiserConfig) -> torch.optim.AdamW:
    """Return AdamW over the parameters with the configured rate, betas and weight decay."""
    return torch.optim.AdamW(
        parameters,
        lr=config.learning_rate,
        betas=(config.betas[0], config.betas[1]),
        weight_decay=config.weight_decay,
        fused=True,
    )
