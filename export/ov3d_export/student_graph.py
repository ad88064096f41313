"""The student as an ONNX graph, written operator by operator from the modules of a `SparseUNet`.

Inputs are the voxel features, index tables and the text matrix; everything is a standard operator (opset 18), every
size but the network's widths is dynamic, and V may be 0. There are three forms of the same network, which differ in how
they convolve: `pairs` for CPUs (`pairs_form.py`), the same in 8-bit integers (`int8_form.py`), and `table` for GPUs
(`table_form.py`), the latter in float16 where wanted. Batch normalisation is folded into the weights.

Outputs: `compact` (V, B) and `basis` (B, D), whose product is the unit vector of every voxel, and `similarity` (V, Q)
to the text. B is the network's last width plus one, and the number of anchors more where there are some, at most D: the
wide (V, D) array, of which a sweep's labels need nothing, is never written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Protocol, cast

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import Tensor, nn

from ov3d_perception.artifact import TABLE_ROW_KEY
from ov3d_perception.errors import ConfigError
from ov3d_trainer.network.anchors import TextAnchors
from ov3d_trainer.network.layers import BasicBlock, PointwiseConv, Shortcut, VoxelNorm
from ov3d_trainer.network.model import DownStage, SparseUNet, UpStage

from .graph_builder import IR_VERSION, OPSET, Array, GraphBuilder
from .int8_form import Int8Form
from .pairs_form import PairsForm
from .table_form import TableForm


class ConvolutionForm(Protocol):
    """How a graph convolves. Weights are canonical (see `ov3d_trainer.network.backends`).

    `start` names what a product is added to: a bias (Cout,), or rows (V, Cout).
    """

    table_type: Any  # of onnx.TensorProto

    def tables(self) -> list[tuple[str, list[int | str]]]:
        """Return names and shapes of the index tables that the graph takes."""

    def stem(self, rows: str, weight: Array, start: str) -> str:
        """Convolve (V, Cin) with (K³, Cin, Cout) of the stem's kernel."""

    def submanifold(self, rows: str, weight: Array, start: str, level: int) -> str:
        """Convolve (V, Cin) with (27, Cin, Cout) on the voxels of a level."""

    def strided(self, rows: str, weight: Array, bias: Array, level: int) -> str:
        """Convolve the rows of `level` with (8, Cin, Cout) to the next coarser level."""

    def transposed(self, rows: str, weight: Array, bias: Array, level: int) -> str:
        """Convolve the rows of the coarser level with (8, Cin, Cout) to `level`."""


FORMS: dict[str, Callable[[GraphBuilder, int, int], ConvolutionForm]] = {
    "pairs": PairsForm,
    "int8": Int8Form,
    "table": TableForm,
}


def student_graph(
    model: SparseUNet, form: Literal["pairs", "int8", "table"] = "pairs", *, half: bool = False
) -> onnx.ModelProto:
    """Return the graph of a trained network; weights are read, the module is left as it is.

    With `half` everything up to the last layer computes in float16; for the table form only, else `ConfigError`.
    """
    if half and form != "table":
        raise ConfigError(f"student_graph: float16 is for the table form, got {form}. Leave half out.")
    config = model.config
    builder = GraphBuilder(np.float16 if half else np.float32)
    convolutions = FORMS[form](builder, config.levels, config.stem_kernel)
    walk = _Walk(builder, convolutions)
    rows = builder.add("Cast", ["features"], to=TensorProto.FLOAT16) if half else "features"
    hidden = walk.network(rows, model)
    builder.dtype = np.float32
    if half:
        hidden = builder.add("Cast", [hidden], to=TensorProto.FLOAT)
    _head(builder, hidden, model)
    graph = _wrap(builder, model, convolutions)
    if isinstance(convolutions, TableForm):
        helper.set_model_props(graph, {TABLE_ROW_KEY: str(convolutions.largest_row)})
    return graph


