"""The core's `logging` records, forwarded to the ROS logger of the node."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any

CORE_LOGGER = "ov3d_perception"


class RosHandler(logging.Handler):
    """Hands records to a ROS logger at the same severity; a record that cannot be handed over is lost, not raised."""

    def __init__(self, ros_logger: Any) -> None:
        super().__init__(logging.INFO)
        self._ros_logger = ros_logger

    def emit(self, record: logging.LogRecord) -> None:
        """Forward one record; each severity needs a line of its own, rclpy ties a line of code to its severity."""
        with contextlib.suppress(Exception):
            text = self.format(record)
            if record.levelno >= logging.CRITICAL:
                self._ros_logger.fatal(text)
            elif record.levelno >= logging.ERROR:
                self._ros_logger.error(text)
            elif record.levelno >= logging.WARNING:
                self._ros_logger.warning(text)
            else:
                self._ros_logger.info(text)


@contextlib.contextmanager
def forwarded(ros_logger: Any) -> Iterator[None]:
    """Forward the core's records while the context is open."""
    handler = RosHandler(ros_logger)
    core = logging.getLogger(CORE_LOGGER)
    level = core.level
    core.addHandler(handler)
    core.setLevel(logging.INFO)
    try:
        yield
    finally:
        core.removeHandler(handler)
        core.setLevel(level)
