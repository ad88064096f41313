"""The text side a student is trained with: a bank file, or a bundle-like folder with a text tower."""

from __future__ import annotations

from pathlib import Path

from ov3d_perception.errors import ConfigError
from ov3d_perception.text.bank import read_bank
from ov3d_perception.text.encoder import TextEncoder, open_text_encoder


def open_text(path: Path | str) -> TextEncoder:
    """Open a bank (.npz) or a folder with bank.npz or text.onnx and tokenizer.json; `ConfigError` when missing."""
    if not str(path):
        raise ConfigError("text: no bank given. Set text=BANK.npz; `python -m ov3d_trainer make-bank` makes one.")
    source = Path(path)
    if source.is_dir():
        return open_text_encoder(source)
    if not source.is_file():
        raise ConfigError(f"text: {source} does not exist. `python -m ov3d_trainer make-bank` makes a bank.")
    return read_bank(source)
