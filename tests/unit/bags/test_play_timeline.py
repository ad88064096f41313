"""The player's plan of what to publish when, without ROS."""

from __future__ import annotations

import itertools
import struct
from pathlib import Path

import pytest

from bags.make_bag import main
from bags.play import CLOCK_TOPIC, clock_message, import_message, read_topics, timeline
from ov3d_perception.bag_io import open_bag
from ov3d_perception.errors import ConfigError, DataError
from tests.unit.bags.tiny_drive import START_NS

CLOUD = "/LIDAR_TOP"


def clock_ns(raw: bytes) -> int:
    assert raw[:4] == b"\x00\x01\x00\x00"
    seconds, nanoseconds = struct.unpack_from("<iI", raw, 4)
    return int(seconds) * 10**9 + int(nanoseconds)


def test_messages_keep_their_distance_at_any_rate(tiny_bag: Path) -> None:
    for rate in (1.0, 4.0):
        events = [(when_s, raw) for when_s, name, raw in timeline(tiny_bag, [CLOUD], rate=rate) if name == CLOUD]
        assert [when_s for when_s, _ in events] == pytest.approx([0.0, 0.1 / rate, 0.2 / rate])
        with open_bag(tiny_bag) as reader:
            wanted = [connection for connection in reader.connections if connection.topic == CLOUD]
            assert [raw for _, raw in events] == [raw for _, _, raw in reader.messages(connections=wanted)]


def test_clock_starts_first_ticks_evenly_and_never_runs_ahead_of_a_message(tiny_bag: Path) -> None:
    last_ns = 0
    ticks = []
    for when_s, name, raw in timeline(tiny_bag, [CLOUD], clock_hz=100.0):
        if name == CLOCK_TOPIC:
            assert clock_ns(raw) > last_ns
            last_ns = clock_ns(raw)
            ticks.append((when_s, last_ns))
        else:
            seconds, nanoseconds = struct.unpack_from("<iI", raw, 4)
            assert last_ns == seconds * 10**9 + nanoseconds  # the header's stamp: recording time in these bags
    assert ticks[0] == (0.0, START_NS)
    assert len(ticks) == 21  # 0.2 s at 100 Hz, both ends
    for when_s, time_ns in ticks:
        assert when_s == pytest.approx((time_ns - START_NS) * 1e-9)


def test_loop_jumps_back_in_bag_time_but_not_in_ours(tiny_bag: Path) -> None:
    events = list(itertools.islice(timeline(tiny_bag, [CLOUD], loop=True), 60))
    times = [when_s for when_s, _, _ in events]
    assert times == sorted(times)
    clocks = [clock_ns(raw) for _, name, raw in events if name == CLOCK_TOPIC]
    assert clocks.count(START_NS) == 3  # 24 events a pass: the third has begun
    clouds = [when_s for when_s, name, _ in events if name == CLOUD]
    assert clouds[:6] == pytest.approx([0.0, 0.1, 0.2, 0.21, 0.31, 0.41])


def test_everything_but_the_clock_of_a_bag_is_offered(tiny_bag: Path) -> None:
    topics = {topic.name: topic for topic in read_topics(tiny_bag)}
    assert topics[CLOUD].message_type == "sensor_msgs/msg/PointCloud2"
    assert topics["/tf_static"].qos.durability.name == "TRANSIENT_LOCAL"
    assert CLOCK_TOPIC not in topics


def test_static_transforms_come_before_everything_else(tiny_bag: Path) -> None:
    names = [name for _, name, _ in timeline(tiny_bag, [topic.name for topic in read_topics(tiny_bag)])]
    assert names[:2] == [CLOCK_TOPIC, "/tf_static"]


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_impossible_rates_are_refused(tiny_bag: Path, rate: float) -> None:
    with pytest.raises(ConfigError, match="rate"):
        next(timeline(tiny_bag, [CLOUD], rate=rate))


def test_nothing_to_play_is_an_error_even_in_a_loop(tiny_bag: Path) -> None:
    with pytest.raises(DataError, match="holds no message"):
        next(timeline(tiny_bag, [], loop=True))


def test_clock_message_is_little_endian_cdr() -> None:
    assert clock_message(3_000_000_007) == bytes([0, 1, 0, 0, 3, 0, 0, 0, 7, 0, 0, 0])


def test_unknown_message_types_are_none() -> None:
    assert import_message("no_such_package/msg/Thing") is None


def test_command_line_refuses_bad_input_with_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["keyframe", str(tmp_path / "nowhere"), "--out", str(tmp_path / "bag")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("make_bag: DataError: ")
    assert error.count("\n") == 1
