"""The one protocol of text encoders, and the choice between them by what a bundle holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError

BANK_FILE = "bank.npz"
TOWER_FILE = "text.onnx"
TOKENIZER_FILE = "tokenizer.json"


class TextEncoder(Protocol):
    """Texts to unit vectors in one named text space.

    `space` names the space ("clip:ViT-B-32/openai"); vectors of different spaces cannot be compared. `dim` is D.
    `supports_templates` is False for encoders that know bare names only.
    """

    @property
    def space(self) -> str:
        """Name of the text space."""
        ...

    @property
    def dim(self) -> int:
        """Length D of the vectors."""
        ...

    @property
    def supports_templates(self) -> bool:
        """Whether "a photo of a {}" means anything to this encoder."""
        ...

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (T, D) float32, unit length; raises `QueryError` for a text that it cannot encode."""
        ...


def open_text_encoder(
    directory: Path | str, *, providers: Any = None, threads: int | None = None, cache_dir: Path | str | None = None
) -> TextEncoder:
    """Open the text side of a bundle folder: its text tower if it has one, else its bank.

    `providers` and `threads` are for the tower, as for `Engine`, except that None stands for the CPU; `cache_dir`
    keeps encoded texts between runs. Raises `ModelError` when neither is there, half a tower is, or one is broken.
    """
    folder = Path(directory)
    halves = [(folder / name).is_file() for name in (TOWER_FILE, TOKENIZER_FILE)]
    if all(halves):
        from .cache import CachedEncoder
        from .clip_tower import ClipTower

        tower = ClipTower(folder, providers=providers, threads=threads)
        digest = tower.digest() if cache_dir is not None else ""  # reads the whole file, memory needs none
        return CachedEncoder(tower, digest=digest, folder=cache_dir)
    if any(halves):
        missing, present = (TOWER_FILE, TOKENIZER_FILE) if halves[1] else (TOKENIZER_FILE, TOWER_FILE)
        raise ModelError(f"bundle {folder}: {present} is there, {missing} is missing. Copy both.")
    if (folder / BANK_FILE).is_file():
        from .bank import read_bank

        return read_bank(folder / BANK_FILE)
    raise ModelError(
        f"bundle {folder}: no text side. Expected {TOWER_FILE} with {TOKENIZER_FILE}, or {BANK_FILE}. "
        "Export again with --text."
    )
