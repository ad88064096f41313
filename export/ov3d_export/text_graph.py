"""CLIP's text tower as an ONNX graph, written operator by operator from open_clip's modules.

Only standard operators (opset 18); the number of texts and their length are dynamic. The length may be shorter than
the context: attention is causal and the answer is read at the end token, so later positions cannot matter. What is
folded: the attention's scale into the query weights, layer scale into the layer before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import Tensor, nn

from ov3d_perception.errors import ModelError
from ov3d_perception.text.clip_tower import EMBEDDING, TOKENS

from .graph_builder import IR_VERSION, OPSET, GraphBuilder

MASKED = -1e4
"""Added to scores of later positions: its exponential is exactly 0 in float32 and in float16."""

MAX_GRAPH_BYTES = 2**31 - 2**20
_ACTIVATIONS = ("GELU", "QuickGELU")
_NORM_FLOOR = 1e-12  # of torch.nn.functional.normalize
_REMEDY = "Choose a model with CLIP's text side, for example ViT-B-32, or use a bank."

Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class TextModules:
    """The parts of a standard open_clip text transformer, wherever the model keeps them."""

    token_embedding: Tensor
    positional_embedding: Tensor
    blocks: tuple[Any, ...]
    final_norm: nn.LayerNorm
    projection: Any
    end_id: int | None
    """Id that is searched for; None where the highest id of a text is its end."""

    @property
    def vocabulary_size(self) -> int:
        """Number of token ids."""
        return int(self.token_embedding.shape[0])

    @property
    def context_length(self) -> int:
        """Longest text in tokens."""
        return int(self.positional_embedding.shape[0])

    @property
    def embedding_dim(self) -> int:
        """Length D of the vectors."""
        if isinstance(self.projection, nn.Linear):
            return int(self.projection.out_features)
        return int((self.token_embedding if self.projection is None else self.projection).shape[1])


def find_text_modules(model: Any) -> TextModules:
    """Find the text tower in an open_clip `CLIP`, `CustomTextCLIP` or `TextTransformer`.

    Raises `ModelError` for what is no causal transformer that is read at its end token, built of standard blocks.
    """
    text = getattr(model, "text", model)
    parts = ("token_embedding", "positional_embedding", "transformer", "ln_final")
    _require(all(hasattr(text, part) for part in parts), f"has no CLIP text tower ({type(text).__name__})")
    pooling = getattr(text, "pool_type", None) or getattr(text, "text_pool_type", None)
    _require(pooling in ("argmax", "eos"), f"reads its answer at {pooling!r}, expected the end token")
    _require(getattr(text, "cls_emb", None) is None, "appends a class token")
    mask = getattr(text, "attn_mask", None)
    _require(mask is not None and bool((mask == _causal_mask(mask)).all()), "does not attend causally")
    blocks = tuple(text.transformer.resblocks)
    for block in blocks:
        _check_block(block)
    end_id = getattr(text, "eos_id", None) if hasattr(text, "eos_id") else getattr(text, "text_eos_id", None)
    return TextModules(
        token_embedding=text.token_embedding.weight,
        positional_embedding=text.positional_embedding,
        blocks=blocks,
        final_norm=text.ln_final,
        projection=text.text_projection,
        end_id=end_id if pooling == "eos" else None,
    )


def text_graph(modules: TextModules) -> onnx.ModelProto:
    """Return the graph `tokens` (T, L) int64 -> `embedding` (T, D) float32, unit length.

    Raises `ModelError` for a tower too large for one file.
    """
    size = sum(tensor.numel() for tensor in _all_weights(modules)) * 4
    if size > MAX_GRAPH_BYTES:
        raise ModelError(f"text-tower: {size / 1e9:.1f} GB of weights do not fit one ONNX file (2 GB). Use a bank.")
    builder = GraphBuilder()
    length = builder.add("Shape", [TOKENS], start=1, end=2)
    hidden = _embed(builder, modules, length)
    mask = cut(builder, builder.weight(_mask(modules.context_length)), length, axes=(0, 1))
    for block in modules.blocks:
        hidden = _add_attention(builder, hidden, block, mask)
        hidden = _add_perceptron(builder, hidden, block)
    _head(builder, hidden, modules)
    return finish(builder, modules.embedding_dim)


def finish(builder: GraphBuilder, dim: int) -> onnx.ModelProto:
    """Return the graph of all nodes as a model `tokens` (T, L) int64 -> `embedding` (T, dim) float32."""
    inputs = [helper.make_tensor_value_info(TOKENS, TensorProto.INT64, ["T", "L"])]
    outputs = [helper.make_tensor_value_info(EMBEDDING, TensorProto.FLOAT, ["T", dim])]
    graph = helper.make_graph(builder.nodes, "ov3d_text", inputs, outputs, builder.initializers)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="ov3d_export"
    )


def _embed(builder: GraphBuilder, modules: TextModules, length: str) -> str:
    words = builder.add("Gather", [builder.weight(_array(modules.token_embedding)), TOKENS], axis=0)  # (T, L, W)
    places = cut(builder, builder.weight(_array(modules.positional_embedding)), length, axes=(0,))
    return builder.add("Add", [words, places])


def _add_attention(builder: GraphBuilder, hidden: str, block: Any, mask: str) -> str:
    attention = block.attn
    heads, width = attention.num_heads, attention.embed_dim
    weight, bias = _array(attention.in_proj_weight).copy(), _array(attention.in_proj_bias).copy()
    scale = np.float32((width // heads) ** -0.5)
    weight[:width] *= scale
    bias[:width] *= scale
    rows = _linear(builder, add_norm(builder, hidden, block.ln_1), weight, bias)  # (T, L, 3W)
    rows = builder.add("Reshape", [rows, builder.integers(0, 0, 3 * heads, width // heads)])
    rows = builder.add("Transpose", [rows], perm=[0, 2, 1, 3])  # (T, 3H, L, W / H)
    query, key, value = thirds(builder, rows, heads)
    scores = builder.add("MatMul", [query, builder.add("Transpose", [key], perm=[0, 1, 3, 2])])
    shares = builder.add("Softmax", [builder.add("Add", [scores, mask])], axis=-1)  # (T, H, L, L)
    mixed = builder.add("Transpose", [builder.add("MatMul", [shares, value])], perm=[0, 2, 1, 3])
    mixed = builder.add("Reshape", [mixed, builder.integers(0, 0, width)])
    output = attention.out_proj
    return builder.add("Add", [hidden, _scaled_linear(builder, mixed, output, block.ls_1)])


def _add_perceptron(builder: GraphBuilder, hidden: str, block: Any) -> str:
    first, activation, second = block.mlp
    rows = _linear(builder, add_norm(builder, hidden, block.ln_2), _array(first.weight), _array(first.bias))
    rows = _activate(builder, rows, activation)
    return builder.add("Add", [hidden, _scaled_linear(builder, rows, second, block.ls_2)])


def _head(builder: GraphBuilder, hidden: str, modules: TextModules) -> None:
    """Read the answer at the first end token, normalise, project, bring to unit length."""
    wanted = TOKENS
    if modules.end_id is not None:
        found = builder.add("Equal", [TOKENS, builder.integers(modules.end_id)])
        wanted = builder.add("Cast", [found], to=TensorProto.INT32)
    end = builder.add("ArgMax", [wanted], axis=1, keepdims=1)  # (T, 1), the first of equals
    pooled = add_norm(builder, builder.add("GatherND", [hidden, end], batch_dims=1), modules.final_norm)  # (T, W)
    if isinstance(modules.projection, nn.Linear):
        bias = None if modules.projection.bias is None else _array(modules.projection.bias)
        pooled = _linear(builder, pooled, _array(modules.projection.weight), bias)
    elif modules.projection is not None:
        pooled = builder.add("MatMul", [pooled, builder.weight(_array(modules.projection))])
    add_unit_length(builder, pooled)


def add_unit_length(builder: GraphBuilder, pooled: str) -> None:
    """Bring rows (T, D) to unit length: the graph's output."""
    norm = builder.add("ReduceL2", [pooled, builder.integers(1)], keepdims=1)
    norm = builder.add("Max", [norm, builder.weight(np.array(_NORM_FLOOR, dtype=np.float32))])
    builder.add("Div", [pooled, norm], output=EMBEDDING)


