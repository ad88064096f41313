"""Published MinkowskiEngine checkpoints as checkpoints of ours: what their networks saw and which words they know.

A state dict says what a network is, but neither how its inputs were made nor in which text space its features lie.
`METHODS` holds what the methods' own code and papers say about that.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ov3d_perception.errors import ConfigError
from ov3d_perception.inputs import FEATURES, InputSpec

from .checkpoint import Checkpoint, Vocabulary, read_archive
from .network.minkowski_import import convert_state, find_state, mix_inputs, read_config
from .network.model import UNetConfig

# One input column of a published network, written with columns of ours: name -> factor.
Column = Mapping[str, float]

INPUTS: dict[str, tuple[Column, ...]] = {
    "ones": ({"one": 1.0},) * 3,
    "intensity": ({"intensity": 255.0},),
    "color": tuple({channel: 2.0, "one": -1.0} for channel in ("red", "green", "blue")),
    "centred-color": tuple({channel: 1.0, "one": -0.5} for channel in ("red", "green", "blue")),
}
"""What networks were trained on, by name: three ones, the intensity as nuScenes stores it (0..255), colours in -1..1,
in -0.5..0.5. A list of our own features (`one,intensity,z`) is taken as it is."""

SAVE_AGAIN = 'where you trust it, save its weights alone: torch.save({"state_dict": whole_file["state_dict"]}, FILE)'

CLIP_B32 = "clip:ViT-B-32/openai"
CLIP_L14_336 = "clip:ViT-L-14-336/openai"


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """What a method's files do not say.

    `text_spaces` by size of the embedding. `guessed` and `differs` go to the card: what is not certain, and what ov3d
    does otherwise than the method did. Without `final` the features of the last block count, and these end without
    ReLU where `last_relu` is False.
    """

    inputs: str
    voxel_size_m: float
    text_spaces: Mapping[int, str]
    template: str = "{}"
    final: bool = True
    last_relu: bool = True
    max_range_m: float = 80.0
    guessed: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()


_OPENSCENE = {512: CLIP_B32, 768: CLIP_L14_336}
_FIRST_POINT = "a voxel's features were those of one of its points; here they are the mean"
_CYLINDER = (
    "its voxels were cylindrical (distance 0.1 m, angle 1 degree, height 0.1 m), those of ov3d are cubes: train on "
    "before use"
)

METHODS: dict[str, Method] = {
    "openscene": Method(
        inputs="ones",
        voxel_size_m=0.02,
        text_spaces=_OPENSCENE,
        template="a {} in a scene",
        guessed=("inputs: constant ones, which is that code's default (with input_color: --inputs color)",),
    ),
    "openscene-nuscenes": Method(
        inputs="ones",
        voxel_size_m=0.05,
        text_spaces=_OPENSCENE,
        template="a {} in a scene",
        guessed=("inputs: constant ones, which is that code's default",),
        differs=("it saw all sweeps of 0.5 s at once; a single sweep is sparser",),
    ),
    "slidr": Method(
        inputs="intensity",
        voxel_size_m=0.1,
        text_spaces={},
        guessed=("voxel size: that of its published configuration",),
        differs=(_CYLINDER, _FIRST_POINT),
    ),
    "ssov": Method(
        inputs="intensity",
        voxel_size_m=0.1,
        text_spaces={768: CLIP_L14_336},
        guessed=("text space: CLIP ViT-L/14 at 336 pixels, as its best teacher's; 768 numbers fit others too",),
        differs=(_CYLINDER, _FIRST_POINT),
    ),
    "language-grounded": Method(
        inputs="centred-color",
        voxel_size_m=0.02,
        text_spaces={512: CLIP_B32},
        final=False,
        last_relu=False,
        guessed=("prompt: the bare name",),
        differs=(_FIRST_POINT,),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportOptions:
    """What a person states instead of a method's defaults; None and "" keep these."""

    inputs: str = ""
    voxel_size_m: float | None = None
    intensity_scale: float = 255.0
    max_range_m: float | None = None
    text_space: str = ""
    template: str = ""


