"""Opening rosbag2 recordings through rosbags: errors in our words, message types, QoS profiles and header stamps.

rosbags is pure Python and optional; it is imported when a bag is opened.
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .errors import ConfigError, DataError

LABEL_TABLE_TYPE = "ov3d_msgs/msg/LabelTable"
POINTCLOUD2_TYPE = "sensor_msgs/msg/PointCloud2"
LABELLED_TOPIC = "/ov3d_segmentation/output/segmentation"
LABELS_TOPIC = "/ov3d_segmentation/labels"

_OV3D_MESSAGES = {  # the definitions of ros2_ws/src/ov3d_msgs without comments; a test compares them
    "ov3d_msgs/msg/Label": "uint16 id\nstring name\nstring[] synonyms\nstd_msgs/ColorRGBA color\n",
    LABEL_TABLE_TYPE: (
        "std_msgs/Header header\nuint16 version\nov3d_msgs/Label[] labels\nstring[] background\nfloat32 threshold\n"
    ),
}


def require_rosbags() -> None:
    """Raise `ConfigError` with the command that installs rosbags where it is missing."""
    try:
        import rosbags.rosbag2  # noqa: F401
    except ImportError as error:
        raise ConfigError("bags: the package rosbags is not installed. Run: pip install rosbags") from error


def make_typestore() -> Any:
    """Return a rosbags typestore with ROS 2 Kilted's messages and those of ov3d_msgs."""
    require_rosbags()
    from rosbags.typesys import Stores, get_types_from_msg, get_typestore

    typestore = get_typestore(Stores.ROS2_KILTED)
    types: dict[str, Any] = {}
    for name, text in _OV3D_MESSAGES.items():
        types.update(get_types_from_msg(text, name))
    typestore.register(types)
    return typestore


@contextmanager
def open_bag(path: Path | str) -> Iterator[Any]:
    """Open a rosbag2 folder, `.mcap` or `.db3` file for reading and yield rosbags' `Reader`.

    Raises `DataError` for a path that is not a readable bag, also when it breaks off while being read.
    """
    require_rosbags()
    from rosbags.rosbag2 import Reader, ReaderError

    path = Path(path)
    if not path.exists():
        raise DataError(f"{path}: no such bag. Give the folder of a rosbag2 recording, or its .mcap or .db3 file.")
    damaged = (ReaderError, struct.error, EOFError, sqlite3.DatabaseError)
    try:
        reader = Reader(path)
        reader.open()
    except (*damaged, OSError, ValueError) as error:
        raise DataError(f"{path}: is not a readable rosbag2 recording: {error} Is it complete?") from error
    try:
        yield reader
    except damaged as error:
        raise DataError(f"{path}: the recording breaks off or is damaged: {error}") from error
    finally:
        reader.close()


def find_cloud_topic(reader: Any, topic: str | None, path: Path | str) -> list[Any]:
    """Return the connections of the one PointCloud2 topic, or of `topic`.

    Labelled clouds and ground truth (below /ground_truth/) are only taken by name. Raises `DataError` that lists
    the cloud topics when there is none, or several to choose from, or when `topic` is not among them.
    """
    clouds = [connection for connection in reader.connections if connection.msgtype == POINTCLOUD2_TYPE]
    names = sorted({connection.topic for connection in clouds})
    if topic is None:
        free = [name for name in names if name != LABELLED_TOPIC and not name.startswith("/ground_truth/")]
        if len(free) != 1:
            found = ", ".join(names) or "no PointCloud2 topic"
            raise DataError(f"{path}: expected one PointCloud2 topic, got {found}. Name the one to read.")
        topic = free[0]
    chosen = [connection for connection in clouds if connection.topic == topic]
    if not chosen:
        raise DataError(f"{path}: no PointCloud2 topic {topic}. The bag has {', '.join(names) or 'none'}.")
    return chosen


def deserialize(typestore: Any, raw: bytes, message_type: str, where: str) -> Any:
    """Return the message in `raw` CDR bytes; `DataError` naming `where` when they do not hold one."""
    from rosbags.serde import SerdeError

    try:
        return typestore.deserialize_cdr(raw, message_type)
    except (SerdeError, IndexError, AssertionError, KeyError) as error:
        raise DataError(f"{where}: cannot read a {message_type}: {error}. The recording is damaged.") from error


def header_stamp_ns(raw: bytes) -> int:
    """Return the stamp (ns) of a message whose first field is a Header, straight from its CDR bytes."""
    byte_order = "<" if raw[1] & 1 else ">"
    seconds, nanoseconds = struct.unpack_from(byte_order + "iI", raw, 4)
    return int(seconds) * 1_000_000_000 + int(nanoseconds)


def qos_profile(*, depth: int, reliable: bool, latched: bool = False) -> Any:
    """Return a rosbags QoS profile, keep last; `latched` is transient local, what /tf_static and tables need."""
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    forever = QosTime(2147483647, 4294967295)
    return Qos(
        history=QosHistory.KEEP_LAST,
        depth=depth,
        reliability=QosReliability.RELIABLE if reliable else QosReliability.BEST_EFFORT,
        durability=QosDurability.TRANSIENT_LOCAL if latched else QosDurability.VOLATILE,
        deadline=forever,
        lifespan=forever,
        liveliness=QosLiveliness.AUTOMATIC,
        liveliness_lease_duration=forever,
        avoid_ros_namespace_conventions=False,
    )


@contextmanager
def create_bag(path: Path | str, *, storage: str = "mcap") -> Iterator[Any]:
    """Create a rosbag2 folder and yield rosbags' `Writer`; a failed bag is left behind incomplete.

    `storage`: "mcap" or "sqlite3". Raises `ConfigError` when the folder exists or the storage is unknown.
    """
    require_rosbags()
    from rosbags.rosbag2 import StoragePlugin, Writer

    path = Path(path)
    plugins = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
    if storage not in plugins:
        raise ConfigError(f"storage: got {storage!r}. Choose from {', '.join(plugins)}.")
    if path.exists():
        raise ConfigError(f"{path}: exists already and is not overwritten. Remove it or choose another name.")
    with Writer(path, version=Writer.VERSION_LATEST, storage_plugin=plugins[storage]) as writer:
        yield writer


def copy_connections(reader: Any, writer: Any, typestore: Any) -> dict[int, Any]:
    """Declare every topic of `reader` in `writer`, same types and QoS; return the new connections by old id.

    Raises `DataError` for a topic whose message definition neither the bag nor the typestore holds.
    """
    from rosbags.typesys import TypesysError, get_types_from_msg

    copies: dict[int, Any] = {}
    for connection in reader.connections:
        kwargs: dict[str, Any] = {"msgdef": connection.msgdef.data or None, "rihs01": connection.digest or None}
        if None in kwargs.values():
            try:
                if kwargs["msgdef"] and connection.msgtype not in typestore.fielddefs:
                    typestore.register(get_types_from_msg(kwargs["msgdef"], connection.msgtype))
                typestore.hash_rihs01(connection.msgtype)
            except (TypesysError, KeyError) as error:
                raise DataError(
                    f"topic {connection.topic}: no definition of {connection.msgtype} in the bag: {error}. "
                    "Record it again with MCAP storage, which keeps definitions."
                ) from error
            kwargs = {"typestore": typestore}
        qos = connection.ext.offered_qos_profiles
        copies[connection.id] = writer.add_connection(
            connection.topic, connection.msgtype, offered_qos_profiles=qos, **kwargs
        )
    return copies
