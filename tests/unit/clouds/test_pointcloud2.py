"""The cloud codec on bytes laid out by hand: every layout that drivers are known to publish, and damaged ones."""

from __future__ import annotations

import struct
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from ov3d_perception.errors import DataError
from ov3d_perception.pointcloud2 import (
    LABELLED_FIELDS,
    decode_pointcloud2,
    encode_cloud,
    encode_labelled_cloud,
    read_field,
    stamp_ns_of,
)
from ov3d_perception.types import Frame, Prediction

U1, U2, I4, U4, F4, F8, I2 = 2, 4, 5, 6, 7, 8, 3


def cloud(
    fields: list[tuple[str, int, int]],
    point_step: int,
    data: Any,
    *,
    width: int,
    height: int = 1,
    row_step: int | None = None,
    bigendian: bool = False,
    counts: dict[str, int] | None = None,
) -> Any:
    """A duck-typed PointCloud2; fields are (name, datatype, offset)."""
    return SimpleNamespace(
        header=SimpleNamespace(stamp=SimpleNamespace(sec=12, nanosec=345), frame_id="lidar"),
        height=height,
        width=width,
        fields=[
            SimpleNamespace(name=name, datatype=kind, offset=offset, count=(counts or {}).get(name, 1))
            for name, kind, offset in fields
        ],
        is_bigendian=bigendian,
        point_step=point_step,
        row_step=width * point_step if row_step is None else row_step,
        data=data,
        is_dense=True,
    )


XYZ = [("x", F4, 0), ("y", F4, 4), ("z", F4, 8)]
POINTS = np.array([[1.5, -2.0, 3.25], [4.0, 5.0, -6.5]], dtype=np.float32)

