"""`sensor_msgs/msg/PointCloud2` to `Frame` and labelled sweeps to PointCloud2 bytes, with numpy alone.

Messages are duck-typed: rclpy's, rosbags' and hand-made ones look alike. Fields are found by name and read by their
declared type and offset, whatever their order, padding or byte order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from .errors import DataError
from .types import BoolArray, Frame, Prediction

MAX_POINTS = 10_000_000
"""Largest cloud that is accepted unless the caller says otherwise: 240 MB of fields, far beyond any sweep."""

LABELLED_FIELDS = np.dtype(
    [
        ("x", "<f4"),
        ("y", "<f4"),
        ("z", "<f4"),
        ("intensity", "<f4"),
        ("label", "<u2"),
        ("table_version", "<u2"),
        ("score", "<f4"),
        ("rgb", "<f4"),
    ]
)
"""Layout of labelled clouds, 28 bytes a point without padding."""

_DATATYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}  # PointField.INT8 .. FLOAT64
_CODES = {name: code for code, name in _DATATYPES.items()}
_TIME_NAMES = ("time", "t", "time_stamp", "timestamp", "offset_time")
_MAX_TIME_OFFSET_S = 1.0  # a sweep takes 0.05 to 0.2 s: larger offsets are in a unit that the field does not tell


class FieldEntry(TypedDict):
    """One `sensor_msgs/msg/PointField`: `PointField(**entry)`."""

    name: str
    offset: int
    datatype: int
    count: int


class CloudParts(TypedDict):
    """What a PointCloud2 needs besides header and shape; `data` is little endian, `width` its number of points."""

    fields: list[FieldEntry]
    is_bigendian: bool
    point_step: int
    width: int
    data: bytes
    is_dense: bool


LabelledCloud = CloudParts


def stamp_ns_of(header: Any) -> int:
    """Return a `std_msgs/msg/Header`'s stamp in integer nanoseconds."""
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def decode_pointcloud2(message: Any, *, max_points: int = MAX_POINTS) -> Frame:
    """Read a PointCloud2 into a `Frame`: every point in order, row by row, NaN points included.

    `x`, `y`, `z` must be float32 or float64. `intensity` (any type) keeps the sensor's scale; a cloud without one gets
    zeros. `ring` or `channel` becomes `ring`; `rgb`, `rgba` or uint8 `r`, `g`, `b` become `colors`. `time_offset_s`
    comes from `time`, `t`, `timestamp`, `time_stamp` or `offset_time`: integers are nanoseconds after the header's
    stamp, floats are seconds after it, float64 also seconds since the epoch; a field that gives offsets beyond 1 s in
    that reading has another unit and is left out rather than guessed at. Nothing refers to the message's memory.

    Raises `DataError` for missing or integer x, y, z, for fields that reach beyond a point, for unknown types of
    needed fields, for truncated data and for more than `max_points` points.
    """
    layout = _read_layout(message, max_points)
    missing = [name for name in "xyz" if name not in layout.fields]
    if missing:
        raise DataError(
            f"PointCloud2 in frame '{message.header.frame_id}': no field {', '.join(missing)}; the cloud has "
            f"{', '.join(layout.fields) or 'no fields'}. Choose a topic with x, y, z."
        )
    stamp_ns = stamp_ns_of(message.header)
    with np.errstate(over="ignore", invalid="ignore"):  # casts of NaN and of what float32 cannot hold
        return Frame(
            points=_points(layout),
            intensity=_intensity(layout),
            stamp_ns=stamp_ns,
            frame_id=str(message.header.frame_id),
            colors=_colors(layout),
            ring=_ring(layout),
            time_offset_s=_time_offset_s(layout, stamp_ns),
        )


def read_field(message: Any, name: str, *, max_points: int = MAX_POINTS) -> NDArray[Any]:
    """Return one field of a PointCloud2 as (N,), native byte order, in its own type: `label`, `score`, ...

    Raises `DataError` when the field is missing or the cloud is broken.
    """
    layout = _read_layout(message, max_points)
    if name not in layout.fields:
        raise DataError(f"PointCloud2: no field {name}; the cloud has {', '.join(layout.fields) or 'no fields'}.")
    values = layout.column(name)
    return np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("="))


