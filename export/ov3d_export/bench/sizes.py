"""What every architecture costs, with random weights, on one real sweep."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from ov3d_perception.inputs import build_inputs
from ov3d_perception.network_feeds import network_feeds

from .gemm import GemmRate
from .graphs import SPEC, Form, GraphRun, graph_file, random_network, random_words
from .operations import count_operations
from .settings import BenchSettings
from .sweeps import load_sweep, varied
from .timing import summary, take_turns

_WORDS = 16
_ON_CPUS: tuple[Form, ...] = ("pairs", "int8")
_TABLE_ROUNDS = 2  # the table form is for GPUs: on CPUs it is only shown why


def measure_sizes(settings: BenchSettings, *, threads: int) -> dict[str, Any]:
    """Time the network alone in its three forms, all architectures in turn; operations are counted, not measured."""
    from ov3d_trainer.network.model import ARCHITECTURES

    frame = next(varied(load_sweep(settings.data).frame, np.random.default_rng(0)))
    inputs = build_inputs(frame, SPEC)
    feeds: dict[Form, dict[str, Any]] = {
        "pairs": network_feeds(inputs, SPEC, dense=False),
        "int8": network_feeds(inputs, SPEC, dense=False),
        "table": network_feeds(inputs, SPEC, dense=True),
    }
    text = random_words(_WORDS, settings.embedding_dim)
    rows: dict[tuple[str, Form], dict[str, Any]] = {}
    runs: dict[Form, dict[str, Callable[[], Any]]] = {"pairs": {}, "int8": {}, "table": {}}
    for name in settings.architectures or tuple(ARCHITECTURES):
        model = random_network(name, settings.embedding_dim)
        parameters = sum(value.numel() for value in model.parameters())
        for form in runs:
            path = graph_file(settings.graphs, name, settings.embedding_dim, form)
            session = GraphRun(path, threads=threads)
            runs[form][name] = functools.partial(session.run, feeds[form], text)
            operations = count_operations(model.config, inputs.index, len(inputs.features), queries=_WORDS, form=form)
            rows[name, form] = {
                "architecture": name,
                "form": form,
                "parameters": parameters,
                "file_mb": path.stat().st_size / 1e6,
                "gflop": operations["total"] / 1e9,
            }
    gemm = GemmRate(threads)
    functions = {f"{name} {form}": run for form in _ON_CPUS for name, run in runs[form].items()}
    seconds = take_turns({**functions, "gemm": gemm.measure}, settings.rounds)
    dense = {f"{name} table": run for name, run in runs["table"].items()}
    seconds |= take_turns(dense, min(_TABLE_ROUNDS, settings.rounds))
    best = gemm.result()
    for (name, form), row in rows.items():
        row["network"] = summary(seconds[f"{name} {form}"])
        row["share_of_gemm"] = row["gflop"] / (row["network"]["p50_ms"] / 1e3) / best["gflop_per_s"]
    return {
        "threads": threads,
        "voxels": len(inputs.features),
        "voxel_size_m": SPEC.voxel_size_m,
        "embedding_dim": settings.embedding_dim,
        "gemm": best,
        "rows": list(rows.values()),
    }
