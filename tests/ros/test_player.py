"""The player as a process of its own: real rclpy on both sides, this machine only, a domain of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bags.recording import recording_of_samples
from bags.writer import write_bag
from ov3d_perception.pointcloud2 import decode_pointcloud2, read_field
from tests.unit.bags.tiny_drive import INTERVAL_NS, START_NS, TinyDrive

CLOUD = "/LIDAR_TOP"
IMAGE = "/CAM_FRONT/image_rect_compressed"
TIMEOUT_S = 30.0
DOMAIN = 1 + (os.getpid() + 50) % 100  # another than that of tests/ros/conftest.py, within the safe range

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy): `make test` installs it")
pytest.importorskip("rosbags", reason="bags need rosbags")


@pytest.fixture(scope="module")
def bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("player") / "drive"
    write_bag(recording_of_samples(TinyDrive(points=2000)), out)
    return out


class Listener:
    """Subscribes to what the player sends, in a context of its own domain."""

    def __init__(self) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        from rclpy.qos import QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
        from rosgraph_msgs.msg import Clock
        from sensor_msgs.msg import CompressedImage, PointCloud2

        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=DOMAIN)
        self.node = rclpy.create_node("listener", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.clouds: list[Any] = []
        self.images: list[Any] = []
        self.clocks: list[int] = []
        every = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)  # as the bag offers them: none is lost
        self.node.create_subscription(PointCloud2, CLOUD, self.clouds.append, every)
        self.node.create_subscription(CompressedImage, IMAGE, self.images.append, every)
        self.node.create_subscription(Clock, "/clock", self._on_clock, qos_profile_sensor_data)

    def _on_clock(self, message: Any) -> None:
        self.clocks.append(message.clock.sec * 10**9 + message.clock.nanosec)

    def spin_until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not condition():
            assert time.monotonic() < deadline, f"waited {TIMEOUT_S:g} s in vain for {what}"
            self.executor.spin_once(timeout_sec=0.05)

    def close(self) -> None:
        import rclpy

        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown(context=self.context)


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    listener = Listener()
    yield listener
    listener.close()


def start_player(repository: Path, bag: Path, *options: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "ROS_DOMAIN_ID": str(DOMAIN), "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST"}
    return subprocess.Popen(
        [sys.executable, "-m", "bags.play", str(bag), *options],
        cwd=repository,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(player: subprocess.Popen[str]) -> tuple[str, str]:
    try:
        return player.communicate(timeout=TIMEOUT_S)
    finally:
        player.kill()


def test_player_publishes_the_recorded_bytes_with_clock(repository: Path, bag: Path, listener: Listener) -> None:
    player = start_player(
        repository, bag, "--topics", CLOUD, IMAGE, "--wait-for-subscribers", CLOUD, IMAGE, "/clock", "--rate", "0.5"
    )
    try:
        listener.spin_until(lambda: len(listener.clouds) == 3 and len(listener.images) == 3, "three clouds and images")
    finally:
        out, errors = finish(player)
    assert player.returncode == 0, errors
    assert "played 6 messages" in out
    for index, message in enumerate(listener.clouds):
        frame = decode_pointcloud2(message)
        np.testing.assert_array_equal(frame.points, TinyDrive(points=2000)[index].frame.points)
        assert frame.stamp_ns == START_NS + index * INTERVAL_NS
    assert bytes(listener.images[0].data[:2]) == b"\xff\xd8"  # JPEG
    listener.spin_until(lambda: listener.clocks[-1:] == [START_NS + 2 * INTERVAL_NS], "the last tick")
    assert listener.clocks == sorted(listener.clocks)


def test_loop_plays_on_until_interrupted_and_then_ends_quietly(repository: Path, bag: Path, listener: Listener) -> None:
    player = start_player(repository, bag, "--topics", CLOUD, "--loop", "--wait-for-subscribers", CLOUD, "--rate", "4")
    try:
        listener.spin_until(lambda: len(listener.clouds) >= 7, "a third pass")
        player.send_signal(signal.SIGINT)
    finally:
        _, errors = finish(player)
    assert player.returncode == 0
    assert errors == ""
    stamps = [decode_pointcloud2(message).stamp_ns for message in listener.clouds]
    assert stamps[:3] == stamps[3:6] == [START_NS + index * INTERVAL_NS for index in range(3)]


def test_topics_of_unknown_types_are_left_out_with_one_warning(repository: Path, bag: Path, tmp_path: Path) -> None:
    from ov3d_perception.bag_io import create_bag, make_typestore

    typestore = make_typestore()
    text = typestore.types["std_msgs/msg/String"](data="hello")
    with create_bag(tmp_path / "strange") as writer:
        for topic, kind in (
            ("/known", "std_msgs/msg/String"),
            ("/a", "no_such_msgs/msg/A"),
            ("/b", "no_such_msgs/msg/B"),
        ):
            connection = writer.add_connection(topic, kind, msgdef="string data\n", rihs01="RIHS01_" + "0" * 64)
            writer.write(connection, START_NS, typestore.serialize_cdr(text, "std_msgs/msg/String"))
    player = start_player(repository, tmp_path / "strange")
    out, errors = finish(player)
    assert player.returncode == 0, errors
    assert "played 1 messages" in out
    assert errors.count("\n") == 1
    assert "/a (no_such_msgs/msg/A), /b (no_such_msgs/msg/B)" in errors


def test_wrong_arguments_end_with_one_line(repository: Path, bag: Path, tmp_path: Path) -> None:
    for options, expected in (
        ((str(bag), "--topics", "/nowhere"), "has no topic /nowhere"),
        ((str(tmp_path / "nothing"),), "no such bag"),
        ((str(bag), "--topics", CLOUD, "--wait-for-subscribers", CLOUD, "--wait-timeout", "0.2"), "no subscriber"),
    ):
        player = start_player(repository, Path(options[0]), *options[1:])
        _, errors = finish(player)
        assert player.returncode == 2
        assert expected in errors
        assert errors.count("\n") == 1


def test_truth_field_is_readable_by_rclpy(repository: Path, bag: Path, listener: Listener) -> None:
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import PointCloud2

    topic = "/ground_truth/segmentation"
    truths: list[Any] = []
    listener.node.create_subscription(PointCloud2, topic, truths.append, qos_profile_sensor_data)
    player = start_player(repository, bag, "--topics", topic, "--wait-for-subscribers", topic)
    try:
        listener.spin_until(lambda: bool(truths), "a cloud with truth")
    finally:
        finish(player)
    labels = read_field(truths[0], "label")
    expected = TinyDrive(points=2000)[0].point_labels
    assert expected is not None
    np.testing.assert_array_equal(labels, expected + 1)
