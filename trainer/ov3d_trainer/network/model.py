"""`SparseUNet`: the student, a sparse 3D U-Net of the MinkUNet family (Choy et al. 2019, 4D Spatio-Temporal ConvNets).

Four times down, four times up, residual blocks on every level, skip connections; one unit vector per voxel comes out.

Names, for importing Minkowski-style state dicts (`minkowski_import.py`; every kernel there is (K, Cin, Cout) too, but
its offsets run x fastest; batch norms there sit one level deeper, at `.bn`):

    conv0p1s1, bn0                  stem.conv, stem.norm
    conv{1..4}p{1,2,4,8}s2, bn{i}   down.{i-1}.conv, down.{i-1}.norm
    block{1..4}.{j}                 down.{i-1}.blocks.{j}
    convtr{4..7}p{16,8,4,2}s2, bntr up.{i-4}.conv, up.{i-4}.norm
    block{5..8}.{j}                 up.{i-5}.blocks.{j}
    block.conv1/norm1/conv2/norm2   the same;  downsample.0 -> shortcut.conv,  downsample.1 -> shortcut.norm
    final                           final (weight (Cin, D), bias (D))

The decoder concatenates upsampled features first and skipped ones second, as MinkUNet does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from ov3d_perception.errors import ConfigError

from .anchors import TextAnchors
from .backends import ChildTable, PairTable, SparseConvBackend, open_backend, read_tables
from .layers import BasicBlock, StridedConv, SubmanifoldConv, TransposedConv, VoxelNorm


@dataclass(frozen=True, slots=True, kw_only=True)
class UNetConfig:
    """Shape of a `SparseUNet`.

    `channels` and `layers` list width and number of residual blocks of every stage, the levels - 1 down stages first
    and the levels - 1 up stages after them. `architecture` is the name these came from, for the model card. `anchors`
    texts draw the features near them (see `anchors.py`), 0 for none. `second_kernel` is the kernel edge of the second
    convolution of every block: 3 as in MinkUNet, or 1 for CPUs (see `BasicBlock`). Without `last_relu` the last block
    ends in its sum, as published networks do whose features are taken there.
    """

    architecture: str
    in_features: int
    embedding_dim: int
    stem_channels: int
    channels: tuple[int, ...]
    layers: tuple[int, ...]
    stem_kernel: int = 3
    levels: int = 5
    anchors: int = 0
    anchor_temperature: float = 0.01
    second_kernel: int = 3
    last_relu: bool = True

    def __post_init__(self) -> None:
        stages = 2 * (self.levels - 1)
        if self.levels < 2 or len(self.channels) != stages or len(self.layers) != stages:
            raise ConfigError(
                f"network: {self.levels} levels need {stages} channels and layers, "
                f"got {len(self.channels)} and {len(self.layers)}."
            )
        sizes = (self.in_features, self.embedding_dim, self.stem_channels, *self.channels)
        if min(sizes) < 1 or min(self.layers) < 1:
            raise ConfigError(f"network: widths and layers must be positive, got {self}.")
        if self.stem_kernel not in (3, 5):
            raise ConfigError(f"network.stem_kernel: expected 3 or 5, got {self.stem_kernel}.")
        if self.second_kernel not in (1, 3):
            raise ConfigError(f"network.second_kernel: expected 1 or 3, got {self.second_kernel}.")
        if self.anchors < 0 or self.anchor_temperature <= 0:
            raise ConfigError(f"network: expected anchors >= 0 at a positive temperature, got {self}.")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**asdict(self), "channels": list(self.channels), "layers": list(self.layers)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> UNetConfig:
        """Make a config from `to_dict`'s form; `ConfigError` names missing and unknown keys."""
        values = {"second_kernel": 3, "last_relu": True, **values}  # older checkpoints do not say
        known = set(cls.__slots__)  # type: ignore[attr-defined]
        if set(values) != known:
            raise ConfigError(f"network: missing {sorted(known - set(values))}, unknown {sorted(set(values) - known)}.")
        return cls(**{**values, "channels": tuple(values["channels"]), "layers": tuple(values["layers"])})


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """Widths and depths that have a name: stem width, then `channels`, `layers`, `second_kernel` as in `UNetConfig`."""

    stem_channels: int
    channels: tuple[int, ...]
    layers: tuple[int, ...]
    second_kernel: int = 3


