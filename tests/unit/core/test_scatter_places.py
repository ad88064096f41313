"""Places of the products of a convolution against hand-made ones, and against the definition."""

import numpy as np
import pytest

from ov3d_perception.scatter_places import place_names, scatter_places
from ov3d_perception.sparse_index import build_sparse_index, kernel_offsets


def places_of(coords, compiled, levels=1):
    coords = np.array(coords, dtype=np.int32).reshape(-1, 3)
    index = build_sparse_index(coords, levels, compiled=compiled)
    return index, scatter_places(index, len(coords), levels, compiled=compiled)


def test_column_of_two_voxels_adds_to_one_row_above_and_one_below(compiled):
    # Rows: 0 (0,0,0), 1 (0,5,0), 2 (0,5,1). Stored offset (0,0,-1): target 2 reads source 1, mirrored 1 reads 2.
    index, places = places_of([(0, 0, 0), (0, 5, 0), (0, 5, 1)], compiled)
    assert (index["level0_pair_source"].tolist(), index["level0_pair_target"].tolist()) == ([1], [2])
    found = {name: table.tolist() for name, table in places.items()}
    assert found == {
        "level0_target_place": [[0]],  # the only row of below
        "level0_source_place": [[0]],  # the only row of above
        "level0_above": [[1]],
        "level0_below": [[2]],
    }


def test_pairs_within_a_layer_keep_their_rows(compiled):
    index, places = places_of([(0, 0, 0), (0, 1, 0), (1, 1, 0)], compiled)
    for part in ("source", "target"):
        np.testing.assert_array_equal(places[f"level0_{part}_place"][:, 0], index[f"level0_pair_{part}"])
    assert len(places["level0_above"]) == len(places["level0_below"]) == 0


@pytest.mark.parametrize("count", [0, 1, 2, 400])
def test_places_lead_back_to_the_rows_of_the_pairs(compiled, count):
    generator = np.random.default_rng(count)
    coords = np.unique(generator.integers(-5, 6, size=(count, 3)), axis=0)
    index, places = places_of(coords, compiled, levels=3)
    assert tuple(places) == place_names(3)
    for level in range(3):
        layer = np.repeat(kernel_offsets(3)[:13, 2], index[f"level{level}_pair_count"])
        for side, table in ((1, "above"), (-1, "below")):
            rows = places[f"level{level}_{table}"][:, 0]
            assert (np.diff(rows) > 0).all()
            written = []
            for part, here in (("target", layer == side), ("source", layer == -side)):
                written.append(index[f"level{level}_pair_{part}"][here])
                np.testing.assert_array_equal(rows[places[f"level{level}_{part}_place"][here, 0]], written[-1])
            np.testing.assert_array_equal(rows, np.unique(np.concatenate(written)))
