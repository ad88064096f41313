"""How fast this machine multiplies matrices: what a network's rate is held against.

One large product of float32 with a constant matrix, by every library at hand, at the same number of threads as the
network. The best library's median counts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from .timing import SETTLE_S

ROWS, INNER, COLUMNS = 2048, 1024, 1024
GFLOP = 2e-9 * ROWS * INNER * COLUMNS


class GemmRate:
    """Products in turn, one at a time, so that they can be measured among other things."""

    def __init__(self, threads: int) -> None:
        """Prepare one product for each library that imports; numpy's threads are those its process started with."""
        generator = np.random.default_rng(0)
        left = generator.standard_normal((ROWS, INNER), dtype=np.float32)
        right = generator.standard_normal((INNER, COLUMNS), dtype=np.float32)
        out = np.empty((ROWS, COLUMNS), dtype=np.float32)
        self._products: dict[str, Callable[[], Any]] = {"numpy": lambda: np.matmul(left, right, out=out)}
        for name, make in (("torch", _torch_product), ("onnxruntime", _onnxruntime_product)):
            try:
                self._products[name] = make(left, right, threads)
            except ImportError:
                continue
        self._seconds: dict[str, list[float]] = {name: [] for name in self._products}
        for product in self._products.values():
            product()

    def measure(self) -> None:
        """Time one product of each library; leaves the machine at rest."""
        for name, product in self._products.items():
            time.sleep(SETTLE_S)
            started = time.perf_counter()
            product()
            self._seconds[name].append(time.perf_counter() - started)
        time.sleep(SETTLE_S)

    def result(self) -> dict[str, Any]:
        """Return the median rate of each library and of the best one, in GFLOP/s; after `measure`."""
        rates = {name: GFLOP / float(np.median(seconds)) for name, seconds in self._seconds.items()}
        return {"gflop_per_s": max(rates.values()), "libraries": rates, "shape": [ROWS, INNER, COLUMNS]}


def _torch_product(left: Any, right: Any, threads: int) -> Callable[[], Any]:
    import torch

    torch.set_num_threads(threads)
    first, second = torch.from_numpy(left), torch.from_numpy(right)
    out = torch.empty((ROWS, COLUMNS))
    return lambda: torch.mm(first, second, out=out)


def _onnxruntime_product(left: Any, right: Any, threads: int) -> Callable[[], Any]:
    import onnx
    import onnxruntime as ort
    from onnx import TensorProto, helper, numpy_helper

    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["left", "right"], ["out"])],
        "gemm",
        [value("left", TensorProto.FLOAT, ["N", INNER])],
        [value("out", TensorProto.FLOAT, ["N", COLUMNS])],
        [numpy_helper.from_array(right, "right")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return lambda: session.run(None, {"left": left})
