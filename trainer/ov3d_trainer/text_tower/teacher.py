"""What the text tower learns: the sentence encoder's vectors of all texts of the list, kept in a file between runs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..words.sentence_encoder import SentenceEncoder
from .checkpoint import run_tower
from .network import tower_from_bert


def teacher_vectors(
    encoder: SentenceEncoder, texts: Sequence[str], context_length: int, cache: Path | None
) -> NDArray[np.float16]:
    """Return the encoder's unit vectors (T, D); those that earlier calls left in `cache` are not computed again."""
    path = None if cache is None else cache / f"text-vectors-{_digest(encoder, context_length)}.npz"
    known: dict[str, NDArray[np.float16]] = {}
    if path is not None and path.is_file():
        with np.load(path, allow_pickle=False) as stored:
            known = dict(zip(str(stored["texts"]).split("\n"), stored["vectors"], strict=True))
    missing = [text for text in texts if text not in known]
    if missing:
        known |= zip(missing, encode_all(encoder, missing, context_length).astype(np.float16), strict=True)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f".{path.stem}.{os.getpid()}.npz")
            np.savez(temporary, texts=np.array("\n".join(known)), vectors=np.stack(list(known.values())))
            os.replace(temporary, path)
    return np.stack([known[text] for text in texts])


def encode_all(encoder: SentenceEncoder, texts: Sequence[str], context_length: int) -> NDArray[np.float32]:
    """Return the encoder's unit vectors (T, D) many at a time; texts are cut at `context_length` tokens."""
    table = encoder.weights["embeddings.word_embeddings.weight"]
    tower = tower_from_bert(
        encoder.weights,
        kept_ids=range(len(table)),
        kept_layers=range(encoder.layers),
        rank=table.shape[1],
        context_length=context_length,
        heads=encoder.heads,
        epsilon=encoder.epsilon,
    ).eval()
    tokens = np.zeros((len(texts), context_length), np.int64)
    for row, text in enumerate(texts):
        ids = encoder.tokenizer.encode(text).ids
        ids = ids if len(ids) <= context_length else [*ids[: context_length - 1], ids[-1]]
        tokens[row, : len(ids)] = ids
    return run_tower(tower, tokens)


def _digest(encoder: SentenceEncoder, context_length: int) -> str:
    """Return what a text's vector depends on as 16 hexadecimal digits."""
    sums = [(name, weight.double().sum().item()) for name, weight in sorted(encoder.weights.items())]
    return hashlib.sha256(json.dumps([sums, context_length]).encode()).hexdigest()[:16]
