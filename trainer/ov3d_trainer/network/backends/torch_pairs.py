"""Sparse convolution in plain torch: gather, multiply, add, one kernel offset after the other.

Runs on the CPU and on any GPU. Within one offset no row is written twice, so the sums are deterministic. The gradients
are written out: left to autograd, every offset's gather would allocate and add a full (V, Cin) gradient of its own and
keep its gathered rows alive until the backward pass; here they are gathered again.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from .base import ChildTable, PairTable, check_kernel, in_autocast_dtype

# (kernel offset, rows read, rows written): out[written] += features[read] @ weight[offset]
Moves = tuple[tuple[int, torch.Tensor, torch.Tensor], ...]


class TorchPairs:
    """The reference backend."""

    name = "torch"

    def submanifold(self, features: torch.Tensor, weight: torch.Tensor, pairs: PairTable) -> torch.Tensor:
        """See `SparseConvBackend`: the centre is one dense product, every other offset moves its own pairs."""
        check_kernel(weight, 2 * len(pairs.counts) + 1)
        moves = tuple(_pair_moves(pairs))
        return _GatherMultiplyAdd.apply(*in_autocast_dtype(features, weight), moves, len(features), len(pairs.counts))

    def strided(self, features: torch.Tensor, weight: torch.Tensor, children: ChildTable) -> torch.Tensor:
        """See `SparseConvBackend`."""
        check_kernel(weight, len(children.counts))
        moves = tuple(_octants(children.child, children.parent, children.counts))
        return _GatherMultiplyAdd.apply(*in_autocast_dtype(features, weight), moves, children.parents, None)

    def transposed(self, features: torch.Tensor, weight: torch.Tensor, children: ChildTable) -> torch.Tensor:
        """See `SparseConvBackend`."""
        check_kernel(weight, len(children.counts))
        moves = tuple(_octants(children.parent, children.child, children.counts))
        return _GatherMultiplyAdd.apply(*in_autocast_dtype(features, weight), moves, len(children.child), None)


class _GatherMultiplyAdd(torch.autograd.Function):
    """out[written] += features[read] @ weight[offset] for every move, plus features @ weight[centre] if given.

    Products are in the dtype of both inputs, and so is what comes out; sums over offsets are at least float32.
    """

    @staticmethod
    def forward(
        ctx: Any, features: torch.Tensor, weight: torch.Tensor, moves: Moves, rows_out: int, centre: int | None
    ) -> torch.Tensor:
        ctx.save_for_backward(features, weight)
        ctx.moves, ctx.centre = moves, centre
        sums = torch.promote_types(features.dtype, torch.float32)
        if centre is None:
            out = features.new_zeros((rows_out, weight.shape[2]), dtype=sums)
        else:
            out = (features @ weight[centre]).to(sums)
        for offset, read, written in moves:
            out.index_add_(0, written, (features.index_select(0, read) @ weight[offset]).to(sums))
        return out.to(features.dtype)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        features, weight = ctx.saved_tensors
        wants_features, wants_weight = ctx.needs_input_grad[:2]
        gradient = gradient.contiguous()
        sums = torch.promote_types(features.dtype, torch.float32)
        features_gradient = weight_gradient = None
        if wants_features and ctx.centre is None:
            features_gradient = torch.zeros_like(features, dtype=sums)
        elif wants_features:
            features_gradient = (gradient @ weight[ctx.centre].T).to(sums)
        if wants_weight:
            weight_gradient = torch.zeros_like(weight)
            if ctx.centre is not None:
                torch.mm(features.T, gradient, out=weight_gradient[ctx.centre])
        for offset, read, written in ctx.moves:
            arrived = gradient.index_select(0, written)
            if features_gradient is not None:
                features_gradient.index_add_(0, read, (arrived @ weight[offset].T).to(sums))
            if weight_gradient is not None:
                torch.mm(features.index_select(0, read).T, arrived, out=weight_gradient[offset])
        if features_gradient is not None:
            features_gradient = features_gradient.to(features.dtype)
        return features_gradient, weight_gradient, None, None, None


def _pair_moves(pairs: PairTable) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    last = 2 * len(pairs.counts)
    for offset, source, target in _octants(pairs.source, pairs.target, pairs.counts):
        yield offset, source, target
        yield last - offset, target, source


def _octants(
    read: torch.Tensor, written: torch.Tensor, counts: tuple[int, ...]
) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
    """Cut two tables into their groups and leave out the empty ones."""
    groups = zip(read.split(counts), written.split(counts), strict=True)
    for offset, (group_read, group_written) in enumerate(groups):
        if len(group_read):
            yield offset, group_read, group_written
