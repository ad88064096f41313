"""The node `ov3d_segmentation`: wires clouds, words and tables between ROS 2 and the `Pipeline`.

Run it with `python -m ov3d_perception.ros.node --ros-args -p bundle:=DIR -r '~/input/pointcloud:=/LIDAR_TOP'`, or
through `ros2 launch ov3d_perception segment.launch.py`. Topics, services and parameters: docs/deployment.md.
"""

from __future__ import annotations

import json
import shlex
import sys
import textwrap
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from ov3d_msgs.msg import LabelTable
from ov3d_msgs.srv import SetQueries
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.clock import Clock, ClockType
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.utilities import remove_ros_args
from sensor_msgs.msg import PointCloud2
from visualization_msgs.msg import MarkerArray

from ..artifact import ModelCard, open_bundle
from ..config import PARAMETERS, NodeConfig
from ..engine import Engine
from ..errors import ConfigError, Ov3dError
from ..pointcloud2 import decode_pointcloud2
from . import convert, names
from .diagnostics import diagnostic_message
from .forwarding import forwarded
from .parameters import read_config
from .pipeline import LabelledSweep, Pipeline, SweepEngine
from .vocabulary import Vocabulary, defaults_of, first_request, make_vocabulary

if TYPE_CHECKING:
    from ..text.encoder import TextEncoder

START_ERROR = 2
"""Exit code when the node cannot start; one line on stderr says why."""

