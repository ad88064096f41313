"""Neighbour tables in gather form, for kernels that make every row of the result at once: which row each offset reads.

Made on the device of the tables they come from, in a fixed number of operations and without waiting for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from .base import ChildTable, PairTable

_LARGEST_MASKED = 31
"""Offsets that have a bit each in a positive int32."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatherTable:
    """out[v] = sum over k of x[rows[k, v]] @ W[k], for `rows` (K, V) int32, where -1 reads nothing.

    `mask` (V,) int32 has bit k set where offset k reads, sorted; `order` (V,) int32 are its voxels. Both are None for
    more than 31 offsets. Neighbours in that order read by like offsets, and skip the others together.
    """

    rows: torch.Tensor
    mask: torch.Tensor | None
    order: torch.Tensor | None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatherTables:
    """A convolution, and the transpose that its gradient needs: same weight per offset, rows the other way round."""

    forward: GatherTable
    backward: GatherTable

    def transposed(self) -> GatherTables:
        """Return the tables of the transposed convolution."""
        return GatherTables(forward=self.backward, backward=self.forward)


def submanifold_tables(pairs: PairTable, voxels: int) -> GatherTables:
    """Return the tables of a submanifold convolution over `voxels` rows."""
    half = len(pairs.counts)
    offset = _offset_of_row(pairs.counts, pairs.source)
    rows = _empty(2 * half + 1, voxels, pairs.source)
    flat = rows.view(-1)
    source, target = pairs.source.int(), pairs.target.int()
    flat[offset * voxels + pairs.target] = source
    flat[(2 * half - offset) * voxels + pairs.source] = target
    rows[half] = torch.arange(voxels, dtype=torch.int32, device=rows.device)
    return GatherTables(forward=_masked(rows), backward=_masked(rows.flip(0)))


def strided_tables(children: ChildTable) -> GatherTables:
    """Return the tables of a strided convolution to the next coarser level."""
    octant = _offset_of_row(children.counts, children.child)
    voxels = len(children.child)
    down = _empty(len(children.counts), children.parents, children.child)
    down.view(-1)[octant * children.parents + children.parent] = children.child.int()
    up = _empty(len(children.counts), voxels, children.child)
    up.view(-1)[octant * voxels + children.child] = children.parent.int()
    return GatherTables(forward=_masked(down), backward=_masked(up))


def _offset_of_row(counts: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
    repeats = torch.tensor(counts, dtype=torch.int64).to(like.device, non_blocking=True)
    return torch.repeat_interleave(repeats, output_size=len(like))


def _empty(offsets: int, voxels: int, like: torch.Tensor) -> torch.Tensor:
    return torch.full((offsets, voxels), -1, dtype=torch.int32, device=like.device)


def _masked(rows: torch.Tensor) -> GatherTable:
    offsets = len(rows)
    if offsets > _LARGEST_MASKED:
        return GatherTable(rows=rows, mask=None, order=None)
    bits = 1 << torch.arange(offsets, dtype=torch.int32, device=rows.device)
    mask, order = ((rows >= 0) * bits[:, None]).sum(dim=0, dtype=torch.int32).sort(stable=True)
    return GatherTable(rows=rows, mask=mask, order=order.int())
