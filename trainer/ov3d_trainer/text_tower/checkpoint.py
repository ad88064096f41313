"""The trained text tower as a file: plain tensors and values, read with `weights_only=True`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ov3d_perception.errors import ModelError

from ..checkpoint import load_weights, read_archive, write_archive
from .network import TextTower, TextTowerConfig
from .tokens import tokenize

_VERSION_KEY = "ov3d_text_tower"
_VERSION = 1
_CHUNK = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class TextCheckpoint:
    """What training has learnt: `space` names the text space, `tokenizer` is the content of tokenizer.json."""

    network: TextTowerConfig
    space: str
    tokenizer: str
    model_state: Mapping[str, torch.Tensor]
    training: dict[str, Any] = field(default_factory=dict)


def save_text_tower(path: Path | str, checkpoint: TextCheckpoint) -> None:
    """Write a checkpoint atomically."""
    content = {
        _VERSION_KEY: _VERSION,
        "network": checkpoint.network.to_dict(),
        "space": checkpoint.space,
        "tokenizer": checkpoint.tokenizer,
        "training": checkpoint.training,
        "model_state": dict(checkpoint.model_state),
    }
    write_archive(Path(path), content)


def load_text_tower(path: Path | str) -> TextCheckpoint:
    """Read a checkpoint onto the CPU; `ModelError` for anything that is not one of ours."""
    content = read_archive(Path(path))
    if not isinstance(content, dict) or content.get(_VERSION_KEY) != _VERSION:
        raise ModelError(f"text tower {path}: not one of version {_VERSION}. Train another one.")
    try:
        return TextCheckpoint(
            network=TextTowerConfig(**content["network"]),
            space=str(content["space"]),
            tokenizer=str(content["tokenizer"]),
            model_state=dict(content["model_state"]),
            training=dict(content["training"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"text tower {path}: incomplete ({error}). Use another file.") from error


def build_text_tower(checkpoint: TextCheckpoint) -> TextTower:
    """Return the network with the checkpoint's weights, in evaluation mode; `ModelError` where they do not fit."""
    tower = TextTower(checkpoint.network)
    load_weights(tower, checkpoint.model_state, "text tower")
    return tower.eval()


class TorchTextEncoder:
    """A `TextEncoder` that runs a checkpoint's tower in torch: to measure with, and to compare an export with."""

    supports_templates = True

    def __init__(self, checkpoint: TextCheckpoint) -> None:
        """Build the tower; `ModelError` where the checkpoint does not fit itself."""
        self.space = checkpoint.space
        self.dim = checkpoint.network.width
        self._tokenizer = checkpoint.tokenizer
        self._tower = build_text_tower(checkpoint)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (T, D) float32, unit length."""
        tokens = tokenize(self._tokenizer, texts, self._tower.config.context_length)
        return run_tower(self._tower, tokens)


def run_tower(tower: TextTower, tokens: NDArray[np.int64], chunk: int = _CHUNK) -> NDArray[np.float32]:
    """Return the vectors (T, D) of tokens (T, L), texts of like length together."""
    lengths = (tokens != 0).sum(axis=1)
    order = np.argsort(lengths, kind="stable")
    vectors = np.empty((len(tokens), tower.config.width), np.float32)
    with torch.inference_mode():
        for start in range(0, len(order), chunk):
            rows = order[start : start + chunk]
            part = tower(torch.from_numpy(tokens[rows, : lengths[rows].max()]))
            vectors[rows] = part.numpy()
    return vectors
