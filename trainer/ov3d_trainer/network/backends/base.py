"""What a sparse convolution backend must do, and the tables it gets.

Weights are canonical everywhere: (K, Cin, Cout), offsets x slowest and z fastest as in `ov3d_perception.sparse_index`.
A backend that wants another layout converts inside, so that checkpoints never depend on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from ov3d_perception.sparse_index import PAIR_KERNEL

COORDS = "coords"
"""Name under which an index may carry the voxels, (V, 3) int64, for backends that find neighbours themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the voxels of one sweep are: `coords` (V, 3) int64 of every level.

    `kept` belongs to the backend, which may keep there what it made of them.
    """

    coords: tuple[torch.Tensor, ...]
    kept: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class PairTable:
    """Neighbours within one level: `source`, `target` (P,) int64, grouped by the first half of the kernel's offsets.

    `counts` holds the pairs of each of these (K³ - 1) / 2 offsets. The other half are the same pairs mirrored.
    `places` are known where the index carries them.
    `derived` is for a backend to keep what it makes of the table: all convolutions of a pass over it share that.
    """

    source: torch.Tensor
    target: torch.Tensor
    counts: tuple[int, ...]
    level: int = 0
    places: Places | None = None
    derived: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildTable:
    """Between a fine level of V voxels and the next coarser one of `parents` voxels.

    `child`, `parent` (V,) int64 rows, grouped by octant with `counts` (8) each; `order` (V,) is the inverse of `child`.
    `derived` as in `PairTable`; `level` is that of the finer voxels.
    """

    child: torch.Tensor
    parent: torch.Tensor
    order: torch.Tensor
    counts: tuple[int, ...]
    parents: int
    level: int = 0
    places: Places | None = None
    derived: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)


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


def in_autocast_dtype(features: torch.Tensor, weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return both in the dtype of `torch.autocast`, where that is on: it does not look into functions of our own."""
    device = features.device.type
    if not torch.is_autocast_enabled(device):
        return features, weight
    dtype = torch.get_autocast_dtype(device)
    return features.to(dtype), weight.to(dtype)


def check_kernel(weight: torch.Tensor, offsets: int) -> None:
    """Raise `ValueError` where weights (K, Cin, Cout) are for another number of offsets than the tables."""
    if weight.ndim != 3 or weight.shape[0] != offsets:
        raise ValueError(f"weight must be ({offsets}, Cin, Cout) for these tables, got {tuple(weight.shape)}")


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
    places = _places(index, levels) if COORDS in index else None
    pairs = tuple(_pair_table(index, f"level{level}", level, places) for level in range(levels))
    stem = pairs[0] if stem_kernel == PAIR_KERNEL else _pair_table(index, "stem", 0, places)
    children = tuple(
        ChildTable(
            child=index[f"down{level}_child"],
            parent=index[f"down{level}_parent"],
            order=index[f"down{level}_order"],
            counts=tuple(index[f"down{level}_count"].tolist()),
            parents=int(index[f"level{level + 1}_size"]),
            level=level,
            places=places,
        )
        for level in range(levels - 1)
    )
    return LevelTables(stem=stem, pairs=pairs, children=children)


def _places(index: Mapping[str, torch.Tensor], levels: int) -> Places:
    coords = [index[COORDS]]
    for level in range(levels - 1):
        coarser = coords[-1].new_zeros((int(index[f"level{level + 1}_size"]), 3))
        coarser[index[f"down{level}_parent"]] = coords[-1][index[f"down{level}_child"]] >> 1
        coords.append(coarser)
    return Places(coords=tuple(coords))


def _pair_table(index: Mapping[str, torch.Tensor], prefix: str, level: int, places: Places | None) -> PairTable:
    return PairTable(
        level=level,
        places=places,
        source=index[f"{prefix}_pair_source"],
        target=index[f"{prefix}_pair_target"],
        counts=tuple(index[f"{prefix}_pair_count"].tolist()),
    )
