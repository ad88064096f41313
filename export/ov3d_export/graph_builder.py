"""`GraphBuilder`: ONNX graphs written operator by operator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 18
IR_VERSION = 8
"""The oldest pair that has everything needed: ScatterND with reduction (16), axes as inputs of ReduceL2 (18)."""

Array = NDArray[np.float32]


class GraphBuilder:
    """Collects nodes and weights; every method that adds a node returns the name of its output.

    `dtype` is what weights are stored as and declared outputs are: float32, or float16.
    """

    def __init__(self, dtype: type[np.floating[Any]] = np.float32) -> None:
        self.dtype = dtype
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.shapes: list[onnx.ValueInfoProto] = []
        self._constants: dict[tuple[object, ...], str] = {}

    def add(self, operator: str, inputs: Sequence[str], *, output: str | None = None, **attributes: Any) -> str:
        """Append a node with one output."""
        name = output or f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(operator, list(inputs), [name], name=f"node_{len(self.nodes)}", **attributes)
        )
        return name

    def add_three(self, operator: str, inputs: Sequence[str]) -> tuple[str, str, str]:
        """Append a node with three outputs."""
        number = len(self.nodes)
        first, second, third = (f"{operator.lower()}_{number}_{output}" for output in range(3))
        self.nodes.append(helper.make_node(operator, list(inputs), [first, second, third], name=f"node_{number}"))
        return first, second, third

    def declare(self, name: str, rows: str, columns: int, dtype: type | None = None) -> str:
        """Say the shape of an output that shape inference cannot follow; of the builder's `dtype` unless said."""
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype or self.dtype))
        self.shapes.append(helper.make_tensor_value_info(name, kind, [rows, columns]))
        return name

    def split(self, rows: str, counts: str, parts: int, *, columns: int | None = None) -> list[str]:
        """Cut a table (n,) or (n, columns) along its rows into `parts` of dynamic sizes.

        The sizes are named after `counts`: onnxruntime then knows which buffers fit each other, uses them again, and
        plans them many times faster.
        """
        names = [f"split_{len(self.nodes)}_{part}" for part in range(parts)]
        node = helper.make_node("Split", [rows, counts], names, name=f"node_{len(self.nodes)}", axis=0)
        self.nodes.append(node)
        for part, name in enumerate(names):
            shape: list[str | int] = [f"{counts}_{part}"] if columns is None else [f"{counts}_{part}", columns]
            self.shapes.append(helper.make_tensor_value_info(name, TensorProto.INT64, shape))
        return names

    def weight(self, values: Array) -> str:
        """Store a weight as `dtype`."""
        name = f"weight_{len(self.initializers)}"
        with np.errstate(over="ignore"):  # what float16 cannot hold becomes infinite, and fails the parity gate
            stored = np.ascontiguousarray(values, dtype=self.dtype)
        self.initializers.append(numpy_helper.from_array(stored, name))
        return name

    def rounded_weight(self, values: NDArray[np.int8]) -> str:
        """Store an int8 weight, which somebody dequantises."""
        name = f"weight_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.int8), name))
        return name

    def integers(self, *values: int) -> str:
        """Store a short int64 list; equal lists are stored once."""
        if values not in self._constants:
            self._constants[values] = f"integers_{len(self._constants)}"
            array = np.array(values, dtype=np.int64)
            self.initializers.append(numpy_helper.from_array(array, self._constants[values]))
        return self._constants[values]
