"""The loops over points and voxels of the input stage, compiled by numba: those of `numpy_kernels`, equal to the bit.

Importing this module imports numba; nothing is compiled before the first call. All kernels release the interpreter's
lock and run in one thread. They share one file because numba looks for changes in a kernel's own file only; what it
compiled is kept in `__pycache__` beside it, else in the user's cache folder, else nowhere.

Arrays must be C-contiguous, writable and of the stated type, so that each kernel is compiled once: see
`acceleration.plain`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])
Ints = NDArray[np.int64]
Coords = NDArray[np.int32]

_DIGIT_BITS = 12
"""One pass of the radix sort for an axis of up to 4,096 cells, 204 m at 0.05 m; the counters fit the fastest cache."""
_DIGITS = 1 << _DIGIT_BITS
_OCTANTS = 8


def _kernel(function: Function) -> Function:
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # no folder to cache in: every process compiles anew
        return njit(**options)(function)


@_kernel
def voxelize(points: NDArray[np.float32], size_m: float, limit: int, squared_range: float) -> tuple[Coords, Ints]:
    """Return the voxels (V, 3) of points (N, 3) and the voxel (N,) of each point, -1 for those left out."""
    count = len(points)
    voxel_of_point = np.empty(count, dtype=np.int64)
    kept = np.empty(count, dtype=np.int32)
    cells = np.empty((count, 3), dtype=np.int32)
    used = 0
    for point in range(count):
        voxel_of_point[point] = -1
        x, y, z = np.float64(points[point, 0]), np.float64(points[point, 1]), np.float64(points[point, 2])
        cell_x, cell_y, cell_z = np.floor(x / size_m), np.floor(y / size_m), np.floor(z / size_m)
        inside = abs(cell_x) < limit and abs(cell_y) < limit and abs(cell_z) < limit  # False for NaN
        if inside and x * x + y * y + z * z <= squared_range:
            cells[used, 0], cells[used, 1], cells[used, 2] = np.int32(cell_x), np.int32(cell_y), np.int32(cell_z)
            kept[used] = point
            used += 1
    coords, voxel_of_cell = unique_cells(cells[:used])
    for place in range(used):
        voxel_of_point[kept[place]] = voxel_of_cell[place]
    return coords, voxel_of_point


@_kernel
def unique_cells(cells: Coords) -> tuple[Coords, Ints]:
    """Return the distinct cells (V, 3), sorted by x, y, z, and the row (K,) of each of the cells (K, 3) in them."""
    count = len(cells)
    entries = _sorted_entries(cells)
    coords = np.empty((count, 3), dtype=np.int32)
    row_of_cell = np.empty(count, dtype=np.int64)
    last = -1
    for place in range(count):
        x, y, z = entries[place, 0], entries[place, 1], entries[place, 2]
        if last < 0 or x != coords[last, 0] or y != coords[last, 1] or z != coords[last, 2]:
            last += 1
            coords[last, 0], coords[last, 1], coords[last, 2] = x, y, z
        row_of_cell[entries[place, 3]] = last
    return coords[: last + 1].copy(), row_of_cell


@_kernel
def _sorted_entries(cells: Coords) -> NDArray[np.int32]:
    """Return x, y, z and row (K, 4) of the cells, sorted by x, y, z.

    Radix sort by z, then y, then x: no key that holds all three could overflow. Entries are moved as a whole, because
    looking cells up by their rows misses the processor's cache, which takes several times as long for a million.
    """
    count = len(cells)
    entries, moved = np.empty((count, 4), dtype=np.int32), np.empty((count, 4), dtype=np.int32)
    for row in range(count):
        entries[row, 0], entries[row, 1], entries[row, 2] = cells[row, 0], cells[row, 1], cells[row, 2]
        entries[row, 3] = row
    for axis in range(2, -1, -1):
        low, high = np.int64(2**31), np.int64(-(2**31))
        for row in range(count):
            value = np.int64(entries[row, axis])
            low, high = min(low, value), max(high, value)
        shift = 0
        while count and (high - low) >> shift:
            digits = min(((high - low) >> shift) + 1, np.int64(_DIGITS))
            counts = np.zeros(digits, dtype=np.int64)
            for row in range(count):
                counts[((entries[row, axis] - low) >> shift) & (_DIGITS - 1)] += 1
            places = _starts_of(counts)
            for row in range(count):
                digit = ((entries[row, axis] - low) >> shift) & (_DIGITS - 1)
                place = places[digit]
                places[digit] += 1
                for part in range(4):
                    moved[place, part] = entries[row, part]
            entries, moved = moved, entries
            shift += _DIGIT_BITS
    return entries


@_kernel
def sum_per_voxel(values: NDArray[Any], voxel_of_point: Ints, count: int) -> tuple[NDArray[np.float64], Ints]:
    """Return sums (V, C) float64 of values (N, C), added in the order of the points, and the points per voxel (V,)."""
    channels = values.shape[1]
    sums = np.zeros((count, channels), dtype=np.float64)
    points = np.zeros(count, dtype=np.int64)
    for point in range(len(voxel_of_point)):
        voxel = voxel_of_point[point]
        if voxel >= 0:
            points[voxel] += 1
            for channel in range(channels):
                sums[voxel, channel] += values[point, channel]
    return sums, points


@_kernel
def is_ascending(coords: Coords) -> bool:
    """Whether coordinates are unique and sorted by x, y, z."""
    for voxel in range(1, len(coords)):
        axis = 0
        while axis < 2 and coords[voxel, axis] == coords[voxel - 1, axis]:
            axis += 1
        if coords[voxel, axis] <= coords[voxel - 1, axis]:
            return False
    return True


@_kernel
def row_starts(coords: Coords) -> Ints:
    """Return the first voxel of every row (R + 1,), that is of all voxels of one x and y, and V at the end."""
    count = len(coords)
    starts = np.empty(count + 1, dtype=np.int64)
    used = 0
    for voxel in range(count):
        if voxel == 0 or coords[voxel, 0] != coords[voxel - 1, 0] or coords[voxel, 1] != coords[voxel - 1, 1]:
            starts[used] = voxel
            used += 1
    starts[used] = count
    return starts[: used + 1].copy()


@_kernel
def find_pairs(coords: Coords, starts: Ints, reach: int) -> tuple[Ints, Ints, Ints]:
    """Return source (M,), target (M,) and the count of each offset of the first half, for a kernel of edge 2 reach + 1.

    One walk over the rows for each step in x finds all pairs, target after target; a counting sort groups them by
    offset. What is found is kept in arrays that grow between two calls of the walk: inside they would slow it down.
    """
    rows, edge, used = len(starts) - 1, 2 * reach + 1, 0
    row_keys = np.empty(rows, dtype=np.int64)
    for row in range(rows):
        row_keys[row] = (np.int64(coords[starts[row], 0]) << 32) + coords[starts[row], 1]
    found = np.empty((2 * len(coords), 3), dtype=np.int32)  # offset, source, target
    for step_x in range(-reach, 1):
        row, first = 0, 0
        while row < rows:
            row, first, used = _walk(coords, starts, row_keys, reach, step_x, row, first, found, used)
            if row < rows:
                found = _grown(found, 2 * len(found) + edge * edge * (starts[row + 1] - starts[row]))
    return _group_by_offset(found[:used], edge**3 // 2)


@_kernel
def _walk(
    coords: Coords,
    starts: Ints,
    row_keys: Ints,
    reach: int,
    step_x: int,
    row: int,
    first: int,
    found: NDArray[np.int32],
    used: int,
) -> tuple[int, int, int]:
    """Write the pairs of one step in x from a row on, while there is room; return the next row, `first` and `used`.

    A sorted merge of the rows with themselves, and of the voxels of each pair of neighbouring rows. `first` is the
    first row at x + step_x, y - reach or after it; it is never beyond `row`.
    """
    edge = 2 * reach + 1
    while row < len(row_keys):
        start, end = starts[row], starts[row + 1]
        if used + edge * edge * (end - start) > len(found):
            break
        lowest = row_keys[row] + (step_x << 32) - reach
        while row_keys[first] < lowest:
            first += 1
        other = first
        while other <= row and row_keys[other] <= lowest + 2 * reach:
            base = ((step_x + reach) * edge + row_keys[other] - lowest) * edge + reach
            highest = -1 if other == row else reach
            candidate, other_end = starts[other], starts[other + 1]
            for voxel in range(start, end):
                z = np.int64(coords[voxel, 2])
                while candidate < other_end and coords[candidate, 2] < z - reach:
                    candidate += 1
                neighbour = candidate
                while neighbour < other_end and coords[neighbour, 2] <= z + highest:
                    found[used, 0], found[used, 1], found[used, 2] = base + coords[neighbour, 2] - z, neighbour, voxel
                    used += 1
                    neighbour += 1
            other += 1
        row += 1
    return row, first, used


@_kernel
def _grown(found: NDArray[np.int32], room: int) -> NDArray[np.int32]:
    larger = np.empty((room, 3), dtype=np.int32)
    for pair in range(len(found)):
        for part in range(3):
            larger[pair, part] = found[pair, part]
    return larger


@_kernel
def _group_by_offset(found: NDArray[np.int32], offsets: int) -> tuple[Ints, Ints, Ints]:
    counts = np.zeros(offsets, dtype=np.int64)
    for pair in range(len(found)):
        counts[found[pair, 0]] += 1
    places = _starts_of(counts)
    source, target = np.empty(len(found), dtype=np.int64), np.empty(len(found), dtype=np.int64)
    for pair in range(len(found)):
        place = places[found[pair, 0]]
        places[found[pair, 0]] += 1
        source[place], target[place] = found[pair, 1], found[pair, 2]
    return source, target, counts


@_kernel
def _starts_of(counts: Ints) -> Ints:
    """Return where each group starts, in an array in which groups of these sizes follow each other."""
    starts = np.empty_like(counts)
    total = 0
    for group in range(len(counts)):
        starts[group] = total
        total += counts[group]
    return starts


@_kernel
def group_by_octant(coords: Coords, parent_of: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Return child (V,), parent (V,), count (8,) and order (V,) of the table between two levels."""
    voxels = len(coords)
    child, parent, order = np.empty_like(parent_of), np.empty_like(parent_of), np.empty_like(parent_of)
    count = np.zeros(_OCTANTS, dtype=np.int64)
    for voxel in range(voxels):
        count[4 * (coords[voxel, 0] & 1) + 2 * (coords[voxel, 1] & 1) + (coords[voxel, 2] & 1)] += 1
    places = _starts_of(count)
    for voxel in range(voxels):
        octant = 4 * (coords[voxel, 0] & 1) + 2 * (coords[voxel, 1] & 1) + (coords[voxel, 2] & 1)
        place = places[octant]
        places[octant] += 1
        child[place], parent[place], order[voxel] = voxel, parent_of[voxel], place
    return child, parent, count, order


