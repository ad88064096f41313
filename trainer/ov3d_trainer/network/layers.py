"""The building blocks of the sparse U-Net: convolutions with canonical weights, normalisation, residual block.

Rows are voxels: features are (V, C) float tensors, V may be 0.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from ..distributed import moments, world_size
from .backends import ChildTable, PairTable, SparseConvBackend


class SparseConv(nn.Module):
    """A bias-free sparse convolution; `weight` (offsets, Cin, Cout), He-initialised from `generator`.

    He et al. 2015, eq. 10, with the full kernel as fan-in.
    """

    def __init__(self, offsets: int, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        deviation = math.sqrt(2.0 / (offsets * inputs))
        self.weight = nn.Parameter(torch.randn(offsets, inputs, outputs, generator=generator) * deviation)


class SubmanifoldConv(SparseConv):
    """Convolution with an odd kernel that keeps the voxels as they are."""

    def __init__(self, kernel: int, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__(kernel**3, inputs, outputs, generator)

    def forward(self, features: torch.Tensor, pairs: PairTable, backend: SparseConvBackend) -> torch.Tensor:
        """Map (V, Cin) to (V, Cout) on the same voxels."""
        return backend.submanifold(features, self.weight, pairs)


class StridedConv(SparseConv):
    """Convolution of 2x2x2 voxels to one voxel of the next coarser level."""

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__(8, inputs, outputs, generator)

    def forward(self, features: torch.Tensor, children: ChildTable, backend: SparseConvBackend) -> torch.Tensor:
        """Map (V, Cin) to (parents, Cout)."""
        return backend.strided(features, self.weight, children)


class TransposedConv(SparseConv):
    """Transpose of `StridedConv`: every voxel of the finer level reads its parent."""

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__(8, inputs, outputs, generator)
        with torch.no_grad():
            self.weight.mul_(math.sqrt(8.0))  # each output sums over one octant, not eight

    def forward(self, features: torch.Tensor, children: ChildTable, backend: SparseConvBackend) -> torch.Tensor:
        """Map (parents, Cin) to (V, Cout)."""
        return backend.transposed(features, self.weight, children)


class VoxelNorm(nn.BatchNorm1d):
    """Batch normalisation over voxels that survives sweeps of none or one.

    In training, a level with fewer than two voxels has no variance: it is normalised with the running statistics, and
    these stay as they are. Where several processes train together, the moments are those of all their voxels (torch's
    SyncBatchNorm needs a GPU). In evaluation nothing differs from `BatchNorm1d`, which takes the moments of bfloat16
    rows in float32 too.
    """

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Normalise (V, C) per channel."""
        if self.training and world_size() > 1:
            return self._together(features)
        if self.training and len(features) < 2:
            return self._as_learnt(features)
        return super().forward(features)

    def _as_learnt(self, features: torch.Tensor) -> torch.Tensor:
        return nn.functional.batch_norm(
            features, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
        )

    def _together(self, features: torch.Tensor) -> torch.Tensor:
        rows = features.to(torch.promote_types(features.dtype, torch.float32))
        mean, variance, count = moments(rows)
        if count < 2:
            return self._as_learnt(features)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.momentum is not None
        with torch.no_grad():
            self.running_mean.lerp_(mean, self.momentum)
            self.running_var.lerp_(variance * (count / (count - 1)), self.momentum)
        return ((rows - mean) * (variance + self.eps).rsqrt() * self.weight + self.bias).to(features.dtype)


class PointwiseConv(nn.Module):
    """A 1x1x1 convolution: `weight` (Cin, Cout), no bias."""

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inputs, outputs, generator=generator) * math.sqrt(2.0 / inputs))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (V, Cin) to (V, Cout)."""
        return features @ self.weight


class Shortcut(nn.Module):
    """Projection of a residual branch whose width changes."""

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        self.conv = PointwiseConv(inputs, outputs, generator)
        self.norm = VoxelNorm(outputs)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map (V, Cin) to (V, Cout)."""
        return self.norm(self.conv(features))


class BasicBlock(nn.Module):
    """Two convolutions around a shortcut (He et al. 2016, as in MinkUNet): 3x3x3, then `second_kernel` cubed.

    With 1 for `second_kernel` the second one is a plain matrix product, which spares a CPU the gathering of neighbours.
    `last_relu` False ends in the sum.
    """

    last_relu = True

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator, *, second_kernel: int = 3) -> None:
        super().__init__()
        self.conv1 = SubmanifoldConv(3, inputs, outputs, generator)
        self.norm1 = VoxelNorm(outputs)
        self.conv2: SubmanifoldConv | PointwiseConv = (
            PointwiseConv(outputs, outputs, generator)
            if second_kernel == 1
            else SubmanifoldConv(second_kernel, outputs, outputs, generator)
        )
        self.norm2 = VoxelNorm(outputs)
        self.shortcut = Shortcut(inputs, outputs, generator) if inputs != outputs else None

    def forward(self, features: torch.Tensor, pairs: PairTable, backend: SparseConvBackend) -> torch.Tensor:
        """Map (V, Cin) to (V, Cout) on the same voxels."""
        residual = features if self.shortcut is None else self.shortcut(features)
        hidden = torch.relu(self.norm1(self.conv1(features, pairs, backend)))
        pointwise = isinstance(self.conv2, PointwiseConv)
        hidden = self.conv2(hidden) if pointwise else self.conv2(hidden, pairs, backend)
        total = self.norm2(hidden) + residual
        return torch.relu(total) if self.last_relu else total