def _linear(builder: GraphBuilder, rows: str, weight: Array, bias: Array | None) -> str:
    rows = builder.add("MatMul", [rows, builder.weight(weight.T)])
    return rows if bias is None else builder.add("Add", [rows, builder.weight(bias)])


def _scaled_linear(builder: GraphBuilder, rows: str, layer: nn.Linear, scale: nn.Module) -> str:
    """A linear layer and the layer scale after it, as one."""
    weight, bias = _array(layer.weight), _array(layer.bias)
    if not isinstance(scale, nn.Identity):
        gamma = _array(cast(Tensor, scale.gamma))
        weight, bias = weight * gamma[:, None], bias * gamma
    return _linear(builder, rows, weight, bias)


def add_norm(builder: GraphBuilder, rows: str, layer: nn.LayerNorm) -> str:
    """Layer normalisation of (..., C)."""
    weights = [builder.weight(_array(layer.weight)), builder.weight(_array(layer.bias))]
    return builder.add("LayerNormalization", [rows, *weights], axis=-1, epsilon=layer.eps)


def _activate(builder: GraphBuilder, rows: str, activation: nn.Module) -> str:
    """GELU, or OpenAI's x sigmoid(1.702 x)."""
    if type(activation).__name__ == "QuickGELU":
        gate = builder.add("Sigmoid", [builder.add("Mul", [rows, builder.weight(np.array(1.702))])])
        return builder.add("Mul", [rows, gate])
    return add_gelu(builder, rows)


