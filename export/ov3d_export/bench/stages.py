"""Where the time of a sweep goes, stage by stage, from message to message."""

from __future__ import annotations

import functools
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.artifact import Bundle, open_bundle
from ov3d_perception.engine import Engine, TimedPrediction, text_for_network
from ov3d_perception.inputs import FEATURES, InputSpec, build_inputs
from ov3d_perception.network_feeds import network_feeds
from ov3d_perception.palette import label_colors
from ov3d_perception.pointcloud2 import decode_pointcloud2
from ov3d_perception.queries import make_queries
from ov3d_perception.ros.pipeline import LabelledSweep
from ov3d_perception.ros.vocabulary import Vocabulary
from ov3d_perception.sparse_index import build_sparse_index
from ov3d_perception.types import Frame, NetworkInputs, Voxels
from ov3d_perception.voxels import mean_per_voxel, voxelize

from .machine import peak_memory_mb
from .settings import BenchSettings
from .sweeps import load_sweep, varied
from .timing import summary
from .whole_way import Messages, open_messages, random_vocabulary, running_node, with_voxel_size

STAGES = ("receive", "decode", "voxelize", "columns", "maps", "network", "labels", "pack", "publish")
"""`receive` reads the message's bytes, `publish` writes the other's; `network` compares with up to 256 phrases,
`labels` with more."""

_WARM_UP = 3
_SWEEPS_PER_GEMM = 4


def measure_stages(
    settings: BenchSettings, *, threads: int, voxel_size_m: float | None, sweep: str | None = None
) -> dict[str, Any]:
    """Time every stage over perturbed copies of one sweep, and the node's pipeline as a whole, in alternation.

    `voxel_size_m` None stands for the card's own. The bundle's own words are asked for. `sweep` is one of
    `sweep_names`, None for the first. KITTI's remission is brought to the card's intensity scale.
    """
    bundle = open_bundle(settings.bundle)
    if voxel_size_m is not None:
        bundle = with_voxel_size(bundle, voxel_size_m)
    chosen = load_sweep(settings.data, sweep)
    engine = Engine(bundle, providers="cpu", threads=threads)
    vocabulary, messages = card_vocabulary(bundle), open_messages()
    generator = np.random.default_rng(0)
    frames = varied(_in_scale(chosen.frame, bundle.card.inputs), generator)
    stages: dict[str, list[float]] = defaultdict(list)
    voxels: list[int] = []
    with running_node(engine, vocabulary, messages) as node:

        def one_by_one(frame: Frame) -> None:
            seconds, count = _walk(engine, vocabulary, messages, frame)
            voxels.append(count)
            for name, took in seconds.items():
                stages[name].append(took)

        def whole(frame: Frame) -> None:
            stages["end_to_end"].append(_seconds(node.label, messages.cloud(frame)))

        for _ in range(_WARM_UP):
            one_by_one(frame := next(frames))
            whole(frame)
        peak_mb = peak_memory_mb()  # before the bench itself loads what the node does not
        from .gemm import GemmRate

        gemm = GemmRate(threads)
        for number in range(settings.sweeps):
            frame = next(frames)
            for turn in (one_by_one, whole) if number % 2 else (whole, one_by_one):
                turn(frame)
            if number % _SWEEPS_PER_GEMM == 0:
                gemm.measure()
    measured = {name: seconds[_WARM_UP:] for name, seconds in stages.items()}
    found = _of_stages(measured, messages) | _of_work(
        bundle_operations(bundle, frame, vocabulary), gemm.result(), float(np.median(measured["network"]))
    )
    return {
        "bundle": bundle.card.name,
        "architecture": bundle.card.architecture,
        "sweep": chosen.name,
        "points": len(chosen.frame.points),
        "voxels": float(np.median(voxels)),
        "voxel_size_m": bundle.card.inputs.voxel_size_m,
        "words": len(vocabulary.queries.phrases),
        "threads": threads,
        "peak_memory_mb": peak_mb,
        **found,
    }


def card_vocabulary(bundle: Bundle) -> Vocabulary:
    """Return the words on a bundle's card, as the node starts with; ten random ones where there are none."""
    card = bundle.card
    if not card.labels:
        return random_vocabulary(bundle, 10)
    encoder = bundle.open_text_encoder(threads=1)
    queries = make_queries(
        card.labels, encoder, templates=card.templates, background=card.background, threshold=card.threshold
    )
    return Vocabulary(queries=queries, colors=label_colors(queries.names))


