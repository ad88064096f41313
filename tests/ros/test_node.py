"""The node over real topics and services: what a robot and a person at a terminal see of it."""

from __future__ import annotations

import array
import struct
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.ros.conftest import Bench, latched, wait_for

Start = Callable[..., Bench]

ABOVE, BELOW, UNLABELLED = 1, 2, 0  # ids under the bundle's own labels
POINTS = np.array(  # five points in five voxels of 0.1 m
    [[1.0, 0.0, 1.0], [2.0, 0.0, -1.0], [3.0, 0.0, 2.0], [4.0, 5.0, -0.5], [-6.0, 0.0, 0.5]], dtype=np.float32
)
LABELS = [ABOVE, BELOW, ABOVE, BELOW, ABOVE]
OUTPUT = np.dtype(
    {
        "names": ["x", "y", "z", "intensity", "label", "table_version", "score", "rgb"],
        "formats": ["<f4", "<f4", "<f4", "<f4", "<u2", "<u2", "<f4", "<u4"],
        "offsets": [0, 4, 8, 12, 16, 18, 20, 24],
        "itemsize": 28,
    }
)


def make_cloud(
    points: Any = POINTS, *, names: str = "x y z intensity", height: int = 1, bigendian: bool = False, cut: int = 0
) -> Any:
    """A PointCloud2 of float32 fields; `cut` removes bytes from the end of its data."""
    from sensor_msgs.msg import PointCloud2, PointField

    points = np.asarray(points, dtype=np.float32).reshape(-1, 3)
    columns = np.zeros((len(points), len(names.split())), dtype=">f4" if bigendian else "<f4")
    columns[:, : min(3, columns.shape[1])] = points[:, : columns.shape[1]]
    if columns.shape[1] > 3:
        columns[:, 3] = np.arange(len(points)) * 10.0
    fields = [
        PointField(name=name, offset=4 * column, datatype=PointField.FLOAT32, count=1)
        for column, name in enumerate(names.split())
    ]
    width = len(points) // height
    step = 4 * columns.shape[1]
    message = PointCloud2(
        height=height, width=width, fields=fields, is_bigendian=bigendian, point_step=step, row_step=step * width
    )
    message.header.frame_id = "lidar_left"
    message.header.stamp.sec, message.header.stamp.nanosec = 1532402927, 647951000
    data = columns.tobytes()
    message.data = array.array("B", data[: len(data) - cut])
    return message


def rows(cloud: Any) -> Any:
    """The points of a labelled cloud as a structured array, in the documented layout."""
    assert OUTPUT.fields is not None
    documented = {name: entry[1] for name, entry in OUTPUT.fields.items()}
    assert {field.name: field.offset for field in cloud.fields} == documented
    assert (cloud.point_step, cloud.is_bigendian) == (28, False)
    return np.frombuffer(cloud.data, dtype=OUTPUT)


def test_every_point_comes_back_in_order_under_the_same_header(start: Start) -> None:
    bench = start()
    sent = make_cloud()
    cloud = bench.send(sent)
    assert cloud.header == sent.header
    assert (cloud.height, cloud.width, cloud.row_step) == (1, 5, 140)
    points = rows(cloud)
    assert np.array_equal(np.stack([points["x"], points["y"], points["z"]], axis=1), POINTS)
    assert points["intensity"].tolist() == [0, 10, 20, 30, 40]
    assert points["label"].tolist() == LABELS
    assert set(points["table_version"]) == {1}
    # unit((1, 0, 0.1)) . (1, 0, 0) = 1 / sqrt(1.01); float32 rounding
    assert points["score"][0] == pytest.approx(1 / np.sqrt(1.01), abs=1e-6)


def test_an_organised_cloud_keeps_its_shape(start: Start) -> None:
    points = np.concatenate([POINTS, POINTS[:1] + 7.0])
    cloud = start().send(make_cloud(points, height=2))
    assert (cloud.height, cloud.width, cloud.row_step) == (2, 3, 84)
    assert rows(cloud)["label"].tolist() == [*LABELS, ABOVE]