def encode_cloud(columns: Mapping[str, NDArray[Any]]) -> CloudParts:
    """Pack equally long columns (N,) as fields in the given order, without padding; types are kept.

    `is_dense` is false when x, y or z hold NaN or infinity. Raises `DataError` for a type that PointField lacks
    (int64) or unequal lengths.
    """
    unknown = [name for name, column in columns.items() if column.dtype.str[1:] not in _CODES]
    lengths = {len(column) for column in columns.values()}
    if unknown or len(lengths) != 1:
        raise DataError(f"encode_cloud: columns {unknown} have no PointField type, lengths {sorted(lengths)}. Cast.")
    layout = np.dtype([(name, "<" + column.dtype.str[1:]) for name, column in columns.items()])
    array = np.empty(lengths.pop(), dtype=layout)
    for name, column in columns.items():
        array[name] = column
    dense = all(bool(np.isfinite(columns[name]).all()) for name in "xyz" if name in columns)
    return _parts(array, is_dense=dense)


def encode_labelled_cloud(frame: Frame, prediction: Prediction, colors: NDArray[np.uint8]) -> LabelledCloud:
    """Pack a labelled sweep in the layout `LABELLED_FIELDS`: every point of the frame, in order.

    `colors` (Q + 1, 3) RGB by label, row 0 for unlabelled. Points that are not finite get label 0 and score 0. `rgb`
    is the bit pattern 0x00RRGGBB in a float32, as RViz and PCL read it. `table_version` is the version of the queries
    modulo 65536. Raises `DataError` when frame, prediction and colours do not belong together.
    """
    count = len(frame.points)
    highest = int(prediction.label.max(initial=0))
    if len(prediction.label) != count or len(prediction.score) != count or highest >= len(colors):
        raise DataError(
            f"encode_labelled_cloud: {count} points, {len(prediction.label)} labels up to {highest}, "
            f"{len(prediction.score)} scores and {len(colors)} colours do not belong together."
        )
    finite = _finite(frame.points)
    label = np.where(finite, prediction.label, 0).astype(np.uint16)
    array = np.empty(count, dtype=LABELLED_FIELDS)
    for axis, name in enumerate("xyz"):
        array[name] = frame.points[:, axis]
    array["intensity"] = frame.intensity
    array["label"] = label
    array["table_version"] = prediction.queries_version % (1 << 16)
    array["score"] = np.where(finite, prediction.score, 0.0)
    array["rgb"] = pack_rgb(colors)[label].view(np.float32)
    return _parts(array, is_dense=bool(finite.all()))


