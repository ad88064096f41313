"""What a sparse convolution backend must do, and the tables it gets.

Weights are canonical everywhere: (K, Cin, Cout), offsets x slowest and z fastest as in `ov3d_perception.sparse_index`.
A backend that wants another layout converts inside, so that checkpoints never depend on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ov3d_perception.sparse_index import PAIR_KERNEL


@dataclass(frozen=True, slots=True, kw_only=True)
class PairTable:
    """Neighbours within one level: `source`, `target` (P,) int64, grouped by the first half of the kernel's offsets.

    `counts` holds the pairs of each of these (K³ - 1) / 2 offsets. The other half are the same pairs mirrored.
    """

    source: torch.Tensor
    target: torch.Tensor
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildTable:
    """Between a fine level of V voxels and the next coarser one of `parents` voxels.

    `child`, `parent` (V,) int64 rows, grouped by octant with `counts` (8) each; `order` (V,) is the inverse of `child`.
    """

    child: torch.Tensor
    parent: torch.Tensor
    order: torch.Tensor
    counts: tuple[int, ...]
    parents: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelTables:
    """All tables of one sweep, read from the flat dictionary once per forward pass."""

    stem: PairTable
    pairs: tuple[PairTable, ...]
    children: tuple[ChildTable, ...]


class SparseConvBackend(Protocol):
    """The three convolutions of a sparse U-Net; all are differentiable in `features` and `weight`."""

    name: str

    def submanifold(self, features: torch.Tensor, weight: torch.Tensor, pairs: PairTable) -> torch.Tensor:
        """Convolve (V, Cin) with weight (K³, Cin, Cout) on the same voxels: (V, Cout)."""

    def strided(self, features: torch.Tensor, weight: torch.Tensor, children: ChildTable) -> torch.Tensor:
        """Convolve (V, Cin) with weight (8, Cin, Cout) to the next coarser level: (parents, Cout)."""

    def transposed(self, features: torch.Tensor, weight: torch.Tensor, children: ChildTable) -> torch.Tensor:
        """Convolve (parents, Cin) with weight (8, Cin, Cout) to the next finer level: (V, Cout)."""


def index_tensors(
    index: Mapping[str, NDArray[np.int64]], device: torch.device | str = "cpu"
) -> dict[str, torch.Tensor]:
    """Turn the tables of `build_sparse_index` into tensors; rows go to `device`, counts and sizes stay on the CPU.

    Counts are read as Python numbers, which on a GPU would cost a synchronisation each.
    """
    return {name: torch.from_numpy(table).to("cpu" if stays_on_cpu(name) else device) for name, table in index.items()}


def stays_on_cpu(name: str) -> bool:
    """Return whether a table holds counts or sizes."""
    return name.endswith(("_count", "_size"))


def read_tables(index: Mapping[str, torch.Tensor], levels: int, stem_kernel: int) -> LevelTables:
    """Group the flat tables of one sweep by what they connect."""
    pairs = tuple(_pair_table(index, f"level{level}") for level in range(levels))
    stem = pairs[0] if stem_kernel == PAIR_KERNEL else _pair_table(index, "stem")
    children = tuple(
        ChildTable(
            child=index[f"down{level}_child"],
            parent=index[f"down{level}_parent"],
            order=index[f"down{level}_order"],
            counts=tuple(index[f"down{level}_count"].tolist()),
            parents=int(index[f"level{level + 1}_size"]),
        )
        for level in range(levels - 1)
    )
    return LevelTables(stem=stem, pairs=pairs, children=children)


def _pair_table(index: Mapping[str, torch.Tensor], prefix: str) -> PairTable:
    return PairTable(
        source=index[f"{prefix}_pair_source"],
        target=index[f"{prefix}_pair_target"],
        counts=tuple(index[f"{prefix}_pair_count"].tolist()),
    )