def import_checkpoint(source: Path, method: str, options: ImportOptions) -> Checkpoint:
    """Read a published file; what is guessed or differs stands in `training["imported"]`, and so on the model card.

    Raises `ModelError` for files of other networks and files with code in them, `ConfigError` for what cannot be known.
    """
    known = METHODS[method]
    content = read_archive(source, instead=SAVE_AGAIN)
    what = f"checkpoint {source}"
    state = find_state(content, what)
    network = read_config(state, what, final=known.final, last_relu=known.last_relu)
    text_space = options.text_space or known.text_spaces.get(network.embedding_dim, "")
    if not text_space:
        spaces = ", ".join(f"{space} ({dim})" for dim, space in known.text_spaces.items()) or "no text space at all"
        raise ConfigError(
            f"{what}: embeds into {network.embedding_dim} numbers, and {method} is known for {spaces}. If there are "
            "texts to compare with, name their space: --text-space clip:MODEL/WEIGHTS."
        )
    weights = convert_state(state, network, what, final=known.final)
    inputs = options.inputs or known.inputs
    features, mixing = _mixing(inputs, network, what)
    spec = InputSpec(
        voxel_size_m=known.voxel_size_m if options.voxel_size_m is None else options.voxel_size_m,
        features=features,
        intensity_scale=options.intensity_scale,
        max_range_m=known.max_range_m if options.max_range_m is None else options.max_range_m,
        levels=network.levels,
        stem_kernel=network.stem_kernel,
    )
    stated = {"inputs": options.inputs, "text space": options.text_space, "voxel size": options.voxel_size_m}
    stated["prompt"] = options.template
    guessed = [guess for guess in known.guessed if not stated.get(guess.split(":")[0])]
    imported = {"file": source.name, "method": method, "inputs": inputs, "guessed": guessed}
    return Checkpoint(
        network=UNetConfig.from_dict({**network.to_dict(), "in_features": len(features)}),
        inputs=spec,
        text_space=text_space,
        vocabulary=Vocabulary(templates=(options.template or known.template,)),
        model_state=mix_inputs(weights, mixing),
        training={"imported": {**imported, "differs": list(known.differs)}},
    )


def report_text(checkpoint: Checkpoint) -> str:
    """Return what was read from the file, what was stated and what is not certain, for people."""
    network, spec, imported = checkpoint.network, checkpoint.inputs, checkpoint.training["imported"]
    lines = [
        f"{network.architecture}, stem {network.stem_kernel}x{network.stem_kernel}x{network.stem_kernel}, "
        f"embedding {network.embedding_dim} in {checkpoint.text_space}",
        f"inputs: {imported['inputs']}, as {', '.join(spec.features)}; voxels of {spec.voxel_size_m:g} m, "
        f"up to {spec.max_range_m:g} m",
    ]
    lines += [f"guessed: {text}" for text in imported["guessed"]]
    lines += [f"differs: {text}" for text in imported["differs"]]
    return "\n".join(lines)


def _mixing(inputs: str, network: UNetConfig, what: str) -> tuple[tuple[str, ...], torch.Tensor]:
    """Return our features and the matrix (inputs, features) that makes the network's own inputs of them."""
    names = tuple(inputs.split(","))
    unknown = [name for name in names if name not in FEATURES]
    if inputs not in INPUTS and unknown:
        raise ConfigError(
            f"--inputs: unknown {', '.join(unknown)}. Choose one of {', '.join(INPUTS)}, or list features of ov3d: "
            f"{', '.join(FEATURES)}."
        )
    columns: tuple[Any, ...] = INPUTS.get(inputs) or tuple({name: 1.0} for name in names)
    if inputs == "ones":
        columns = columns[:1] * network.in_features
    if len(columns) != network.in_features:
        raise ConfigError(
            f"--inputs: {what} takes {network.in_features} input columns, {inputs} makes {len(columns)}. "
            "State what it was trained on."
        )
    features = tuple(dict.fromkeys(name for column in columns for name in column))
    return features, torch.tensor([[column.get(name, 0.0) for name in features] for column in columns])
