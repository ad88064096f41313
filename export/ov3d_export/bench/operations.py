"""How many operations a network does on a sweep: counted from its shape and the sweep's tables, or while it runs.

Matrix products count, two operations for a multiplication and its addition; norms are folded and nothing else is
counted. `executed` asks onnxruntime which products it really did.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from ov3d_perception.sparse_index import OCTANTS, PAIR_KERNEL, level_sizes
from ov3d_trainer.network.model import UNetConfig

from .graphs import Form

_PRODUCTS = ("MatMul", "Gemm", "FusedMatMul", "FusedGemm", "MatMulInteger", "MatMulIntegerToFloat")


def count_operations(
    config: UNetConfig, index: Mapping[str, NDArray[np.int64]], voxels: int, *, queries: int = 1, form: Form = "pairs"
) -> dict[str, int]:
    """Return operations by kind of layer, and their `total`, for the graph that `student_graph` writes.

    `index` are the sweep's tables (see `sparse_index`), `voxels` is V. The pairs form, also in integers, multiplies the
    neighbours that exist, the table form every offset of every voxel.
    """
    counter = _Counter(config, index, voxels, form)
    operations = counter.network()
    operations.update(_head(config, voxels, queries))
    operations["total"] = sum(operations.values())
    return operations


class _Counter:
    def __init__(self, config: UNetConfig, index: Mapping[str, Any], voxels: int, form: Form) -> None:
        self.config = config
        self.dense = form == "table"
        self.rows = level_sizes(index, voxels, config.levels)
        self.pairs = [int(index[f"level{level}_pair_count"].sum()) for level in range(config.levels)]
        stem = "stem" if config.stem_kernel != PAIR_KERNEL else "level0"
        self.stem_pairs = int(index[f"{stem}_pair_count"].sum())
        self.found: dict[str, int] = defaultdict(int)

    def network(self) -> dict[str, int]:
        config = self.config
        steps = config.levels - 1
        taps = config.stem_kernel**3 * self.rows[0] if self.dense else self.rows[0] + 2 * self.stem_pairs
        self._add("stem", taps, config.in_features, config.stem_channels)
        widths = [config.stem_channels, *config.channels[:steps]]
        for level, (inputs, outputs) in enumerate(pairwise(widths)):
            taps = OCTANTS * self.rows[level + 1] if self.dense else self.rows[level]
            self._add("strided", taps, inputs, inputs)
            self._blocks(inputs, outputs, config.layers[level], level + 1)
        inputs = widths[-1]
        for step, outputs in enumerate(config.channels[steps:]):
            level = steps - 1 - step
            taps = OCTANTS * self.rows[level + 1] if self.dense else self.rows[level]
            self._add("transposed", taps, inputs, outputs)
            self._blocks(outputs + widths[level], outputs, config.layers[steps + step], level)
            inputs = outputs
        return dict(self.found)

    def _blocks(self, inputs: int, outputs: int, layers: int, level: int) -> None:
        taps = PAIR_KERNEL**3 * self.rows[level] if self.dense else self.rows[level] + 2 * self.pairs[level]
        for before in [inputs, *[outputs] * (layers - 1)]:
            self._add("submanifold", taps, before, outputs)
            if self.config.second_kernel == 1:
                self._add("pointwise", self.rows[level], outputs, outputs)
            else:
                self._add("submanifold", taps, outputs, outputs)
            if before != outputs:
                self._add("shortcut", self.rows[level], before, outputs)

    def _add(self, kind: str, rows: int, inputs: int, outputs: int) -> None:
        self.found[kind] += 2 * rows * inputs * outputs


def _head(config: UNetConfig, voxels: int, queries: int) -> dict[str, int]:
    """Count the last layer in its B dimensions, the anchors, and the similarity to the queries."""
    width = config.channels[-1]
    span = min(config.embedding_dim, width + 1)
    found = {"last": 2 * voxels * width * span}
    if config.anchors:
        joint, dim = span + config.anchors, config.embedding_dim
        drawing = config.anchors**2 if joint <= dim else joint * dim
        found["anchors"] = 2 * voxels * (span * config.anchors + drawing)
        span = min(joint, dim)
    found["similarity"] = 2 * queries * span * (config.embedding_dim + voxels)
    return found


def executed(graph: Path | bytes, feeds: Mapping[str, Any], folder: Path, *, threads: int = 1) -> dict[str, Any]:
    """Run a graph once on the CPU under onnxruntime's profiler, after a run to warm up.

    Returns `operations` in its products, and per operator `ms` and `calls`; the profile is written to `folder`.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_mem_pattern = False
    options.enable_profiling = True
    options.profile_file_prefix = str(folder / "profile")
    source = graph if isinstance(graph, bytes) else str(graph)
    session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    for _ in range(2):
        session.run(None, dict(feeds))
    events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    return read_profile(events)


def read_profile(events: list[Mapping[str, Any]]) -> dict[str, Any]:
    """Sum up the kernels of the last run in an onnxruntime profile."""
    starts = [event["ts"] for event in events if event["name"] == "model_run"]
    kernels = [
        event for event in events if event["name"].endswith("_kernel_time") and event["ts"] >= max(starts, default=0)
    ]
    total = 0
    milliseconds: dict[str, float] = defaultdict(float)
    calls: dict[str, int] = defaultdict(int)
    for event in kernels:
        operator = event["args"]["op_name"]
        milliseconds[operator] += event["dur"] / 1e3
        calls[operator] += 1
        if operator in _PRODUCTS:
            total += _operations_of(event["args"])
    operators = {name: {"ms": milliseconds[name], "calls": calls[name]} for name in milliseconds}
    return {"operations": total, "operators": dict(sorted(operators.items(), key=lambda entry: -entry[1]["ms"]))}


def _operations_of(arguments: Mapping[str, Any]) -> int:
    """Two operations for each element of the left matrix and each column of the product, transposed or not."""
    (left,) = arguments["input_type_shape"][0].values()
    (out,) = arguments["output_type_shape"][0].values()
    return 2 * math.prod(left) * out[-1]
