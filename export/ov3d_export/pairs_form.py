"""Sparse convolutions for CPUs: only the neighbours that exist are gathered, multiplied and added.

A convolution is the sum over kernel offsets of Gather, MatMul, ScatterND(add). Each ScatterND writes a row at most
once: with repeated indices onnxruntime's CPU provider would race. It copies what it adds to: offsets out of the layer
add to small arrays of their own first. The bias enters with the centre's Gemm, so that no pass over the voxels is spent
on it. The inputs are the tables of `ov3d_perception.sparse_index` and `ov3d_perception.scatter_places`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from onnx import TensorProto, numpy_helper

from ov3d_perception.scatter_places import LAYER_OF_OFFSET, place_names
from ov3d_perception.sparse_index import OCTANTS, PAIR_KERNEL, table_names

from .graph_builder import Array, GraphBuilder


class PairsForm:
    """Convolutions over pair tables; see `ConvolutionForm`. `levels` and `stem_kernel` as in `InputSpec`."""

    table_type = TensorProto.INT64

    def __init__(self, builder: GraphBuilder, levels: int, stem_kernel: int) -> None:
        self._builder = builder
        self._stem_kernel = stem_kernel
        self._levels = levels
        self._pairs = [NeighbourPairs(builder, f"level{level}", PAIR_KERNEL, layered=True) for level in range(levels)]
        self._stem = self._pairs[0]
        if stem_kernel != PAIR_KERNEL:
            self._stem = NeighbourPairs(builder, "stem", stem_kernel, layered=False)
        self._zeros: dict[tuple[str, int, type], str] = {}
        self._children = [_Children(builder, level) for level in range(levels - 1)]

    def tables(self) -> list[tuple[str, list[int | str]]]:
        """Return names and shapes of the index tables that the graph takes."""
        index = [(name, [self._table_size(name)]) for name in table_names(self._levels, self._stem_kernel)]
        return [*index, *((name, _place_shape(name)) for name in place_names(self._levels))]

    def stem(self, rows: str, weight: Array, start: str) -> str:
        """Convolve (V, Cin) with (K³, Cin, Cout) of the stem's kernel."""
        return self._convolve(rows, weight, start, self._stem)

    def submanifold(self, rows: str, weight: Array, start: str, level: int) -> str:
        """Convolve (V, Cin) with (27, Cin, Cout) on the voxels of a level."""
        return self._convolve(rows, weight, start, self._pairs[level])

    def strided(self, rows: str, weight: Array, bias: Array, level: int) -> str:
        """Convolve the rows of `level` with (8, Cin, Cout) to the next coarser level."""
        builder, children = self._builder, self._children[level]
        shape = builder.add("Concat", [f"level{level + 1}_size", builder.integers(len(bias))], axis=0)
        start = builder.add("Expand", [builder.weight(bias), shape])
        total = builder.declare(start, rows_name(level + 1), len(bias))
        for octant in range(OCTANTS):
            product = self._product(rows, children.child[octant], weight[octant])
            total = builder.add("ScatterND", [total, children.places[octant], product], reduction="add")
        return total

    def transposed(self, rows: str, weight: Array, bias: Array, level: int) -> str:
        """Convolve the rows of the coarser level with (8, Cin, Cout) to `level`."""
        builder, children = self._builder, self._children[level]
        shared = builder.weight(bias)
        products = []
        for octant in range(OCTANTS):
            parents = builder.add("Gather", [rows, children.parent[octant]], axis=0)
            products.append(builder.add("Gemm", [parents, builder.weight(weight[octant]), shared]))
        grouped = builder.declare(builder.add("Concat", products, axis=0), rows_name(level), len(bias))
        return builder.add("Gather", [grouped, f"down{level}_order"], axis=0)

    def _convolve(self, rows: str, weight: Array, start: str, pairs: NeighbourPairs) -> str:
        centre = self._builder.add("Gemm", [rows, self._builder.weight(weight[pairs.half]), start])
        return self._add_up(centre, pairs, weight, lambda read, offset: self._product(rows, read, weight[offset]))

    def _add_up(
        self,
        centre: str,
        pairs: NeighbourPairs,
        weight: Array,
        product: Callable[[str, int], str],
        dtype: type = np.float32,
    ) -> str:
        """Add the products of all other offsets, each of (rows to read, offset), to that of the centre."""
        totals = {IN_LAYER: centre}
        for offset, read, places, table in pairs.moves():
            before = totals.get(table) or self._no_products(table, weight.shape[2], dtype)
            totals[table] = self._builder.add("ScatterND", [before, places, product(read, offset)], reduction="add")
        total = totals.pop(IN_LAYER)
        for table, part in totals.items():
            total = self._builder.add("ScatterND", [total, table, part], reduction="add")
        return total

    def _no_products(self, table: str, columns: int, dtype: type) -> str:
        """Return zeros (U, columns) for the rows of a table; made once per width."""
        key = (table, columns, dtype)
        if key not in self._zeros:
            builder = self._builder
            rows = builder.add("Slice", [builder.add("Shape", [table]), builder.integers(0), builder.integers(1)])
            shape = builder.add("Concat", [rows, builder.integers(columns)], axis=0)
            value = numpy_helper.from_array(np.zeros(1, dtype=dtype))
            zeros = builder.add("ConstantOfShape", [shape], value=value)
            self._zeros[key] = builder.declare(zeros, f"{table}_rows", columns, dtype)
        return self._zeros[key]

    def _product(self, rows: str, read: str, weight: Array) -> str:
        gathered = self._builder.add("Gather", [rows, read], axis=0)
        return self._builder.add("MatMul", [gathered, self._builder.weight(weight)])

    def _table_size(self, name: str) -> int | str:
        """Size of one table: fixed for counts and sizes, a name otherwise (tables that go together share theirs)."""
        prefix, part = name.rsplit("_", 1)
        if part == "size":
            return 1
        if part == "count":
            kernel = self._stem_kernel if prefix.startswith("stem") else PAIR_KERNEL
            return OCTANTS if prefix.startswith("down") else (kernel**3 - 1) // 2
        return rows_name(int(prefix[4:])) if prefix.startswith("down") else f"{prefix}s"


