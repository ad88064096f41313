"""Checkpoints: everything that training has learnt and decided, in one file that holds no code.

The file is a `torch.save` archive of plain numbers, strings, lists, dictionaries and tensors and is only ever read with
`weights_only=True`. It is written to a temporary name and moved into place, so that a crash leaves the old one whole.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ov3d_perception.errors import ConfigError, ModelError
from ov3d_perception.inputs import InputSpec
from ov3d_perception.queries import LabelSpec

from .network.model import SparseUNet, UNetConfig
from .whole_files import written_whole

CHECKPOINT_VERSION = 2
_VERSION_KEY = "ov3d_checkpoint"
_KEYS = ("network", "inputs", "text_space", "vocabulary", "training", "step", "model_state", "trainer_state")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The words a student was trained with; they become the default vocabulary on its model card."""

    labels: tuple[LabelSpec, ...] = ()
    background: tuple[str, ...] = ()
    templates: tuple[str, ...] = ("{}",)
    threshold: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {
            "labels": [{"name": label.name, "synonyms": list(label.synonyms)} for label in self.labels],
            "background": list(self.background),
            "templates": list(self.templates),
            "threshold": float(self.threshold),
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Vocabulary:
        """Make a vocabulary from `to_dict`'s form."""
        return cls(
            labels=tuple(
                LabelSpec(name=label["name"], synonyms=tuple(label["synonyms"])) for label in values["labels"]
            ),
            background=tuple(values["background"]),
            templates=tuple(values["templates"]),
            threshold=float(values["threshold"]),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """One moment of a training run.

    `model_state` is the network's state dict. `trainer_state` is what resuming needs (optimiser, schedule, generator
    states): tensors and plain types. `training` is free JSON about how it came to be and ends up on the model card.
    """

    network: UNetConfig
    inputs: InputSpec
    text_space: str
    vocabulary: Vocabulary
    model_state: Mapping[str, torch.Tensor]
    training: dict[str, Any] = field(default_factory=dict)
    trainer_state: dict[str, Any] = field(default_factory=dict)
    step: int = 0

    def __post_init__(self) -> None:
        for name, of_network, of_inputs in (
            ("input features", self.network.in_features, len(self.inputs.features)),
            ("levels", self.network.levels, self.inputs.levels),
            ("stem kernel", self.network.stem_kernel, self.inputs.stem_kernel),
        ):
            if of_network != of_inputs:
                raise ConfigError(
                    f"checkpoint: the network has {of_network} {name}, inputs give {of_inputs}. "
                    "Make both from the same configuration."
                )


def save_checkpoint(path: Path | str, checkpoint: Checkpoint) -> None:
    """Write a checkpoint atomically; missing folders are made."""
    content = {
        _VERSION_KEY: CHECKPOINT_VERSION,
        "network": checkpoint.network.to_dict(),
        "inputs": checkpoint.inputs.to_dict(),
        "text_space": checkpoint.text_space,
        "vocabulary": checkpoint.vocabulary.to_dict(),
        "training": checkpoint.training,
        "step": checkpoint.step,
        "model_state": {name: tensor.detach().cpu() for name, tensor in checkpoint.model_state.items()},
        "trainer_state": checkpoint.trainer_state,
    }
    write_archive(Path(path), content)


def load_checkpoint(path: Path | str) -> Checkpoint:
    """Read a checkpoint onto the CPU; `ModelError` for anything that is not one of ours."""
    source = Path(path)
    content = read_archive(source)
    if not isinstance(content, dict) or _VERSION_KEY not in content:
        raise ModelError(
            f"checkpoint {source}: a torch file, but not an ov3d checkpoint. Give one written by ov3d_trainer."
        )
    if content[_VERSION_KEY] != CHECKPOINT_VERSION:
        raise ModelError(
            f"checkpoint {source}: version {content[_VERSION_KEY]!r}, this ov3d reads version {CHECKPOINT_VERSION}. "
            "Use the ov3d that wrote it, or train again."
        )
    missing = [key for key in _KEYS if key not in content]
    if missing:
        raise ModelError(f"checkpoint {source}: {', '.join(missing)} missing. The file is incomplete: use another one.")
    try:
        return Checkpoint(
            network=UNetConfig.from_dict(content["network"]),
            inputs=InputSpec.from_dict(content["inputs"]),
            text_space=str(content["text_space"]),
            vocabulary=Vocabulary.from_dict(content["vocabulary"]),
            training=dict(content["training"]),
            step=int(content["step"]),
            model_state=dict(content["model_state"]),
            trainer_state=dict(content["trainer_state"]),
        )
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f"checkpoint {source}: {error} The file was written by another version or damaged.") from error


def build_model(checkpoint: Checkpoint, *, backend: str = "torch") -> SparseUNet:
    """Return the network with the checkpoint's weights, in evaluation mode; `ModelError` where they do not fit."""
    model = SparseUNet(checkpoint.network, backend=backend)
    load_weights(model, checkpoint.model_state, f"checkpoint of {checkpoint.network.architecture}")
    return model.eval()


def load_weights(model: torch.nn.Module, state: Mapping[str, torch.Tensor], what: str) -> None:
    """Give a network its weights; `ModelError` says that those of `what` do not fit."""
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"{what}: its weights do not fit its own network ({reason}). Use another file.") from error


def write_archive(target: Path, content: Mapping[str, Any]) -> None:
    """Write plain values and tensors with `torch.save`, atomically; missing folders are made.

    Raises `DataError` where the disk is full or refuses.
    """
    with written_whole(target) as temporary, temporary.open("wb") as stream:
        try:
            torch.save(content, stream)
        except RuntimeError as error:
            if isinstance(error.__context__, OSError):  # the disk's word, which torch's archive talks over in closing
                raise error.__context__ from error
            raise


def read_archive(source: Path, *, instead: str = "give a checkpoint written by ov3d_trainer") -> Any:
    """Read a file of `torch.save` without running code from it; `ModelError` for anything else says what to do."""
    if not source.is_file():
        raise ModelError(f"checkpoint {source}: no such file. Give the checkpoint that training wrote.")
    if not zipfile.is_zipfile(source):
        raise ModelError(f"checkpoint {source}: not a torch archive, or cut short. Copy it again or use another one.")
    try:
        return torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # torch passes on whatever its restricted reader raises
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"checkpoint {source}: cannot be read as plain tensors and values ({reason}). "
            f"Files that carry code are refused; {instead}."
        ) from error
