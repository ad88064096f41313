"""Dense neighbour tables, the form in which a GPU takes the index: made from the pairs of `sparse_index`.

Level l gets `level{l}_neighbours` (V, 27), for every voxel and kernel offset the row of the neighbour, in the order of
`kernel_offsets`; `stem_neighbours` (V, K³) where the stem's kernel is larger. Between levels l and l + 1 there are
`down{l}_children` (parents, 8), the row of the child per octant, and `down{l}_octant_row` (V,), 8 times the parent's
row plus the octant. Where there is no voxel, a table holds the number of rows it refers to: a row of zeros is there.
All are int32.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .sparse_index import OCTANTS, PAIR_KERNEL, level_sizes

NeighbourTables = dict[str, NDArray[np.int32]]


def neighbour_table_names(levels: int, stem_kernel: int = PAIR_KERNEL) -> tuple[str, ...]:
    """Return the names of all tables, in the order in which `neighbour_tables` makes them."""
    stem = ["stem_neighbours"] if stem_kernel != PAIR_KERNEL else []
    within = [f"level{level}_neighbours" for level in range(levels)]
    between = [f"down{level}_{part}" for level in range(levels - 1) for part in ("children", "octant_row")]
    return (*stem, *within, *between)


def neighbour_tables(
    index: Mapping[str, NDArray[np.int64]], voxels: int, levels: int = 5, stem_kernel: int = PAIR_KERNEL
) -> NeighbourTables:
    """Turn the pairs of `build_sparse_index` for `voxels` (V) voxels into dense tables."""
    sizes = level_sizes(index, voxels, levels)
    tables: NeighbourTables = {}
    if stem_kernel != PAIR_KERNEL:
        tables["stem_neighbours"] = _neighbours(index, "stem", voxels)
    for level in range(levels):
        tables[f"level{level}_neighbours"] = _neighbours(index, f"level{level}", sizes[level])
    for level in range(levels - 1):
        octant = np.repeat(np.arange(OCTANTS), index[f"down{level}_count"])
        child, parent = index[f"down{level}_child"], index[f"down{level}_parent"]
        children = np.full((sizes[level + 1], OCTANTS), sizes[level], dtype=np.int32)
        children[parent, octant] = child
        octant_row = np.empty(sizes[level], dtype=np.int32)
        octant_row[child] = OCTANTS * parent + octant
        tables[f"down{level}_children"], tables[f"down{level}_octant_row"] = children, octant_row
    return tables


def _neighbours(index: Mapping[str, NDArray[np.int64]], prefix: str, voxels: int) -> NDArray[np.int32]:
    source, target, count = (index[f"{prefix}_pair_{part}"] for part in ("source", "target", "count"))
    last = 2 * len(count)
    offset = np.repeat(np.arange(len(count)), count)
    table = np.full((voxels, last + 1), voxels, dtype=np.int32)
    table[target, offset] = source
    table[source, last - offset] = target
    table[:, len(count)] = np.arange(voxels)
    return table