IN_LAYER = ""
"""The array of all voxels, among those that products are added to."""


def rows_name(level: int) -> str:
    """Name of the number of voxels of a level."""
    return f"V{level}" if level else "V"


class NeighbourPairs:
    """The neighbour pairs of one kernel, cut into offsets once and used by all its convolutions.

    `layered` ones are added up by layer (see `ov3d_perception.scatter_places`).
    """

    def __init__(self, builder: GraphBuilder, prefix: str, kernel: int, *, layered: bool) -> None:
        self.half = (kernel**3 - 1) // 2
        self._sides = (f"{prefix}_below", IN_LAYER, f"{prefix}_above") if layered else (IN_LAYER,) * 3
        counts = f"{prefix}_pair_count"
        self._rows, self._places = {}, {}  # to gather (n,), to scatter (n, 1)
        for part in ("source", "target"):
            table = f"{prefix}_pair_{part}"
            places = f"{prefix}_{part}_place" if layered else builder.add("Unsqueeze", [table, builder.integers(1)])
            self._rows[part] = builder.split(table, counts, self.half)
            self._places[part] = builder.split(places, counts, self.half, columns=1)

    def moves(self) -> Iterator[tuple[int, str, str, str]]:
        """Yield (offset, rows to read, places to write, table of the rows these are) for every offset but the centre.

        That table is `IN_LAYER` where places are rows themselves.
        """
        last = 2 * self.half
        for offset in range(self.half):
            layer = int(LAYER_OF_OFFSET[offset]) if self._sides[0] else 0
            yield offset, self._rows["source"][offset], self._places["target"][offset], self._sides[1 + layer]
            yield last - offset, self._rows["target"][offset], self._places["source"][offset], self._sides[1 - layer]


def _place_shape(name: str) -> list[int | str]:
    """Places are one per pair, rows above and below of a number of their own."""
    return [f"{name.split('_')[0]}_pairs" if name.endswith("place") else f"{name}_rows", 1]


class _Children:
    """The rows that connect a level with the next coarser one, cut into octants."""

    def __init__(self, builder: GraphBuilder, level: int) -> None:
        counts = f"down{level}_count"
        column = builder.add("Unsqueeze", [f"down{level}_parent", builder.integers(1)])
        self.child = builder.split(f"down{level}_child", counts, OCTANTS)
        self.parent = builder.split(f"down{level}_parent", counts, OCTANTS)
        self.places = builder.split(column, counts, OCTANTS, columns=1)