def test_nan_points_come_back_unlabelled_in_their_place(start: Start) -> None:
    points = POINTS.copy()
    points[1] = np.nan
    points[3, 2] = np.inf
    cloud = rows(start().send(make_cloud(points)))
    assert cloud["label"].tolist() == [ABOVE, UNLABELLED, ABOVE, UNLABELLED, ABOVE]
    assert cloud["score"][1] == 0
    assert np.isnan(cloud["x"][1])


def test_a_sweep_of_full_size_arrives_whole_when_both_sides_are_reliable(start: Start) -> None:
    points = np.random.default_rng(0).uniform(-40, 40, (34_688, 3)).astype(np.float32)
    bench = start(input_reliability="reliable")
    cloud = rows(bench.send(make_cloud(points)))
    assert np.array_equal(cloud["z"], points[:, 2])
    clear = np.abs(points[:, 2]) > 0.5  # voxels near z = 0 are below the threshold
    assert np.array_equal(cloud["label"][clear], np.where(points[clear, 2] > 0, ABOVE, BELOW))


def test_a_big_endian_cloud_and_one_without_intensity_are_read(start: Start) -> None:
    bench = start()
    assert rows(bench.send(make_cloud(bigendian=True)))["label"].tolist() == LABELS
    assert rows(bench.send(make_cloud(names="x y z")))["label"].tolist() == LABELS


def test_clouds_without_points_come_back_empty(start: Start) -> None:
    bench = start()
    empty = bench.send(make_cloud(np.zeros((0, 3))))
    assert (empty.width, len(empty.data)) == (0, 0)
    assert rows(bench.send(make_cloud()))["label"].tolist() == LABELS


def test_bad_clouds_are_counted_and_the_next_good_one_is_labelled(start: Start) -> None:
    bench = start(max_points=100)
    bench.send_bad(make_cloud(names="y z intensity"), "bad_cloud")
    bench.send_bad(make_cloud(cut=5), "bad_cloud")
    bench.send_bad(make_cloud(np.zeros((101, 3))), "too_many_points")
    assert rows(bench.send(make_cloud()))["label"].tolist() == LABELS
    assert bench.drops() == {"bad_cloud": 2, "too_many_points": 1}


def test_a_cloud_that_lies_about_its_endianness_does_not_stop_the_node(start: Start) -> None:
    bench = start()
    liar = make_cloud()
    liar.is_bigendian = True
    assert len(rows(bench.send(liar))) == 5  # nonsense coordinates, but every point comes back
    assert rows(bench.send(make_cloud()))["label"].tolist() == LABELS


def test_new_words_relabel_the_sweep_in_memory_and_label_the_next_cloud(start: Start) -> None:
    bench = start()
    sent = make_cloud()
    bench.send(sent)
    runs = count_runs(bench)
    answer = bench.set_queries("below", "thing", "above|high")
    assert (answer.success, answer.version, answer.message) == (True, 2, "")
    again = wait_for(lambda: bench.clouds[1:], "the relabelled sweep")[0]
    assert again.header == sent.header
    assert rows(again)["label"].tolist() == [3, 1, 3, 1, 3]
    assert set(rows(again)["table_version"]) == {2}
    assert runs == []
    assert set(rows(bench.send(make_cloud()))["table_version"]) == {2}
    assert len(runs) == 1
    table = wait_for(lambda: [table for table in bench.tables if table.version == 2], "the table")[0]
    assert [(label.id, label.name, list(label.synonyms)) for label in table.labels] == [
        (1, "below", []),
        (2, "thing", []),
        (3, "above", ["high"]),
    ]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ((), "empty"),
        (("above", "unicorn"), "unicorn"),
        (("above", "ABOVE"), "twice"),
        (("a" * 10_000,), "10,000"),
        (("above", " "), "empty"),
        (("ab\x07ove",), "U+0007"),
    ],
)
def test_bad_words_are_refused_and_the_old_ones_stay(start: Start, words: tuple[str, ...], complaint: str) -> None:
    bench = start()
    answer = bench.set_queries(*words)
    assert (answer.success, answer.version) == (False, 1)
    assert complaint in answer.message
    cloud = rows(bench.send(make_cloud()))
    assert cloud["label"].tolist() == LABELS
    assert set(cloud["table_version"]) == {1}


