"""Tokenizers at run time: `tokenizer.json` through the `tokenizers` library, CLIP's ids as open_clip gives them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ..errors import ModelError, QueryError
from .clean import clean_text

MAX_CHARACTERS = 10_000
_MAX_FILE_BYTES = 64 * 2**20
_SPECIAL = re.compile("<start_of_text>|<end_of_text>")


class ClipTokenizer:
    """Texts to rows of token ids: start, words, end, padding, cut off at the context length like open_clip."""

    def __init__(self, path: Path, *, context_length: int, start_id: int, end_id: int, pad_id: int) -> None:
        """Read `tokenizer.json`; `ModelError` where that is missing or no tokenizer."""
        self._tokenizer = _read(path)
        self._has_special = self._tokenizer.token_to_id("<start_of_text>") is not None
        self.context_length = context_length
        self._start_id, self._end_id, self._pad_id = start_id, end_id, pad_id

    @property
    def vocabulary_size(self) -> int:
        """Number of ids; all ids are below it."""
        return int(self._tokenizer.get_vocab_size())

    def encode(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return token ids (T, context_length) int64; `QueryError` for what is no text or too long to be one."""
        ids = np.full((len(texts), self.context_length), self._pad_id, dtype=np.int64)
        for row, text in enumerate(texts):
            words = self._words(text)[: self.context_length - 2]
            tokens = [self._start_id, *words, self._end_id]
            ids[row, : len(tokens)] = tokens
        return ids

    def _words(self, text: str) -> list[int]:
        if not isinstance(text, str):
            raise QueryError(f"text: expected a string, got {text!r} of type {type(text).__name__}.")
        if len(text) > MAX_CHARACTERS:
            raise QueryError(
                f"text: {text[:40]!r}... has {len(text):,} characters, at most {MAX_CHARACTERS:,} are read. Shorten it."
            )
        ids: list[int] = []
        cleaned = clean_text(text)
        for piece in _split_special(cleaned) if self._has_special else [cleaned]:
            if _SPECIAL.fullmatch(piece):
                ids.append(self._start_id if piece.startswith("<start") else self._end_id)
            else:
                ids += self._tokenizer.encode(piece, add_special_tokens=False).ids
        return ids


def _split_special(text: str) -> Iterator[str]:
    """Cut out the names of special tokens, which open_clip reads as those unless other signs stand before them."""
    done = 0
    for match in _SPECIAL.finditer(text):
        before = text[done : match.start()]
        if not before or before[-1].isspace() or unicodedata.category(before[-1])[0] in "LN":
            yield before
            yield match[0]
            done = match.end()
    yield text[done:]


def _read(path: Path) -> Tokenizer:
    if not path.is_file():
        raise ModelError(f"{path}: does not exist. Copy it from where the text tower was exported.")
    if path.stat().st_size > _MAX_FILE_BYTES:
        raise ModelError(f"{path.name}: {path.stat().st_size:,} bytes, at most {_MAX_FILE_BYTES:,} are read.")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exceptions
        reason = " ".join(str(error).split())[:200]
        raise ModelError(f"{path.name}: is not a tokenizer ({reason}). Export the text tower again.") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer
