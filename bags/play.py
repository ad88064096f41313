"""Play a bag through rclpy where `ros2 bag play` is missing: `python -m bags.play BAG [--rate R] [--loop] ...`.

Messages go out as the CDR bytes that the bag holds, with the bag's QoS, and /clock runs along with them.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import signal
import struct
import sys
import time
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ov3d_perception.bag_io import open_bag
from ov3d_perception.errors import ConfigError, DataError, FrameError, Ov3dError

CLOCK_TOPIC = "/clock"
CLOCK_TYPE = "rosgraph_msgs/msg/Clock"
CLOCK_HZ = 100.0
DEFAULT_WAIT_S = 60.0
_ACK_TIMEOUT_S = 2.0
_TRANSIENT_LOCAL, _BEST_EFFORT = 1, 2  # rosbags' and rmw's numbers agree

logger = logging.getLogger("bags.play")


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic of a bag: full type name such as sensor_msgs/msg/PointCloud2, and its first QoS profile, if any."""

    name: str
    message_type: str
    qos: Any = None


def read_topics(bag: Path) -> list[Topic]:
    """Return the topics of a bag, without /clock, in the bag's order; `DataError` for a bag that cannot be read."""
    topics: dict[str, Topic] = {}
    with open_bag(bag) as reader:
        for connection in reader.connections:
            profiles = connection.ext.offered_qos_profiles
            qos = profiles[0] if profiles else None
            if connection.topic != CLOCK_TOPIC:
                topics.setdefault(
                    connection.topic, Topic(name=connection.topic, message_type=connection.msgtype, qos=qos)
                )
    return list(topics.values())


def timeline(
    bag: Path,
    topics: Collection[str],
    *,
    rate: float = 1.0,
    loop: bool = False,
    clock_hz: float = CLOCK_HZ,
) -> Iterator[tuple[float, str, bytes]]:
    """Yield (seconds since the start of playing, topic, CDR bytes) of everything to publish, in order.

    /clock ticks `clock_hz` times per second of playing, and right before a message whenever bag time has moved on.
    With `loop` bag time jumps back to its start after every pass. Raises `ConfigError` for a rate that is not
    positive and `DataError` for a bag that holds no message on `topics`.
    """
    if not 0 < rate < float("inf"):
        raise ConfigError(f"rate: expected a positive number, got {rate}.")
    with open_bag(bag) as reader:
        connections = [connection for connection in reader.connections if connection.topic in topics]
        if not sum(connection.msgcount for connection in connections):
            raise DataError(f"{bag}: holds no message on {', '.join(topics) or 'any topic that can be played'}.")
        offset_s = 0.0
        while True:
            when_s = offset_s
            for when_s, name, raw in _one_pass(reader, connections, rate, clock_hz, offset_s):
                yield when_s, name, raw
            if not loop:
                return
            offset_s = when_s + 1.0 / clock_hz


def _one_pass(
    reader: Any, connections: Sequence[Any], rate: float, clock_hz: float, offset_s: float
) -> Iterator[tuple[float, str, bytes]]:
    tick_ns = max(round(rate * 1e9 / clock_hz), 1)  # of bag time
    clock_ns = start_ns = -1
    for connection, time_ns, raw in reader.messages(connections=connections):
        if start_ns < 0:
            clock_ns = start_ns = time_ns
            yield offset_s, CLOCK_TOPIC, clock_message(clock_ns)
        while clock_ns + tick_ns < time_ns:
            clock_ns += tick_ns
            yield offset_s + (clock_ns - start_ns) * 1e-9 / rate, CLOCK_TOPIC, clock_message(clock_ns)
        when_s = offset_s + max(time_ns - start_ns, 0) * 1e-9 / rate
        if time_ns > clock_ns:
            clock_ns = time_ns
            yield when_s, CLOCK_TOPIC, clock_message(clock_ns)
        yield when_s, connection.topic, raw


def clock_message(time_ns: int) -> bytes:
    """Return a rosgraph_msgs Clock as little-endian CDR."""
    return b"\x00\x01\x00\x00" + struct.pack("<iI", *divmod(time_ns, 1_000_000_000))