# name: fields, point_step, struct format of one point, its values after x, y, z; intensities and rings expected
LAYOUTS: dict[str, Any] = {
    "XYZI": ([*XYZ, ("intensity", F4, 12)], 16, "<4f", [(0.5,), (0.25,)], [0.5, 0.25], None),
    "XYZIRC": (
        [*XYZ, ("intensity", U1, 12), ("return_type", U1, 13), ("channel", U2, 14)],
        16,
        "<3fBBH",
        [(200, 1, 7), (13, 1, 31)],
        [200, 13],
        [7, 31],
    ),
    "XYZIRADRT": (
        [
            *XYZ,
            ("intensity", F4, 12),
            ("ring", U2, 16),
            ("azimuth", F4, 20),
            ("distance", F4, 24),
            ("return_type", U1, 28),
            ("time_stamp", F8, 32),
        ],
        40,
        "<4fHxxffBxxxd",
        [(9.0, 3, 0.1, 4.2, 1, 12.0), (8.0, 4, 0.2, 9.2, 1, 12.05)],
        [9, 8],
        [3, 4],
    ),
    "XYZIRCAEDT": (
        [
            *XYZ,
            ("intensity", U1, 12),
            ("return_type", U1, 13),
            ("channel", U2, 14),
            ("azimuth", F4, 16),
            ("elevation", F4, 20),
            ("distance", F4, 24),
            ("time_stamp", U4, 28),
        ],
        32,
        "<3fBBHfffI",
        [(255, 1, 0, 0.1, 0.2, 4.0, 0), (0, 1, 127, 0.1, 0.2, 4.0, 50_000_000)],
        [255, 0],
        [0, 127],
    ),
    "foxglove": (
        [*XYZ, ("intensity", F4, 12), ("ring", F4, 16)],
        20,
        "<5f",
        [(17.0, 31.0), (18.0, 0.0)],
        [17, 18],
        [31, 0],
    ),
    "velodyne": (
        [*XYZ, ("intensity", F4, 12), ("ring", U2, 16), ("time", F4, 18)],
        22,
        "<4fHf",
        [(1.0, 5, -0.05), (2.0, 6, 0.0)],
        [1, 2],
        [5, 6],
    ),
    "pcl_padded": ([*XYZ, ("intensity", F4, 16)], 32, "<3f4xf12x", [(7.0,), (8.0,)], [7, 8], None),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_known_layout_is_read_by_field_name(name: str) -> None:
    fields, step, layout, rest, intensity, ring = LAYOUTS[name]
    data = b"".join(struct.pack(layout, *point, *values) for point, values in zip(POINTS.tolist(), rest, strict=True))
    assert len(data) == 2 * step
    frame = decode_pointcloud2(cloud(fields, step, data, width=2))
    np.testing.assert_array_equal(frame.points, POINTS)
    np.testing.assert_array_equal(frame.intensity, np.array(intensity, np.float32))
    assert (frame.ring is None) == (ring is None)
    if ring is not None:
        assert frame.ring is not None
        assert frame.ring.dtype == np.uint16
        np.testing.assert_array_equal(frame.ring, ring)
    assert frame.points.dtype == frame.intensity.dtype == np.float32
    assert frame.stamp_ns == 12_000_000_345
    assert frame.frame_id == "lidar"


def test_order_of_fields_does_not_matter() -> None:
    data = b"".join(struct.pack("<ffff", 0.5, z, x, y) for x, y, z in POINTS.tolist())
    fields = [("y", F4, 12), ("intensity", F4, 0), ("x", F4, 8), ("z", F4, 4)]
    frame = decode_pointcloud2(cloud(fields, 16, data, width=2))
    np.testing.assert_array_equal(frame.points, POINTS)
    np.testing.assert_array_equal(frame.intensity, [0.5, 0.5])


def test_big_endian_and_float64_are_read() -> None:
    fields = [("x", F8, 0), ("y", F8, 8), ("z", F8, 16), ("intensity", U2, 24)]
    data = b"".join(struct.pack(">dddH", *point, 513) for point in POINTS.tolist())
    frame = decode_pointcloud2(cloud(fields, 26, data, width=2, bigendian=True))
    np.testing.assert_array_equal(frame.points, POINTS)
    np.testing.assert_array_equal(frame.intensity, [513, 513])
    assert frame.points.dtype.isnative


def test_big_endian_rgb_keeps_its_bits() -> None:
    data = b"".join(struct.pack(">fffI", *point, 0x00010203) for point in POINTS.tolist())
    frame = decode_pointcloud2(cloud([*XYZ, ("rgb", F4, 12)], 16, data, width=2, bigendian=True))
    np.testing.assert_array_equal(frame.colors, [[1, 2, 3], [1, 2, 3]])


def test_padded_rows_of_an_organised_cloud_are_skipped() -> None:
    row = lambda base: b"".join(struct.pack("<fff", base, base + 1, base + 2) for _ in range(2)) + b"\xff" * 8  # noqa: E731
    data = row(10.0) + row(20.0) + row(30.0)
    frame = decode_pointcloud2(cloud(XYZ, 12, data, width=2, height=3, row_step=32))
    np.testing.assert_array_equal(frame.points[:, 0], [10, 10, 20, 20, 30, 30])


def test_padding_may_be_missing_after_the_last_row() -> None:
    data = struct.pack("<fff", 1, 2, 3) + b"\xff" * 4 + struct.pack("<fff", 4, 5, 6)
    frame = decode_pointcloud2(cloud(XYZ, 12, data, width=1, height=2, row_step=16))
    np.testing.assert_array_equal(frame.points, [[1, 2, 3], [4, 5, 6]])


def test_single_row_with_row_step_zero_is_accepted() -> None:
    frame = decode_pointcloud2(cloud(XYZ, 12, POINTS.tobytes(), width=2, row_step=0))
    np.testing.assert_array_equal(frame.points, POINTS)


def test_missing_intensity_means_zeros() -> None:
    frame = decode_pointcloud2(cloud(XYZ, 12, POINTS.tobytes(), width=2))
    np.testing.assert_array_equal(frame.intensity, [0, 0])
    assert frame.ring is None
    assert frame.colors is None
    assert frame.time_offset_s is None


def test_count_zero_counts_as_one() -> None:
    frame = decode_pointcloud2(cloud(XYZ, 12, POINTS.tobytes(), width=2, counts={"x": 0}))
    np.testing.assert_array_equal(frame.points, POINTS)


@pytest.mark.parametrize("data", [b"", np.zeros(0, np.uint8)])
def test_cloud_of_zero_points_gives_an_empty_frame(data: Any) -> None:
    frame = decode_pointcloud2(cloud([*XYZ, ("ring", U2, 12), ("rgb", F4, 16), ("t", U4, 20)], 0, data, width=0))
    assert frame.points.shape == (0, 3)
    assert frame.points.dtype == np.float32


def test_points_do_not_refer_to_the_message() -> None:
    data = np.frombuffer(POINTS.tobytes(), np.uint8).copy()
    frame = decode_pointcloud2(cloud(XYZ, 12, data, width=2))
    data[:] = 0
    np.testing.assert_array_equal(frame.points, POINTS)


@pytest.mark.parametrize(
    ("kind", "code", "values", "expected"),
    [
        ("t", "I", [0, 50_000_000], [0.0, 0.05]),  # nanoseconds after the stamp (Ouster)
        ("time", "f", [-0.1, 0.0], [-0.1, 0.0]),  # seconds after the stamp (Velodyne)
        ("timestamp", "d", [12.000000345, 12.100000345], [0.0, 0.1]),  # seconds since the epoch
    ],
)
def test_plain_time_fields_become_offsets(kind: str, code: str, values: list[float], expected: list[float]) -> None:
    datatype = {"I": U4, "f": F4, "d": F8}[code]
    data = b"".join(struct.pack(f"<fff{code}", 0, 0, 0, value) for value in values)
    frame = decode_pointcloud2(cloud([*XYZ, (kind, datatype, 12)], len(data) // 2, data, width=2))
    np.testing.assert_allclose(frame.time_offset_s, expected, atol=1e-6)  # float32 of a tenth of a second


def test_time_in_an_unknown_unit_is_left_out() -> None:
    data = b"".join(struct.pack("<fffd", 0, 0, 0, 1.7e18) for _ in range(2))  # nanoseconds since the epoch as float
    assert decode_pointcloud2(cloud([*XYZ, ("timestamp", F8, 12)], 20, data, width=2)).time_offset_s is None


def test_missing_coordinates_are_named_with_the_fields_there_are() -> None:
    with pytest.raises(DataError, match=r"no field y, z; the cloud has x, intensity"):
        decode_pointcloud2(cloud([("x", F4, 0), ("intensity", F4, 4)], 8, bytes(16), width=2))


def test_truncated_data_names_both_sizes() -> None:
    with pytest.raises(DataError, match=r"expected at least 24 bytes.*got 23"):
        decode_pointcloud2(cloud(XYZ, 12, POINTS.tobytes()[:-1], width=2))


def test_field_beyond_the_point_is_refused() -> None:
    with pytest.raises(DataError, match=r"field z covers bytes 8 to 12 of a point, but point_step is 10"):
        decode_pointcloud2(cloud(XYZ, 10, bytes(40), width=2))


@pytest.mark.parametrize("datatype", [0, 9, 77])
def test_unknown_datatype_of_a_needed_field_is_refused(datatype: int) -> None:
    with pytest.raises(DataError, match=f"field z has unknown datatype {datatype}"):
        decode_pointcloud2(cloud([*XYZ[:2], ("z", datatype, 8)], 12, bytes(24), width=2))


def test_unknown_datatype_of_another_field_does_not_matter() -> None:
    frame = decode_pointcloud2(cloud([*XYZ, ("vendor", 99, 900)], 12, POINTS.tobytes(), width=2))
    np.testing.assert_array_equal(frame.points, POINTS)


def test_integer_coordinates_are_refused() -> None:
    with pytest.raises(DataError, match="expected float32 or float64"):
        decode_pointcloud2(cloud([("x", I2, 0), ("y", I2, 2), ("z", I2, 4)], 6, bytes(12), width=2))


@pytest.mark.parametrize(("height", "width"), [(1, 2**32 - 1), (2**20, 2**20)])
def test_absurd_sizes_are_refused_before_memory_is_taken(height: int, width: int) -> None:
    with pytest.raises(DataError, match="expected at most"):
        decode_pointcloud2(cloud(XYZ, 12, b"", width=width, height=height))


@pytest.mark.parametrize(("point_step", "row_step"), [(0, 24), (12, 20)])
def test_rows_shorter_than_their_points_are_refused(point_step: int, row_step: int) -> None:
    with pytest.raises(DataError, match=r"does not fit row_step"):
        decode_pointcloud2(cloud(XYZ, point_step, bytes(64), width=2, height=2, row_step=row_step))


def message_of(parts: Any) -> Any:
    fields = [(entry["name"], entry["datatype"], entry["offset"]) for entry in parts["fields"]]
    return cloud(fields, parts["point_step"], parts["data"], width=parts["width"])


def test_labelled_cloud_has_the_documented_bytes() -> None:
    frame = Frame(points=POINTS[:1], intensity=np.array([42], np.float32), stamp_ns=0, frame_id="lidar")
    prediction = Prediction(
        label=np.array([1], np.uint16), score=np.array([0.75], np.float32), queries_version=65536 + 9
    )
    parts = encode_labelled_cloud(frame, prediction, np.array([[128, 128, 128], [1, 2, 3]], np.uint8))
    assert parts["data"] == struct.pack("<ffffHHfI", 1.5, -2.0, 3.25, 42, 1, 9, 0.75, 0x00010203)
    assert parts["point_step"] == LABELLED_FIELDS.itemsize == 28
    assert [(entry["name"], entry["offset"], entry["datatype"]) for entry in parts["fields"]] == [
        ("x", 0, F4),
        ("y", 4, F4),
        ("z", 8, F4),
        ("intensity", 12, F4),
        ("label", 16, U2),
        ("table_version", 18, U2),
        ("score", 20, F4),
        ("rgb", 24, F4),
    ]


def test_round_trip_keeps_every_point_and_nan_points_get_label_zero() -> None:
    points = np.array([[1, 2, 3], [np.nan, 5, 6], [7, np.inf, 9], [-1, -2, -3]], np.float32)
    frame = Frame(points=points, intensity=np.array([1, 2, 3, 4], np.float32), stamp_ns=0, frame_id="lidar")
    prediction = Prediction(label=np.full(4, 2, np.uint16), score=np.full(4, 0.5, np.float32), queries_version=3)
    colors = np.array([[128, 128, 128], [9, 9, 9], [200, 100, 50]], np.uint8)
    parts = encode_labelled_cloud(frame, prediction, colors)
    message = message_of(parts)
    back = decode_pointcloud2(message)
    np.testing.assert_array_equal(back.points, points)
    np.testing.assert_array_equal(back.intensity, frame.intensity)
    np.testing.assert_array_equal(back.colors, colors[[2, 0, 0, 2]])
    np.testing.assert_array_equal(read_field(message, "label"), [2, 0, 0, 2])
    np.testing.assert_array_equal(read_field(message, "score"), np.array([0.5, 0, 0, 0.5], np.float32))
    assert not parts["is_dense"]


def test_labels_that_do_not_belong_to_the_cloud_are_refused() -> None:
    frame = Frame(points=POINTS, intensity=np.zeros(2, np.float32), stamp_ns=0, frame_id="lidar")
    prediction = Prediction(label=np.array([0, 3], np.uint16), score=np.zeros(2, np.float32), queries_version=1)
    with pytest.raises(DataError, match="labels up to 3"):
        encode_labelled_cloud(frame, prediction, np.zeros((3, 3), np.uint8))


def test_encoded_columns_keep_their_types() -> None:
    columns = {"x": POINTS[:, 0], "y": POINTS[:, 1], "z": POINTS[:, 2], "label": np.array([1, 65535], np.uint16)}
    message = message_of(encode_cloud(columns))
    np.testing.assert_array_equal(decode_pointcloud2(message).points, POINTS)
    label = read_field(message, "label")
    assert label.dtype == np.uint16
    np.testing.assert_array_equal(label, [1, 65535])


def test_column_without_a_ros_type_is_refused() -> None:
    with pytest.raises(DataError, match="no PointField type"):
        encode_cloud({"x": np.zeros(2, np.int64)})


def test_stamp_is_exact_in_nanoseconds() -> None:
    header = SimpleNamespace(stamp=SimpleNamespace(sec=1_532_402_927, nanosec=647_951_001))
    assert stamp_ns_of(header) == 1_532_402_927_647_951_001


def test_codec_agrees_with_rclpy_messages() -> None:
    pytest.importorskip("sensor_msgs.msg", reason="needs ROS 2 messages (sensor_msgs)")
    from sensor_msgs.msg import PointCloud2, PointField

    parts = encode_cloud({"x": POINTS[:, 0], "y": POINTS[:, 1], "z": POINTS[:, 2]})
    message = PointCloud2(height=1, width=2, point_step=12, row_step=24, data=list(parts["data"]))
    message.fields = [PointField(**entry) for entry in parts["fields"]]
    np.testing.assert_array_equal(decode_pointcloud2(message).points, POINTS)


def test_codec_agrees_with_sensor_msgs_py() -> None:
    point_cloud2 = pytest.importorskip(
        "sensor_msgs_py.point_cloud2", reason="sensor_msgs_py comes with a ROS 2 distribution, not from PyPI"
    )
    from sensor_msgs.msg import PointField
    from std_msgs.msg import Header

    entries = [(*field, 1) for field in [*XYZ, ("intensity", F4, 12), ("ring", U2, 16)]]
    fields = [PointField(name=n, datatype=d, offset=o, count=c) for n, d, o, c in entries]
    rows = np.array(
        [(1, 2, 3, 4, 5), (np.nan, 7, 8, 9, 10)],
        dtype=[("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4"), ("ring", "<u2")],
    )
    message = point_cloud2.create_cloud(Header(frame_id="lidar"), fields, rows)
    frame = decode_pointcloud2(message)
    theirs = point_cloud2.read_points(message)
    np.testing.assert_array_equal(frame.points, np.stack([theirs[name] for name in "xyz"], axis=1))
    np.testing.assert_array_equal(frame.intensity, theirs["intensity"])
    np.testing.assert_array_equal(frame.ring, theirs["ring"])


def test_random_headers_give_a_frame_or_a_data_error() -> None:
    """Whatever a driver writes into the header, nothing else comes out (seeded; 3,000 clouds)."""
    rng = np.random.default_rng(0)
    names = ["x", "y", "z", "intensity", "ring", "channel", "rgb", "rgba", "r", "g", "b", "time", "t", "timestamp"]
    outcomes = {True: 0, False: 0}
    for _ in range(3000):
        chosen = rng.permutation(names)[: rng.integers(3, 10)].tolist()
        fields = [(name, int(rng.integers(0, 10)), int(rng.integers(0, 40))) for name in chosen]
        if rng.random() < 0.8:
            fields = [*XYZ, *(field for field in fields if field[0] not in "xyz")]
        width, height, step = (int(number) for number in rng.integers(0, (5, 4, 60)))
        message = cloud(
            fields,
            step,
            rng.bytes(int(rng.integers(0, 900))),
            width=width,
            height=height,
            row_step=width * step + int(rng.integers(0, 9)),
            bigendian=bool(rng.integers(2)),
        )
        try:
            frame = decode_pointcloud2(message)
            assert len(frame.points) == width * height
            outcomes[True] += 1
        except DataError:
            outcomes[False] += 1
    assert min(outcomes.values()) > 200


@pytest.mark.parametrize("field", [("rgb", F4, 900), ("ring", 0, 0), ("time", 77, 0), ("channel", U2, 900)])
def test_optional_field_that_cannot_be_read_counts_as_absent(field: tuple[str, int, int]) -> None:
    frame = decode_pointcloud2(cloud([*XYZ, field], 12, POINTS.tobytes(), width=2))
    assert (frame.colors, frame.ring, frame.time_offset_s) == (None, None, None)
