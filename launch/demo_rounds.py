"""How the demo asks and scores the answers: a ROS client, IoU against the simulator's truth, a table."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import rclpy
from demo_words import Vocabulary
from numpy.typing import NDArray
from ov3d_msgs.msg import LabelTable, Query
from ov3d_msgs.srv import SetQueries
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2

from bags.presets import DEFAULT_PRESET, PRESETS
from bags.truth import Truth
from ov3d_perception.pointcloud2 import read_field, stamp_ns_of
from ov3d_perception.ros import names as ros_names

_PRESET = PRESETS[DEFAULT_PRESET]
CLOUD_TOPIC = _PRESET.of(_PRESET.cloud_topic, "LIDAR_TOP")
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledSweep:
    """One labelled cloud as it arrived: its stamp, labels (N,), and milliseconds since the raw cloud arrived here."""

    stamp_ns: int
    label: NDArray[np.uint16]
    latency_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the result table; `iou` is None where neither truth nor answer has the label."""

    query: str
    points: int
    iou: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {"query": self.query, "points": self.points, "iou": self.iou}


class DemoClient:
    """A ROS client that asks for words and collects labelled clouds; use as a context manager."""

    def __enter__(self) -> DemoClient:
        rclpy.init(args=[])
        self._node = Node("ov3d_demo")
        self._changed = threading.Condition()
        self._tables: list[LabelTable] = []
        self._raw_arrived_s: dict[int, float] = {}
        self._sweeps: dict[int, dict[int, LabelledSweep]] = {}
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        sensor = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
        listen = self._node.create_subscription
        listen(LabelTable, ros_names.resolve(ros_names.LABELS), self._take_table, latched)
        listen(PointCloud2, CLOUD_TOPIC, self._take_raw, sensor)
        listen(PointCloud2, ros_names.resolve(ros_names.OUTPUT_CLOUD), self._take_labelled, sensor)
        self._service: Any = self._node.create_client(SetQueries, ros_names.resolve(ros_names.SET_QUERIES))
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._executor.spin, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown(timeout_sec=2.0)
        self._thread.join(timeout=5.0)
        self._node.destroy_node()
        rclpy.try_shutdown()

    def wait_for_table(self, timeout_s: float) -> bool:
        """Return whether the node's label table is here, after at most `timeout_s`."""
        with self._changed:
            return self._changed.wait_for(lambda: bool(self._tables), timeout=timeout_s)

    def version(self) -> int:
        """Version of the newest label table."""
        with self._changed:
            return int(self._tables[-1].version)

    def ask(self, vocabulary: Vocabulary) -> int:
        """Call ~/set_queries and return the version of the new table; raises `RuntimeError` when it is refused."""
        request = SetQueries.Request()
        request.queries = [
            Query(name=name, synonyms=list(vocabulary.synonyms.get(name, ()))) for name in vocabulary.names
        ]
        request.background = list(vocabulary.background)
        request.no_background = not vocabulary.background
        if not self._service.wait_for_service(timeout_sec=_TIMEOUT_S):
            raise RuntimeError("the service ~/set_queries is not there")
        done = threading.Event()
        future = self._service.call_async(request)
        future.add_done_callback(lambda _: done.set())
        if not done.wait(_TIMEOUT_S):
            raise RuntimeError(f"~/set_queries did not answer within {_TIMEOUT_S:g} s")
        response: Any = future.result()
        if not response.success:
            raise RuntimeError(f"~/set_queries refused: {response.message}")
        return int(response.version)

    def collect(self, version: int, count: int) -> list[LabelledSweep]:
        """Wait for `count` clouds labelled with one version of the table and return them."""
        with self._changed:
            if not self._changed.wait_for(lambda: len(self._sweeps.get(version, {})) >= count, timeout=_TIMEOUT_S):
                got = len(self._sweeps.get(version, {}))
                raise RuntimeError(f"got {got} of {count} clouds of table version {version} in {_TIMEOUT_S:g} s")
            return list(self._sweeps[version].values())

    def _take_table(self, message: LabelTable) -> None:
        with self._changed:
            self._tables.append(message)
            self._changed.notify_all()

    def _take_raw(self, message: PointCloud2) -> None:
        self._raw_arrived_s[stamp_ns_of(message.header)] = time.monotonic()

    def _take_labelled(self, message: PointCloud2) -> None:
        arrived_s, stamp_ns = time.monotonic(), stamp_ns_of(message.header)
        version = int(read_field(message, "table_version").max(initial=0))
        raw_s = self._raw_arrived_s.pop(stamp_ns, None)  # a relabelled sweep comes without a raw one
        sweep = LabelledSweep(
            stamp_ns=stamp_ns,
            label=read_field(message, "label").copy(),
            latency_ms=None if raw_s is None else 1e3 * (arrived_s - raw_s),
        )
        with self._changed:
            self._sweeps.setdefault(version, {})[stamp_ns] = sweep
            self._changed.notify_all()


def score_round(vocabulary: Vocabulary, sweeps: Sequence[LabelledSweep], truth: Truth) -> list[Row]:
    """Intersection over union of every label over all sweeps; points without truth are left out."""
    kind_of = np.array(["", *truth.names])
    rows = []
    for number, name in enumerate(vocabulary.names, start=1):
        hits = union = points = 0
        for sweep in sweeps:
            kinds = kind_of[truth.labels[sweep.stamp_ns]]
            known = kinds != ""
            answer = (sweep.label == number) & known
            wanted = np.isin(kinds, vocabulary.truth[name])
            hits, union = hits + int((answer & wanted).sum()), union + int((answer | wanted).sum())
            points += int(answer.sum())
        rows.append(Row(query=name, points=points, iou=hits / union if union else None))
    return rows


def table(results: Sequence[tuple[Vocabulary, list[Row], list[LabelledSweep]]]) -> str:
    """Format all rounds: query, points, IoU, and the median latency from raw to labelled cloud as seen by a client."""
    width = 2 + max(len(row.query) for _, rows, _ in results for row in rows)
    lines = [f"{'query':<{width}}{'points':>9}{'IoU':>7}"]
    for vocabulary, rows, sweeps in results:
        latencies = [sweep.latency_ms for sweep in sweeps if sweep.latency_ms is not None]
        latency = f"{np.median(latencies):.0f} ms" if latencies else "not measured"
        scored = [row.iou for row in rows if row.iou is not None]
        mean = f"{np.mean(scored):.2f}" if scored else "-"
        lines.append(f"-- {vocabulary.title}: mean IoU {mean}, {len(sweeps)} sweeps, median latency {latency}")
        for row in rows:
            iou = "-" if row.iou is None else f"{row.iou:.2f}"
            lines.append(f"{row.query:<{width}}{row.points:>9,}{iou:>7}")
    return "\n".join(lines)
