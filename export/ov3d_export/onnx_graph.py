"""The student as an ONNX graph, written operator by operator from the modules of a `SparseUNet`.

Inputs are the voxel features, the index tables of `ov3d_perception.sparse_index` and the text matrix; everything is a
standard operator (opset 18), every size but the network's widths is dynamic, and V may be 0.

A convolution is the sum over kernel offsets of Gather, MatMul, ScatterND(add). Each ScatterND writes a row at most
once: with repeated indices onnxruntime's CPU provider would race. Batch normalisation is folded into the weights; the
bias enters with the centre's Gemm, so that no pass over the voxels is spent on it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from ov3d_perception.sparse_index import OCTANTS, PAIR_KERNEL, table_names
from ov3d_trainer.network.anchors import TextAnchors
from ov3d_trainer.network.layers import BasicBlock, Shortcut, VoxelNorm
from ov3d_trainer.network.model import DownStage, SparseUNet, UpStage

OPSET = 18
IR_VERSION = 8
"""The oldest pair that has everything needed: ScatterND with reduction (16), axes as inputs of ReduceL2 (18)."""

Array = NDArray[np.float32]


class GraphBuilder:
    """Collects nodes and weights; every method that adds a node returns the name of its output."""

    def __init__(self) -> None:
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

    def declare(self, name: str, rows: str, columns: int) -> str:
        """Say the float32 shape of an output that shape inference cannot follow."""
        self.shapes.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows, columns]))
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
        """Store a float32 weight."""
        name = f"weight_{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype=np.float32), name))
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


class Pairs:
    """One level's neighbour pairs, cut into kernel offsets once and used by all its convolutions."""

    def __init__(self, builder: GraphBuilder, prefix: str, kernel: int) -> None:
        half = (kernel**3 - 1) // 2
        counts = f"{prefix}_pair_count"
        self.rows, self.places = {}, {}  # to gather (n,), to scatter (n, 1)
        for part in ("source", "target"):
            table = f"{prefix}_pair_{part}"
            self.rows[part] = builder.split(table, counts, half)
            column = builder.add("Unsqueeze", [table, builder.integers(1)])
            self.places[part] = builder.split(column, counts, half, columns=1)
        self.half = half

    def moves(self) -> list[tuple[int, str, str]]:
        """Return (offset, rows to read, places to write) for every offset but the centre."""
        moves = []
        for offset in range(self.half):
            moves.append((offset, self.rows["source"][offset], self.places["target"][offset]))
            moves.append((2 * self.half - offset, self.rows["target"][offset], self.places["source"][offset]))
        return moves


class Children:
    """The rows that connect a level with the next coarser one, cut into octants."""

    def __init__(self, builder: GraphBuilder, level: int) -> None:
        counts = f"down{level}_count"
        column = builder.add("Unsqueeze", [f"down{level}_parent", builder.integers(1)])
        self.child = builder.split(f"down{level}_child", counts, OCTANTS)
        self.parent = builder.split(f"down{level}_parent", counts, OCTANTS)
        self.places = builder.split(column, counts, OCTANTS, columns=1)
        self.order = f"down{level}_order"
        self.parents = f"level{level + 1}_size"
        self.fine, self.coarse = _rows_name(level), _rows_name(level + 1)


def student_graph(model: SparseUNet) -> onnx.ModelProto:
    """Return the graph of a trained network; weights are read, the module is left as it is."""
    config = model.config
    builder = GraphBuilder()
    pairs = [Pairs(builder, f"level{level}", PAIR_KERNEL) for level in range(config.levels)]
    stem = pairs[0] if config.stem_kernel == PAIR_KERNEL else Pairs(builder, "stem", config.stem_kernel)
    children = [Children(builder, level) for level in range(config.levels - 1)]
    weight, bias = fold_norm(model.stem.conv.weight, model.stem.norm)
    rows = builder.add("Relu", [_submanifold(builder, "features", weight, bias, stem)])
    skipped = []
    for level, stage in enumerate(model.down):
        skipped.append(rows)
        rows = _down_stage(builder, rows, cast(DownStage, stage), children[level], pairs[level + 1])
    for stage in model.up:
        level = len(skipped) - 1
        rows = _up_stage(builder, rows, skipped.pop(), cast(UpStage, stage), children[level], pairs[level])
    _head(builder, rows, model)
    return _wrap(builder, model)