class Player:
    """A node with one publisher per topic of a bag whose type is known here."""

    def __init__(self, bag: Path, *, only: Sequence[str] | None = None) -> None:
        """Create the publishers; rclpy must be initialised.

        `only` restricts the topics. Topics whose message type does not import are left out with one warning. Raises
        `ConfigError` for a name in `only` that the bag lacks and `DataError` when nothing is left.
        """
        from rclpy.node import Node

        self.bag = bag
        available = read_topics(bag)
        unknown = sorted(set(only or ()) - {topic.name for topic in available})
        if unknown:
            names = ", ".join(topic.name for topic in available)
            raise ConfigError(f"{bag}: has no topic {', '.join(unknown)}. There are {names}.")
        self.node = Node("ov3d_bag_player")
        self.publishers: dict[str, Any] = {}
        skipped = []
        for topic in available:
            if only is not None and topic.name not in only:
                continue
            message_class = import_message(topic.message_type)
            if message_class is None:
                skipped.append(f"{topic.name} ({topic.message_type})")
            else:
                self.publishers[topic.name] = self.node.create_publisher(
                    message_class, topic.name, rclpy_qos(topic.qos)
                )
        if skipped:
            logger.warning("not played, the message type is not installed here: %s", ", ".join(skipped))
        if not self.publishers:
            raise DataError(f"{bag}: no topic can be played. Install the message packages or choose other --topics.")
        self.publishers[CLOCK_TOPIC] = self.node.create_publisher(import_message(CLOCK_TYPE), CLOCK_TOPIC, 10)

    def wait_for_subscribers(self, topics: Sequence[str], timeout_s: float = DEFAULT_WAIT_S) -> None:
        """Return once every topic has a subscriber; `FrameError` when one has none after `timeout_s`."""
        unknown = sorted(set(topics) - set(self.publishers))
        if unknown:
            raise ConfigError(f"--wait-for-subscribers: {', '.join(unknown)} will not be played.")
        deadline = time.monotonic() + timeout_s
        waiting = list(topics)
        while waiting := [name for name in waiting if self.publishers[name].get_subscription_count() == 0]:
            if time.monotonic() > deadline:
                raise FrameError(
                    f"{', '.join(waiting)}: no subscriber after {timeout_s:g} s. Is the node running, with the same "
                    "ROS_DOMAIN_ID and ROS_AUTOMATIC_DISCOVERY_RANGE?"
                )
            time.sleep(0.02)

    def play(self, *, rate: float = 1.0, loop: bool = False) -> int:
        """Publish everything at its time; return the number of messages without /clock. Falls behind, never drops."""
        count = 0
        begun_s = None
        topics = [name for name in self.publishers if name != CLOCK_TOPIC]
        for when_s, name, raw in timeline(self.bag, topics, rate=rate, loop=loop):
            begun_s = time.monotonic() if begun_s is None else begun_s
            delay_s = begun_s + when_s - time.monotonic()
            if delay_s > 0:
                time.sleep(delay_s)
            self.publishers[name].publish(bytes(raw))
            count += name != CLOCK_TOPIC
        return count

    def close(self) -> None:
        """Wait until reliable subscribers have everything, then remove the node."""
        from rclpy.duration import Duration

        for publisher in self.publishers.values():
            publisher.wait_for_all_acked(Duration(seconds=_ACK_TIMEOUT_S))
        self.node.destroy_node()


def import_message(message_type: str) -> Any:
    """Return the rclpy class of package/msg/Name, None where the package or message is not installed."""
    package, _, name = message_type.partition("/msg/")
    try:
        return getattr(importlib.import_module(f"{package}.msg"), name)
    except (ImportError, AttributeError):
        return None


def rclpy_qos(qos: Any) -> Any:
    """Return rclpy's profile for a recorded one; reliable and volatile, depth 10, where the bag has none."""
    from rclpy.qos import QoSDurabilityPolicy, QoSProfile, QoSReliabilityPolicy

    latched = qos is not None and qos.durability.value == _TRANSIENT_LOCAL
    lossy = qos is not None and qos.reliability.value == _BEST_EFFORT
    return QoSProfile(
        depth=10 if qos is None else min(max(qos.depth, 1), 1000),
        reliability=QoSReliabilityPolicy.BEST_EFFORT if lossy else QoSReliabilityPolicy.RELIABLE,
        durability=QoSDurabilityPolicy.TRANSIENT_LOCAL if latched else QoSDurabilityPolicy.VOLATILE,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Play until the end or Ctrl-C (exit code 0); 2 after one line on stderr when something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m bags.play", description="Play a rosbag2 recording with /clock.")
    parser.add_argument("bag", type=Path, help="rosbag2 folder, .mcap or .db3 file")
    parser.add_argument("--rate", type=float, default=1.0, help="speed, default 1")
    parser.add_argument("--loop", action="store_true", help="start again at the end; bag time jumps back")
    parser.add_argument("--topics", nargs="+", metavar="TOPIC", help="play only these")
    parser.add_argument(
        "--wait-for-subscribers", nargs="+", metavar="TOPIC", default=[], help="start when each of these has one"
    )
    parser.add_argument("--wait-timeout", type=float, default=DEFAULT_WAIT_S, metavar="S", help="default 60")
    options = parser.parse_args(arguments)
    logging.basicConfig(format="%(name)s: %(message)s")
    try:
        import rclpy
        from rclpy.signals import SignalHandlerOptions
    except ImportError as error:
        print(f"bags.play: needs rclpy: {error}. Source ROS 2 or `pip install ros-rclpy`.", file=sys.stderr)
        return 2
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)  # Ctrl-C becomes KeyboardInterrupt
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    player = None
    try:
        player = Player(options.bag, only=options.topics)
        player.wait_for_subscribers(options.wait_for_subscribers, options.wait_timeout)
        count = player.play(rate=options.rate, loop=options.loop)
        print(f"played {count} messages of {options.bag}")
    except KeyboardInterrupt:
        pass
    except Ov3dError as error:
        print(f"bags.play: {type(error).__name__}: {error}", file=sys.stderr)
        return 2
    finally:
        if player is not None:
            player.close()
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
