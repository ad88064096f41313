"""What words cost: other words for the sweep in memory, new texts, and how many of them a sweep can carry."""

from __future__ import annotations

import functools
import itertools
import time
from typing import Any

import numpy as np

from ov3d_perception.artifact import open_bundle
from ov3d_perception.engine import Engine

from .settings import BenchSettings
from .sweeps import load_sweep, varied
from .timing import SETTLE_S, median_ratio, summary
from .whole_way import open_messages, random_vocabulary, running_node, with_voxel_size

_TEXTS = 64
_COLORS = ("red", "blue", "green", "yellow", "white", "black", "grey", "brown")
_THINGS = ("car", "lorry", "tree", "bench", "person with a dog", "forklift", "traffic sign", "shopping trolley")
REFERENCE_QUERIES = 10


def measure_words(settings: BenchSettings, *, threads: int, voxel_size_m: float) -> dict[str, Any]:
    """Time the node's pipeline for every number of queries, in turn: relabelling first, then a whole new sweep.

    Vectors of the words are at hand (cached); they are random. `relabel` is from the change of words until the cloud is
    packed, `sweep` from a cloud's arrival until then; `of_10` the sweep's time relative to that with 10 queries.
    """
    bundle = with_voxel_size(open_bundle(settings.bundle), voxel_size_m)
    engine = Engine(bundle, providers="cpu", threads=threads)
    messages = open_messages()
    frames = varied(load_sweep(settings.data).frame, np.random.default_rng(0))
    counts = sorted({*settings.queries, REFERENCE_QUERIES})
    both = [{count: random_vocabulary(bundle, count, version=version) for count in counts} for version in (1, 2)]
    relabel: dict[int, list[float]] = {count: [] for count in counts}
    sweep: dict[int, list[float]] = {count: [] for count in counts}
    with running_node(engine, both[1][counts[0]], messages) as node:
        node.label(messages.cloud(next(frames)))
        for number in range(1 + settings.rounds):
            message = messages.cloud(next(frames))
            for count in counts if number % 2 else reversed(counts):
                time.sleep(SETTLE_S)
                changed = _timed(functools.partial(node.use, both[number % 2][count]))  # never those in use
                time.sleep(SETTLE_S)
                labelled = _timed(functools.partial(node.label, message))
                if number:
                    relabel[count].append(changed)
                    sweep[count].append(labelled)
    return {
        "threads": threads,
        "voxel_size_m": voxel_size_m,
        "queries": [
            {
                "queries": count,
                "relabel": summary(relabel[count]),
                "sweep": summary(sweep[count]),
                "of_10": median_ratio(sweep[count], sweep[REFERENCE_QUERIES]),
            }
            for count in counts
        ],
    }


def measure_texts(settings: BenchSettings) -> dict[str, Any]:
    """Time the bundle's text tower on texts that it has not seen, on one thread; a bank has none."""
    bundle = open_bundle(settings.bundle)
    if bundle.has_bank:
        return {"not_measured": "the bundle's text side is a bank of vectors"}
    encoder = bundle.open_text_encoder(threads=1)
    encoder.encode(["a first text"])
    pairs = itertools.product(_COLORS, _THINGS)
    texts = [f"a {color} {thing} beside the road" for color, thing in pairs][:_TEXTS]
    seconds = [_timed(functools.partial(encoder.encode, [text])) for text in texts]
    batch = [f"{text}, seen from far away" for text in texts]
    together = _timed(functools.partial(encoder.encode, batch))
    return {
        "threads": 1,
        "texts": len(texts),
        "one_by_one": summary(seconds),
        "texts_per_s": len(batch) / together,
    }


def _timed(function: Any) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started