def bundle_operations(bundle: Bundle, frame: Frame, vocabulary: Vocabulary) -> dict[str, Any]:
    """Return what onnxruntime's profiler says about the student on one sweep; see `operations.executed`."""
    from .operations import executed

    inputs = build_inputs(frame, bundle.card.inputs)
    text = text_for_network(vocabulary.queries.text, len(inputs.features))
    feeds = {**network_feeds(inputs, bundle.card.inputs, dense=False), "text": text}
    with tempfile.TemporaryDirectory() as folder:
        return executed(bundle.student_path, feeds, Path(folder))


def _walk(engine: Engine, vocabulary: Vocabulary, messages: Messages, frame: Frame) -> tuple[dict[str, float], int]:
    """Take one sweep through the stages one by one; return the seconds of each and the number of voxels.

    Inputs are made twice: in parts, which are timed, and by the engine, whose network is.
    """
    spec, wire, seconds = engine.card.inputs, messages.wire, dict[str, float]()
    message = messages.cloud(frame)
    if wire is not None:
        data = wire.to_bytes(message)
        seconds["receive"] = _seconds(wire.cloud_from_bytes, data)
    started = time.perf_counter()
    decoded = decode_pointcloud2(message)
    seconds["decode"] = time.perf_counter() - started
    started = time.perf_counter()
    voxels = voxelize(decoded.points, spec.voxel_size_m, max_range_m=spec.max_range_m)
    seconds["voxelize"] = time.perf_counter() - started
    started = time.perf_counter()
    columns = _columns(decoded, spec, voxels)
    seconds["columns"] = time.perf_counter() - started
    started = time.perf_counter()
    index = build_sparse_index(voxels.coords, spec.levels, spec.stem_kernel)
    network_feeds(NetworkInputs(features=columns, index=index, voxels=voxels), spec, dense=False)
    seconds["maps"] = time.perf_counter() - started
    features = engine.encode(decoded, vocabulary.queries)
    seconds["network"] = features.timings_ms["network"] / 1e3
    started = time.perf_counter()
    prediction: TimedPrediction = engine.label(features, vocabulary.queries)
    seconds["labels"] = time.perf_counter() - started
    sweep = LabelledSweep(
        header=message.header,
        height=1,
        width=len(decoded.points),
        frame=decoded,
        prediction=prediction,
        vocabulary=vocabulary,
        relabelled=False,
    )
    started = time.perf_counter()
    packed = messages.pack(sweep)
    seconds["pack"] = time.perf_counter() - started
    if wire is not None:
        seconds["publish"] = _seconds(wire.to_bytes, packed)
    return seconds, len(voxels.coords)


def _columns(frame: Frame, spec: InputSpec, voxels: Voxels) -> NDArray[np.float32]:
    mean = functools.partial(mean_per_voxel, voxels=voxels)
    out = np.empty((len(voxels.coords), len(spec.features)), dtype=np.float32)
    for column, name in enumerate(spec.features):
        out[:, column] = FEATURES[name](frame, spec, voxels, mean)
    return out


def _of_stages(seconds: Mapping[str, list[float]], messages: Messages) -> dict[str, Any]:
    names = (*STAGES, "end_to_end")
    return {
        "stages": {
            name: summary(seconds[name]) if name in seconds else {"not_measured": messages.missing} for name in names
        }
    }


def _of_work(operations: Mapping[str, Any], gemm: Mapping[str, Any], network_s: float) -> dict[str, Any]:
    gflop = operations["operations"] / 1e9
    return {
        "gflop": gflop,
        "gflop_per_s": gflop / network_s,
        "gemm": gemm,
        "share_of_gemm": gflop / network_s / gemm["gflop_per_s"],
        "operators_one_thread": operations["operators"],
    }


def _in_scale(frame: Frame, spec: InputSpec) -> Frame:
    highest = float(np.nan_to_num(frame.intensity).max(initial=0.0))
    if not 0 < highest <= 1 < spec.intensity_scale:
        return frame
    return replace(frame, intensity=frame.intensity * spec.intensity_scale)


def _seconds(function: Any, *arguments: Any) -> float:
    started = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - started
