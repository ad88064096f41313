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

import numpy as np
from numpy.typing import NDArray

from .errors import ConfigError

IndexTables = dict[str, NDArray[np.int64]]
OCTANTS = 8
PAIR_KERNEL = 3
"""Kernel edge of every submanifold convolution but, optionally, the stem."""


def table_names(levels: int, stem_kernel: int = PAIR_KERNEL) -> tuple[str, ...]:
    """Return the names of all tables, in the order in which `build_sparse_index` makes them."""
    stem = [f"stem_pair_{part}" for part in _PAIR_PARTS] if stem_kernel != PAIR_KERNEL else []
    within = [f"level{level}_pair_{part}" for level in range(levels) for part in _PAIR_PARTS]
    between = [f"down{level}_{part}" for level in range(levels - 1) for part in ("child", "parent", "count", "order")]
    sizes = [f"level{level}_size" for level in range(1, levels)]
    return (*stem, *within, *between, *sizes)


def kernel_offsets(kernel: int) -> NDArray[np.int64]:
    """Return the (K³, 3) offsets of a cubic kernel of odd edge K, x slowest and z fastest."""
    if kernel < 1 or kernel % 2 == 0:
        raise ConfigError(f"kernel_offsets: the kernel edge must be odd and positive, got {kernel}.")
    reach = np.arange(kernel) - kernel // 2
    return np.stack(np.meshgrid(reach, reach, reach, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.int64)


def build_sparse_index(coords: NDArray[np.int32], levels: int = 5, stem_kernel: int = PAIR_KERNEL) -> IndexTables:
    """Make every table for the voxels `coords` (V, 3), unique and sorted as `voxelize` returns them; V may be 0."""
    tables: IndexTables = {}
    level_coords = coords.astype(np.int64)
    if stem_kernel != PAIR_KERNEL:
        _add_pairs(tables, "stem", level_coords, stem_kernel)
    for level in range(levels):
        _add_pairs(tables, f"level{level}", level_coords, PAIR_KERNEL)
        if level + 1 < levels:
            level_coords = _add_parents(tables, level, level_coords)
    return {name: tables[name] for name in table_names(levels, stem_kernel)}


_PAIR_PARTS = ("source", "target", "count")


def _add_pairs(tables: IndexTables, prefix: str, coords: NDArray[np.int64], kernel: int) -> None:
    """Find neighbours by binary search: shifting all voxels by an offset adds one constant to their sorted keys."""
    reach = kernel // 2
    keys, strides = _sortable_keys(coords, reach)
    offsets = kernel_offsets(kernel)
    sources, targets, counts = [], [], []
    for offset in offsets[: len(offsets) // 2]:
        wanted = keys + offset @ strides
        found = np.searchsorted(keys, wanted)  # offsets of the first half are negative, so found <= V - 1
        target = np.flatnonzero(keys[found] == wanted)
        sources.append(found[target])
        targets.append(target)
        counts.append(len(target))
    tables[f"{prefix}_pair_source"] = np.concatenate(sources).astype(np.int64)
    tables[f"{prefix}_pair_target"] = np.concatenate(targets).astype(np.int64)
    tables[f"{prefix}_pair_count"] = np.array(counts, dtype=np.int64)


def _add_parents(tables: IndexTables, level: int, coords: NDArray[np.int64]) -> NDArray[np.int64]:
    """Group voxels by the octant of their parent voxel; return the parents' coordinates."""
    keys, _ = _sortable_keys(coords >> 1, 0)
    parent_keys, first_child, parent_of = np.unique(keys, return_index=True, return_inverse=True)
    parent_of = parent_of.reshape(-1)
    octant = (coords & 1) @ np.array([4, 2, 1])
    child = np.argsort(octant, kind="stable")
    order = np.empty_like(child)
    order[child] = np.arange(len(child))
    tables[f"down{level}_child"] = child.astype(np.int64)
    tables[f"down{level}_parent"] = parent_of[child].astype(np.int64)
    tables[f"down{level}_count"] = np.bincount(octant, minlength=OCTANTS).astype(np.int64)
    tables[f"down{level}_order"] = order.astype(np.int64)
    tables[f"level{level + 1}_size"] = np.array([len(parent_keys)], dtype=np.int64)
    return coords[first_child] >> 1


def _sortable_keys(coords: NDArray[np.int64], reach: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Linear keys (V,) in x, y, z order and their strides (3,); steps of up to `reach` never wrap into another row."""
    if not len(coords):
        return np.empty(0, dtype=np.int64), np.ones(3, dtype=np.int64)
    low = coords.min(axis=0)
    extent = coords.max(axis=0) - low + 1 + 2 * reach
    strides = np.array([extent[1] * extent[2], extent[2], 1], dtype=np.int64)
    return (coords - low + reach) @ strides, strides
