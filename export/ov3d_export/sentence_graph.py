"""The small text tower as an ONNX graph, written operator by operator, its large weights kept as int8.

Only standard operators (opset 18). A weight is int8 with one scale per output and one per input, the token table with
one per column, and everything is computed in float32: Cast and Mul are folded when the file is opened.
(DequantizeLinear before MatMul would be the usual pair of nodes, but onnxruntime makes of it a product that rounds the
activations to int8 too; numbers then differ from torch by 3e-3.)
"""

from __future__ import annotations

import copy

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto
from torch import nn

from ov3d_perception.text.clip_tower import TOKENS
from ov3d_trainer.text_tower.network import PAD_ID, Block, TextTower

from .graph_builder import GraphBuilder
from .text_graph import MASKED, add_gelu, add_norm, add_unit_length, cut, finish, thirds

LARGEST = 127
_LEAST = 1e-20  # scale of a column of zeros


def round_weights(tower: TextTower) -> TextTower:
    """Return a copy whose matrices hold what the graph keeps of them."""
    rounded = copy.deepcopy(tower)
    with torch.no_grad():
        for module in rounded.modules():
            if isinstance(module, nn.Embedding):
                whole, scale = quantise(_array(module.weight))
                module.weight.copy_(torch.from_numpy(whole * scale))
            elif isinstance(module, nn.Linear):
                whole, outputs, inputs = quantise_layer(_array(module.weight).T)
                module.weight.copy_(torch.from_numpy((whole * outputs * inputs).T))
    return rounded


def quantise(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return a matrix (I, O) as int8 -127..127 and the scales of its columns (O,); the product is near it."""
    scale = (np.maximum(np.abs(weight).max(axis=0), _LEAST) / LARGEST).astype(np.float32)
    return np.clip(np.rint(weight / scale), -LARGEST, LARGEST).astype(np.int8), scale


def quantise_layer(
    weight: NDArray[np.float32],
) -> tuple[NDArray[np.int8], NDArray[np.float32], NDArray[np.float32]]:
    """Return a layer's matrix (I, O) as int8, scales of its outputs (O,) and of its inputs (I, 1).

    A few inputs of BERT's second perceptron layers have weights much larger than all others; the root of their peak
    as a scale of their own halves what rounding costs.
    """
    inputs = np.sqrt(np.maximum(np.abs(weight).max(axis=1, keepdims=True), _LEAST)).astype(np.float32)
    whole, outputs = quantise(weight / inputs)
    return whole, outputs, inputs


def sentence_graph(tower: TextTower) -> onnx.ModelProto:
    """Return the graph `tokens` (T, L) int64, padded with 0 -> `embedding` (T, D) float32, unit length."""
    builder = GraphBuilder()
    length = builder.add("Shape", [TOKENS], start=1, end=2)
    padded = builder.add("Equal", [TOKENS, builder.integers(PAD_ID)])
    padding = builder.add("Cast", [padded], to=TensorProto.FLOAT)  # (T, L), 1 where a text is over
    mask = builder.add("Mul", [padding, builder.weight(np.array(MASKED))])
    mask = builder.add("Unsqueeze", [mask, builder.integers(1, 2)])  # (T, 1, 1, L)
    table = tower.table
    assert isinstance(table, nn.Embedding)
    whole, scale = quantise(_array(table.weight))
    rows = builder.add("Gather", [builder.rounded_weight(whole), TOKENS], axis=0)  # (T, L, R)
    rows = _scaled(builder, builder.add("Cast", [rows], to=TensorProto.FLOAT), scale)
    places = cut(builder, builder.weight(_array(tower.positions)), length, axes=(0,))
    rows = builder.add("Add", [_linear(builder, rows, tower.expand), places])
    rows = add_norm(builder, rows, tower.token_norm)
    for block in tower.blocks:
        assert isinstance(block, Block)
        rows = _add_block(builder, rows, block, mask)
    kept = builder.add("Sub", [builder.weight(np.array(1.0)), padding])
    rows = builder.add("Mul", [rows, builder.add("Unsqueeze", [kept, builder.integers(2)])])
    add_unit_length(builder, builder.add("ReduceSum", [rows, builder.integers(1)], keepdims=0))
    return finish(builder, tower.config.width)


def _add_block(builder: GraphBuilder, rows: str, block: Block, mask: str) -> str:
    width = block.attention_out.out_features
    each = width // block.heads
    parts = _linear(builder, rows, block.attention_in)  # (T, L, 3D)
    parts = builder.add("Reshape", [parts, builder.integers(0, 0, 3 * block.heads, each)])
    parts = builder.add("Transpose", [parts], perm=[0, 2, 1, 3])  # (T, 3H, L, D / H)
    query, key, value = thirds(builder, parts, block.heads)
    query = builder.add("Mul", [query, builder.weight(np.array(each**-0.5))])
    scores = builder.add("MatMul", [query, builder.add("Transpose", [key], perm=[0, 1, 3, 2])])
    shares = builder.add("Softmax", [builder.add("Add", [scores, mask])], axis=-1)  # (T, H, L, L)
    mixed = builder.add("Transpose", [builder.add("MatMul", [shares, value])], perm=[0, 2, 1, 3])
    mixed = builder.add("Reshape", [mixed, builder.integers(0, 0, width)])
    rows = builder.add("Add", [rows, _linear(builder, mixed, block.attention_out)])
    rows = add_norm(builder, rows, block.attention_norm)
    wide = add_gelu(builder, _linear(builder, rows, block.widen))
    return add_norm(builder, builder.add("Add", [rows, _linear(builder, wide, block.narrow)]), block.norm)


def _linear(builder: GraphBuilder, rows: str, layer: nn.Linear) -> str:
    whole, outputs, inputs = quantise_layer(_array(layer.weight).T)
    weight = builder.add("Cast", [builder.rounded_weight(whole)], to=TensorProto.FLOAT)
    rows = builder.add("MatMul", [rows, _scaled(builder, _scaled(builder, weight, outputs), inputs)])
    return rows if layer.bias is None else builder.add("Add", [rows, builder.weight(_array(layer.bias))])


def _scaled(builder: GraphBuilder, values: str, scale: NDArray[np.float32]) -> str:
    return builder.add("Mul", [values, builder.weight(scale)])


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    return np.asarray(tensor.detach().cpu().float().numpy())