def pack_rgb(colors: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return colours (N, 3) RGB as (N,) uint32 0x00RRGGBB; view as float32 for the field `rgb`."""
    wide = colors.astype(np.uint32)
    return ((wide[:, 0] << 16) | (wide[:, 1] << 8) | wide[:, 2]).astype(np.uint32)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    offset: int
    datatype: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    """Checked shape of a cloud and its bytes."""

    height: int
    width: int
    point_step: int
    row_step: int
    fields: dict[str, _Field]
    byte_order: str
    data: NDArray[np.uint8]

    @property
    def count(self) -> int:
        return self.height * self.width

    def kind(self, name: str) -> str:
        """Return a field's type as numpy spells it, such as "f4"; `DataError` for one that cannot be read."""
        field = self.fields[name]
        kind = _DATATYPES.get(field.datatype)
        if kind is None:
            raise DataError(f"PointCloud2: field {name} has unknown datatype {field.datatype}, expected 1 to 8.")
        if field.count > 1:  # 0 is written by some drivers and means 1
            raise DataError(f"PointCloud2: field {name} holds {field.count} values a point, expected 1.")
        end = field.offset + int(kind[1])
        if self.count and (field.offset < 0 or end > self.point_step):
            raise DataError(
                f"PointCloud2: field {name} covers bytes {field.offset} to {end} of a point, but point_step is "
                f"{self.point_step}. The publisher describes its fields wrongly."
            )
        return kind

    def column(self, name: str, *, view_as: str | None = None) -> NDArray[Any]:
        """Return a field's values in point order, (N,): a strided view, or a copy where rows are padded."""
        dtype = np.dtype(self.byte_order + (view_as or self.kind(name)))
        if not self.count:
            return np.empty(0, dtype=dtype)
        shape, strides = (self.height, self.width), (self.row_step, self.point_step)
        offset = self.fields[name].offset
        view: NDArray[Any] = np.ndarray(shape, dtype, buffer=self.data, offset=offset, strides=strides)
        return view.reshape(self.count)


def _read_layout(message: Any, max_points: int) -> _Layout:
    height, width = int(message.height), int(message.width)
    point_step, row_step = int(message.point_step), int(message.row_step)
    if height * width > max_points:
        raise DataError(
            f"PointCloud2: {height} x {width} points, expected at most {max_points:,}. Raise the limit if this is real."
        )
    fields: dict[str, _Field] = {}
    for entry in message.fields:
        field = _Field(offset=int(entry.offset), datatype=int(entry.datatype), count=int(entry.count))
        fields.setdefault(str(entry.name), field)
    data = np.frombuffer(message.data, dtype=np.uint8)
    if height * width:
        least = width * point_step
        if height == 1:
            row_step = least  # the length of a single row does not matter, and some publishers leave it 0
        if point_step <= 0 or row_step < least:
            raise DataError(
                f"PointCloud2: point_step {point_step} x width {width} does not fit row_step {row_step}. "
                "The publisher describes its rows wrongly."
            )
        expected = (height - 1) * row_step + least
        if len(data) < expected:
            raise DataError(
                f"PointCloud2: truncated data: expected at least {expected:,} bytes for {height} x {width} points of "
                f"{point_step} bytes, got {len(data):,}. Check the publisher and the transport."
            )
    return _Layout(
        height=height,
        width=width,
        point_step=point_step,
        row_step=row_step,
        fields=fields,
        byte_order=">" if message.is_bigendian else "<",
        data=data,
    )


def _points(layout: _Layout) -> NDArray[np.float32]:
    kinds = [layout.kind(name) for name in "xyz"]
    if any(kind not in ("f4", "f8") for kind in kinds):
        raise DataError(f"PointCloud2: x, y, z have types {', '.join(kinds)}, expected float32 or float64 (f4, f8).")
    points = np.empty((layout.count, 3), dtype=np.float32)
    for axis, name in enumerate("xyz"):
        points[:, axis] = layout.column(name)
    return points


def _intensity(layout: _Layout) -> NDArray[np.float32]:
    name = next((name for name in ("intensity", "intensities") if name in layout.fields), None)
    if name is None:
        return np.zeros(layout.count, dtype=np.float32)
    return layout.column(name).astype(np.float32)


def _ring(layout: _Layout) -> NDArray[np.uint16] | None:
    name = _first(layout, ("ring", "channel"))
    if name is None:
        return None
    values = layout.column(name)
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:
        return values.astype(np.uint16)
    return np.clip(np.nan_to_num(values.astype(np.float64)), 0, 65535).astype(np.uint16)


def _colors(layout: _Layout) -> NDArray[np.uint8] | None:
    name = _first(layout, ("rgb", "rgba"))
    if name is not None and layout.kind(name) in ("f4", "u4", "i4"):
        bits = layout.column(name, view_as="u4").astype(np.uint32)
        return np.stack([(bits >> shift) & 0xFF for shift in (16, 8, 0)], axis=1).astype(np.uint8)
    if all(_is_readable(layout, channel) and layout.kind(channel) == "u1" for channel in "rgb"):
        return np.stack([layout.column(channel) for channel in "rgb"], axis=1)
    return None


def _time_offset_s(layout: _Layout, stamp_ns: int) -> NDArray[np.float32] | None:
    name = _first(layout, _TIME_NAMES)
    if name is None:
        return None
    kind = layout.kind(name)
    values = layout.column(name).astype(np.float64)
    candidates = [values * 1e-9] if kind[0] != "f" else [values]
    if kind == "f8":
        candidates.append(values - stamp_ns * 1e-9)
    for offset_s in candidates:
        if (np.abs(offset_s[np.isfinite(offset_s)]) <= _MAX_TIME_OFFSET_S).all():
            return offset_s.astype(np.float32)
    return None


def _finite(points: NDArray[np.float32]) -> BoolArray:
    x, y, z = points.T
    return np.isfinite(x) & np.isfinite(y) & np.isfinite(z)  # three columns are 5 times faster than all(axis=1)


def _first(layout: _Layout, names: Sequence[str]) -> str | None:
    """Return the first of some optional fields that is there and can be read; an odd one counts as absent."""
    return next((name for name in names if _is_readable(layout, name)), None)


def _is_readable(layout: _Layout, name: str) -> bool:
    try:
        return name in layout.fields and bool(layout.kind(name))
    except DataError:
        return False


def _parts(array: NDArray[np.void], *, is_dense: bool) -> CloudParts:
    fields: list[FieldEntry] = []
    offset = 0
    for name in array.dtype.names or ():
        fields.append(FieldEntry(name=name, offset=offset, datatype=_CODES[array.dtype[name].str[1:]], count=1))
        offset += array.dtype[name].itemsize
    return CloudParts(
        fields=fields,
        is_bigendian=False,
        point_step=array.dtype.itemsize,
        width=len(array),
        data=array.tobytes(),
        is_dense=is_dense,
    )
