"""What the node did so far: counts, rates and latencies, kept by the pipeline and read once per diagnostics message."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

_KEPT_LATENCIES = 256

SUPERSEDED = "superseded"
"""Reason of a drop that is no fault: a newer cloud arrived before this one was begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Statistics at one moment. Rates are over the time since the previous snapshot, counts since the start.

    `drops` counts clouds by reason, `new_drops` those since the previous snapshot. Latencies (arrival of the cloud to
    its labels being published) and `timings_ms` (median per stage) are over the last 256 sweeps, NaN before the first.
    `silent_s`: seconds since the last cloud arrived, or since the start.
    """

    received: int
    published: int
    relabelled: int
    drops: Mapping[str, int]
    new_drops: Mapping[str, int]
    rate_in_hz: float
    rate_out_hz: float
    latency_p50_ms: float
    latency_p95_ms: float
    timings_ms: Mapping[str, float]
    silent_s: float
    last_error: str


class Statistics:
    """Thread-safe counters; `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._received = self._published = self._relabelled = 0
        self._drops: Counter[str] = Counter()
        self._latencies_ms: deque[float] = deque(maxlen=_KEPT_LATENCIES)
        self._timings_ms: dict[str, deque[float]] = {}
        self._last_error = ""
        self._last_arrival_s = self._since_s = clock()
        self._before = (0, 0)
        self._drops_before: Counter[str] = Counter()

    def count_received(self) -> None:
        """Count a cloud that arrived."""
        with self._lock:
            self._received += 1
            self._last_arrival_s = self._clock()

    def count_published(self, latency_ms: float, timings_ms: Mapping[str, float]) -> None:
        """Count a sweep whose labels went out, `latency_ms` after it arrived."""
        with self._lock:
            self._published += 1
            self._latencies_ms.append(latency_ms)
            for stage, value in timings_ms.items():
                self._timings_ms.setdefault(stage, deque(maxlen=_KEPT_LATENCIES)).append(value)

    def count_relabelled(self) -> None:
        """Count a sweep that went out once more under new queries."""
        with self._lock:
            self._relabelled += 1

    def count_drop(self, reason: str, error: str = "") -> int:
        """Count a cloud that was dropped and return how many were dropped for this reason."""
        with self._lock:
            self._drops[reason] += 1
            self._last_error = error or self._last_error
            return self._drops[reason]

    def snapshot(self) -> Snapshot:
        """Return the state and begin a new period for the rates."""
        with self._lock:
            now = self._clock()
            period_s = max(now - self._since_s, 1e-9)
            received, published = self._before
            snapshot = Snapshot(
                received=self._received,
                published=self._published,
                relabelled=self._relabelled,
                drops=dict(self._drops),
                new_drops=dict(self._drops - self._drops_before),
                rate_in_hz=(self._received - received) / period_s,
                rate_out_hz=(self._published - published) / period_s,
                latency_p50_ms=_percentile(self._latencies_ms, 50),
                latency_p95_ms=_percentile(self._latencies_ms, 95),
                timings_ms={stage: _percentile(values, 50) for stage, values in self._timings_ms.items()},
                silent_s=now - self._last_arrival_s,
                last_error=self._last_error,
            )
            self._since_s = now
            self._before = (self._received, self._published)
            self._drops_before = self._drops.copy()
            return snapshot


def _percentile(values: deque[float], percent: float) -> float:
    return float(np.percentile(values, percent)) if values else float("nan")
