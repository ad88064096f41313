"""The loops over points and voxels of the input stage, in numpy: their definition, and what runs without numba.

`numba_kernels` has the same functions with equal results. Cells and coordinates are (.., 3) int32; those of
neighbour tables are unique, sorted by x, y, z, and at most 2^30 in magnitude. A *row* is all voxels of one x and y.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Coords = NDArray[np.int32]

_OCTANTS = 8


def voxelize(points: NDArray[np.float32], size_m: float, limit: int, squared_range: float) -> tuple[Coords, Ints]:
    """Return the voxels (V, 3) of points (N, 3) and the voxel (N,) of each point, -1 for those left out."""
    voxel_of_point = np.full(len(points), -1, dtype=np.int64)
    with np.errstate(invalid="ignore", over="ignore"):
        x, y, z = columns = np.array(points.T, dtype=np.float64, order="C")
        cells = np.floor(columns / size_m)
        inside = (np.abs(cells) < limit).all(axis=0) & (x * x + y * y + z * z <= squared_range)  # False for NaN
    kept = np.flatnonzero(inside)
    coords, voxel_of_cell = unique_cells(cells[:, kept].T.astype(np.int32))
    voxel_of_point[kept] = voxel_of_cell
    return coords, voxel_of_point


def unique_cells(cells: Coords) -> tuple[Coords, Ints]:
    """Return the distinct cells (V, 3), sorted by x, y, z, and the row (K,) of each of the cells (K, 3) in them."""
    if not len(cells):
        return np.empty((0, 3), dtype=np.int32), np.empty(0, dtype=np.int64)
    columns = [column.astype(np.int64) for column in cells.T]
    low = [int(column.min()) for column in columns]
    extent = [int(column.max()) - lowest + 1 for column, lowest in zip(columns, low, strict=True)]
    if extent[0] * extent[1] * extent[2] >= 2**63:  # no key of one int64
        coords, row_of_cell = np.unique(cells, axis=0, return_inverse=True)
        return coords, row_of_cell.reshape(-1)
    x, y, z = (column - lowest for column, lowest in zip(columns, low, strict=True))
    keys, row_of_cell = np.unique((x * extent[1] + y) * extent[2] + z, return_inverse=True)
    keys, z = np.divmod(keys, extent[2])
    x, y = np.divmod(keys, extent[1])
    return np.stack([x + low[0], y + low[1], z + low[2]], axis=1).astype(np.int32), row_of_cell.reshape(-1)


def sum_per_voxel(values: NDArray[Any], voxel_of_point: Ints, count: int) -> tuple[NDArray[np.float64], Ints]:
    """Return sums (V, C) float64 of values (N, C), added in the order of the points, and the points per voxel (V,)."""
    inside = np.flatnonzero(voxel_of_point >= 0)
    rows, columns = voxel_of_point[inside], values.take(inside, axis=0)
    sums = np.empty((count, values.shape[1]))
    for channel in range(values.shape[1]):
        sums[:, channel] = np.bincount(rows, weights=columns[:, channel], minlength=count)
    return sums, np.bincount(rows, minlength=count).astype(np.int64)


def is_ascending(coords: Coords) -> bool:
    """Whether coordinates are unique and sorted by x, y, z."""
    (x, y, z), (last_x, last_y, last_z) = coords[1:].T, coords[:-1].T
    return bool(((x > last_x) | ((x == last_x) & ((y > last_y) | ((y == last_y) & (z > last_z))))).all())


def row_starts(coords: Coords) -> Ints:
    """Return the first voxel of every row (R + 1,), and V at the end."""
    x, y, _ = coords.T
    changes = np.flatnonzero((x[1:] != x[:-1]) | (y[1:] != y[:-1])) + 1
    return np.concatenate([np.arange(min(1, len(coords))), changes, [len(coords)]]).astype(np.int64)


def find_pairs(coords: Coords, starts: Ints, reach: int) -> tuple[Ints, Ints, Ints]:
    """Return source (M,), target (M,) and the count of each offset of the first half, for a kernel of edge 2 reach + 1.

    Binary search, for neighbouring rows and within these for neighbouring voxels. Of offsets that differ in the last
    axis only the first is searched: the next one's place is the same, or one further where there was a match.
    """
    offsets = (2 * reach + 1) ** 3 // 2
    if not len(coords):
        return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.zeros(offsets, dtype=np.int64)
    x, y, z = (column.astype(np.int64) for column in coords.T)
    row_keys = ((x << 32) + y)[starts[:-1]]
    depth = np.ptp(z) + 1 + 2 * reach  # steps along z never wrap into the next row
    row_of_voxel = np.repeat(np.arange(len(row_keys)), np.diff(starts))
    keys = row_of_voxel * depth + (z - z.min() + reach)
    sources, targets = [], []
    for step_x in range(-reach, 1):
        wanted_row = row_keys + (step_x << 32) - reach
        other = np.searchsorted(row_keys, wanted_row)  # offsets of the first half are negative: never beyond the row
        for step_y in range(-reach, reach + 1 if step_x else 1):
            found = row_keys[other] == wanted_row
            target = np.flatnonzero(found[row_of_voxel])
            wanted = keys[target] + (other - np.arange(len(other)))[row_of_voxel[target]] * depth - reach
            source = np.searchsorted(keys, wanted)
            for _ in range(-reach, reach + 1 if step_x or step_y else 0):
                match = keys[source] == wanted
                sources.append(source[match])
                targets.append(target[match])
                source, wanted = source + match, wanted + 1
            other, wanted_row = other + found, wanted_row + 1
    counts = np.array([len(one) for one in sources], dtype=np.int64)
    return np.concatenate(sources).astype(np.int64), np.concatenate(targets).astype(np.int64), counts


def group_by_octant(coords: Coords, parent_of: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Return child (V,), parent (V,), count (8,) and order (V,) of the table between two levels."""
    x, y, z = coords.T & 1
    octant = 4 * x + 2 * y + z
    child = np.argsort(octant.astype(np.uint8), kind="stable").astype(np.int64)
    order = np.empty_like(child)
    order[child] = np.arange(len(child))
    return child, parent_of[child], np.bincount(octant, minlength=_OCTANTS).astype(np.int64), order


def places_by_layer(
    source: Ints, target: Ints, count: Ints, layers: Ints, voxels: int
) -> tuple[Ints, Ints, Ints, Ints]:
    """Return the places of targets and of sources (P,), and the voxels with a source above and below."""
    layer = np.repeat(layers, count)
    rows_at: dict[int, Ints] = {}
    target_place, source_place = target.copy(), source.copy()
    for side in (1, -1):
        direct, mirrored = layer == side, layer == -side
        marked = np.zeros(voxels, dtype=bool)
        marked[target[direct]] = True
        marked[source[mirrored]] = True
        rank = np.cumsum(marked) - 1
        target_place[direct] = rank[target[direct]]
        source_place[mirrored] = rank[source[mirrored]]
        rows_at[side] = np.flatnonzero(marked)
    return target_place, source_place, rows_at[1], rows_at[-1]
