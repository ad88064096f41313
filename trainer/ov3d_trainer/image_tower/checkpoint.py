"""The trained image tower as a file: plain tensors and values, read with `weights_only=True`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ov3d_perception.errors import ModelError

from ..checkpoint import load_weights, read_archive, write_archive
from .network import ImageTower, ImageTowerConfig

_VERSION_KEY = "ov3d_image_tower"
_VERSION = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerCheckpoint:
    """What training has learnt in the space `text_space`; `kinds` are the names of the anchors in the model's state."""

    network: ImageTowerConfig
    text_space: str
    kinds: tuple[str, ...]
    model_state: Mapping[str, torch.Tensor]
    training: dict[str, Any] = field(default_factory=dict)


def save_tower(path: Path | str, checkpoint: TowerCheckpoint) -> None:
    """Write a checkpoint atomically."""
    content = {
        _VERSION_KEY: _VERSION,
        "network": checkpoint.network.to_dict(),
        "text_space": checkpoint.text_space,
        "kinds": list(checkpoint.kinds),
        "training": checkpoint.training,
        "model_state": dict(checkpoint.model_state),
    }
    write_archive(Path(path), content)


def load_tower(path: Path | str) -> TowerCheckpoint:
    """Read a checkpoint onto the CPU; `ModelError` for anything that is not one of ours."""
    content = read_archive(Path(path))
    if not isinstance(content, dict) or content.get(_VERSION_KEY) != _VERSION:
        raise ModelError(f"image tower {path}: not one of version {_VERSION}. Train another one.")
    try:
        return TowerCheckpoint(
            network=ImageTowerConfig.from_dict(content["network"]),
            text_space=str(content["text_space"]),
            kinds=tuple(content["kinds"]),
            model_state=dict(content["model_state"]),
            training=dict(content["training"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"image tower {path}: incomplete ({error}). Use another file.") from error


def build_tower(checkpoint: TowerCheckpoint) -> ImageTower:
    """Return the network with the checkpoint's weights, in evaluation mode; `ModelError` where they do not fit."""
    model = ImageTower(checkpoint.network)
    load_weights(model, checkpoint.model_state, "image tower")
    return model.eval()
