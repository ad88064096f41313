"""The optimiser that all trainings share."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from .config import OptimiserConfig


def make_optimiser(parameters: Iterable[torch.nn.Parameter], config: OptimiserConfig) -> torch.optim.Optimizer:
    """Return the configured optimiser over the parameters."""
    if config.kind == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=config.learning_rate,
            momentum=config.momentum,
            dampening=config.dampening,
            weight_decay=config.weight_decay,
        )
    return torch.optim.AdamW(
        parameters,
        lr=config.learning_rate,
        betas=(config.betas[0], config.betas[1]),
        weight_decay=config.weight_decay,
        fused=True,
    )


class MovingAverage:
    """The moving average of a model's weights; normalisation's running statistics are copied."""

    def __init__(self, model: torch.nn.Module, keep: float) -> None:
        self.keep = keep
        self.state = {name: value.detach().clone() for name, value in model.state_dict().items()}
        self._weights = {name for name, _ in model.named_parameters()}

    def update(self, model: torch.nn.Module, step: int) -> None:
        """Move towards the model after step `step` (from 0); early on the average is over few steps."""
        keep = min(self.keep, (step + 1) / (step + 10))
        for name, value in model.state_dict().items():
            if name in self._weights:
                self.state[name].lerp_(value.detach(), 1.0 - keep)
            else:
                self.state[name].copy_(value)
