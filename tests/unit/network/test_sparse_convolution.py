"""The torch backend equals torch's dense convolutions where there are voxels, and a case small enough to do by hand.

Other backends are held against it in test_backends_agree.py.

Double precision: sums of at most 125 x 5 products of numbers near 1 round to about 1e-13, so 1e-11 leaves room for
another order of summation and for nothing else.
"""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from ov3d_perception.errors import ConfigError
from ov3d_perception.sparse_index import build_sparse_index
from ov3d_trainer.network.backends import ChildTable, PairTable, index_tensors, open_backend, read_tables
from ov3d_trainer.network.backends.torch_pairs import TorchPairs

TOLERANCE = 1e-11
SIDE = 8
LOW = -4  # negative coordinates must round down, not towards zero
INPUTS, OUTPUTS = 5, 3


def some_voxels(count=90, seed=0):
    cells = np.random.default_rng(seed).choice(SIDE**3, size=count, replace=False)
    coords = np.stack(np.unravel_index(np.sort(cells), (SIDE,) * 3), axis=1)
    return (coords + LOW).astype(np.int32)


def tables_of(coords, levels=2, stem_kernel=3):
    return read_tables(index_tensors(build_sparse_index(coords, levels, stem_kernel)), levels, stem_kernel)


def parents_of(coords):
    return np.unique(coords >> 1, axis=0)


def to_dense(features, coords, side, low):
    """Rows to a (1, C, X, Y, Z) grid, zero where there is no voxel; differentiable."""
    grid = features.new_zeros((side, side, side, features.shape[1]))
    place = torch.from_numpy((coords - low).astype(np.int64))
    grid = grid.index_put((place[:, 0], place[:, 1], place[:, 2]), features)
    return grid.permute(3, 0, 1, 2)[None]


def at_voxels(grid, coords, low):
    place = torch.from_numpy((coords - low).astype(np.int64))
    return grid[0].permute(1, 2, 3, 0)[place[:, 0], place[:, 1], place[:, 2]]


def kernel_grid(weight, edge):
    """Canonical (K, Cin, Cout), x slowest, to (edge, edge, edge, Cin, Cout)."""
    return weight.reshape(edge, edge, edge, *weight.shape[1:])


