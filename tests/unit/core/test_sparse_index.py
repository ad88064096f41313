"""Neighbour tables: a case worked by hand, and every table against brute force."""

import numpy as np
import pytest

from ov3d_perception.sparse_index import build_sparse_index, kernel_offsets, table_names


def _random_coords(seed: int, count: int, extent: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    return np.unique(generator.integers(-extent, extent, (count, 3)), axis=0).astype(np.int32)


def test_three_voxels_worked_by_hand() -> None:
    coords = np.array([[0, 0, 0], [0, 0, 1], [1, 0, 0]], dtype=np.int32)
    tables = build_sparse_index(coords, levels=2)
    # Offset (0, 0, -1) is number 12: voxel 0 is voxel 1's neighbour. (-1, 0, 0) is 4: 0 of 2. (-1, 0, 1) is 5: 1 of 2.
    assert np.flatnonzero(tables["level0_pair_count"]).tolist() == [4, 5, 12]
    np.testing.assert_array_equal(tables["level0_pair_source"], [0, 1, 0])
    np.testing.assert_array_equal(tables["level0_pair_target"], [2, 2, 1])
    # One parent; octants 0, 1 and 4.
    np.testing.assert_array_equal(tables["level1_size"], [1])
    np.testing.assert_array_equal(tables["down0_child"], [0, 1, 2])
    np.testing.assert_array_equal(tables["down0_count"], [1, 1, 0, 0, 1, 0, 0, 0])


@pytest.mark.parametrize("kernel", [3, 5])
def test_pairs_equal_brute_force(kernel: int) -> None:
    coords = _random_coords(0, 300, 5)
    tables = build_sparse_index(coords, levels=1, stem_kernel=kernel)
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


def test_children_and_parents_equal_brute_force_on_negative_coordinates_too() -> None:
    coords = _random_coords(1, 400, 8)
    tables = build_sparse_index(coords, levels=3)
    parents = np.unique(coords >> 1, axis=0)
    assert tables["level1_size"][0] == len(parents)
    child, parent = tables["down0_child"], tables["down0_parent"]
    np.testing.assert_array_equal(parents[parent], coords[child] >> 1)
    octant = np.repeat(np.arange(8), tables["down0_count"])
    np.testing.assert_array_equal((coords[child] & 1) @ [4, 2, 1], octant)
    np.testing.assert_array_equal(child[tables["down0_order"]], np.arange(len(coords)))
    assert tables["level2_size"][0] == len(np.unique(coords >> 2, axis=0))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_tiny_clouds_have_every_table(count: int) -> None:
    coords = np.arange(3 * count, dtype=np.int32).reshape(count, 3) * 100
    tables = build_sparse_index(coords, levels=5, stem_kernel=5)
    assert tuple(tables) == table_names(5, 5)
    assert all(table.dtype == np.int64 and table.ndim == 1 for table in tables.values())
    assert tables["level4_size"][0] == count
    assert len(tables["level0_pair_source"]) == 0
    assert len(tables["stem_pair_count"]) == 62
