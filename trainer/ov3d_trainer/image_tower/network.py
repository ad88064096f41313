"""The pixel-text network: a small convolutional U-Net with one feature vector per 2 x 2 pixels.

The encoder halves the image five times, the decoder comes back to half its size; a pooled summary of the whole image
joins at the coarsest level. The last layer is linear, so that a pixel's feature is `hidden @ weight + bias` brought to
unit length: whoever needs the features of few pixels reads `hidden` there and multiplies afterwards.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional as F

from ov3d_perception.errors import ModelError

STRIDE = 2
"""Pixels of the image per cell of the feature map, in each direction."""

MEAN = (0.45, 0.45, 0.43)
STD = (0.25, 0.25, 0.26)
"""Per channel, of colours in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTowerConfig:
    """Widths of the levels at 1/2, 1/4, 1/8, 1/16 and 1/32, residual blocks per level, width before the last layer."""

    embedding_dim: int
    channels: tuple[int, ...] = (32, 64, 96, 160, 224)
    blocks: tuple[int, ...] = (1, 2, 2, 2)
    hidden: int = 48

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        values = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ImageTowerConfig:
        """Read `to_dict`'s form; `ModelError` for anything else."""
        try:
            return cls(
                embedding_dim=int(values["embedding_dim"]),
                channels=tuple(values["channels"]),
                blocks=tuple(values["blocks"]),
                hidden=int(values["hidden"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"image tower: its configuration {values!r:.120} is not one ({error}).") from error


class ConvNorm(nn.Module):
    """Convolution without bias, batch normalisation, and ReLU where `active`."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, active: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.active = active

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, Cin, H, W) to (B, Cout, H / stride, W / stride), rounded up."""
        x = self.norm(self.conv(x))
        return F.relu(x) if self.active else x


class Block(nn.Module):
    """A residual block of two 3 x 3 convolutions (He et al. 2016); the first may halve the size."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, outputs, stride=stride)
        self.second = ConvNorm(outputs, outputs, active=False)
        plain = stride == 1 and inputs == outputs
        self.skip = nn.Identity() if plain else ConvNorm(inputs, outputs, kernel=1, stride=stride, active=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, Cin, H, W) to (B, Cout, H / stride, W / stride), rounded up."""
        return F.relu(self.second(self.first(x)) + self.skip(x))


class Context(nn.Module):
    """Adds a summary of the whole image to every cell."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.summary = nn.Conv2d(channels, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, C, H, W) to the same shape."""
        return F.relu(x + self.summary(x.mean(dim=(2, 3), keepdim=True)))


class UpStage(nn.Module):
    """Brings coarse features to the next finer level: narrowed, enlarged, joined with what was skipped, convolved."""

    def __init__(self, inputs: int, skipped: int, outputs: int) -> None:
        super().__init__()
        self.narrow = ConvNorm(inputs, outputs, kernel=1)
        self.join = ConvNorm(outputs + skipped, outputs)

    def forward(self, x: torch.Tensor, finer: torch.Tensor) -> torch.Tensor:
        """Map (B, Cin, h, w) and the finer level (B, Cskip, H, W) to (B, Cout, H, W)."""
        wide = F.interpolate(self.narrow(x), size=finer.shape[2:], mode="bilinear", align_corners=False)
        return cast(torch.Tensor, self.join(torch.cat([wide, finer], dim=1)))


class ImageTower(nn.Module):
    """The network; `seed` fixes its initial weights."""

    def __init__(self, config: ImageTowerConfig, *, seed: int = 0) -> None:
        super().__init__()
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            half, *deeper = config.channels
            self.stem = nn.Sequential(ConvNorm(3, half, stride=2), ConvNorm(half, half))
            widths = [half, *deeper]
            self.down = nn.ModuleList(
                nn.Sequential(
                    Block(before, after, stride=2), *[Block(after, after) for _ in range(config.blocks[level] - 1)]
                )
                for level, (before, after) in enumerate(itertools.pairwise(widths))
            )
            self.context = Context(widths[-1])
            outputs = [config.hidden, *widths[1:-1]]
            self.up = nn.ModuleList()
            coarse = widths[-1]
            for level in range(3, -1, -1):
                self.up.append(UpStage(coarse, widths[level], outputs[level]))
                coarse = outputs[level]
            self.final = nn.Linear(config.hidden, config.embedding_dim)
            nn.init.normal_(self.final.weight, std=config.hidden**-0.5)

    def hidden(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (B, 3, H, W), RGB in [0, 1], to (B, C, ceil(H / 2), ceil(W / 2))."""
        mean, std = (torch.tensor(values, dtype=images.dtype).view(1, 3, 1, 1) for values in (MEAN, STD))
        x = self.stem((images - mean) / std)
        skipped = []
        for stage in self.down:
            skipped.append(x)
            x = stage(x)
        x = self.context(x)
        for stage in self.up:
            x = stage(x, skipped.pop())
        return x

    def project(self, hidden: torch.Tensor) -> torch.Tensor:
        """Map hidden vectors (..., C) to features (..., D) of unit length."""
        return F.normalize(self.final(hidden), dim=-1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (B, 3, H, W), RGB in [0, 1], to features (B, D, ceil(H / 2), ceil(W / 2)) of unit length."""
        return self.project(self.hidden(images).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
