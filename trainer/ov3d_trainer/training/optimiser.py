"""The optimiser that all trainings share."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from ..config import OptimiserConfig


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
    """The moving average of a model's weights.

    Of normalisation's running statistics it takes the last, or with `statistics` the average too.
    """

    def __init__(self, model: torch.nn.Module, keep: float, *, statistics: bool = False) -> None:
        self.keep = keep
        self.state = {name: value.detach().clone() for name, value in model.state_dict().items()}
        weights = {name for name, _ in model.named_parameters()}
        self._averaged = {
            name for name, value in self.state.items() if name in weights or (statistics and value.is_floating_point())
        }

    def update(self, model: torch.nn.Module, step: int) -> None:
        """Move towards the model after step `step` (from 0); early on the average is over few steps."""
        keep = min(self.keep, (step + 1) / (step + 10))
        for name, value in model.state_dict().items():
            if name in self._averaged:
                self.state[name].lerp_(value.detach(), 1.0 - keep)
            else:
                self.state[name].copy_(value)
