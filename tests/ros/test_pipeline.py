"""The pipeline alone, without ROS: what is dropped, what is kept, what goes out in which order."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ov3d_perception.errors import DataError, FrameError
from ov3d_perception.ros.pipeline import INTERNAL, TOO_MANY_POINTS, LabelledSweep, Pipeline
from ov3d_perception.ros.statistics import SUPERSEDED, Statistics
from ov3d_perception.types import Frame, Prediction
from tests.ros.conftest import wait_for


class CountingEngine:
    """Labels every point with the version of the queries; counts runs and waits where it is told to."""

    def __init__(self) -> None:
        self.runs = 0
        self.gate = threading.Event()
        self.gate.set()
        self.fail_with: Exception | None = None

    def encode(self, frame: Frame, queries: Any) -> Any:
        self.runs += 1
        assert self.gate.wait(20.0)
        if self.fail_with is not None:
            raise self.fail_with
        return SimpleNamespace(count=len(frame.points))

    def label(self, features: Any, queries: Any) -> Prediction:
        labels = np.full(features.count, queries.version, dtype=np.uint16)
        return Prediction(label=labels, score=np.zeros(features.count, np.float32), queries_version=queries.version)


def vocabulary(version: int) -> Any:
    return SimpleNamespace(queries=SimpleNamespace(version=version), colors=None)


def cloud(number: int, points: int = 3) -> Any:
    return SimpleNamespace(header=number, height=1, width=points)


def decode(message: Any) -> Frame:
    if message.header == "bad":
        raise DataError("cloud: no field x.")
    count = message.width
    return Frame(
        points=np.zeros((count, 3), np.float32), intensity=np.zeros(count, np.float32), stamp_ns=0, frame_id="lidar"
    )


class Rig:
    def __init__(self) -> None:
        self.engine = CountingEngine()
        self.sent: list[LabelledSweep] = []
        self.pipeline = Pipeline(
            self.engine,
            vocabulary(1),
            decode=decode,
            publish=self.sent.append,
            max_points=1000,
            statistics=Statistics(),
        )

    @property
    def order(self) -> list[Any]:
        return [(sweep.header, sweep.prediction.queries_version) for sweep in self.sent]

    def drops(self) -> dict[str, int]:
        return dict(self.pipeline.statistics.snapshot().drops)

    def wait_for_drop(self, reason: str, count: int) -> None:
        until(lambda: self.drops().get(reason) == count)


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    made.engine.gate.set()
    made.pipeline.close()
    assert not made.pipeline._thread.is_alive()


def until(condition: Callable[[], Any]) -> None:
    wait_for(condition, "the pipeline", timeout_s=10.0)


def test_the_newest_cloud_wins_while_the_network_is_busy(rig: Rig) -> None:
    rig.engine.gate.clear()
    rig.pipeline.offer(cloud(0))
    until(lambda: rig.engine.runs == 1)
    for number in (1, 2, 3, 4):
        rig.pipeline.offer(cloud(number))
    rig.engine.gate.set()
    until(lambda: len(rig.sent) == 2)
    assert rig.order == [(0, 1), (4, 1)]
    assert rig.drops() == {SUPERSEDED: 3}


def test_new_words_relabel_the_sweep_in_memory_without_running_the_network(rig: Rig) -> None:
    rig.pipeline.offer(cloud(7))
    until(lambda: len(rig.sent) == 1)
    rig.pipeline.use(vocabulary(2))
    until(lambda: len(rig.sent) == 2)
    assert rig.order == [(7, 1), (7, 2)]
    assert [sweep.relabelled for sweep in rig.sent] == [False, True]
    assert rig.engine.runs == 1


def test_new_words_without_any_sweep_wait_for_the_first_one(rig: Rig) -> None:
    rig.pipeline.use(vocabulary(2))
    rig.pipeline.offer(cloud(1))
    until(lambda: rig.sent)
    assert rig.order == [(1, 2)]


def test_words_that_change_while_the_network_runs_label_that_sweep_once(rig: Rig) -> None:
    rig.engine.gate.clear()
    rig.pipeline.offer(cloud(1))
    until(lambda: rig.engine.runs == 1)
    rig.pipeline.use(vocabulary(2))
    rig.engine.gate.set()
    until(lambda: rig.sent)
    rig.pipeline.offer(cloud(2))
    until(lambda: len(rig.sent) == 2)
    assert rig.order == [(1, 2), (2, 2)]


def test_bad_clouds_are_counted_by_reason_and_the_worker_lives_on(rig: Rig) -> None:
    rig.pipeline.offer(cloud("bad"))  # type: ignore[arg-type]
    rig.wait_for_drop("bad_cloud", 1)
    rig.pipeline.offer(cloud(1, points=1001))
    assert rig.drops()[TOO_MANY_POINTS] == 1
    for error, reason in ((FrameError("out of memory"), "bad_frame"), (ZeroDivisionError("a bug"), INTERNAL)):
        rig.engine.fail_with = error
        rig.pipeline.offer(cloud(2))
        rig.wait_for_drop(reason, 1)
    rig.engine.fail_with = None
    rig.pipeline.offer(cloud(3))
    until(lambda: rig.sent)
    assert rig.order == [(3, 1)]


def test_a_publisher_that_raises_does_not_end_the_worker() -> None:
    calls: list[Any] = []

    def publish(sweep: LabelledSweep) -> None:
        calls.append(sweep)
        raise RuntimeError("publisher is gone")

    pipeline = Pipeline(CountingEngine(), vocabulary(1), decode=decode, publish=publish, max_points=1000)
    try:
        for number in (1, 2):
            pipeline.offer(cloud(number))
            until(lambda: len(calls) == pipeline.statistics.snapshot().received)
        pipeline.use(vocabulary(2))  # fails as well, and is not tried for ever
        until(lambda: len(calls) == 3)
        until(lambda: pipeline.statistics.snapshot().drops == {INTERNAL: 3})
    finally:
        pipeline.close()


def test_a_fault_that_repeats_warns_once_in_the_period(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(1, 4):
        rig.pipeline.offer(cloud("bad"))  # type: ignore[arg-type]
        rig.wait_for_drop("bad_cloud", number)
    assert [record.getMessage() for record in caplog.records] == [
        "cloud dropped (bad_cloud, 1 so far): cloud: no field x."
    ]


def test_rates_and_latencies_follow_the_clock() -> None:
    now = 100.0
    statistics = Statistics(clock=lambda: now)
    for latency_ms in (10.0, 20.0, 30.0):
        statistics.count_received()
        statistics.count_published(latency_ms, {"network": latency_ms / 2})
    statistics.count_received()
    statistics.count_drop("bad_cloud", "no x")
    now = 102.0
    first = statistics.snapshot()
    assert (first.rate_in_hz, first.rate_out_hz) == (2.0, 1.5)
    assert (first.latency_p50_ms, first.timings_ms["network"]) == (20.0, 10.0)
    assert first.latency_p95_ms == pytest.approx(29.0)  # 20 + 0.9 * 10, linear between the 2nd and 3rd of 3
    assert (first.new_drops, first.last_error, first.silent_s) == ({"bad_cloud": 1}, "no x", 2.0)
    now = 103.0
    second = statistics.snapshot()
    assert (second.rate_in_hz, second.new_drops, second.drops) == (0.0, {}, {"bad_cloud": 1})