ARCHITECTURES: dict[str, Architecture] = {
    "light": Architecture(
        stem_channels=16, channels=(16, 32, 64, 96, 64, 32, 32, 32), layers=(1,) * 8, second_kernel=1
    ),
    "narrow": Architecture(stem_channels=16, channels=(16, 32, 48, 64, 48, 32, 32, 32), layers=(1,) * 8),
    "MinkUNet14A-half": Architecture(stem_channels=16, channels=(16, 32, 64, 128, 64, 64, 48, 48), layers=(1,) * 8),
    "MinkUNet14A": Architecture(stem_channels=32, channels=(32, 64, 128, 256, 128, 128, 96, 96), layers=(1,) * 8),
    "MinkUNet18A": Architecture(stem_channels=32, channels=(32, 64, 128, 256, 128, 128, 96, 96), layers=(2,) * 8),
    "MinkUNet34C": Architecture(
        stem_channels=32, channels=(32, 64, 128, 256, 256, 128, 96, 96), layers=(2, 3, 4, 6, 2, 2, 2, 2)
    ),
}
"""Networks by name: MinkUNet's as published (stem kernel 5 there, 3 here by default), one of half its width, one for
small CPUs. Figures per sweep stand in docs/measurements.md."""


def unet_config(
    name: str,
    *,
    in_features: int,
    embedding_dim: int,
    stem_kernel: int = 3,
    anchors: int = 0,
    anchor_temperature: float = 0.01,
) -> UNetConfig:
    """Return the configuration of a named architecture; `ConfigError` lists the names there are."""
    if name not in ARCHITECTURES:
        raise ConfigError(f"network: unknown architecture '{name}'. Choose from {', '.join(ARCHITECTURES)}.")
    shape = ARCHITECTURES[name]
    return UNetConfig(
        architecture=name,
        in_features=in_features,
        embedding_dim=embedding_dim,
        stem_channels=shape.stem_channels,
        channels=shape.channels,
        layers=shape.layers,
        stem_kernel=stem_kernel,
        levels=len(shape.channels) // 2 + 1,
        anchors=anchors,
        anchor_temperature=anchor_temperature,
        second_kernel=shape.second_kernel,
    )


class Stem(nn.Module):
    """The first convolution."""

    def __init__(self, config: UNetConfig, generator: torch.Generator) -> None:
        super().__init__()
        self.conv = SubmanifoldConv(config.stem_kernel, config.in_features, config.stem_channels, generator)
        self.norm = VoxelNorm(config.stem_channels)

    def forward(self, features: torch.Tensor, pairs: PairTable, backend: SparseConvBackend) -> torch.Tensor:
        """Map input features (V, F) to (V, stem width)."""
        return torch.relu(self.norm(self.conv(features, pairs, backend)))


class DownStage(nn.Module):
    """One level down: strided convolution, then residual blocks."""

    def __init__(self, inputs: int, outputs: int, layers: int, second_kernel: int, generator: torch.Generator) -> None:
        super().__init__()
        self.conv = StridedConv(inputs, inputs, generator)
        self.norm = VoxelNorm(inputs)
        self.blocks = _blocks(inputs, outputs, layers, second_kernel, generator)

    def forward(
        self, features: torch.Tensor, children: ChildTable, pairs: PairTable, backend: SparseConvBackend
    ) -> torch.Tensor:
        """Map (V, Cin) of the finer level to (parents, Cout)."""
        features = torch.relu(self.norm(self.conv(features, children, backend)))
        for block in self.blocks:
            features = block(features, pairs, backend)
        return features


