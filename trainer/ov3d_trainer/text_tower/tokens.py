"""The text tower's tokenizer: the sentence encoder's, without tokens of other scripts, for the core's own reader."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.errors import ModelError
from ov3d_perception.text.tokenizer import ClipTokenizer

from .network import END_ID, PAD_ID, START_ID

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")  # in the order of PAD_ID, UNKNOWN_ID, START_ID, END_ID


def small_tokenizer(tokenizer: Any) -> tuple[str, list[int]]:
    """Return a WordPiece tokenizer as JSON with ASCII tokens only, and the ids that these had (V,).

    Start and end are put around a text by whoever reads the file. Raises `ModelError` for other kinds of tokenizer.
    """
    content = json.loads(tokenizer.to_str())
    vocabulary = content["model"].get("vocab", {})
    if content["model"].get("type") != "WordPiece" or any(token not in vocabulary for token in SPECIAL):
        raise ModelError(f"text tower: the tokenizer is no WordPiece with {SPECIAL}. Use a BERT sentence encoder.")
    plain = [token for token in vocabulary if token.isascii() and not (token.startswith("[") and token.endswith("]"))]
    kept = [*SPECIAL, *sorted(plain, key=lambda token: vocabulary[token])]
    content["model"]["vocab"] = {token: number for number, token in enumerate(kept)}
    content |= {"truncation": None, "padding": None, "added_tokens": [], "post_processor": None}
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")), [vocabulary[token] for token in kept]


def tokenize(tokenizer_json: str, texts: Sequence[str], context_length: int) -> NDArray[np.int64]:
    """Return token ids (T, context_length) as the run time will give them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tokenizer.json"
        path.write_text(tokenizer_json, encoding="utf-8")
        reader = ClipTokenizer(path, context_length=context_length, start_id=START_ID, end_id=END_ID, pad_id=PAD_ID)
    return reader.encode(texts)
