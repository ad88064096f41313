"""Dense neighbour tables against hand-made ones, and against the definition."""

import numpy as np

from ov3d_perception.neighbour_tables import neighbour_table_names, neighbour_tables
from ov3d_perception.sparse_index import build_sparse_index, kernel_offsets


def tables_of(coords, levels, stem_kernel=3):
    coords = np.array(coords, dtype=np.int32).reshape(-1, 3)
    return neighbour_tables(build_sparse_index(coords, levels, stem_kernel), len(coords), levels, stem_kernel)


def test_two_voxels_in_a_row_see_each_other_and_nothing_else():
    # (0,0,0) and (0,0,1): offset (0,0,1) is number 14, its mirror 12, the centre 13; row 2 is the row of zeros.
    table = tables_of([(0, 0, 0), (0, 0, 1)], 1)["level0_neighbours"]
    expected = np.full((2, 27), 2)
    expected[0, [13, 14]] = [0, 1]
    expected[1, [12, 13]] = [0, 1]
    np.testing.assert_array_equal(table, expected)


def test_children_stand_at_their_octant_and_know_their_row():
    # Parents: (-1,0,0) of voxel (-1,0,1), octant 4 + 1; (0,0,0) of (0,0,0), octant 0, and (0,1,0), octant 2.
    tables = tables_of([(-1, 0, 1), (0, 0, 0), (0, 1, 0)], 2)
    np.testing.assert_array_equal(tables["down0_children"], [[3, 3, 3, 3, 3, 0, 3, 3], [1, 3, 2, 3, 3, 3, 3, 3]])
    np.testing.assert_array_equal(tables["down0_octant_row"], [5, 8, 10])


def test_every_neighbour_of_a_cloud_is_found():
    generator = np.random.default_rng(3)
    coords = np.unique(generator.integers(-6, 7, size=(300, 3)), axis=0).astype(np.int32)
    row_of = {tuple(cell): row for row, cell in enumerate(coords.tolist())}
    for stem_kernel in (3, 5):
        tables = tables_of(coords, 3, stem_kernel)
        assert tuple(tables) == neighbour_table_names(3, stem_kernel)
        assert {table.dtype for table in tables.values()} == {np.dtype(np.int32)}
        name = "level0_neighbours" if stem_kernel == 3 else "stem_neighbours"
        for row, cell in enumerate(coords):
            expected = [row_of.get(tuple(near), len(coords)) for near in (cell + kernel_offsets(stem_kernel)).tolist()]
            np.testing.assert_array_equal(tables[name][row], expected)


def test_empty_cloud_has_empty_tables():
    tables = tables_of([], 3, 5)
    assert tables["stem_neighbours"].shape == (0, 125)
    assert tables["down1_children"].shape == (0, 8)