def test_threshold_and_background_follow_the_request(start: Start) -> None:
    bench = start()
    bench.send(make_cloud())
    assert bench.set_queries("thing").success  # similarity 0.05 to 0.2 < the card's threshold 0.5
    assert rows(wait_for(lambda: bench.clouds[1:], "version 2")[0])["label"].tolist() == [0] * 5
    assert bench.set_queries("thing", threshold=0.04).success
    assert rows(wait_for(lambda: bench.clouds[2:], "version 3")[0])["label"].tolist() == [1] * 5
    assert bench.set_queries("thing", threshold=0.04, background=["below"]).success
    assert rows(wait_for(lambda: bench.clouds[3:], "version 4")[0])["label"].tolist() == [1, 0, 1, 0, 1]
    refused = bench.set_queries("thing", threshold=1.5)
    assert not refused.success
    assert "threshold" in refused.message


def test_clouds_are_labelled_with_the_old_words_while_new_ones_are_being_encoded(start: Start) -> None:
    from ov3d_msgs.msg import Query
    from ov3d_msgs.srv import SetQueries

    bench = start()
    gate, encode = threading.Event(), bench.node.model.encoder.encode

    class SlowEncoder:
        space, dim = bench.node.model.encoder.space, bench.node.model.encoder.dim
        supports_templates = False

        def encode(self, texts: Any) -> Any:
            assert gate.wait(20.0)
            return encode(texts)

    replace_encoder(bench, SlowEncoder())
    future = bench.service.call_async(SetQueries.Request(queries=[Query(name="thing")]))
    for _ in range(3):
        assert set(rows(bench.send(make_cloud()))["table_version"]) == {1}
    assert not future.done()
    gate.set()
    wait_for(future.done, "the answer")
    answer: Any = future.result()
    assert answer.version == 2


def test_the_newest_cloud_wins_under_load(start: Start) -> None:
    bench = start()
    gate = threading.Event()
    runs = count_runs(bench, gate)
    for second in range(6):
        cloud = make_cloud()
        cloud.header.stamp.sec = second
        bench.publisher.publish(cloud)
        wait_for(partial(has_received, bench, second + 1), "the cloud")
        if second == 0:
            wait_for(lambda: len(runs) == 1, "the network to be busy with the first cloud")
    gate.set()
    wait_for(lambda: len(bench.clouds) == 2, "two labelled clouds")
    assert [cloud.header.stamp.sec for cloud in bench.clouds] == [0, 5]
    assert bench.drops() == {"superseded": 4}


def test_table_and_legend_reach_who_subscribes_late(start: Start) -> None:
    from ov3d_msgs.msg import LabelTable
    from visualization_msgs.msg import MarkerArray

    from ov3d_perception.palette import label_colors
    from ov3d_perception.ros import names

    bench = start()
    cloud = rows(bench.send(make_cloud()))
    tables: list[Any] = []
    legends: list[Any] = []
    bench.client.create_subscription(LabelTable, names.resolve(names.LABELS), tables.append, latched())
    bench.client.create_subscription(MarkerArray, names.resolve(names.OUTPUT_LEGEND), legends.append, latched())
    table = wait_for(lambda: tables, "the table")[0]
    colors = label_colors(["above", "below"])
    assert [label.name for label in table.labels] == ["above", "below"]
    assert table.threshold == 0.5
    for label in table.labels:
        shown = [round(255 * channel) for channel in (label.color.r, label.color.g, label.color.b)]
        assert shown == colors[label.id].tolist()
        red, green, blue = shown
        assert set(cloud["rgb"][cloud["label"] == label.id]) == {red << 16 | green << 8 | blue}
    markers = wait_for(lambda: legends, "the legend")[0].markers
    assert [marker.text for marker in markers[1:]] == ["unlabelled", "above", "below"]
    assert {marker.header.frame_id for marker in markers} == {"lidar_left"}


