"""Neighbour tables of a sparse U-Net, made outside the network so that the network is plain standard operators.

Level l holds the unique coordinates `coords >> l`, sorted by x, y, z. Two kinds of table connect them:

* Pairs of neighbours within a level, for submanifold convolutions. A kernel of edge K has K³ offsets, x slowest and
  z fastest; offset K³ - 1 - k is the mirror of offset k, so its pairs are those of k with source and target swapped,
  and the centre needs no table. Only the first (K³ - 1) / 2 offsets are stored, one after the other, with a count each.
  Within one offset every source and every target occurs once: a scatter of them never writes a row twice.
* Children and parents between levels l and l + 1, for strided convolutions (2x2x2) and their transposes, grouped by
  octant 4 (x & 1) + 2 (y & 1) + (z & 1).

All tables are int64 and named as the ONNX inputs that take them. A convolution with weights W (K³, Cin, Cout) is
`out[target] = sum over k of x[source] @ W[k]` with `coords[source] = coords[target] + offset[k]`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .acceleration import kernels, plain
from .errors import ConfigError, DataError

IndexTables = dict[str, NDArray[np.int64]]
OCTANTS = 8
PAIR_KERNEL = 3
"""Kernel edge of every submanifold convolution but, optionally, the stem."""

_COORD_LIMIT = 2**30
"""Far beyond what `voxelize` makes, so that sweeps may be set apart; two extents still multiply without overflow."""
_PAIR_PARTS = ("source", "target", "count")
_STRIDE_PARTS = ("child", "parent", "count", "order")


def table_names(levels: int, stem_kernel: int = PAIR_KERNEL) -> tuple[str, ...]:
    """Return the names of all tables, in the order in which `build_sparse_index` makes them."""
    stem = [f"stem_pair_{part}" for part in _PAIR_PARTS] if stem_kernel != PAIR_KERNEL else []
    within = [f"level{level}_pair_{part}" for level in range(levels) for part in _PAIR_PARTS]
    between = [f"down{level}_{part}" for level in range(levels - 1) for part in _STRIDE_PARTS]
    sizes = [f"level{level}_size" for level in range(1, levels)]
    return (*stem, *within, *between, *sizes)


def level_sizes(index: Mapping[str, Any], voxels: int, levels: int) -> list[int]:
    """Return the number of voxels of every level, finest first, from the tables for `voxels` (V) voxels."""
    return [voxels, *(int(index[f"level{level}_size"][0]) for level in range(1, levels))]


def kernel_offsets(kernel: int) -> NDArray[np.int64]:
    """Return the (K³, 3) offsets of a cubic kernel of odd edge K, x slowest and z fastest."""
    if kernel < 1 or kernel % 2 == 0:
        raise ConfigError(f"kernel_offsets: the kernel edge must be odd and positive, got {kernel}.")
    reach = np.arange(kernel) - kernel // 2
    return np.stack(np.meshgrid(reach, reach, reach, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.int64)


def build_sparse_index(
    coords: NDArray[np.int32], levels: int = 5, stem_kernel: int = PAIR_KERNEL, *, compiled: bool | None = None
) -> IndexTables:
    """Make every table for the voxels `coords` (V, 3), unique and sorted as `voxelize` returns them; V may be 0.

    For `compiled` see `acceleration`. Raises `DataError` for other coordinates and for such beyond 2^30.
    """
    if coords.ndim != 2 or coords.shape[1] != 3 or not np.issubdtype(coords.dtype, np.integer):
        raise DataError(
            f"build_sparse_index: expected integer coordinates (V, 3), got {coords.shape} {coords.dtype}. Use those of "
            "`voxelize`."
        )
    if max(-int(coords.min(initial=0)), int(coords.max(initial=0))) > _COORD_LIMIT:
        raise DataError(
            f"build_sparse_index: coordinates from {coords.min()} to {coords.max()}, expected at most 2^30 in "
            "magnitude. Use larger voxels or fewer sweeps at once."
        )
    run = kernels(compiled)
    tables: IndexTables = {}
    here = plain(coords, np.int32)
    if not run.is_ascending(here):
        raise DataError(
            "build_sparse_index: coordinates are not unique and sorted by x, y, z. Use those of `voxelize`."
        )
    for level in range(levels):
        starts = run.row_starts(here)
        pairs = {f"level{level}": PAIR_KERNEL}
        if level == 0 and stem_kernel != PAIR_KERNEL:
            pairs["stem"] = stem_kernel
        for prefix, kernel in pairs.items():
            _name(tables, f"{prefix}_pair", _PAIR_PARTS, run.find_pairs(here, starts, kernel // 2))
        if level + 1 < levels:
            above, parent_of = run.unique_cells(here >> 1)
            _name(tables, f"down{level}", _STRIDE_PARTS, run.group_by_octant(here, parent_of))
            tables[f"level{level + 1}_size"] = np.array([len(above)], dtype=np.int64)
            here = above
    return {name: tables[name] for name in table_names(levels, stem_kernel)}


def _name(tables: IndexTables, prefix: str, parts: tuple[str, ...], arrays: tuple[NDArray[np.int64], ...]) -> None:
    tables.update((f"{prefix}_{part}", array) for part, array in zip(parts, arrays, strict=True))
