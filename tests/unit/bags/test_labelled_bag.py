"""Labelled copies of bags, topic detection, damaged bags."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ov3d_perception.bag_io import LABELLED_TOPIC, LABELS_TOPIC, make_typestore, open_bag
from ov3d_perception.bags import read_bag_clouds, read_bag_frames, write_labelled_bag
from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.palette import label_colors
from ov3d_perception.pointcloud2 import decode_pointcloud2, read_field
from ov3d_perception.queries import LabelSpec, QuerySet
from ov3d_perception.types import Frame, Prediction

QUERIES = QuerySet(
    labels=(LabelSpec(name="car", synonyms=("auto",)), LabelSpec(name="tree")),
    background=("sky",),
    phrases=("car", "auto", "tree", "sky"),
    text=np.eye(4, dtype=np.float32),
    label_of_phrase=np.array([0, 0, 1, -1]),
    templates=("{}",),
    threshold=0.25,
    space="test",
    version=7,
)


def by_height(frame: Frame) -> Prediction:
    """Label 2 above the sensor, 1 below; made up, but different from point to point."""
    label = np.where(frame.points[:, 2] > 0, 2, 1).astype(np.uint16)
    return Prediction(label=label, score=np.full(len(label), 0.5, np.float32), queries_version=7)


def test_labelled_bag_holds_the_originals_and_a_labelled_cloud_for_each(tiny_bag: Path, tmp_path: Path) -> None:
    out = tmp_path / "labelled"
    assert write_labelled_bag(tiny_bag, out, by_height, queries=QUERIES) == 3
    with open_bag(tiny_bag) as source, open_bag(out) as copy:
        extra = {LABELLED_TOPIC, LABELS_TOPIC}
        originals = [(c.topic, c.msgtype, c.digest, time_ns, raw) for c, time_ns, raw in source.messages()]
        copies = [
            (c.topic, c.msgtype, c.digest, time_ns, raw) for c, time_ns, raw in copy.messages() if c.topic not in extra
        ]
        assert sorted(copies) == sorted(originals)
        assert {c.topic: c.ext.offered_qos_profiles for c in copy.connections if c.topic not in extra} == {
            c.topic: c.ext.offered_qos_profiles for c in source.connections
        }
        typestore = make_typestore()
        labelled = [c for c in copy.connections if c.topic == LABELLED_TOPIC]
        for frame, (c, _, raw) in zip(read_bag_clouds(tiny_bag), copy.messages(connections=labelled), strict=True):
            message = typestore.deserialize_cdr(raw, c.msgtype)
            back = decode_pointcloud2(message)
            np.testing.assert_array_equal(back.points, frame.points)
            assert back.stamp_ns == frame.stamp_ns
            expected = np.where(np.isnan(frame.points[:, 0]), 0, by_height(frame).label)
            np.testing.assert_array_equal(read_field(message, "label"), expected)
            np.testing.assert_array_equal(read_field(message, "table_version"), np.full(50, 7))
            np.testing.assert_array_equal(back.colors, label_colors(["car", "tree"])[expected])
        tables = [c for c in copy.connections if c.topic == LABELS_TOPIC]
        ((c, _, raw),) = copy.messages(connections=tables)
        table = typestore.deserialize_cdr(raw, c.msgtype)
    assert [(label.id, label.name, list(label.synonyms)) for label in table.labels] == [
        (1, "car", ["auto"]),
        (2, "tree", []),
    ]
    assert (table.version, list(table.background), table.threshold) == (7, ["sky"], 0.25)


def test_labelled_bag_is_not_labelled_again_but_its_original_clouds_are_found(tiny_bag: Path, tmp_path: Path) -> None:
    out = tmp_path / "labelled"
    write_labelled_bag(tiny_bag, out, by_height)
    assert len(list(read_bag_clouds(out))) == 3  # /LIDAR_TOP, not the labelled topic
    with pytest.raises(ConfigError, match="already holds /ov3d_segmentation"):
        write_labelled_bag(out, tmp_path / "twice", by_height)


def test_unknown_topic_lists_those_there_are(tiny_bag: Path) -> None:
    with pytest.raises(DataError, match=r"no PointCloud2 topic /velodyne.*/LIDAR_TOP"):
        list(read_bag_clouds(tiny_bag, "/velodyne"))


def test_ground_truth_is_read_when_named(tiny_bag: Path) -> None:
    assert len(list(read_bag_clouds(tiny_bag, "/ground_truth/segmentation"))) == 3


def test_bag_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such bag"):
        list(read_bag_clouds(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="not a readable rosbag2"):
        list(read_bag_clouds(tmp_path / "empty"))
    (tmp_path / "rubbish.mcap").write_bytes(b"\x00" * 64)
    with pytest.raises(DataError, match="not a readable rosbag2"):
        list(read_bag_clouds(tmp_path / "rubbish.mcap"))


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_truncated_bag_is_refused_not_crashed_on(tiny_bag: Path, tmp_path: Path, share: float) -> None:
    (source,) = tiny_bag.glob("*.mcap")
    content = source.read_bytes()
    cut = tmp_path / "cut.mcap"
    cut.write_bytes(content[: int(share * len(content))])
    try:
        frames = list(read_bag_frames(cut))
    except DataError:
        return
    assert len(frames) <= 3  # what could be read is whole


def test_message_definitions_are_those_of_ov3d_msgs(repository: Path) -> None:
    from rosbags.typesys import get_types_from_msg

    typestore = make_typestore()
    for name in ("Label", "LabelTable"):
        text = (repository / "ros2_ws" / "src" / "ov3d_msgs" / "msg" / f"{name}.msg").read_text(encoding="utf-8")
        full_name = f"ov3d_msgs/msg/{name}"
        assert typestore.fielddefs[full_name] == get_types_from_msg(text, full_name)[full_name]