@_kernel
def places_by_layer(
    source: Ints, target: Ints, count: Ints, layers: Ints, voxels: int
) -> tuple[Ints, Ints, Ints, Ints]:
    """Return the places of targets and of sources (P,), and the voxels with a source above and below."""
    # row 0 below, row 2 above: whether a voxel has one, then its place among those that do
    place = np.zeros((3, voxels), dtype=np.int64)
    starts = _starts_of(count)
    for offset in range(len(count)):
        for pair in range(starts[offset], starts[offset] + count[offset]):
            place[1 + layers[offset], target[pair]] = 1
            place[1 - layers[offset], source[pair]] = 1
    below, above = _rank_marked(place[0]), _rank_marked(place[2])
    target_place, source_place = target.copy(), source.copy()
    for offset in range(len(count)):
        layer = layers[offset]
        if layer != 0:
            for pair in range(starts[offset], starts[offset] + count[offset]):
                target_place[pair] = place[1 + layer, target[pair]]
                source_place[pair] = place[1 - layer, source[pair]]
    return target_place, source_place, above, below


@_kernel
def _rank_marked(marks: Ints) -> Ints:
    """Return the marked places, ascending, and put its rank where a mark was."""
    found = np.empty(marks.sum(), dtype=np.int64)
    rank = 0
    for place in range(len(marks)):
        if marks[place]:
            found[rank] = place
            marks[place] = rank
            rank += 1
    return found


def run_each_once() -> None:
    """Compile all kernels, or read what was compiled before; raises whatever numba raises where that cannot be done."""
    points = np.zeros((1, 3), dtype=np.float32)
    coords, voxel_of_point = voxelize(points, 1.0, 1, 1.0)
    sum_per_voxel(points, voxel_of_point, 1)
    sum_per_voxel(points.astype(np.float64), voxel_of_point, 1)
    is_ascending(coords)
    source, target, count = find_pairs(coords, row_starts(coords), 1)
    places_by_layer(source, target, count, np.zeros(len(count), dtype=np.int64), 1)
    group_by_octant(coords, unique_cells(coords)[1])
