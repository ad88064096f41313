"""What the backend spconv_triton makes of our tables, and what it says where it cannot run; no GPU needed."""

from __future__ import annotations

import sys
from types import ModuleType

import numpy as np
import pytest
import torch

from ov3d_perception.errors import ConfigError
from ov3d_perception.sparse_index import build_sparse_index
from ov3d_trainer.config import BACKENDS as CONFIGURABLE
from ov3d_trainer.network.backends import BACKENDS, LevelTables, index_tensors, open_backend, read_tables
from ov3d_trainer.network.backends.gather_tables import strided_tables, submanifold_tables

# a, b one up in z, c one up in x
THREE = np.array([[0, 0, 0], [0, 0, 1], [1, 0, 0]], dtype=np.int32)


def tables_of(coords: np.ndarray, kernel: int = 3) -> LevelTables:
    return read_tables(index_tensors(build_sparse_index(coords, 2, kernel)), 2, kernel)


def read_by(rows: torch.Tensor) -> list[dict[int, int]]:
    """For every voxel, which row each offset reads, without those that read none."""
    return [{k: row for k, row in enumerate(column) if row >= 0} for column in rows.T.tolist()]


def test_every_voxel_knows_which_row_each_offset_reads():
    # k = 9 (dx + 1) + 3 (dy + 1) + (dz + 1): itself 13, up in z 14, up in x 22, b from c (-1, 0, 1) is 5.
    there = submanifold_tables(tables_of(THREE).pairs[0], 3).forward
    assert read_by(there.rows) == [{13: 0, 14: 1, 22: 2}, {13: 1, 12: 0, 21: 2}, {13: 2, 4: 0, 5: 1}]


def test_masks_have_a_bit_for_every_offset_that_reads_and_are_sorted():
    there = submanifold_tables(tables_of(THREE).pairs[0], 3).forward
    assert there.mask is not None
    assert there.order is not None
    assert there.mask.tolist() == [2**13 + 2**4 + 2**5, 2**13 + 2**12 + 2**21, 2**13 + 2**14 + 2**22]
    assert there.order.tolist() == [2, 1, 0]


def test_a_gradient_goes_back_to_the_rows_it_came_from():
    back = submanifold_tables(tables_of(THREE).pairs[0], 3).backward
    # b is read by a with offset 14 and by c with offset 5, and so on: the transpose of the table above
    assert read_by(back.rows) == [{13: 0, 12: 1, 4: 2}, {13: 1, 14: 0, 5: 2}, {13: 2, 22: 0, 21: 1}]


def test_parents_read_their_children_and_children_their_parent_by_octant():
    coords = np.array([[-1, 0, 0], [2, 0, 1], [3, 1, 1]], dtype=np.int32)
    tables = strided_tables(tables_of(coords).children[0])
    assert read_by(tables.forward.rows) == [{4: 0}, {1: 1, 7: 2}]
    assert read_by(tables.transposed().forward.rows) == [{4: 0}, {1: 1}, {7: 1}]


def test_more_offsets_than_bits_have_no_mask():
    there = submanifold_tables(tables_of(THREE, kernel=5).stem, 3).forward
    assert there.rows.shape == (125, 3)
    assert there.mask is None


def test_without_the_package_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "spconv_triton", None)
    monkeypatch.setitem(sys.modules, "spconv_triton.pytorch", None)
    with pytest.raises(ConfigError, match=r"pip install 'ov3d_trainer\[spconv\]'.*network.backend=torch"):
        open_backend("spconv_triton")


def test_on_a_cpu_it_says_where_it_computes(monkeypatch):
    package, inner = ModuleType("spconv_triton"), ModuleType("spconv_triton.pytorch")
    inner.ops = None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "spconv_triton", package)
    monkeypatch.setitem(sys.modules, "spconv_triton.pytorch", inner)
    backend = open_backend("spconv_triton")
    with pytest.raises(ConfigError, match=r"on a GPU, and got torch.float32 on cpu. Set device=cuda"):
        backend.submanifold(torch.ones(3, 2), torch.ones(27, 2, 2), tables_of(THREE).pairs[0])


def test_the_configuration_knows_every_backend():
    assert set(CONFIGURABLE) == set(BACKENDS)
