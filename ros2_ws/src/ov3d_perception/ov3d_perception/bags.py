"""rosbag2 recordings in and out of the core: clouds, whole frames with cameras, and labelled copies."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bag_frames import BagFrames, read_bag_frames
from .bag_io import (
    LABEL_TABLE_TYPE,
    LABELLED_TOPIC,
    LABELS_TOPIC,
    POINTCLOUD2_TYPE,
    copy_connections,
    create_bag,
    deserialize,
    find_cloud_topic,
    make_typestore,
    open_bag,
    qos_profile,
)
from .errors import ConfigError
from .palette import colors_for, label_colors
from .pointcloud2 import CloudParts, decode_pointcloud2, encode_labelled_cloud
from .queries import LabelSpec, QuerySet
from .types import Frame, Prediction

__all__ = [
    "LABELLED_TOPIC",
    "LABELS_TOPIC",
    "BagFrames",
    "cloud_message",
    "header_message",
    "label_table_message",
    "read_bag_clouds",
    "read_bag_frames",
    "write_labelled_bag",
]


def read_bag_clouds(path: Path | str, topic: str | None = None) -> Iterator[Frame]:
    """Yield every cloud of a bag as a `Frame` without cameras, in recording order; stamps are the headers'.

    Without `topic` the bag must hold exactly one PointCloud2 topic. Raises `DataError` for a bag that cannot be read,
    none or several cloud topics (the message lists them), or a broken cloud.
    """
    typestore = make_typestore()
    with open_bag(path) as reader:
        connections = find_cloud_topic(reader, topic, path)
        for connection, _, raw in reader.messages(connections=connections):
            where = f"{path}: {connection.topic}"
            yield decode_pointcloud2(deserialize(typestore, raw, connection.msgtype, where))


def write_labelled_bag(
    source: Path | str,
    out: Path | str,
    label: Callable[[Frame], Prediction],
    *,
    queries: QuerySet | None = None,
    topic: str | None = None,
    storage: str = "mcap",
) -> int:
    """Copy a bag and add `LABELLED_TOPIC`: each cloud of `topic` as `label` sees it; return the number of clouds.

    Original messages are copied byte for byte. Labelled clouds carry the original header and recording time. With
    `queries` the label table is added on `LABELS_TOPIC` and colours are those of its names; without, labels are
    coloured by number. Raises as `read_bag_clouds`, and `ConfigError` when `out` exists or the source already holds
    labelled clouds.
    """
    typestore = make_typestore()
    with open_bag(source) as reader:
        clouds = find_cloud_topic(reader, topic, source)
        taken = {connection.topic for connection in reader.connections} & {LABELLED_TOPIC, LABELS_TOPIC}
        if taken:
            raise ConfigError(f"{source}: already holds {', '.join(sorted(taken))}. Label the original recording.")
        cloud_ids = {connection.id for connection in clouds}
        with create_bag(out, storage=storage) as writer:
            copies = copy_connections(reader, writer, typestore)
            qos = [qos_profile(depth=10, reliable=True)]
            labelled = writer.add_connection(
                LABELLED_TOPIC, POINTCLOUD2_TYPE, typestore=typestore, offered_qos_profiles=qos
            )
            if queries is not None:
                _write_table(typestore, writer, queries, reader.start_time)
            count = 0
            for connection, time_ns, raw in reader.messages():
                writer.write(copies[connection.id], time_ns, raw)
                if connection.id in cloud_ids:
                    message = deserialize(typestore, raw, connection.msgtype, f"{source}: {connection.topic}")
                    answer = _label_message(typestore, message, label, queries)
                    writer.write(labelled, time_ns, typestore.serialize_cdr(answer, POINTCLOUD2_TYPE))
                    count += 1
    return count


def cloud_message(typestore: Any, parts: CloudParts, header: Any, *, height: int = 1, width: int | None = None) -> Any:
    """Make rosbags' PointCloud2 from encoded parts; `height` x `width` as the original cloud, one row by default."""
    field_type = typestore.types["sensor_msgs/msg/PointField"]
    width = parts["width"] if width is None else width
    return typestore.types[POINTCLOUD2_TYPE](
        header=header,
        height=height,
        width=width,
        fields=[field_type(**entry) for entry in parts["fields"]],
        is_bigendian=parts["is_bigendian"],
        point_step=parts["point_step"],
        row_step=parts["point_step"] * width,
        data=np.frombuffer(parts["data"], dtype=np.uint8),
        is_dense=parts["is_dense"],
    )


def label_table_message(
    typestore: Any,
    labels: Sequence[LabelSpec],
    *,
    stamp_ns: int,
    version: int = 0,
    background: Sequence[str] = (),
    threshold: float = 0.0,
) -> Any:
    """Make rosbags' LabelTable, label i + 1 for `labels[i]`, coloured by the palette, as the node publishes it."""
    types = typestore.types
    color_type, label_type = types["std_msgs/msg/ColorRGBA"], types["ov3d_msgs/msg/Label"]
    rows = []
    for row, (spec, rgb) in enumerate(zip(labels, colors_for([spec.name for spec in labels]), strict=True), start=1):
        red, green, blue = (float(channel) / 255.0 for channel in rgb)
        color = color_type(r=red, g=green, b=blue, a=1.0)
        rows.append(label_type(id=row, name=spec.name, synonyms=list(spec.synonyms), color=color))
    return types[LABEL_TABLE_TYPE](
        header=header_message(typestore, stamp_ns, ""),
        version=version % (1 << 16),
        labels=rows,
        background=list(background),
        threshold=threshold,
    )


def header_message(typestore: Any, stamp_ns: int, frame_id: str) -> Any:
    """Make rosbags' std_msgs Header."""
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    stamp = typestore.types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanoseconds)
    return typestore.types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)


def _write_table(typestore: Any, writer: Any, queries: QuerySet, stamp_ns: int) -> None:
    table = label_table_message(
        typestore,
        queries.labels,
        stamp_ns=stamp_ns,
        version=queries.version,
        background=queries.background,
        threshold=queries.threshold,
    )
    qos = [qos_profile(depth=1, reliable=True, latched=True)]
    connection = writer.add_connection(LABELS_TOPIC, LABEL_TABLE_TYPE, typestore=typestore, offered_qos_profiles=qos)
    writer.write(connection, stamp_ns, typestore.serialize_cdr(table, LABEL_TABLE_TYPE))


def _label_message(typestore: Any, message: Any, label: Callable[[Frame], Prediction], queries: QuerySet | None) -> Any:
    frame = decode_pointcloud2(message)
    prediction = label(frame)
    parts = encode_labelled_cloud(frame, prediction, _colors(prediction, queries))
    return cloud_message(typestore, parts, message.header, height=message.height, width=message.width)


def _colors(prediction: Prediction, queries: QuerySet | None) -> NDArray[np.uint8]:
    if queries is not None:
        return label_colors(queries.names)
    highest = int(prediction.label.max(initial=0))
    return label_colors([str(number) for number in range(1, highest + 1)])
