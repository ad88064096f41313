"""ov3d and the libraries it is compared with, on the same sweeps with the same weights, in turn."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.errors import ConfigError
from ov3d_perception.inputs import build_inputs
from ov3d_perception.network_feeds import network_feeds
from ov3d_perception.sparse_index import build_sparse_index
from ov3d_perception.types import NetworkInputs

from .graphs import SPEC, GraphRun, graph_file, random_network, random_words
from .settings import BenchSettings
from .sweeps import load_sweep
from .timing import median_ratio, summary, take_turns

OURS = "ov3d, onnxruntime"
INT8 = "ov3d, onnxruntime, 8-bit"
AS_NODE = "ov3d, onnxruntime, as the node runs it"
TORCH = "ov3d, torch"
MINKOWSKI = "MinkowskiEngine"
SPCONV = "spconv"
_NOT_INSTALLED = "{} is not installed (make peers)"
_ONE_THREAD_ONLY = "wrong results with more than one thread"
_WORDS = 16
_TURNS_S = 12.0
_FEWEST_ROUNDS = 3

Vectors = Callable[[], NDArray[np.float32]]


def measure_peers(settings: BenchSettings, *, threads: int, sweep: str, architecture: str) -> dict[str, Any]:
    """Time one architecture on one sweep; every run builds its index or coordinate maps anew.

    Each returns unit vectors (V, D), but `AS_NODE`, which gives similarities to 16 words. `difference` is the largest
    of a number of these vectors to ours, `times_ours` the time relative to ours. Work: features and voxels are given.
    """
    chosen = load_sweep(settings.data, sweep)
    inputs = build_inputs(chosen.frame, SPEC)
    runs, missing = _runs(settings, threads, architecture, inputs)
    expected = runs[OURS]()
    rows: dict[str, dict[str, Any]] = {name: {"not_measured": reason} for name, reason in missing.items()}
    started = time.perf_counter()
    for name, run in runs.items():
        found = run()
        rows[name] = {"difference": None if name == AS_NODE else float(np.abs(found - expected).max(initial=0.0))}
    turn_s = time.perf_counter() - started
    rounds = min(settings.rounds, max(_FEWEST_ROUNDS, int(_TURNS_S / turn_s)))
    seconds = take_turns(runs, rounds, warm_up=0)
    for name in runs:
        rows[name] |= {"total": summary(seconds[name]), "times_ours": median_ratio(seconds[name], seconds[OURS])}
    return {
        "architecture": architecture,
        "sweep": sweep,
        "points": len(chosen.frame.points),
        "voxels": len(inputs.features),
        "voxel_size_m": SPEC.voxel_size_m,
        "threads": threads,
        "rows": rows,
    }


def _runs(
    settings: BenchSettings, threads: int, architecture: str, inputs: NetworkInputs
) -> tuple[dict[str, Vectors], dict[str, str]]:
    import torch

    from ov3d_trainer.network.backends import index_tensors

    torch.set_num_threads(threads)
    model = random_network(architecture, settings.embedding_dim)
    session, rounded = (
        GraphRun(graph_file(settings.graphs, architecture, settings.embedding_dim, form), threads=threads)
        for form in ("pairs", "int8")
    )
    features, coords = inputs.features, inputs.voxels.coords
    words = random_words(_WORDS, settings.embedding_dim)
    axes = np.eye(settings.embedding_dim, dtype=np.float32)  # as words: the similarities to them are the vector itself

    def index() -> dict[str, NDArray[np.int64]]:
        return build_sparse_index(coords, SPEC.levels, SPEC.stem_kernel)

    def feeds() -> dict[str, NDArray[Any]]:
        return network_feeds(replace(inputs, index=index()), SPEC, dense=False)

    def ours() -> NDArray[np.float32]:
        return session.run(feeds(), axes)[2]

    def in_integers() -> NDArray[np.float32]:
        return rounded.run(feeds(), axes)[2]

    def as_node() -> NDArray[np.float32]:
        return session.run(feeds(), words)[2]

    def in_torch() -> NDArray[np.float32]:
        with torch.inference_mode():
            return model(torch.from_numpy(features), index_tensors(index())).numpy()

    runs: dict[str, Vectors] = {OURS: ours, INT8: in_integers, AS_NODE: as_node, TORCH: in_torch}
    missing: dict[str, str] = {}
    for name, maker in ((MINKOWSKI, "minkowski_network"), (SPCONV, "spconv_network")):
        if name == SPCONV and threads > 1:
            missing[name] = _ONE_THREAD_ONLY
            continue
        try:
            network = getattr(importlib.import_module(".peers", __package__), maker)(model.config, model.state_dict())
        except (ImportError, ConfigError):
            missing[name] = _NOT_INSTALLED.format(name)
            continue
        runs[name] = _bound(network, features, coords)
    return runs, missing


def _bound(network: Any, features: NDArray[np.float32], coords: NDArray[np.int32]) -> Vectors:
    def run() -> NDArray[np.float32]:
        found: NDArray[np.float32] = network(features, coords)
        return found

    return run