def add_gelu(builder: GraphBuilder, rows: str) -> str:
    """GELU in its exact form, x (1 + erf(x / sqrt 2)) / 2."""
    scaled = builder.add("Div", [rows, builder.weight(np.array(np.sqrt(2.0)))])
    gate = builder.add("Add", [builder.add("Erf", [scaled]), builder.weight(np.array(1.0))])
    return builder.add("Mul", [builder.add("Mul", [rows, gate]), builder.weight(np.array(0.5))])


def thirds(builder: GraphBuilder, rows: str, heads: int) -> Iterator[str]:
    """Cut (T, 3H, L, C) into query, key and value, each (T, H, L, C)."""
    for part in range(3):
        limits = [builder.integers(part * heads), builder.integers((part + 1) * heads)]
        yield builder.add("Slice", [rows, *limits, builder.integers(1)])


def cut(builder: GraphBuilder, values: str, length: str, axes: tuple[int, ...]) -> str:
    """Keep the first `length` along each of `axes`."""
    ends = builder.add("Concat", [length] * len(axes), axis=0) if len(axes) > 1 else length
    return builder.add("Slice", [values, builder.integers(*[0] * len(axes)), ends, builder.integers(*axes)])


def _mask(length: int) -> Array:
    return np.triu(np.full((length, length), MASKED, dtype=np.float32), k=1)


def _causal_mask(mask: Tensor) -> Tensor:
    return mask.new_full(mask.shape, float("-inf")).triu(1)


def _check_block(block: Any) -> None:
    kind = type(block).__name__
    _require(kind == "ResidualAttentionBlock", f"is built of {kind}, expected ResidualAttentionBlock")
    attention = block.attn
    plain = isinstance(attention, nn.MultiheadAttention) and attention.in_proj_weight is not None
    plain = plain and attention.in_proj_bias is not None and attention.bias_k is None and not attention.add_zero_attn
    _require(plain, "has attention with extras")
    activation = block.mlp[1]
    exact = getattr(activation, "approximate", "none") == "none"
    _require(type(activation).__name__ in _ACTIVATIONS and exact, f"has the activation {activation}")
    norms = (block.ln_1, block.ln_2)
    _require(all(isinstance(norm, nn.LayerNorm) and norm.bias is not None for norm in norms), "has other norms")


def _all_weights(modules: TextModules) -> Iterator[Tensor]:
    yield modules.token_embedding
    yield modules.positional_embedding
    for block in modules.blocks:
        yield from block.parameters()


def _array(tensor: Tensor) -> Array:
    return np.asarray(tensor.detach().cpu().float().numpy())


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise ModelError(f"text-tower: the model {otherwise}. {_REMEDY}")