def test_diagnostics_say_what_runs_and_what_was_dropped(start: Start) -> None:
    from diagnostic_msgs.msg import DiagnosticStatus

    bench = start(stats_period_s=0.1)
    bench.send(make_cloud())

    def status(**wanted: str) -> Any:
        for message in bench.diagnostics:
            found = {entry.key: entry.value for entry in message.status[0].values}
            if wanted.items() <= found.items():
                return message.status[0], found
        return None

    _, values = wait_for(lambda: status(published="1"), "a status after the first cloud")
    assert values["provider"] == "CPUExecutionProvider"
    assert (values["bundle"], values["text_space"], values["queries_version"]) == ("hand-made", "hand-made", "1")
    assert float(values["latency_p50_ms"]) > 0
    assert float(values["latency_p95_ms"]) >= float(values["latency_p50_ms"])
    bench.send_bad(make_cloud(cut=5), "bad_cloud")
    warning, _ = wait_for(lambda: status(dropped_bad_cloud="1"), "a status after the bad cloud")
    assert warning.level == DiagnosticStatus.WARN
    assert "bad_cloud 1" in warning.message


def test_parameters_are_described_and_cannot_be_changed_behind_the_nodes_back(start: Start) -> None:
    from rclpy.parameter import Parameter

    from ov3d_perception.config import PARAMETERS

    node = start().node
    for parameter in PARAMETERS:
        descriptor = node.describe_parameter(parameter.name)
        assert descriptor.description == parameter.description
        assert bool(descriptor.integer_range or descriptor.floating_point_range) == (parameter.minimum is not None)
    assert not node.set_parameters([Parameter("max_points", value=5)])[0].successful


def test_words_can_be_given_as_a_parameter(start: Start) -> None:
    bench = start(queries=["thing|below", "above"], threshold=-1.0)
    assert rows(bench.send(make_cloud()))["label"].tolist() == [2, 1, 2, 1, 2]


def test_two_nodes_in_two_namespaces_do_not_hear_each_other(ros: Any, bundle_dir: Path) -> None:
    from rclpy.parameter import Parameter

    from ov3d_perception.ros.node import SegmentationNode

    overrides = [Parameter("bundle", value=str(bundle_dir)), Parameter("device", value="cpu")]
    benches = [
        Bench(SegmentationNode(namespace=namespace, parameter_overrides=overrides)) for namespace in ("left", "right")
    ]
    try:
        benches[0].send(make_cloud())
        assert benches[0].set_queries("thing").version == 2
        assert benches[1].clouds == []
        assert set(rows(benches[1].send(make_cloud()))["table_version"]) == {1}
    finally:
        for bench in benches:
            bench.close()


def test_the_codec_reads_as_sensor_msgs_py_does(start: Start) -> None:
    point_cloud2 = pytest.importorskip(
        "sensor_msgs_py.point_cloud2", reason="sensor_msgs_py comes with a distribution's ROS, not from PyPI"
    )
    sent = make_cloud()
    cloud = start().send(sent)
    theirs = point_cloud2.read_points(cloud)
    ours = rows(cloud)
    assert theirs.dtype.names == ours.dtype.names
    for name in ("x", "y", "z", "intensity", "label", "table_version", "score"):
        assert np.array_equal(theirs[name], ours[name])
    assert theirs["rgb"].tobytes() == ours["rgb"].tobytes()
    again = point_cloud2.create_cloud_xyz32(sent.header, POINTS)
    from ov3d_perception.pointcloud2 import decode_pointcloud2

    assert np.array_equal(decode_pointcloud2(again).points, POINTS)


def test_rgb_is_packed_as_rviz_expects_it() -> None:
    from ov3d_perception.palette import UNLABELLED_COLOR

    red, green, blue = UNLABELLED_COLOR
    packed = struct.pack("<I", red << 16 | green << 8 | blue)
    assert list(packed) == [128, 128, 128, 0]


def count_runs(bench: Bench, gate: threading.Event | None = None) -> list[Any]:
    """Record each run of the network from now on; each waits for the gate, when there is one."""
    engine, runs = bench.node.pipeline._engine, []

    class Counted:
        label = staticmethod(engine.label)

        @staticmethod
        def encode(frame: Any, queries: Any) -> Any:
            runs.append(frame)
            assert gate is None or gate.wait(20.0)
            return engine.encode(frame, queries)

    bench.node.pipeline._engine = Counted()
    return runs


def has_received(bench: Bench, count: int) -> bool:
    return bench.node.pipeline.statistics._received == count


def replace_encoder(bench: Bench, encoder: Any) -> None:
    import dataclasses

    bench.node.model = dataclasses.replace(bench.node.model, encoder=encoder)