def fold_norm(weight: Tensor, norm: VoxelNorm) -> tuple[Array, Array]:
    """Fold an evaluation-mode norm into the weight before it (..., Cout): the scaled weight and a bias (Cout,)."""
    variance, mean = _array(norm.running_var, np.float64), _array(norm.running_mean, np.float64)
    scale = _array(norm.weight, np.float64) / np.sqrt(variance + norm.eps)
    folded = _array(weight, np.float64) * scale
    bias = _array(norm.bias, np.float64) - mean * scale
    return folded.astype(np.float32), bias.astype(np.float32)


def _down_stage(builder: GraphBuilder, rows: str, stage: DownStage, children: Children, pairs: Pairs) -> str:
    weight, bias = fold_norm(stage.conv.weight, stage.norm)
    shape = builder.add("Concat", [children.parents, builder.integers(len(bias))], axis=0)
    total = builder.declare(builder.add("Expand", [builder.weight(bias), shape]), children.coarse, len(bias))
    for octant in range(OCTANTS):
        product = _product(builder, rows, children.child[octant], weight[octant])
        total = builder.add("ScatterND", [total, children.places[octant], product], reduction="add")
    return _blocks(builder, builder.add("Relu", [total]), stage.blocks, pairs)


def _up_stage(builder: GraphBuilder, rows: str, skipped: str, stage: UpStage, children: Children, pairs: Pairs) -> str:
    weight, bias = fold_norm(stage.conv.weight, stage.norm)
    shared = builder.weight(bias)
    products = []
    for octant in range(OCTANTS):
        parents = builder.add("Gather", [rows, children.parent[octant]], axis=0)
        products.append(builder.add("Gemm", [parents, builder.weight(weight[octant]), shared]))
    grouped = builder.declare(builder.add("Concat", products, axis=0), children.fine, len(bias))
    upsampled = builder.add("Relu", [builder.add("Gather", [grouped, children.order], axis=0)])
    joined = builder.add("Concat", [upsampled, skipped], axis=1)
    return _blocks(builder, joined, stage.blocks, pairs)


def _blocks(builder: GraphBuilder, rows: str, blocks: nn.ModuleList, pairs: Pairs) -> str:
    for block in blocks:
        rows = _basic_block(builder, rows, cast(BasicBlock, block), pairs)
    return rows


def _basic_block(builder: GraphBuilder, rows: str, block: BasicBlock, pairs: Pairs) -> str:
    weight, bias = fold_norm(block.conv1.weight, block.norm1)
    hidden = builder.add("Relu", [_submanifold(builder, rows, weight, bias, pairs)])
    weight, bias = fold_norm(block.conv2.weight, block.norm2)
    convolved = _submanifold(builder, hidden, weight, bias, pairs)
    residual = rows if block.shortcut is None else _shortcut(builder, rows, block.shortcut)
    return builder.add("Relu", [builder.add("Add", [convolved, residual])])


def _shortcut(builder: GraphBuilder, rows: str, shortcut: Shortcut) -> str:
    weight, bias = fold_norm(shortcut.conv.weight, shortcut.norm)
    return builder.add("Gemm", [rows, builder.weight(weight), builder.weight(bias)])


def _submanifold(builder: GraphBuilder, rows: str, weight: Array, bias: Array, pairs: Pairs) -> str:
    total = builder.add("Gemm", [rows, builder.weight(weight[pairs.half]), builder.weight(bias)])
    for offset, read, written in pairs.moves():
        product = _product(builder, rows, read, weight[offset])
        total = builder.add("ScatterND", [total, written, product], reduction="add")
    return total


def _product(builder: GraphBuilder, rows: str, read: str, weight: Array) -> str:
    gathered = builder.add("Gather", [rows, read], axis=0)
    return builder.add("MatMul", [gathered, builder.weight(weight)])


