"""Sparse convolutions for GPUs: a dense table of neighbours, one Gather and one large product each.

A row that is missing is read from a row of zeros appended to the features, so that a GPU does some of its products in
vain and starts few kernels. The inputs are the tables of `ov3d_perception.neighbour_tables`.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from ov3d_perception.neighbour_tables import neighbour_table_names
from ov3d_perception.sparse_index import OCTANTS, PAIR_KERNEL

from .graph_builder import Array, GraphBuilder
from .pairs_form import rows_name


class TableForm:
    """Convolutions over neighbour tables; see `ConvolutionForm`. `levels` and `stem_kernel` as in `InputSpec`."""

    table_type = TensorProto.INT32

    def __init__(self, builder: GraphBuilder, levels: int, stem_kernel: int) -> None:
        self._builder = builder
        self._stem_kernel = stem_kernel
        self._names = neighbour_table_names(levels, stem_kernel)
        self._zeros: dict[int, str] = {}
        self.largest_row = 0  # numbers gathered per voxel of the finest level

    def tables(self) -> list[tuple[str, list[int | str]]]:
        """Return names and shapes of the index tables that the graph takes."""
        return [(name, self._table_shape(name)) for name in self._names]

    def stem(self, rows: str, weight: Array, start: str) -> str:
        """Convolve (V, Cin) with (K³, Cin, Cout) of the stem's kernel."""
        name = "level0_neighbours" if self._stem_kernel == PAIR_KERNEL else "stem_neighbours"
        return self._convolve(rows, weight, start, name, 0)

    def submanifold(self, rows: str, weight: Array, start: str, level: int) -> str:
        """Convolve (V, Cin) with (27, Cin, Cout) on the voxels of a level."""
        return self._convolve(rows, weight, start, f"level{level}_neighbours", level)

    def strided(self, rows: str, weight: Array, bias: Array, level: int) -> str:
        """Convolve the rows of `level` with (8, Cin, Cout) to the next coarser level."""
        return self._convolve(rows, weight, self._builder.weight(bias), f"down{level}_children", level + 1)

    def transposed(self, rows: str, weight: Array, bias: Array, level: int) -> str:
        """Convolve the rows of the coarser level with (8, Cin, Cout) to `level`: all octants, then the asked one."""
        builder = self._builder
        side_by_side = np.concatenate(list(weight), axis=1)  # (Cin, 8 Cout)
        everything = builder.add("Gemm", [rows, builder.weight(side_by_side), builder.weight(np.tile(bias, OCTANTS))])
        octants = builder.add("Reshape", [everything, builder.integers(-1, len(bias))])
        return builder.declare(
            builder.add("Gather", [octants, f"down{level}_octant_row"], axis=0), rows_name(level), len(bias)
        )

    def _convolve(self, rows: str, weight: Array, start: str, table: str, level: int) -> str:
        builder = self._builder
        offsets, inputs, outputs = weight.shape
        if level == 0:
            self.largest_row = max(self.largest_row, offsets * inputs)
        if inputs not in self._zeros:
            self._zeros[inputs] = builder.weight(np.zeros((1, inputs), dtype=np.float32))
        padded = builder.add("Concat", [rows, self._zeros[inputs]], axis=0)
        gathered = builder.add("Gather", [padded, table], axis=0)  # (V, offsets, Cin)
        flat = builder.add("Reshape", [gathered, builder.integers(-1, offsets * inputs)])
        product = builder.add("Gemm", [flat, builder.weight(weight.reshape(-1, outputs)), start])
        return builder.declare(product, rows_name(level), outputs)

    def _table_shape(self, name: str) -> list[int | str]:
        prefix, part = name.split("_", 1)
        if part == "octant_row":
            return [rows_name(int(prefix[4:]))]
        if part == "children":
            return [rows_name(int(prefix[4:]) + 1), OCTANTS]
        kernel = self._stem_kernel if prefix == "stem" else PAIR_KERNEL
        return [rows_name(0 if prefix == "stem" else int(prefix[5:])), kernel**3]
