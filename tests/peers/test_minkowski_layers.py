"""Every layer alone gives what MinkowskiEngine gives, on real sweeps, half of whose coordinates are negative."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ov3d_trainer.network.backends import open_backend, read_tables
from ov3d_trainer.network.layers import BasicBlock, PointwiseConv, VoxelNorm
from ov3d_trainer.network.minkowski_import import x_slowest
from tests.peers.sweeps import SWEEPS, batched, coarser, in_our_order, sweep_coords, tables
from tests.unit.network.minkowski_style import x_fastest

ME = pytest.importorskip("MinkowskiEngine", reason="MinkowskiEngine is not here: see docs/peers.md")

INPUTS, OUTPUTS = 6, 10
TOLERANCE = {"rtol": 0, "atol": 1e-5}  # float32 sums of up to 125 x 6 products of some 0.1, in another order


@pytest.fixture(params=SWEEPS)
def coords(request, real_data):
    found = sweep_coords(real_data, request.param)
    assert 0.05 < (found < 0).any(axis=1).mean() < 1.0
    return found


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def kernel(edge, seed=1):
    return random(edge**3, INPUTS, OUTPUTS, seed=seed) / np.sqrt(edge**3 * INPUTS)


def sparse(coords, features):
    return ME.SparseTensor(features, batched(coords))


def theirs(weight, layer=ME.MinkowskiConvolution, stride=1):
    edge = round(len(weight) ** (1 / 3))
    made = layer(INPUTS, OUTPUTS, kernel_size=edge, stride=stride, bias=False, dimension=3)
    made.kernel.data = x_fastest(weight)
    return made


@pytest.mark.parametrize("edge", [3, 5])
def test_submanifold_convolution(coords, edge):
    features, weight = random(len(coords), INPUTS), kernel(edge)
    found = open_backend("torch").submanifold(features, weight, read_tables(tables(coords, 2, edge), 2, edge).stem)
    with torch.inference_mode():
        expected = in_our_order(theirs(weight)(sparse(coords, features)), coords)
    torch.testing.assert_close(found, expected, **TOLERANCE)
    assert not torch.allclose(found, expected + 1e-3)


def test_strided_convolution_puts_negative_voxels_into_the_same_parents(coords):
    features, weight = random(len(coords), INPUTS), kernel(2)
    found = open_backend("torch").strided(features, weight, read_tables(tables(coords), 2, 3).children[0])
    with torch.inference_mode():
        expected = in_our_order(theirs(weight, stride=2)(sparse(coords, features)), coords, level=1)
    torch.testing.assert_close(found, expected, **TOLERANCE)


def test_transposed_convolution(coords):
    parents = coarser(coords, 1)
    features, weight = random(len(parents), INPUTS), kernel(2)
    found = open_backend("torch").transposed(features, weight, read_tables(tables(coords), 2, 3).children[0])
    with torch.inference_mode():
        fine = sparse(coords, torch.zeros(len(coords), INPUTS))
        coarse = theirs(weight, stride=2)(fine)  # makes the coordinates
        order = np.lexsort((coarse.C[:, 1:].numpy() // 2).T[::-1])
        rows = torch.empty_like(features)
        rows[torch.from_numpy(order)] = features
        coarse = ME.SparseTensor(
            rows, coordinate_map_key=coarse.coordinate_map_key, coordinate_manager=coarse.coordinate_manager
        )
        expected = in_our_order(theirs(weight, ME.MinkowskiConvolutionTranspose, 2)(coarse), coords)
    torch.testing.assert_close(found, expected, **TOLERANCE)


def test_pointwise_convolution(coords):
    ours = PointwiseConv(INPUTS, OUTPUTS, torch.Generator().manual_seed(2))
    layer = ME.MinkowskiConvolution(INPUTS, OUTPUTS, kernel_size=1, bias=False, dimension=3)
    layer.kernel.data = ours.weight.data
    features = random(len(coords), INPUTS)
    with torch.inference_mode():
        expected = in_our_order(layer(sparse(coords, features)), coords)
        torch.testing.assert_close(ours(features), expected, **TOLERANCE)


def uneven_norm(ours, layer, seed):
    size = ours.num_features
    values = {"weight": 0.5, "bias": -0.3, "running_mean": -0.2, "running_var": 0.5}
    state = {
        name: torch.rand(size, generator=torch.Generator().manual_seed(seed)) + least for name, least in values.items()
    }
    ours.load_state_dict(state, strict=False)
    layer.bn.load_state_dict(state, strict=False)


@pytest.mark.parametrize("training", [False, True])
def test_batch_normalisation(coords, training):
    ours, layer = VoxelNorm(INPUTS), ME.MinkowskiBatchNorm(INPUTS)
    uneven_norm(ours, layer, 3)
    ours.train(training)
    layer.train(training)
    features = random(len(coords), INPUTS)
    with torch.inference_mode():
        expected = in_our_order(layer(sparse(coords, features)), coords)
        torch.testing.assert_close(ours(features), expected, **TOLERANCE)
    torch.testing.assert_close(ours.running_var, layer.bn.running_var, **TOLERANCE)


@pytest.mark.parametrize("outputs", [INPUTS, OUTPUTS])
def test_residual_block_with_and_without_projection(coords, outputs):
    """Against the block that MinkowskiEngine itself brings."""
    block = pytest.importorskip("MinkowskiEngine.modules.resnet_block").BasicBlock
    downsample = None
    if outputs != INPUTS:
        projection = ME.MinkowskiConvolution(INPUTS, outputs, kernel_size=1, dimension=3)
        downsample = torch.nn.Sequential(projection, ME.MinkowskiBatchNorm(outputs))
    layer = block(INPUTS, outputs, downsample=downsample, dimension=3).eval()
    ours = BasicBlock(INPUTS, outputs, torch.Generator().manual_seed(4)).eval()
    for number, (norm, other) in enumerate(((ours.norm1, layer.norm1), (ours.norm2, layer.norm2))):
        uneven_norm(norm, other, number)
    ours.conv1.weight.data, ours.conv2.weight.data = (
        x_slowest(layer.conv1.kernel.data),
        x_slowest(layer.conv2.kernel.data),
    )
    if downsample is not None:
        ours.shortcut.conv.weight.data = downsample[0].kernel.data
        uneven_norm(ours.shortcut.norm, downsample[1], 7)
    features = random(len(coords), INPUTS)
    with torch.inference_mode():
        expected = in_our_order(layer(sparse(coords, features)), coords)
        found = ours(features, read_tables(tables(coords), 2, 3).pairs[0], open_backend("torch"))
    torch.testing.assert_close(found, expected, **TOLERANCE)


def test_parent_of_voxel_minus_one_is_minus_one():
    coords = np.array([[-3, -1, 0], [-1, -1, -1], [0, 0, 0]], dtype=np.int32)
    weight = kernel(2)
    with torch.inference_mode():
        coarse = theirs(weight, stride=2)(sparse(coords, random(3, INPUTS)))
    assert sorted(coarse.C[:, 1:].tolist()) == [[-4, -2, 0], [-2, -2, -2], [0, 0, 0]]
    assert coarser(coords, 1).tolist() == [[-2, -1, 0], [-1, -1, -1], [0, 0, 0]]