def _head(builder: GraphBuilder, rows: str, model: SparseUNet) -> None:
    """Project to D, scale to unit length (as torch: by at least 1e-12), draw to anchors, compare with the text.

    The C input channels and the bias span at most C + 1 of the D dimensions. With an orthonormal basis of these,
    lengths are taken and similarities computed among C + 1 numbers per voxel; the wide embedding is written only once.
    """
    weight, bias = _array(model.final.weight), _array(model.final.bias)
    basis, narrow = np.linalg.qr(np.vstack([weight, bias]).astype(np.float64).T)  # (D, B), (B, C + 1)
    inside = builder.add("Gemm", [rows, builder.weight(narrow[:, :-1].T), builder.weight(narrow[:, -1])])
    unit, spread = _unit(builder, inside), basis.T  # (V, B), (B, D)
    if model.anchors is not None:
        unit, spread = _draw_to_anchors(builder, unit, basis, model.anchors)
    wide = builder.weight(spread.astype(np.float32))
    builder.add("MatMul", [unit, wide], output="embedding")
    queries = builder.add("MatMul", [wide, builder.add("Transpose", ["text"], perm=[1, 0])])
    builder.add("MatMul", [unit, queries], output="similarity")


def _draw_to_anchors(
    builder: GraphBuilder, unit: str, basis: NDArray[np.float64], anchors: TextAnchors
) -> tuple[str, NDArray[np.float64]]:
    """Return coordinates (V, B') of the features drawn to K anchors, and the vectors (B', D) these belong to.

    Coordinates are those in the old basis, then the anchors' likenesses. An orthonormal basis of both together gives
    the length: B' is at most B + K, less than D for narrow networks with few anchors.
    """
    text = anchors.text.double().numpy()  # (K, D)
    cosine = builder.add("MatMul", [unit, builder.weight((basis.T @ text.T / anchors.temperature).astype(np.float32))])
    likeness = builder.add("Softmax", [cosine], axis=1)
    joint, change = np.linalg.qr(np.vstack([basis.T, text]).T)  # (D, B'), (B', B + K)
    both = builder.add("Concat", [unit, likeness], axis=1)
    return _unit(builder, builder.add("MatMul", [both, builder.weight(change.T.astype(np.float32))])), joint.T


def _unit(builder: GraphBuilder, rows: str) -> str:
    """Scale rows to unit length."""
    length = builder.add("ReduceL2", [rows, builder.integers(1)], keepdims=1)
    floor = builder.weight(np.array([1e-12], dtype=np.float32))
    return builder.add("Div", [rows, builder.add("Max", [length, floor])])


def _wrap(builder: GraphBuilder, model: SparseUNet) -> onnx.ModelProto:
    config = model.config
    dim = config.embedding_dim
    inputs = [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["V", config.in_features])]
    for name in table_names(config.levels, config.stem_kernel):
        inputs.append(helper.make_tensor_value_info(name, TensorProto.INT64, [_table_size(name, config.stem_kernel)]))
    inputs.append(helper.make_tensor_value_info("text", TensorProto.FLOAT, ["Q", dim]))
    outputs = [
        helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["V", dim]),
        helper.make_tensor_value_info("similarity", TensorProto.FLOAT, ["V", "Q"]),
    ]
    graph = helper.make_graph(
        builder.nodes, "ov3d_student", inputs, outputs, builder.initializers, value_info=builder.shapes
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="ov3d_export"
    )


def _table_size(name: str, stem_kernel: int) -> int | str:
    """Size of one table: fixed for counts and sizes, a name otherwise (tables that go together share theirs)."""
    prefix, part = name.rsplit("_", 1)
    if part == "size":
        return 1
    if part == "count":
        kernel = stem_kernel if prefix.startswith("stem") else PAIR_KERNEL
        return OCTANTS if prefix.startswith("down") else (kernel**3 - 1) // 2
    return _rows_name(int(prefix[4:])) if prefix.startswith("down") else f"{prefix}s"


def _rows_name(level: int) -> str:
    """Name of the number of voxels of a level."""
    return f"V{level}" if level else "V"


def _array(tensor: Tensor | None, dtype: type = np.float32) -> Array:
    assert tensor is not None  # running statistics are always tracked here
    return tensor.detach().cpu().numpy().astype(dtype)
