"""Neighbour tables: a case worked by hand, and every table against brute force."""

import numpy as np
import pytest

from ov3d_perception.errors import DataError
from ov3d_perception.sparse_index import build_sparse_index, kernel_offsets, table_names


def _random_coords(seed: int, count: int, extent: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return np.unique(generator.integers(-extent, extent, (count, 3)), axis=0).astype(np.int32)


def test_three_voxels_worked_by_hand(compiled: bool) -> None:
    coords = np.array([[0, 0, 0], [0, 0, 1], [1, 0, 0]], dtype=np.int32)
    tables = build_sparse_index(coords, levels=2, compiled=compiled)
    # Offset (0, 0, -1) is number 12: voxel 0 is voxel 1's neighbour. (-1, 0, 0) is 4: 0 of 2. (-1, 0, 1) is 5: 1 of 2.
    assert np.flatnonzero(tables["level0_pair_count"]).tolist() == [4, 5, 12]
    np.testing.assert_array_equal(tables["level0_pair_source"], [0, 1, 0])
    np.testing.assert_array_equal(tables["level0_pair_target"], [2, 2, 1])
    # One parent; octants 0, 1 and 4.
    np.testing.assert_array_equal(tables["level1_size"], [1])
    np.testing.assert_array_equal(tables["down0_child"], [0, 1, 2])
    np.testing.assert_array_equal(tables["down0_count"], [1, 1, 0, 0, 1, 0, 0, 0])


@pytest.mark.parametrize("kernel", [3, 5])
def test_pairs_equal_brute_force(kernel: int, compiled: bool) -> None:
    coords = _random_coords(0, 300, 5)
    tables = build_sparse_index(coords, levels=1, stem_kernel=kernel, compiled=compiled)
    prefix = "stem" if kernel == 5 else "level0"
    found = set()
    start = 0
    for offset, count in enumerate(tables[f"{prefix}_pair_count"]):
        rows = slice(start, start + count)
        sources, targets = tables[f"{prefix}_pair_source"][rows], tables[f"{prefix}_pair_target"][rows]
        assert len(set(sources.tolist())) == len(set(targets.tolist())) == count  # a scatter never writes a row twice
        found |= {(offset, int(s), int(t)) for s, t in zip(sources, targets, strict=True)}
        start += count
    row_of = {tuple(c): row for row, c in enumerate(coords.tolist())}
    offsets = kernel_offsets(kernel)
    expected = set()
    for k, offset in enumerate(offsets[: len(offsets) // 2]):
        for target, coord in enumerate(coords):
            source = row_of.get(tuple((coord + offset).tolist()))
            if source is not None:
                expected.add((k, source, target))
    assert found == expected


def test_mirrored_offset_is_the_negative_one() -> None:
    for kernel in (3, 5):
        offsets = kernel_offsets(kernel)
        np.testing.assert_array_equal(offsets, -offsets[::-1])


def test_children_and_parents_equal_brute_force_on_negative_coordinates_too(compiled: bool) -> None:
    coords = _random_coords(1, 400, 8)
    tables = build_sparse_index(coords, levels=3, compiled=compiled)
    parents = np.unique(coords >> 1, axis=0)
    assert tables["level1_size"][0] == len(parents)
    child, parent = tables["down0_child"], tables["down0_parent"]
    np.testing.assert_array_equal(parents[parent], coords[child] >> 1)
    octant = np.repeat(np.arange(8), tables["down0_count"])
    np.testing.assert_array_equal((coords[child] & 1) @ [4, 2, 1], octant)
    np.testing.assert_array_equal(child[tables["down0_order"]], np.arange(len(coords)))
    assert tables["level2_size"][0] == len(np.unique(coords >> 2, axis=0))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_tiny_clouds_have_every_table(count: int, compiled: bool) -> None:
    coords = np.arange(3 * count, dtype=np.int32).reshape(count, 3) * 100
    tables = build_sparse_index(coords, levels=5, stem_kernel=5, compiled=compiled)
    assert tuple(tables) == table_names(5, 5)
    assert all(table.dtype == np.int64 and table.ndim == 1 for table in tables.values())
    assert tables["level4_size"][0] == count
    assert len(tables["level0_pair_source"]) == 0
    assert len(tables["stem_pair_count"]) == 62


@pytest.mark.parametrize("kernel", [3, 5])
def test_full_block_has_a_pair_wherever_the_shifted_block_overlaps_it(kernel: int, compiled: bool) -> None:
    coords = np.stack(np.meshgrid(*[np.arange(8, dtype=np.int32)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    tables = build_sparse_index(coords, levels=1, stem_kernel=kernel, compiled=compiled)
    counts = tables["stem_pair_count" if kernel == 5 else "level0_pair_count"]
    overlap = (8 - np.abs(kernel_offsets(kernel))).prod(axis=1)  # 8 x 8 x 7 for the offset (0, 0, -1)
    np.testing.assert_array_equal(counts, overlap[: len(counts)])


def test_end_of_one_row_is_no_neighbour_of_the_start_of_the_next(compiled: bool) -> None:
    coords = np.array([[0, 0, 5], [0, 1, -5], [0, 7, 5], [1, -7, -5]], dtype=np.int32)
    tables = build_sparse_index(coords, levels=1, stem_kernel=5, compiled=compiled)
    assert tables["level0_pair_count"].sum() == tables["stem_pair_count"].sum() == 0


def test_coordinates_whose_extents_overflow_one_key_keep_their_neighbours(compiled: bool) -> None:
    far, limit = 2**30, 2**20
    coords = np.array(
        [[-far, -limit, -limit], [0, 0, 0], [0, 0, 1], [far, limit, limit - 1], [far, limit, limit]], dtype=np.int32
    )
    tables = build_sparse_index(coords, levels=2, compiled=compiled)  # 2^31 x 2^21 x 2^21 cells
    np.testing.assert_array_equal(tables["level0_pair_source"], [1, 3])
    np.testing.assert_array_equal(tables["level0_pair_target"], [2, 4])
    # parents: the first, one of both around the origin, one each of limit - 1 (odd) and limit (even)
    np.testing.assert_array_equal(tables["down0_parent"][tables["down0_order"]], [0, 1, 1, 2, 3])


def test_coordinates_beyond_two_to_the_thirty_are_refused(compiled: bool) -> None:
    for value in (2**30 + 1, -(2**30) - 1):
        with pytest.raises(DataError, match=r"expected at most 2\^30"):
            build_sparse_index(np.full((1, 3), value, dtype=np.int32), compiled=compiled)


@pytest.mark.parametrize(
    "coords",
    [
        [[1, 0, 0], [0, 5, 5]],
        [[0, 1, 0], [0, 0, 5]],
        [[0, 0, 1], [0, 0, 0]],
        [[0, 0, 0], [0, 0, 0]],
    ],
    ids=["x", "y", "z", "twice"],
)
def test_unsorted_and_repeated_voxels_are_refused(coords: list[list[int]], compiled: bool) -> None:
    with pytest.raises(DataError, match="not unique and sorted"):
        build_sparse_index(np.array(coords, dtype=np.int32), compiled=compiled)
