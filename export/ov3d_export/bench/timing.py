"""Clocks of the bench: functions take turns, figures are medians and percentiles."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

Clock = Callable[[], float]

SETTLE_S = 0.05
"""Rest before what is timed: the threads of OpenBLAS, OpenMP and onnxruntime wait busily for up to 30 ms after their
last work. On two cores those of one library took half the speed of the next one."""


def take_turns(
    functions: Mapping[str, Callable[[], Any]],
    rounds: int,
    *,
    warm_up: int = 1,
    settle_s: float = SETTLE_S,
    clock: Clock = time.perf_counter,
) -> dict[str, list[float]]:
    """Return the seconds that every function took in each round; the order turns round from round to round.

    What else the machine does then falls on all of them alike, and nobody always runs first.
    """
    names = list(functions)
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for number in range(warm_up + rounds):
        for name in names if number % 2 else reversed(names):
            time.sleep(settle_s)
            started = clock()
            functions[name]()
            if number >= warm_up:
                seconds[name].append(clock() - started)
    return seconds


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Return p50_ms, p95_ms, max_ms and the number of runs."""
    values = 1e3 * np.asarray(seconds, dtype=np.float64)
    return {
        "p50_ms": float(np.median(values)),
        "p95_ms": float(np.quantile(values, 0.95)),
        "max_ms": float(values.max()),
        "runs": len(values),
    }


def median_ratio(seconds: Sequence[float], reference: Sequence[float]) -> float:
    """Return the median, over the rounds, of how long one took relative to the other in the same round."""
    return float(np.median(np.asarray(seconds) / np.asarray(reference)))
