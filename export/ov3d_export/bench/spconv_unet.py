"""The student built from spconv's layers, with the names of `SparseUNet`; imports only where spconv is installed.

spconv's CPU wheel races with more than one thread: see `peers.py`.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import spconv.pytorch as spconv
import torch
from torch import nn

from ov3d_trainer.network.model import UNetConfig


class Shortcut(nn.Module):
    """Projection of a residual branch whose width changes."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Linear(inputs, outputs, bias=False)
        self.norm = nn.BatchNorm1d(outputs)


class Block(nn.Module):
    """Two 3x3x3 convolutions around a shortcut; all of a level share one index."""

    def __init__(self, inputs: int, outputs: int, level: int) -> None:
        super().__init__()
        self.conv1 = submanifold(inputs, outputs, 3, f"level{level}")
        self.norm1 = nn.BatchNorm1d(outputs)
        self.conv2 = submanifold(outputs, outputs, 3, f"level{level}")
        self.norm2 = nn.BatchNorm1d(outputs)
        self.shortcut = Shortcut(inputs, outputs) if inputs != outputs else None
        self.last_relu = True

    def forward(self, tensor: Any) -> Any:
        """Map a sparse tensor to one on the same voxels."""
        residual = tensor.features
        if self.shortcut is not None:
            residual = self.shortcut.norm(self.shortcut.conv(residual))
        hidden = self.conv1(tensor)
        hidden = self.conv2(hidden.replace_feature(torch.relu(self.norm1(hidden.features))))
        total = self.norm2(hidden.features) + residual
        return hidden.replace_feature(torch.relu(total) if self.last_relu else total)


class Stage(nn.Module):
    """A convolution between levels, its norm, and residual blocks; `stem` has no blocks."""

    def __init__(self, conv: nn.Module, width: int, blocks: list[Block]) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm1d(width)
        self.blocks = nn.ModuleList(blocks)

    def forward(self, tensor: Any, skipped: Any = None) -> Any:
        """Change level, join what was skipped, refine."""
        rows = self.conv(tensor)
        features = torch.relu(self.norm(rows.features))
        if skipped is not None:
            features = torch.cat([features, skipped.features], dim=1)
        rows = rows.replace_feature(features)
        for block in self.blocks:
            rows = block(rows)
        return rows


class SpconvUNet(nn.Module):
    """MinkUNet of any width and depth; `UNetConfig` says which."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        steps = config.levels - 1
        stem_index = "level0" if config.stem_kernel == 3 else "stem"
        stem = submanifold(config.in_features, config.stem_channels, config.stem_kernel, stem_index)
        self.stem = Stage(stem, config.stem_channels, [])
        widths = [config.stem_channels, *config.channels[:steps]]
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for step in range(steps):
            inputs, outputs = widths[step], widths[step + 1]
            conv = spconv.SparseConv3d(inputs, inputs, 2, 2, bias=False, indice_key=f"down{step}")
            self.down.append(Stage(conv, inputs, _blocks(inputs, outputs, config.layers[step], step + 1)))
        inputs = widths[-1]
        for step, outputs in enumerate(config.channels[steps:]):
            level = steps - 1 - step
            conv = spconv.SparseInverseConv3d(inputs, outputs, 2, bias=False, indice_key=f"down{level}")
            blocks = _blocks(outputs + widths[level], outputs, config.layers[steps + step], level)
            self.up.append(Stage(conv, outputs, blocks))
            inputs = outputs
        blocks[-1].last_relu = config.last_relu
        self.final = nn.Linear(inputs, config.embedding_dim)

    def forward(self, tensor: Any) -> torch.Tensor:
        """Map a sparse tensor of the input features to (V, D), not of unit length."""
        rows = self.stem(tensor)
        skipped = []
        for stage in self.down:
            skipped.append(rows)
            rows = stage(rows)
        for stage in self.up:
            rows = stage(rows, skipped.pop())
        return self.final(rows.features)


def submanifold(inputs: int, outputs: int, kernel: int, index: str) -> nn.Module:
    """Return a convolution that keeps the voxels."""
    return spconv.SubMConv3d(inputs, outputs, kernel, bias=False, indice_key=index)


def spconv_state(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the state dict of `SpconvUNet` for one of `SparseUNet`.

    Kernels there are (Cout, x, y, z, Cin) where voxels are listed as x, y, z; those of dense layers (Cout, Cin).
    """
    out = {}
    for name, tensor in state.items():
        if name.endswith("conv.weight") or ".conv" in name or name == "final.weight":
            tensor = tensor.T if tensor.ndim == 2 else output_first(tensor)
        out[name] = tensor.contiguous()
    return out


def output_first(kernel: torch.Tensor) -> torch.Tensor:
    """Turn a kernel (K^3, Cin, Cout), offsets z fastest, into (Cout, K, K, K, Cin)."""
    edge = round(len(kernel) ** (1 / 3))
    return kernel.reshape(edge, edge, edge, *kernel.shape[1:]).permute(4, 0, 1, 2, 3).contiguous()


def _blocks(inputs: int, outputs: int, layers: int, level: int) -> list[Block]:
    return [Block(before, after, level) for before, after in pairwise([inputs, *[outputs] * layers])]
