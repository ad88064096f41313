"""Sparse convolutions for CPUs in 8-bit integers: a quarter of the bytes to gather, products by VNNI.

As `pairs_form.py`, with the features rounded to 256 steps between the least and the largest number of the whole array,
found anew in every sweep, and the weights to 255 steps per output channel. Products are added up as 32-bit integers
and scaled once. Worth it for wide networks: narrow ones spend their time elsewhere. The stem stays in float32. Without
VNNI such products saturate on x86 unless onnxruntime is told (`session.x64quantprecision`), as our engine does.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from .graph_builder import Array, GraphBuilder
from .pairs_form import NeighbourPairs, PairsForm


class Int8Form(PairsForm):
    """Pairs form whose submanifold convolutions compute in integers; see `ConvolutionForm`."""

    def __init__(self, builder: GraphBuilder, levels: int, stem_kernel: int) -> None:
        super().__init__(builder, levels, stem_kernel)
        self._quantisations: dict[str, tuple[str, str, str]] = {}

    def stem(self, rows: str, weight: Array, start: str) -> str:
        """See `ConvolutionForm`; in float32, of raw features."""
        return super()._convolve(rows, weight, start, self._stem)

    def _convolve(self, rows: str, weight: Array, start: str, pairs: NeighbourPairs) -> str:
        builder = self._builder
        rounded, step = round_per_channel(weight)
        levels, level_step, zero = self._quantised(rows)

        def product(gathered: str, offset: int) -> str:
            return builder.add("MatMulInteger", [gathered, builder.rounded_weight(rounded[offset]), zero])

        def gathered_product(read: str, offset: int) -> str:
            return product(builder.add("Gather", [levels, read], axis=0), offset)

        total = self._add_up(product(levels, pairs.half), pairs, weight, gathered_product, np.int32)
        scale = builder.add("Mul", [level_step, builder.weight(step)])
        scaled = builder.add("Mul", [builder.add("Cast", [total], to=TensorProto.FLOAT), scale])
        return builder.add("Add", [scaled, start])

    def _quantised(self, rows: str) -> tuple[str, str, str]:
        """Return the rows as uint8, the step and the level of zero; made once for all that read the rows."""
        if rows not in self._quantisations:
            self._quantisations[rows] = self._builder.add_three("DynamicQuantizeLinear", [rows])
        return self._quantisations[rows]


def round_per_channel(weight: Array) -> tuple[NDArray[np.int8], Array]:
    """Return weights (K, Cin, Cout) in steps per output channel, -127 to 127, and these steps (Cout,)."""
    largest = np.abs(weight).max(axis=(0, 1))
    step = np.where(largest > 0, largest / 127.0, 1.0).astype(np.float32)
    return np.clip(np.round(weight / step), -127, 127).astype(np.int8), step
