"""The way of a sweep through the node's own code, from a message to a message, as the bench walks it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from ov3d_perception.artifact import Bundle
from ov3d_perception.engine import Engine
from ov3d_perception.palette import label_colors
from ov3d_perception.pointcloud2 import MAX_POINTS, decode_pointcloud2, encode_cloud, encode_labelled_cloud
from ov3d_perception.queries import LabelSpec, QuerySet
from ov3d_perception.ros.pipeline import LabelledSweep, Pipeline
from ov3d_perception.ros.vocabulary import Vocabulary
from ov3d_perception.types import Frame

from .graphs import random_words

_PATIENCE_S = 60.0


def with_voxel_size(bundle: Bundle, voxel_size_m: float) -> Bundle:
    """Return the bundle as if it had been trained with other voxels: right for timing, wrong for labelling."""
    return replace(bundle, card=replace(bundle.card, inputs=replace(bundle.card.inputs, voxel_size_m=voxel_size_m)))


def random_vocabulary(bundle: Bundle, count: int, *, version: int = 1) -> Vocabulary:
    """Return a vocabulary of words whose vectors are random; as quick to match as real ones."""
    labels = tuple(LabelSpec(name=f"word {number}") for number in range(count))
    queries = QuerySet(
        labels=labels,
        background=(),
        phrases=tuple(label.name for label in labels),
        text=random_words(count, bundle.card.embedding_dim),
        label_of_phrase=np.arange(count),
        templates=("{}",),
        threshold=-1.0,
        space=bundle.card.text_space,
        version=version,
    )
    return Vocabulary(queries=queries, colors=label_colors(queries.names))


@dataclass(frozen=True, slots=True, kw_only=True)
class Messages:
    """How messages are made: rclpy's where `wire` (`ov3d_perception.ros.wire`) imports, else look-alikes."""

    wire: ModuleType | None
    missing: str = ""

    def cloud(self, frame: Frame) -> Any:
        """Return the sweep as a driver publishes it: x, y, z, intensity and, where known, ring."""
        columns: dict[str, Any] = {name: frame.points[:, axis] for axis, name in enumerate("xyz")}
        columns["intensity"] = frame.intensity
        if frame.ring is not None:
            columns["ring"] = frame.ring
        parts = encode_cloud(columns)
        if self.wire is not None:
            return self.wire.cloud_message(parts, stamp_ns=frame.stamp_ns, frame_id=frame.frame_id)
        stamp = SimpleNamespace(sec=frame.stamp_ns // 10**9, nanosec=frame.stamp_ns % 10**9)
        header = SimpleNamespace(stamp=stamp, frame_id=frame.frame_id)
        fields = [SimpleNamespace(**entry) for entry in parts["fields"]]
        row_step = parts["point_step"] * parts["width"]
        return SimpleNamespace(**{**parts, "header": header, "height": 1, "row_step": row_step, "fields": fields})

    def pack(self, sweep: LabelledSweep) -> Any:
        """Return the labelled cloud that the node would publish."""
        if self.wire is not None:
            return self.wire.labelled_cloud(sweep)
        return encode_labelled_cloud(sweep.frame, sweep.prediction, sweep.vocabulary.colors)


def open_messages() -> Messages:
    """Return rclpy's messages, or look-alikes and why."""
    try:
        from ov3d_perception.ros import wire
    except ImportError as error:
        return Messages(wire=None, missing=f"ROS 2 messages do not import ({error})")
    return Messages(wire=wire)


class NodeWithoutRos:
    """The node's pipeline with its worker, whose labelled clouds are packed and counted instead of published."""

    def __init__(self, engine: Engine, vocabulary: Vocabulary, messages: Messages) -> None:
        """Start the pipeline."""
        self._messages = messages
        self._done = threading.Semaphore(0)
        self.packed: Any = None
        self._pipeline = Pipeline(
            engine, vocabulary, decode=decode_pointcloud2, publish=self._publish, max_points=MAX_POINTS
        )

    def label(self, message: Any) -> None:
        """Give a cloud to the pipeline and wait until its labelled cloud is packed."""
        self._pipeline.offer(message)
        self._wait()

    def use(self, vocabulary: Vocabulary) -> None:
        """Change the words and wait until the sweep in memory is relabelled and packed."""
        self._pipeline.use(vocabulary)
        self._wait()

    def close(self) -> None:
        """Stop the worker."""
        self._pipeline.close()

    def _publish(self, sweep: LabelledSweep) -> None:
        self.packed = self._messages.pack(sweep)
        self._done.release()

    def _wait(self) -> None:
        if not self._done.acquire(timeout=_PATIENCE_S):
            raise TimeoutError(f"no labelled cloud within {_PATIENCE_S:.0f} s: see the log for why it was dropped")


@contextmanager
def running_node(engine: Engine, vocabulary: Vocabulary, messages: Messages) -> Iterator[NodeWithoutRos]:
    """Start the pipeline and stop it in the end."""
    node = NodeWithoutRos(engine, vocabulary, messages)
    try:
        yield node
    finally:
        node.close()


def label_at_once(engine: Engine, vocabulary: Vocabulary, messages: Messages) -> Callable[[Any], Any]:
    """Return the same way without a thread: a message to a packed cloud."""

    def walk(message: Any) -> Any:
        frame = decode_pointcloud2(message)
        prediction = engine.infer(frame, vocabulary.queries)
        return messages.pack(
            LabelledSweep(
                header=message.header,
                height=message.height,
                width=message.width,
                frame=frame,
                prediction=prediction,
                vocabulary=vocabulary,
                relabelled=False,
            )
        )

    return walk
