"""Between ROS messages and the core's types; the bytes of clouds are the business of `ov3d_perception.pointcloud2`."""

from __future__ import annotations

import array
from typing import Any

from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point
from ov3d_msgs.msg import Label, LabelTable
from ov3d_msgs.srv import SetQueries
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from ..pointcloud2 import CloudParts, encode_labelled_cloud
from ..queries import LabelSpec
from .pipeline import LabelledSweep
from .vocabulary import Vocabulary, VocabularyRequest, requested

VERSIONS = 1 << 16
"""Versions in messages are 16 bits wide and begin again at 0 after 65535."""

LEGEND_LABELS = 40
LEGEND_HEIGHT_M = 1.0
_LEGEND_BOTTOM_M = 4.0
_LEGEND_NAMESPACE = "ov3d_legend"


def labelled_cloud(sweep: LabelledSweep) -> PointCloud2:
    """Make the output cloud: every input point, in order, in the input's shape and under the input's header."""
    parts = encode_labelled_cloud(sweep.frame, sweep.prediction, sweep.vocabulary.colors)
    return cloud_of(parts, sweep.header, height=sweep.height, width=sweep.width)


def cloud_of(parts: CloudParts, header: Header, *, height: int, width: int) -> PointCloud2:
    """Make a cloud of `height` x `width` points from the core's parts."""
    message = PointCloud2(
        header=header,
        height=height,
        width=width,
        fields=[PointField(**entry) for entry in parts["fields"]],
        is_bigendian=parts["is_bigendian"],
        point_step=parts["point_step"],
        row_step=parts["point_step"] * width,
        is_dense=parts["is_dense"],
    )
    message.data = byte_array(parts["data"])
    return message


def byte_array(data: bytes) -> array.array[int]:
    """Return what rclpy takes as uint8[] without a copy per element: 0.07 ms for a sweep, a numpy array takes 50."""
    values = array.array("B")
    values.frombytes(data)
    return values


def label_table(vocabulary: Vocabulary, stamp: Time) -> LabelTable:
    """Make the table that clouds of this vocabulary refer to."""
    queries = vocabulary.queries
    table = LabelTable(
        version=queries.version % VERSIONS, background=list(queries.background), threshold=queries.threshold
    )
    table.header.stamp = stamp
    table.labels = [
        Label(id=row + 1, name=label.name, synonyms=list(label.synonyms), color=_color(vocabulary.colors[row + 1]))
        for row, label in enumerate(queries.labels)
    ]
    return table


def legend(vocabulary: Vocabulary, frame_id: str) -> MarkerArray:
    """Make coloured words above the sensor, label 1 on top, that follow the clouds' frame: the first 40."""
    markers = [Marker(ns=_LEGEND_NAMESPACE, action=Marker.DELETEALL)]
    markers[0].header.frame_id = frame_id
    names = ["unlabelled", *vocabulary.queries.names[:LEGEND_LABELS]]
    for row, name in enumerate(names):
        marker = Marker(
            ns=_LEGEND_NAMESPACE, id=row, type=Marker.TEXT_VIEW_FACING, action=Marker.ADD, frame_locked=True, text=name
        )
        marker.header.frame_id = frame_id  # stamp 0: the latest transform
        place = (len(names) - row) % len(names)  # unlabelled at the bottom
        marker.pose.position = Point(z=_LEGEND_BOTTOM_M + 1.2 * LEGEND_HEIGHT_M * place)
        marker.pose.orientation.w = 1.0
        marker.scale.z = LEGEND_HEIGHT_M
        marker.color = _color(vocabulary.colors[row])
        markers.append(marker)
    return MarkerArray(markers=markers)


def vocabulary_request(request: SetQueries.Request) -> VocabularyRequest:
    """Read a service request; `QueryError` for contradictions, the words themselves are checked on encoding."""
    return requested(
        labels=[LabelSpec(name=query.name, synonyms=tuple(query.synonyms)) for query in request.queries],
        background=request.background,
        no_background=request.no_background,
        templates=request.templates,
        threshold=request.threshold,
    )


def _color(rgb: Any) -> ColorRGBA:
    red, green, blue = (float(channel) / 255.0 for channel in rgb)
    return ColorRGBA(r=red, g=green, b=blue, a=1.0)
