"""`Pipeline`: clouds in, labelled sweeps out, in a thread of its own; knows neither rclpy nor message packages.

The newest cloud wins: one slot holds the next cloud, and a cloud that is replaced there is counted as superseded.
The features of the last sweep are kept, so that new queries relabel it without running the network again. All
labelled sweeps leave through one thread, in the order in which their clouds arrived. A cloud that cannot be
processed is dropped, counted by reason and warned about at a bounded rate; nothing that a cloud does ends the thread.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

from ..errors import DataError, FrameError, GeometryError, ModelError
from ..types import Frame, Prediction
from .statistics import SUPERSEDED, Statistics
from .vocabulary import Vocabulary

WARNING_PERIOD_S = 5.0
_CLOSE_TIMEOUT_S = 5.0
_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (DataError, "bad_cloud"),
    (GeometryError, "bad_geometry"),
    (FrameError, "bad_frame"),
    (ModelError, "model"),
)
TOO_MANY_POINTS = "too_many_points"
INTERNAL = "internal"

logger = logging.getLogger(__name__)


class SweepEngine(Protocol):
    """The part of `engine.Engine` that the pipeline uses."""

    def encode(self, frame: Frame, queries: Any) -> Any:
        """Run the network on a sweep."""
        ...

    def label(self, features: Any, queries: Any) -> Prediction:
        """Label an encoded sweep, without running the network."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSweep:
    """One sweep ready to be published: the input message's header and shape, its points and their labels.

    `height` x `width` is the shape of the input cloud. `vocabulary` is what the labels refer to. `relabelled` is true
    when the same sweep went out before under other queries.
    """

    header: Any
    height: int
    width: int
    frame: Frame
    prediction: Prediction
    vocabulary: Vocabulary
    relabelled: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _KeptSweep:
    """The last sweep with its features, for relabelling."""

    header: Any
    height: int
    width: int
    frame: Frame
    features: Any
    labelled_with: Vocabulary


class Pipeline:
    """Owns the worker thread, the slot for the next cloud, the current vocabulary and the last sweep."""

    def __init__(
        self,
        engine: SweepEngine,
        vocabulary: Vocabulary,
        *,
        decode: Callable[[Any], Frame],
        publish: Callable[[LabelledSweep], None],
        max_points: int,
        statistics: Statistics | None = None,
    ) -> None:
        """Start the worker.

        `decode` turns a PointCloud2 message into a `Frame` (`DataError` for a bad one); `publish` is called from the
        worker for every labelled sweep.
        """
        self.statistics = statistics or Statistics()
        self._engine = engine
        self._decode = decode
        self._publish = publish
        self._max_points = max_points
        self._changed = threading.Condition()
        self._slot: tuple[Any, float] | None = None
        self._vocabulary = vocabulary
        self._closed = False
        self._kept: _KeptSweep | None = None  # touched by the worker alone
        self._warned_s: dict[str, float] = {}
        self._thread = threading.Thread(target=self._run, name="ov3d_pipeline", daemon=True)
        self._thread.start()

    @property
    def vocabulary(self) -> Vocabulary:
        """What the next sweep will be labelled with."""
        with self._changed:
            return self._vocabulary

    def offer(self, message: Any) -> None:
        """Take a PointCloud2 message for processing and return at once; it replaces one that still waits."""
        self.statistics.count_received()
        points = int(message.height) * int(message.width)
        if points > self._max_points:
            text = f"cloud has {points:,} points, max_points is {self._max_points:,}. Raise it or thin the cloud."
            self._drop(TOO_MANY_POINTS, text)
            return
        with self._changed:
            superseded = self._slot is not None
            self._slot = (message, time.monotonic())
            self._changed.notify()
        if superseded:
            self.statistics.count_drop(SUPERSEDED)

    def use(self, vocabulary: Vocabulary) -> None:
        """Label with other queries from now on, beginning with the sweep in memory; returns at once."""
        with self._changed:
            self._vocabulary = vocabulary
            self._changed.notify()

    def close(self) -> None:
        """Stop the worker after the sweep it is busy with; harmless when repeated."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        if self._thread is not threading.current_thread():
            self._thread.join(timeout=_CLOSE_TIMEOUT_S)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._slot is not None or self._must_relabel())
                if self._closed:
                    return
                relabel = self._must_relabel()
                taken = None
                if not relabel:
                    taken, self._slot = self._slot, None
            try:
                if relabel:
                    self._relabel()
                elif taken is not None:
                    self._process(*taken)
            except Exception as error:
                self._drop_for(error)

    def _must_relabel(self) -> bool:
        return self._kept is not None and self._kept.labelled_with is not self._vocabulary

    def _process(self, message: Any, arrived_s: float) -> None:
        begun_s = time.monotonic()
        frame = self._decode(message)
        decoded_s = time.monotonic()
        features = self._engine.encode(frame, self.vocabulary.queries)
        vocabulary = self.vocabulary  # may have changed while the network ran
        prediction = self._engine.label(features, vocabulary.queries)
        kept = _KeptSweep(
            header=message.header,
            height=message.height,
            width=message.width,
            frame=frame,
            features=features,
            labelled_with=vocabulary,
        )
        self._kept = kept
        self._send(kept, prediction, relabelled=False)
        finished_s = time.monotonic()
        stages = {"wait": begun_s - arrived_s, "decode": decoded_s - begun_s, "total": finished_s - begun_s}
        timings_ms = {name: 1e3 * seconds for name, seconds in stages.items()}
        for part in (features, prediction):
            timings_ms.update(getattr(part, "timings_ms", {}))
        self.statistics.count_published(1e3 * (finished_s - arrived_s), timings_ms)

    def _relabel(self) -> None:
        kept, vocabulary = self._kept, self.vocabulary
        assert kept is not None
        kept = replace(kept, labelled_with=vocabulary)
        self._kept = kept  # before the attempt: a sweep that cannot be relabelled is not tried for ever
        prediction = self._engine.label(kept.features, vocabulary.queries)
        self._send(kept, prediction, relabelled=True)
        self.statistics.count_relabelled()

    def _send(self, kept: _KeptSweep, prediction: Prediction, *, relabelled: bool) -> None:
        self._publish(
            LabelledSweep(
                header=kept.header,
                height=kept.height,
                width=kept.width,
                frame=kept.frame,
                prediction=prediction,
                vocabulary=kept.labelled_with,
                relabelled=relabelled,
            )
        )

    def _drop_for(self, error: Exception) -> None:
        for kind, reason in _REASONS:
            if isinstance(error, kind):
                self._drop(reason, str(error))
                return
        self._drop(INTERNAL, f"{type(error).__name__}: {error}", error)

    def _drop(self, reason: str, text: str, error: Exception | None = None) -> None:
        """Count a cloud that could not be processed and warn, for each reason at most every `WARNING_PERIOD_S`."""
        count = self.statistics.count_drop(reason, text)
        now = time.monotonic()
        if now - self._warned_s.get(reason, -WARNING_PERIOD_S) < WARNING_PERIOD_S:
            return
        self._warned_s[reason] = now
        logger.warning("cloud dropped (%s, %d so far): %s", reason, count, text, exc_info=error)
