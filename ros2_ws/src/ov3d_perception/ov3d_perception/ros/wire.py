"""Clouds as they travel: messages made from the core's parts, and the bytes that middleware carries."""

from __future__ import annotations

from typing import Any

from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from ..pointcloud2 import CloudParts
from .convert import cloud_of, labelled_cloud

__all__ = ["cloud_from_bytes", "cloud_message", "labelled_cloud", "to_bytes"]


def cloud_message(parts: CloudParts, *, stamp_ns: int, frame_id: str) -> PointCloud2:
    """Make a cloud of one row."""
    stamp = Time(sec=stamp_ns // 1_000_000_000, nanosec=stamp_ns % 1_000_000_000)
    return cloud_of(parts, Header(stamp=stamp, frame_id=frame_id), height=1, width=parts["width"])


def to_bytes(message: Any) -> bytes:
    """Serialise any message, as a publisher does."""
    return bytes(serialize_message(message))


def cloud_from_bytes(data: bytes) -> PointCloud2:
    """Read a serialised cloud, as a subscription does."""
    return deserialize_message(data, PointCloud2)