def dense_submanifold(features, weight, coords):
    edge = round(weight.shape[0] ** (1 / 3))
    kernel = kernel_grid(weight, edge).permute(4, 3, 0, 1, 2)  # (Cout, Cin, x, y, z)
    grid = F.conv3d(to_dense(features, coords, SIDE, LOW), kernel, padding=edge // 2)
    return at_voxels(grid, coords, LOW)


def dense_strided(features, weight, coords):
    kernel = kernel_grid(weight, 2).permute(4, 3, 0, 1, 2)
    grid = F.conv3d(to_dense(features, coords, SIDE, LOW), kernel, stride=2)
    return at_voxels(grid, parents_of(coords), LOW // 2)


def dense_transposed(features, weight, coords):
    kernel = kernel_grid(weight, 2).permute(3, 4, 0, 1, 2)  # (Cin, Cout, x, y, z)
    grid = F.conv_transpose3d(to_dense(features, parents_of(coords), SIDE // 2, LOW // 2), kernel, stride=2)
    return at_voxels(grid, coords, LOW)


def assert_equal_to_dense(sparse, dense, rows, offsets):
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(rows, INPUTS, dtype=torch.float64, generator=generator, requires_grad=True)
    weight = torch.randn(offsets, INPUTS, OUTPUTS, dtype=torch.float64, generator=generator, requires_grad=True)
    got, expected = sparse(features, weight), dense(features, weight)
    assert got.shape == expected.shape
    torch.testing.assert_close(got, expected, rtol=0, atol=TOLERANCE)
    upstream = torch.randn(expected.shape, dtype=torch.float64, generator=generator)
    for ours, theirs in zip(
        torch.autograd.grad(got, (features, weight), upstream),
        torch.autograd.grad(expected, (features, weight), upstream),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("kernel", [3, 5])
def test_submanifold_convolution_equals_dense_in_value_and_gradient(kernel):
    coords = some_voxels()
    pairs = tables_of(coords, stem_kernel=kernel).stem
    assert_equal_to_dense(
        lambda features, weight: TorchPairs().submanifold(features, weight, pairs),
        lambda features, weight: dense_submanifold(features, weight, coords),
        len(coords),
        kernel**3,
    )


def test_strided_convolution_equals_dense_in_value_and_gradient():
    coords = some_voxels()
    children = tables_of(coords).children[0]
    assert_equal_to_dense(
        lambda features, weight: TorchPairs().strided(features, weight, children),
        lambda features, weight: dense_strided(features, weight, coords),
        len(coords),
        8,
    )


def test_transposed_convolution_equals_dense_in_value_and_gradient():
    coords = some_voxels()
    children = tables_of(coords).children[0]
    assert_equal_to_dense(
        lambda features, weight: TorchPairs().transposed(features, weight, children),
        lambda features, weight: dense_transposed(features, weight, coords),
        len(parents_of(coords)),
        8,
    )


def test_three_voxels_worked_by_hand():
    # a (0,0,0), b (0,0,1), c (1,0,0) carry 1, 10, 100; W[k] = k with k = 9 (dx + 1) + 3 (dy + 1) + (dz + 1).
    coords = np.array([[0, 0, 0], [0, 0, 1], [1, 0, 0]], dtype=np.int32)
    features = torch.tensor([[1.0], [10.0], [100.0]])
    weight = torch.arange(27.0).reshape(27, 1, 1)
    out = TorchPairs().submanifold(features, weight, tables_of(coords).pairs[0])
    a = 13 * 1 + 14 * 10 + 22 * 100  # itself; b one up in z; c one up in x
    b = 13 * 10 + 12 * 1 + 21 * 100  # itself; a one down in z (mirror of 14); c at (1, 0, -1)
    c = 13 * 100 + 4 * 1 + 5 * 10  # itself; a one down in x (mirror of 22); b at (-1, 0, 1) (mirror of 21)
    assert out.flatten().tolist() == [a, b, c]


def test_parent_sums_its_children_by_octant():
    # (2,0,1) and (3,1,1) share the parent (1,0,0): octants 4*0+2*0+1 = 1 and 4*1+2*1+1 = 7. (-1,0,0) is octant 4 of
    # its parent (-1,0,0).
    coords = np.array([[-1, 0, 0], [2, 0, 1], [3, 1, 1]], dtype=np.int32)
    children = tables_of(coords).children[0]
    weight = torch.arange(8.0).reshape(8, 1, 1)
    down = TorchPairs().strided(torch.tensor([[1.0], [10.0], [100.0]]), weight, children)
    assert down.flatten().tolist() == [4 * 1, 1 * 10 + 7 * 100]
    up = TorchPairs().transposed(torch.tensor([[2.0], [3.0]]), weight, children)
    assert up.flatten().tolist() == [4 * 2, 1 * 3, 7 * 3]


def test_no_voxels_give_no_rows_and_zero_weight_gradient():
    tables = tables_of(np.empty((0, 3), dtype=np.int32))
    features = torch.zeros(0, INPUTS)
    backend = TorchPairs()
    for convolve, table, offsets in (
        (backend.submanifold, tables.pairs[0], 27),
        (backend.strided, tables.children[0], 8),
        (backend.transposed, tables.children[0], 8),
    ):
        weight = torch.ones(offsets, INPUTS, OUTPUTS, requires_grad=True)
        out = convolve(features, weight, table)
        assert out.shape == (0, OUTPUTS)
        out.sum().backward()
        assert weight.grad is not None
        assert not weight.grad.any()


def test_kernel_of_another_size_than_its_tables_is_refused():
    empty = torch.empty(0, dtype=torch.int64)
    pairs = PairTable(source=empty, target=empty, counts=(0,) * 13)
    with pytest.raises(ValueError, match="27"):
        TorchPairs().submanifold(torch.zeros(0, 2), torch.zeros(125, 2, 2), pairs)
    children = ChildTable(child=empty, parent=empty, order=empty, counts=(0,) * 8, parents=0)
    with pytest.raises(ValueError, match="8"):
        TorchPairs().strided(torch.zeros(0, 2), torch.zeros(27, 2, 2), children)


def test_unknown_backend_names_the_known_ones():
    with pytest.raises(ConfigError, match="torch"):
        open_backend("minkowsky")
