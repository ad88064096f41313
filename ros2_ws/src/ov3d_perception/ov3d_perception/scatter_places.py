"""Where a CPU adds the products of a 3x3x3 convolution: made from the pairs of `sparse_index`, for the exported graph.

onnxruntime's scatter copies what it adds to, all of it, for each of the 26 offsets. Few voxels have a neighbour in the
layer above or below, so the products of these two layers are added up in small arrays of their own, which go into the
whole once. Beside the pairs, level l gets

* `level{l}_above`, `level{l}_below` (U, 1): the voxels that read a neighbour one layer higher, or one lower, ascending;
* `level{l}_target_place`, `level{l}_source_place` (P, 1): for every pair the row that a product for its target, or for
  its source, is added to: in `above` or `below`, or among all voxels where the pair lies within a layer.

All are int64; columns, as a scatter takes them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from .acceleration import kernels
from .sparse_index import PAIR_KERNEL, IndexTables, kernel_offsets, level_sizes

PLACE_PARTS = ("target_place", "source_place", "above", "below")

LAYER_OF_OFFSET = kernel_offsets(PAIR_KERNEL)[: PAIR_KERNEL**3 // 2, 2].copy()
"""For the offsets of which pairs are stored (13,): the layer of the source seen from the target, -1, 0 or 1."""


def place_names(levels: int) -> tuple[str, ...]:
    """Return the names of all tables, in the order in which `scatter_places` makes them."""
    return tuple(f"level{level}_{part}" for level in range(levels) for part in PLACE_PARTS)


def scatter_places(
    index: Mapping[str, NDArray[np.int64]], voxels: int, levels: int = 5, *, compiled: bool | None = None
) -> IndexTables:
    """Make the places for the pairs that `build_sparse_index` found among `voxels` (V) voxels.

    For `compiled` see `acceleration`.
    """
    run = kernels(compiled)
    tables: IndexTables = {}
    for level, size in enumerate(level_sizes(index, voxels, levels)):
        pairs = (index[f"level{level}_pair_{part}"] for part in ("source", "target", "count"))
        arrays = run.places_by_layer(*pairs, LAYER_OF_OFFSET, size)
        tables.update((f"level{level}_{part}", array[:, None]) for part, array in zip(PLACE_PARTS, arrays, strict=True))
    return tables