def fold_norm(weight: Tensor, norm: VoxelNorm) -> tuple[Array, Array]:
    """Fold an evaluation-mode norm into the weight before it (..., Cout): the scaled weight and a bias (Cout,)."""
    variance, mean = _array(norm.running_var, np.float64), _array(norm.running_mean, np.float64)
    scale = _array(norm.weight, np.float64) / np.sqrt(variance + norm.eps)
    folded = _array(weight, np.float64) * scale
    bias = _array(norm.bias, np.float64) - mean * scale
    return folded.astype(np.float32), bias.astype(np.float32)


class _Walk:
    """Visits the modules of a network in the order of its forward pass."""

    def __init__(self, builder: GraphBuilder, convolutions: ConvolutionForm) -> None:
        self._builder = builder
        self._convolutions = convolutions

    def network(self, rows: str, model: SparseUNet) -> str:
        """Return what the last layer reads."""
        weight, bias = fold_norm(model.stem.conv.weight, model.stem.norm)
        rows = self._relu(self._convolutions.stem(rows, weight, self._builder.weight(bias)))
        skipped = []
        for level, stage in enumerate(model.down):
            skipped.append(rows)
            rows = self._down(rows, cast(DownStage, stage), level)
        for stage in model.up:
            level = len(skipped) - 1
            rows = self._up(rows, skipped.pop(), cast(UpStage, stage), level)
        return rows

    def _down(self, rows: str, stage: DownStage, level: int) -> str:
        rows = self._relu(self._convolutions.strided(rows, *fold_norm(stage.conv.weight, stage.norm), level))
        return self._blocks(rows, stage.blocks, level + 1)

    def _up(self, rows: str, skipped: str, stage: UpStage, level: int) -> str:
        rows = self._relu(self._convolutions.transposed(rows, *fold_norm(stage.conv.weight, stage.norm), level))
        return self._blocks(self._builder.add("Concat", [rows, skipped], axis=1), stage.blocks, level)

    def _blocks(self, rows: str, blocks: nn.ModuleList, level: int) -> str:
        for block in blocks:
            rows = self._block(rows, cast(BasicBlock, block), level)
        return rows

    def _block(self, rows: str, block: BasicBlock, level: int) -> str:
        builder = self._builder
        weight, bias = fold_norm(block.conv1.weight, block.norm1)
        hidden = self._relu(self._convolutions.submanifold(rows, weight, builder.weight(bias), level))
        weight, bias = fold_norm(block.conv2.weight, block.norm2)
        if block.shortcut is None:
            total = builder.add("Add", [self._second(block, hidden, weight, builder.weight(bias), level), rows])
        else:  # both biases enter with the shortcut, and the second convolution is added to what comes out of it
            total = self._second(block, hidden, weight, self._shortcut(rows, block.shortcut, bias), level)
        return self._relu(total) if block.last_relu else total

    def _second(self, block: BasicBlock, hidden: str, weight: Array, start: str, level: int) -> str:
        if isinstance(block.conv2, PointwiseConv):
            return self._builder.add("Gemm", [hidden, self._builder.weight(weight), start])
        return self._convolutions.submanifold(hidden, weight, start, level)

    def _shortcut(self, rows: str, shortcut: Shortcut, more_bias: Array) -> str:
        weight, bias = fold_norm(shortcut.conv.weight, shortcut.norm)
        return self._builder.add("Gemm", [rows, self._builder.weight(weight), self._builder.weight(bias + more_bias)])

    def _relu(self, rows: str) -> str:
        return self._builder.add("Relu", [rows])


