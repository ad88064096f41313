"""The text tower's network: BERT's layers, few of them, on token vectors of low rank; mean over tokens.

The layers are those of BERT (Devlin et al. 2019), mean pooling that of Sentence-BERT (Reimers & Gurevych 2019), the
low rank of the token table that of ALBERT (Lan et al. 2020).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from ov3d_perception.errors import ModelError

PAD_ID, UNKNOWN_ID, START_ID, END_ID = 0, 1, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTowerConfig:
    """Shape of the network: `rank` numbers per token in the table, `width` D per token in the layers."""

    vocabulary_size: int
    context_length: int
    rank: int
    width: int
    heads: int
    hidden: int
    layers: int
    epsilon: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return asdict(self)


class Block(nn.Module):
    """One BERT layer: attention, then perceptron, each added and normalised."""

    def __init__(self, config: TextTowerConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.attention_in = nn.Linear(config.width, 3 * config.width)
        self.attention_out = nn.Linear(config.width, config.width)
        self.attention_norm = nn.LayerNorm(config.width, eps=config.epsilon)
        self.widen = nn.Linear(config.width, config.hidden)
        self.narrow = nn.Linear(config.hidden, config.width)
        self.norm = nn.LayerNorm(config.width, eps=config.epsilon)

    def forward(self, rows: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """Map (T, L, D) to (T, L, D); `real` (T, L) is false where a text is padded."""
        texts, length, width = rows.shape
        parts = self.attention_in(rows).reshape(texts, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=real[:, None, None, :])
        mixed = mixed.transpose(1, 2).reshape(texts, length, width)
        rows = self.attention_norm(rows + self.attention_out(mixed))
        return self.norm(rows + self.narrow(F.gelu(self.widen(rows))))  # type: ignore[no-any-return]


class TextTower(nn.Module):
    """Tokens (T, L) int64, padded with `PAD_ID`, to unit vectors (T, D)."""

    def __init__(self, config: TextTowerConfig) -> None:
        super().__init__()
        self.config = config
        self.table: nn.Module = nn.Embedding(config.vocabulary_size, config.rank)
        self.expand = nn.Linear(config.rank, config.width, bias=False)
        self.positions = nn.Parameter(torch.zeros(config.context_length, config.width))
        self.token_norm = nn.LayerNorm(config.width, eps=config.epsilon)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.layers))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return unit vectors (T, D) of texts; a text has at least its start and end token."""
        real = tokens != PAD_ID
        rows = self.token_norm(self.expand(self.table(tokens)) + self.positions[: tokens.shape[1]])
        for block in self.blocks:
            rows = block(rows, real)
        weight = real.to(rows.dtype)[:, :, None]
        return F.normalize((rows * weight).sum(dim=1).float(), dim=1)  # the length divides out of the mean


class SharedReduction(nn.Module):
    """A token table of low rank that is the large table times one learned matrix.

    While the tower is trained this stands in for its table: tokens that no text of the list contains move along with
    all others.
    """

    def __init__(self, full: torch.Tensor, rank: int) -> None:
        """Start from the principal components of the rows of `full` (V, W)."""
        super().__init__()
        self.full = nn.Embedding.from_pretrained(full, freeze=True)
        self.reduce = nn.Linear(full.shape[1], rank, bias=False)
        with torch.no_grad():
            self.reduce.weight.copy_(torch.linalg.svd(full, full_matrices=False).Vh[:rank])

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return (T, L, rank)."""
        return self.reduce(self.full(tokens))  # type: ignore[no-any-return]

    def as_table(self) -> nn.Embedding:
        """Return the table (V, rank) by itself."""
        return nn.Embedding.from_pretrained(self.reduce(self.full.weight).detach(), freeze=True)


def tower_from_bert(
    weights: Mapping[str, torch.Tensor],
    *,
    kept_ids: Sequence[int],
    kept_layers: Sequence[int],
    rank: int,
    context_length: int,
    heads: int,
    epsilon: float,
) -> TextTower:
    """Return a tower that starts as some layers of a BERT and some rows of its token table, with `SharedReduction`.

    With all layers and ids, and the rank of the table, it computes what the BERT does. Raises `ModelError` where the
    weights lack a layer that is named, or places for so long texts.
    """
    table = weights["embeddings.word_embeddings.weight"]
    places = weights["embeddings.position_embeddings.weight"]
    if context_length > len(places) or any(
        f"encoder.layer.{layer}.output.dense.bias" not in weights for layer in kept_layers
    ):
        raise ModelError(
            f"text tower: the sentence encoder has not layers {list(kept_layers)} or {context_length} places."
        )
    config = TextTowerConfig(
        vocabulary_size=len(kept_ids),
        context_length=context_length,
        rank=rank,
        width=table.shape[1],
        heads=heads,
        hidden=weights["encoder.layer.0.intermediate.dense.bias"].shape[0],
        layers=len(kept_layers),
        epsilon=epsilon,
    )
    tower = TextTower(config)
    tower.table = SharedReduction(table[list(kept_ids)].float(), rank)
    with torch.no_grad():
        tower.expand.weight.copy_(tower.table.reduce.weight.T)
        tower.positions.copy_(places[:context_length] + weights["embeddings.token_type_embeddings.weight"][0])
    _copy_norm(tower.token_norm, weights, "embeddings.LayerNorm")
    for block, layer in zip(tower.blocks, kept_layers, strict=True):
        assert isinstance(block, Block)
        _copy_layer(block, weights, f"encoder.layer.{layer}")
    return tower


def _copy_layer(block: Block, weights: Mapping[str, torch.Tensor], name: str) -> None:
    with torch.no_grad():
        for part in ("weight", "bias"):
            parts = [weights[f"{name}.attention.self.{role}.{part}"] for role in ("query", "key", "value")]
            getattr(block.attention_in, part).copy_(torch.cat(parts))
            getattr(block.attention_out, part).copy_(weights[f"{name}.attention.output.dense.{part}"])
            getattr(block.widen, part).copy_(weights[f"{name}.intermediate.dense.{part}"])
            getattr(block.narrow, part).copy_(weights[f"{name}.output.dense.{part}"])
    _copy_norm(block.attention_norm, weights, f"{name}.attention.output.LayerNorm")
    _copy_norm(block.norm, weights, f"{name}.output.LayerNorm")


def _copy_norm(norm: nn.LayerNorm, weights: Mapping[str, torch.Tensor], name: str) -> None:
    with torch.no_grad():
        norm.weight.copy_(weights[f"{name}.weight"])
        norm.bias.copy_(weights[f"{name}.bias"])