class UpStage(nn.Module):
    """One level up: transposed convolution, concatenation with the skipped features, then residual blocks."""

    def __init__(
        self, inputs: int, skipped: int, outputs: int, layers: int, second_kernel: int, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.conv = TransposedConv(inputs, outputs, generator)
        self.norm = VoxelNorm(outputs)
        self.blocks = _blocks(outputs + skipped, outputs, layers, second_kernel, generator)

    def forward(
        self,
        features: torch.Tensor,
        skipped: torch.Tensor,
        children: ChildTable,
        pairs: PairTable,
        backend: SparseConvBackend,
    ) -> torch.Tensor:
        """Map (parents, Cin) and the finer level's `skipped` (V, Cskip) to (V, Cout)."""
        features = torch.relu(self.norm(self.conv(features, children, backend)))
        features = torch.cat([features, skipped], dim=1)
        for block in self.blocks:
            features = block(features, pairs, backend)
        return features


class Final(nn.Module):
    """The last 1x1x1 convolution: `weight` (Cin, D), `bias` (D)."""

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs, generator=generator) * inputs**-0.5)
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (V, Cin) to (V, D)."""
        return features @ self.weight + self.bias


class SparseUNet(nn.Module):
    """The student network; `seed` (or `generator`) fixes its initial weights.

    With `precision` bf16 all convolutions but the last compute in bfloat16 (weights stay float32).
    """

    def __init__(
        self,
        config: UNetConfig,
        *,
        backend: str = "torch",
        seed: int = 0,
        generator: torch.Generator | None = None,
        precision: str = "fp32",
    ) -> None:
        super().__init__()
        self.config = config
        self.precision = precision
        self.backend = open_backend(backend)
        generator = generator or torch.Generator().manual_seed(seed)
        steps, second = config.levels - 1, config.second_kernel
        widths = [config.stem_channels, *config.channels[:steps]]  # encoder output per level
        self.stem = Stem(config, generator)
        self.down = nn.ModuleList(
            DownStage(widths[step], widths[step + 1], config.layers[step], second, generator) for step in range(steps)
        )
        inputs = widths[-1]
        ups = []
        for step, outputs in enumerate(config.channels[steps:]):
            skipped, layers = widths[steps - 1 - step], config.layers[steps + step]
            ups.append(UpStage(inputs, skipped, outputs, layers, second, generator))
            inputs = outputs
        self.up = nn.ModuleList(ups)
        last = ups[-1].blocks[-1]
        assert isinstance(last, BasicBlock)
        last.last_relu = config.last_relu
        self.final = Final(inputs, config.embedding_dim, generator)
        self.anchors = (
            TextAnchors(config.anchors, config.embedding_dim, config.anchor_temperature) if config.anchors else None
        )

    def forward(
        self, features: torch.Tensor, index: Mapping[str, torch.Tensor], *, rows: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Map voxel features (V, F) to unit vectors (V, D); `index` holds the tables as `index_tensors` gives them.

        V may be 0. A vector of length zero (below 1e-12) stays zero. With `rows` (S,) int64 only these voxels get a
        vector, (S, D): a loss that knows few voxels spares most of the widest layer, which dominates narrow networks.
        """
        features = self.hidden(features, index)
        if rows is not None:
            features = features.index_select(0, rows)
        features = nn.functional.normalize(self.final(features), dim=1)
        return features if self.anchors is None else self.anchors(features)

    def hidden(self, features: torch.Tensor, index: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Map voxel features (V, F) to what the last layer reads (V, C), float32."""
        if self.precision == "fp32":
            return self._hidden(features, index)
        with torch.autocast(features.device.type, dtype=torch.bfloat16):
            return self._hidden(features, index).float()

    def _hidden(self, features: torch.Tensor, index: Mapping[str, torch.Tensor]) -> torch.Tensor:
        tables = read_tables(index, self.config.levels, self.config.stem_kernel)
        features = self.stem(features, tables.stem, self.backend)
        skipped = []
        for level, stage in enumerate(self.down):
            skipped.append(features)
            features = stage(features, tables.children[level], tables.pairs[level + 1], self.backend)
        for stage in self.up:
            level = len(skipped) - 1
            features = stage(features, skipped.pop(), tables.children[level], tables.pairs[level], self.backend)
        return features


def _blocks(inputs: int, outputs: int, layers: int, second_kernel: int, generator: torch.Generator) -> nn.ModuleList:
    widths = [inputs, *[outputs] * layers]
    return nn.ModuleList(
        BasicBlock(before, outputs, generator, second_kernel=second_kernel) for before in widths[:layers]
    )
