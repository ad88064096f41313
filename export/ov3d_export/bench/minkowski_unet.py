"""The student built from MinkowskiEngine's layers, with MinkUNet's names; imports only where that is installed."""

from __future__ import annotations

from itertools import pairwise

import MinkowskiEngine as ME  # noqa: N817, the name that its users know
import torch
from torch import nn

from ov3d_trainer.network.model import UNetConfig

DIMENSION = 3


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1, *, bias: bool = False) -> nn.Module:
    """Return a convolution of three dimensions."""
    return ME.MinkowskiConvolution(inputs, outputs, kernel_size=kernel, stride=stride, bias=bias, dimension=DIMENSION)


def transposed(inputs: int, outputs: int) -> nn.Module:
    """Return the transpose of a convolution of 2x2x2 voxels to one."""
    return ME.MinkowskiConvolutionTranspose(inputs, outputs, kernel_size=2, stride=2, dimension=DIMENSION)


class Block(nn.Module):
    """Two 3x3x3 convolutions around a shortcut."""

    def __init__(self, inputs: int, outputs: int, *, last_relu: bool = True) -> None:
        super().__init__()
        self.conv1 = convolution(inputs, outputs, 3)
        self.norm1 = ME.MinkowskiBatchNorm(outputs)
        self.conv2 = convolution(outputs, outputs, 3)
        self.norm2 = ME.MinkowskiBatchNorm(outputs)
        self.relu = ME.MinkowskiReLU(inplace=True)
        self.last_relu = last_relu
        self.downsample = None
        if inputs != outputs:
            self.downsample = nn.Sequential(convolution(inputs, outputs, 1), ME.MinkowskiBatchNorm(outputs))

    def forward(self, tensor: ME.SparseTensor) -> ME.SparseTensor:
        """Map a sparse tensor to one on the same coordinates."""
        residual = tensor if self.downsample is None else self.downsample(tensor)
        out = self.norm2(self.conv2(self.relu(self.norm1(self.conv1(tensor)))))
        out += residual
        return self.relu(out) if self.last_relu else out


class MinkowskiUNet(nn.Module):
    """MinkUNet of any width and depth; `UNetConfig` says which."""

    def __init__(self, config: UNetConfig) -> None:
        super().__init__()
        self.steps = config.levels - 1
        self.relu = ME.MinkowskiReLU(inplace=True)
        self.conv0p1s1 = convolution(config.in_features, config.stem_channels, config.stem_kernel)
        self.bn0 = ME.MinkowskiBatchNorm(config.stem_channels)
        widths = [config.stem_channels, *config.channels[: self.steps]]
        for step in range(1, self.steps + 1):
            inputs, outputs = widths[step - 1], widths[step]
            self.add_module(f"conv{step}p{2 ** (step - 1)}s2", convolution(inputs, inputs, 2, 2))
            self.add_module(f"bn{step}", ME.MinkowskiBatchNorm(inputs))
            self.add_module(f"block{step}", self._blocks(inputs, outputs, config.layers[step - 1]))
        inputs = widths[-1]
        for step, outputs in enumerate(config.channels[self.steps :]):
            number = self.steps + step
            self.add_module(f"convtr{number}p{2 ** (self.steps - step)}s2", transposed(inputs, outputs))
            self.add_module(f"bntr{number}", ME.MinkowskiBatchNorm(outputs))
            joined = outputs + widths[self.steps - 1 - step]
            last = config.last_relu or step + 1 < self.steps
            self.add_module(f"block{number + 1}", self._blocks(joined, outputs, config.layers[number], last_relu=last))
            inputs = outputs
        self.final = convolution(inputs, config.embedding_dim, 1, bias=True)

    def forward(self, tensor: ME.SparseTensor) -> torch.Tensor:
        """Map a sparse tensor of the input features to (V, D), not of unit length."""
        rows = self.relu(self.bn0(self.conv0p1s1(tensor)))
        skipped = []
        for step in range(1, self.steps + 1):
            skipped.append(rows)
            rows = self._stage(rows, f"conv{step}p{2 ** (step - 1)}s2", f"bn{step}")
            rows = self.get_submodule(f"block{step}")(rows)
        for step in range(self.steps):
            number = self.steps + step
            rows = self._stage(rows, f"convtr{number}p{2 ** (self.steps - step)}s2", f"bntr{number}")
            rows = self.get_submodule(f"block{number + 1}")(ME.cat(rows, skipped.pop()))
        return self.final(rows).F

    def _stage(self, rows: ME.SparseTensor, convolution_name: str, norm_name: str) -> ME.SparseTensor:
        return self.relu(self.get_submodule(norm_name)(self.get_submodule(convolution_name)(rows)))

    @staticmethod
    def _blocks(inputs: int, outputs: int, layers: int, *, last_relu: bool = True) -> nn.Sequential:
        widths = pairwise([inputs, *[outputs] * layers])
        return nn.Sequential(
            *(
                Block(before, after, last_relu=last_relu or number + 1 < layers)
                for number, (before, after) in enumerate(widths)
            )
        )