def _head(builder: GraphBuilder, rows: str, model: SparseUNet) -> None:
    """Project to D, scale to unit length (as torch: by at least 1e-12), draw to anchors, compare with the text.

    The C input channels and the bias span at most C + 1 of the D dimensions. With an orthonormal basis of these,
    lengths are taken and similarities computed among C + 1 numbers per voxel.
    """
    weight, bias = _array(model.final.weight), _array(model.final.bias)
    basis, narrow = np.linalg.qr(np.vstack([weight, bias]).astype(np.float64).T)  # (D, B), (B, C + 1)
    inside = builder.add("Gemm", [rows, builder.weight(narrow[:, :-1].T), builder.weight(narrow[:, -1])])
    spread = basis.T  # (B, D)
    if model.anchors is None:
        compact = _unit(builder, inside, output="compact")
    else:
        compact, spread = _draw_to_anchors(builder, _unit(builder, inside), basis, model.anchors)
    wide = builder.add("Identity", [builder.weight(spread.astype(np.float32))], output="basis")
    queries = builder.add("MatMul", [wide, builder.add("Transpose", ["text"], perm=[1, 0])])
    builder.add("MatMul", [compact, queries], output="similarity")


def _draw_to_anchors(
    builder: GraphBuilder, unit: str, basis: NDArray[np.float64], anchors: TextAnchors
) -> tuple[str, NDArray[np.float64]]:
    """Return coordinates (V, B') of the features drawn to K anchors, and the vectors (B', D) these belong to.

    Coordinates are those in the old basis, then the anchors' likenesses p. Their length comes from the anchors'
    products with each other: |u + pT|^2 = |u|^2 + p.(2 Tu + TT'p). Where B + K exceeds D, a basis of D replaces both.
    """
    text = anchors.text.double().numpy()  # (K, D)
    cosine = builder.add("MatMul", [unit, builder.weight((basis.T @ text.T / anchors.temperature).astype(np.float32))])
    likeness = builder.add("Softmax", [cosine], axis=1)
    both = builder.add("Concat", [unit, likeness], axis=1)
    vectors = np.vstack([basis.T, text])  # (B + K, D)
    if len(vectors) > vectors.shape[1]:
        joint, change = np.linalg.qr(vectors.T)  # (D, D), (D, B + K)
        drawn = builder.add("MatMul", [both, builder.weight(change.T.astype(np.float32))])
        return _unit(builder, drawn, output="compact"), joint.T
    gram = builder.weight((text @ text.T).astype(np.float32))
    pull = builder.add("Gemm", [likeness, gram, cosine], beta=2.0 * anchors.temperature)
    added = builder.add("ReduceSum", [builder.add("Mul", [likeness, pull]), builder.integers(1)], keepdims=1)
    own = builder.add("ReduceSumSquare", [unit, builder.integers(1)], keepdims=1)
    floor = builder.weight(np.array([1e-24], dtype=np.float32))
    length = builder.add("Sqrt", [builder.add("Max", [builder.add("Add", [own, added]), floor])])
    return builder.add("Div", [both, length], output="compact"), vectors


def _unit(builder: GraphBuilder, rows: str, output: str | None = None) -> str:
    """Scale rows to unit length."""
    length = builder.add("ReduceL2", [rows, builder.integers(1)], keepdims=1)
    floor = builder.weight(np.array([1e-12], dtype=np.float32))
    return builder.add("Div", [rows, builder.add("Max", [length, floor])], output=output)


def _wrap(builder: GraphBuilder, model: SparseUNet, convolutions: ConvolutionForm) -> onnx.ModelProto:
    config, value = model.config, helper.make_tensor_value_info
    inputs = [value("features", TensorProto.FLOAT, ["V", config.in_features])]
    inputs += [value(name, convolutions.table_type, shape) for name, shape in convolutions.tables()]
    inputs.append(value("text", TensorProto.FLOAT, ["Q", config.embedding_dim]))
    outputs = [
        value("compact", TensorProto.FLOAT, ["V", "B"]),
        value("basis", TensorProto.FLOAT, ["B", config.embedding_dim]),
        value("similarity", TensorProto.FLOAT, ["V", "Q"]),
    ]
    graph = helper.make_graph(
        builder.nodes, "ov3d_student", inputs, outputs, builder.initializers, value_info=builder.shapes
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="ov3d_export"
    )


def _array(tensor: Tensor | None, dtype: type = np.float32) -> Array:
    assert tensor is not None  # running statistics are always tracked here
    return tensor.detach().cpu().numpy().astype(dtype)