_EXECUTOR_THREADS = 3  # clouds, queries, diagnostics: none waits for another
_SHOWN_WORDS_WIDTH = 500
_OUTPUT_QOS = QoSProfile(depth=5, history=HistoryPolicy.KEEP_LAST, reliability=ReliabilityPolicy.RELIABLE)
_LATCHED_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What a bundle gives the node. `provider` is the onnxruntime provider that really runs."""

    card: ModelCard
    engine: SweepEngine
    encoder: TextEncoder
    provider: str


def load_model(config: NodeConfig) -> Model:
    """Open bundle, network and text encoder; `ConfigError` or `ModelError` when one of them cannot be used."""
    if not config.bundle:
        raise ConfigError("parameter bundle: not set. Give the folder of a model bundle: -p bundle:=DIR.")
    threads = config.threads or None
    bundle = open_bundle(Path(config.bundle).expanduser())
    engine = Engine(bundle, providers=config.device, threads=threads)
    cache = Path(config.text_cache).expanduser() if config.text_cache else None
    encoder = bundle.open_text_encoder(threads=threads, cache_dir=cache)
    return Model(card=bundle.card, engine=engine, encoder=encoder, provider=engine.provider)


class SegmentationNode(Node):
    """Labels every point of every cloud with the words that are active."""

    def __init__(self, *, load: Callable[[NodeConfig], Model] = load_model, **node_arguments: Any) -> None:
        super().__init__(names.NODE_NAME, **node_arguments)
        self._cleanup = ExitStack()
        try:
            self._cleanup.enter_context(forwarded(self.get_logger()))
            self._start(load)
        except BaseException:
            self.destroy_node()
            raise

    def destroy_node(self) -> None:
        """Stop the worker, then the node."""
        self._cleanup.close()
        super().destroy_node()

    def _start(self, load: Callable[[NodeConfig], Model]) -> None:
        self.config = read_config(self)
        self.model = load(self.config)
        self._defaults = defaults_of(self.config, self.model.card)
        vocabulary = make_vocabulary(
            first_request(self.config, self.model.card), self.model.encoder, self._defaults, version=1
        )
        self._legend_of: tuple[int, str] | None = None
        self._cloud_publisher = self.create_publisher(PointCloud2, names.OUTPUT_CLOUD, _OUTPUT_QOS)
        self._table_publisher = self.create_publisher(LabelTable, names.LABELS, _LATCHED_QOS)
        self._legend_publisher = self.create_publisher(MarkerArray, names.OUTPUT_LEGEND, _LATCHED_QOS)
        self._diagnostics_publisher = self.create_publisher(DiagnosticArray, names.DIAGNOSTICS, 10)
        self.pipeline = Pipeline(
            self.model.engine,
            vocabulary,
            decode=partial(decode_pointcloud2, max_points=self.config.max_points),
            publish=self._publish_sweep,
            max_points=self.config.max_points,
        )
        self._cleanup.callback(self.pipeline.close)
        self._publish_table(vocabulary)
        self._listen()
        self.get_logger().info(self._start_line())

    def _listen(self) -> None:
        reliable = self.config.input_reliability == "reliable"
        newest = QoSProfile(
            depth=1, reliability=ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
        )
        self._subscription = self.create_subscription(
            PointCloud2,
            names.INPUT_CLOUD,
            self.pipeline.offer,
            newest,
            callback_group=MutuallyExclusiveCallbackGroup(),
        )
        self.create_service(
            SetQueries, names.SET_QUERIES, self._set_queries, callback_group=MutuallyExclusiveCallbackGroup()
        )
        self.create_timer(
            self.config.stats_period_s,
            self._publish_diagnostics,
            callback_group=MutuallyExclusiveCallbackGroup(),
            clock=Clock(clock_type=ClockType.STEADY_TIME),
        )

    def _set_queries(self, request: SetQueries.Request, response: SetQueries.Response) -> SetQueries.Response:
        """Answer the service, in a thread of its own: the old vocabulary labels clouds until the new one is ready."""
        version = self.pipeline.vocabulary.queries.version + 1
        try:
            wanted = convert.vocabulary_request(request)
            vocabulary = make_vocabulary(wanted, self.model.encoder, self._defaults, version=version)
            self._publish_table(vocabulary)  # before the first cloud that refers to it
            self.pipeline.use(vocabulary)
            response.success = True
            self.get_logger().info(f"queries version {version}: {_listed(vocabulary)}")
        except Ov3dError as error:
            response.message = str(error)
        except Exception as error:  # an error that left this callback would end the executor
            response.message = f"internal error: {type(error).__name__}: {error}"
            self.get_logger().error(f"set_queries: {response.message}")
        response.version = self.pipeline.vocabulary.queries.version % convert.VERSIONS
        return response

    def _publish_table(self, vocabulary: Vocabulary) -> None:
        self._table_publisher.publish(convert.label_table(vocabulary, self.get_clock().now().to_msg()))

    def _publish_sweep(self, sweep: LabelledSweep) -> None:
        """Publish from the pipeline's worker."""
        self._cloud_publisher.publish(convert.labelled_cloud(sweep))
        legend_of = (sweep.vocabulary.queries.version, sweep.header.frame_id)
        if legend_of != self._legend_of:
            self._legend_publisher.publish(convert.legend(sweep.vocabulary, sweep.header.frame_id))
            self._legend_of = legend_of

    def _publish_diagnostics(self) -> None:
        vocabulary = self.pipeline.vocabulary
        facts = {
            "bundle": self.model.card.name,
            "provider": self.model.provider,
            "text_space": self.model.encoder.space,
            "queries_version": str(vocabulary.queries.version),
            "queries": _listed(vocabulary),
        }
        message = diagnostic_message(
            self.pipeline.statistics.snapshot(),
            facts,
            node_name=self.get_name(),
            topic=self._subscription.topic_name,
            stamp=self.get_clock().now().to_msg(),
        )
        if self.context.ok():  # a timer may still fire while ROS shuts down
            self._diagnostics_publisher.publish(message)

    def _start_line(self) -> str:
        """Say in one line what runs and how to run it again."""
        command = ["python", "-m", __spec__.name if __spec__ else __name__, "--ros-args"]
        for parameter in PARAMETERS:
            value = getattr(self.config, parameter.name)
            if value != parameter.default:
                shown = json.dumps(value, ensure_ascii=False) if isinstance(value, tuple) else str(value)
                command += ["-p", f"{parameter.name}:={shown}"]
        if self.get_parameter("use_sim_time").value:
            command += ["-p", "use_sim_time:=true"]
        command += ["-r", f"__ns:={self.get_namespace()}", "-r", f"__node:={self.get_name()}"]
        command += ["-r", f"{names.INPUT_CLOUD}:={self._subscription.topic_name}"]
        return (
            f"bundle {self.model.card.name} ({self.model.card.architecture}) on {self.model.provider}, "
            f"queries {_listed(self.pipeline.vocabulary)}; publishing "
            f"{self._cloud_publisher.topic_name}; again with: {shlex.join(command)}"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the node until it is interrupted; return 0, or `START_ERROR` after one line on stderr."""
    arguments = sys.argv if arguments is None else ["ov3d_segmentation", *arguments]
    surplus = remove_ros_args(arguments)[1:]
    if surplus:
        return _refuse(f"unknown arguments {' '.join(surplus)}. Parameters follow --ros-args, as in -p bundle:=DIR.")
    try:
        rclpy.init(args=list(arguments))
    except Exception as error:  # rclpy has one exception per way of misreading the command line
        return _refuse(" ".join(str(error).split()))
    try:
        spin()
    except Ov3dError as error:
        return _refuse(str(error))
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    finally:
        rclpy.try_shutdown()
    return 0


def spin() -> None:
    """Make a node and run its callbacks until the context shuts down or Python is interrupted."""
    executor = MultiThreadedExecutor(num_threads=_EXECUTOR_THREADS)
    node = SegmentationNode()
    executor.add_node(node)
    try:
        executor.spin()
    finally:
        executor.shutdown(timeout_sec=2.0)
        node.destroy_node()


def _listed(vocabulary: Vocabulary) -> str:
    return textwrap.shorten(", ".join(vocabulary.queries.names), width=_SHOWN_WORDS_WIDTH, placeholder=" ...")


def _refuse(reason: str) -> int:
    sys.stderr.write(f"{names.NODE_NAME}: {' '.join(reason.split())}\n")
    return START_ERROR


if __name__ == "__main__":
    sys.exit(main())
