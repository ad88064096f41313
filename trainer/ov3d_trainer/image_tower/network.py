"""The pixel-text network: a small convolutional U-Net with one feature vector per 2 x 2 pixels of a shrunk image.

Images are shrunk to one width first: an object is judged by all of itself and its surroundings, of which a small
network sees more where there are fewer pixels. The encoder halves the image five times, the decoder comes back to half
its size; a pooled summary of the whole image joins at the coarsest level. The last layer is linear, so that a pixel's
feature is `hidden @ weight + bias` brought to unit length and drawn to the anchors: whoever needs the features of few
pixels reads `hidden` there and multiplies afterwards.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass
from typing import Any, cast

import torch
from torch import nn
from torch.nn import functional as F

from ov3d_perception.errors import ModelError

from ..network.anchors import TextAnchors

STRIDE = 2
"""Pixels of the shrunk image per cell of the feature map, in each direction."""

ROUND = 16
"""Shrunk images have a multiple of this many rows, so that levels fit onto each other."""

MEAN = (0.45, 0.45, 0.43)
STD = (0.25, 0.25, 0.26)
"""Per channel, of colours in [0, 1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTowerConfig:
    """Widths of the levels at 1/2, 1/4, 1/8 and so on, residual blocks of those from 1/4 on, widths of the decoder.

    `decoder` goes from coarse to fine and ends with the width at 1/2, which the last layer reads. Wider images are
    shrunk to `image_width` pixels. `anchors` texts draw the features near them (see `anchors.py`), 0 for none.
    """

    embedding_dim: int
    channels: tuple[int, ...] = (32, 64, 96, 160, 224)
    blocks: tuple[int, ...] = (1, 2, 2, 2)
    decoder: tuple[int, ...] = (160, 96, 64, 48)
    image_width: int = 192
    anchors: int = 0
    anchor_temperature: float = 0.01

    @property
    def hidden(self) -> int:
        """Width of what the last layer reads."""
        return self.decoder[-1]

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
                decoder=tuple(values["decoder"]),
                image_width=int(values["image_width"]),
                anchors=int(values["anchors"]),
                anchor_temperature=float(values["anchor_temperature"]),
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
            coarser = [widths[-1], *config.decoder]
            self.up = nn.ModuleList(
                UpStage(coarse, skipped, outputs)
                for coarse, skipped, outputs in zip(coarser, widths[-2::-1], config.decoder, strict=False)
            )
            self.final = nn.Linear(config.hidden, config.embedding_dim)
            nn.init.normal_(self.final.weight, std=config.hidden**-0.5)
        self.anchors = (
            TextAnchors(config.anchors, config.embedding_dim, config.anchor_temperature) if config.anchors else None
        )

    def shrink(self, images: torch.Tensor, width: int | None = None) -> torch.Tensor:
        """Bring wider images (B, 3, H, W) to a width, by default the one that the network was trained for; others stay.

        The last factor of up to two is a plain mean of neighbours: a smoother filter costs small things their shape.
        """
        width = width or self.config.image_width
        for columns, smooth in ((2 * width, True), (width, False)):
            if images.shape[3] > columns:
                rows = images.shape[2] * columns / images.shape[3]
                size = (ROUND * max(1, math.floor(rows / ROUND + 0.5)), columns)
                images = F.interpolate(images, size=size, mode="bilinear", align_corners=False, antialias=smooth)
        return images

    def hidden(self, images: torch.Tensor) -> torch.Tensor:
        """Map shrunk images (B, 3, H, W), RGB in [0, 1], to (B, C, ceil(H / 2), ceil(W / 2))."""
        mean, std = (images.new_tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))
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
        feature = F.normalize(self.final(hidden), dim=-1)
        return feature if self.anchors is None else cast(torch.Tensor, self.anchors(feature))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map shrunk images (B, 3, H, W), RGB in [0, 1], to unit features (B, D, ceil(H / 2), ceil(W / 2))."""
        return self.project(self.hidden(images).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
