"""Reading back the truth that bags of simulated drives carry."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.bag_io import deserialize, make_typestore, open_bag
from ov3d_perception.errors import DataError
from ov3d_perception.pointcloud2 import read_field, stamp_ns_of

from .presets import TRUTH_CLOUD_TOPIC, TRUTH_LABELS_TOPIC


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """`names` of the labels, label i + 1 is `names[i]`; `labels` (N,) uint16 by the cloud's stamp in ns, 0 unknown."""

    names: tuple[str, ...]
    labels: dict[int, NDArray[np.uint16]]


def read_truth(path: Path | str) -> Truth:
    """Read the truth of every cloud of a bag, point by point in the cloud's order.

    Raises `DataError` for a bag without truth topics or that cannot be read.
    """
    typestore = make_typestore()
    names: tuple[str, ...] = ()
    labels: dict[int, NDArray[np.uint16]] = {}
    with open_bag(path) as reader:
        wanted = [item for item in reader.connections if item.topic in (TRUTH_CLOUD_TOPIC, TRUTH_LABELS_TOPIC)]
        if len(wanted) != 2:
            raise DataError(
                f"{path}: no {TRUTH_CLOUD_TOPIC} with {TRUTH_LABELS_TOPIC}. Only simulated bags have truth."
            )
        for connection, _, raw in reader.messages(connections=wanted):
            message = deserialize(typestore, raw, connection.msgtype, f"{path}: {connection.topic}")
            if connection.topic == TRUTH_LABELS_TOPIC:
                names = tuple(label.name for label in message.labels)
            else:
                labels[stamp_ns_of(message.header)] = read_field(message, "label").astype(np.uint16)
    return Truth(names=names, labels=labels)
