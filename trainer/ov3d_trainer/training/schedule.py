"""Learning rate as a plain function of the step, so that resuming needs no state."""

from __future__ import annotations

import math

from ..config import ScheduleConfig

_ONE_CYCLE_START = 1 / 25


def rate_factor(step: int, steps: int, config: ScheduleConfig) -> float:
    """Return the share of the peak learning rate at `step` in 0..steps-1.

    one_cycle (Smith & Topin 2018): half a cosine from 1/25 up to 1 over the warm-up, half a cosine down to `final`.
    cosine: straight up from 0, half a cosine down. poly: straight up, then down to `final` as (1 - progress)^power.
    constant: straight up, then 1.
    """
    rising = config.warm_up * steps
    if step < rising:
        progress = (step + 1) / rising if config.kind != "one_cycle" else step / rising
        if config.kind == "one_cycle":
            return _half_cosine(_ONE_CYCLE_START, 1.0, progress)
        return min(progress, 1.0)
    if config.kind == "constant":
        return 1.0
    progress = (step - rising) / max(steps - 1 - rising, 1.0)
    if config.kind == "poly":
        return config.final + (1.0 - config.final) * max(1.0 - progress, 0.0) ** config.power
    return _half_cosine(1.0, config.final, progress)


def _half_cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1.0 + math.cos(math.pi * min(progress, 1.0))) / 2.0
