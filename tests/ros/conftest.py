"""Real rclpy for the tests that need it: own domain, this machine only, node and client in one process."""

from __future__ import annotations

import importlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.ros.hand_made_bundle import write_bundle

# Before rclpy is imported: no test meets another process's nodes, on this machine or on the network.
os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"

TIMEOUT_S = 20.0


def missing_ros() -> str:
    """Say why ROS tests cannot run here, empty when they can."""
    for module in ("rclpy", "ov3d_msgs.msg"):
        try:
            importlib.import_module(module)
        except ImportError as error:
            return f"needs ROS 2 and the built ov3d_msgs: {error} (`make test` sets both up)"
    return ""


@pytest.fixture(scope="session")
def ros() -> Iterator[Any]:
    """Rclpy, initialised once for all tests; skips where ROS or ov3d_msgs do not import."""
    reason = missing_ros()
    if reason:
        pytest.skip(reason)
    import rclpy

    rclpy.init()
    yield rclpy
    rclpy.try_shutdown()


@pytest.fixture(scope="session")
def bundle_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle whose answers can be worked out by hand (see `hand_made_bundle`)."""
    return write_bundle(tmp_path_factory.mktemp("bundle"))


def wait_for(condition: Callable[[], Any], what: str, timeout_s: float = TIMEOUT_S) -> Any:
    """Return the condition's value as soon as it is true; fail with `what` when it stays false."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.005)
    pytest.fail(f"waited {timeout_s:g} s in vain for {what}")


class Bench:
    """A running node and a client that talks to it over real topics and services."""

    def __init__(self, node: Any) -> None:
        from diagnostic_msgs.msg import DiagnosticArray
        from ov3d_msgs.msg import LabelTable
        from ov3d_msgs.srv import SetQueries
        from rclpy.executors import MultiThreadedExecutor, SingleThreadedExecutor
        from rclpy.node import Node
        from sensor_msgs.msg import PointCloud2
        from visualization_msgs.msg import MarkerArray

        from ov3d_perception.ros import names

        self.node = node
        self.clouds: list[Any] = []
        self.tables: list[Any] = []
        self.legends: list[Any] = []
        self.diagnostics: list[Any] = []
        self.client = Node("client")
        namespace = node.get_namespace()

        def topic(name: str) -> str:
            return names.resolve(name, namespace=namespace)

        self.publisher = self.client.create_publisher(PointCloud2, topic(names.INPUT_CLOUD), 10)
        listen = self.client.create_subscription
        listen(PointCloud2, topic(names.OUTPUT_CLOUD), self.clouds.append, 10)
        listen(LabelTable, topic(names.LABELS), self.tables.append, latched())
        listen(MarkerArray, topic(names.OUTPUT_LEGEND), self.legends.append, latched())
        listen(DiagnosticArray, names.DIAGNOSTICS, self.diagnostics.append, 10)
        self.service: Any = self.client.create_client(SetQueries, topic(names.SET_QUERIES))
        self._executors = [MultiThreadedExecutor(num_threads=3), SingleThreadedExecutor()]
        self._threads = []
        for executor, spun in zip(self._executors, (node, self.client), strict=True):
            executor.add_node(spun)
            thread = threading.Thread(target=executor.spin, daemon=True)
            thread.start()
            self._threads.append(thread)
        wait_for(lambda: self.publisher.get_subscription_count() == 1, "the node's subscription")
        wait_for(lambda: node._cloud_publisher.get_subscription_count() >= 1, "the client's subscription")
        wait_for(self.service.service_is_ready, "the service")

    def send(self, cloud: Any) -> Any:
        """Publish a cloud and return the first labelled cloud that follows."""
        before = len(self.clouds)
        self.publisher.publish(cloud)
        return wait_for(lambda: self.clouds[before:], "a labelled cloud")[0]

    def send_bad(self, cloud: Any, reason: str) -> None:
        """Publish a cloud that must be dropped for the given reason."""
        before = self.drops().get(reason, 0)
        self.publisher.publish(cloud)
        wait_for(lambda: self.drops().get(reason, 0) == before + 1, f"a drop counted as {reason}, not {self.drops()}")

    def drops(self) -> dict[str, int]:
        """Clouds dropped so far, by reason."""
        return dict(self.node.pipeline.statistics._drops)

    def set_queries(self, *words: str, **request: Any) -> Any:
        """Call the service with words, synonyms after bars, and return its answer."""
        from ov3d_msgs.msg import Query
        from ov3d_msgs.srv import SetQueries

        queries = [Query(name=first, synonyms=rest) for first, *rest in (word.split("|") for word in words)]
        future = self.service.call_async(SetQueries.Request(queries=queries, **request))
        wait_for(future.done, "the answer of set_queries")
        return future.result()

    def close(self) -> None:
        """Stop both nodes and their executors."""
        for executor in self._executors:
            executor.shutdown(timeout_sec=5.0)
        for thread in self._threads:
            thread.join(timeout=5.0)
        self.client.destroy_node()
        self.node.destroy_node()


def latched() -> Any:
    """QoS of topics whose last message late subscribers still get."""
    from rclpy.qos import DurabilityPolicy, QoSProfile

    return QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture
def start(ros: Any, bundle_dir: Path) -> Iterator[Callable[..., Bench]]:
    """Start a node with given parameters (and optionally another way to load the model); ended after the test."""
    from rclpy.parameter import Parameter

    from ov3d_perception.ros.node import SegmentationNode

    benches: list[Bench] = []

    def run(*, load: Any = None, **parameters: Any) -> Bench:
        values = {"bundle": str(bundle_dir), "device": "cpu", "threads": 1, **parameters}
        overrides = [Parameter(name, value=value) for name, value in values.items()]
        arguments = {} if load is None else {"load": load}
        benches.append(Bench(SegmentationNode(parameter_overrides=overrides, **arguments)))
        return benches[-1]

    yield run
    for bench in benches:
        bench.close()
