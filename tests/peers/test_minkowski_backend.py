"""The backend `minkowski` gives what the backend `torch` gives, forward and backward, on real sweeps."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ov3d_perception.errors import ConfigError
from ov3d_trainer.network.backends import COORDS, open_backend, read_tables
from ov3d_trainer.network.model import SparseUNet, unet_config
from tests.peers.sweeps import sweep_coords, tables
from tests.unit.network.minkowski_style import random_network

pytest.importorskip("MinkowskiEngine", reason="MinkowskiEngine is not here: see docs/peers.md")

INPUTS, OUTPUTS = 4, 6
TOLERANCE = {"rtol": 0, "atol": 1e-9}  # float64: sums over some 20,000 voxels, in another order


@pytest.fixture(params=["nuScenes", "KITTI"])
def coords(request, real_data):
    return sweep_coords(real_data, request.param)


def random(*shape, seed):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def placed(coords, levels=2, stem_kernel=3):
    return {**tables(coords, levels, stem_kernel), COORDS: torch.from_numpy(coords.astype(np.int64))}


def forward_and_gradients(name, method, rows, edge, table):
    features = random(rows, INPUTS, seed=0).requires_grad_()
    weight = random(edge**3, INPUTS, OUTPUTS, seed=1).requires_grad_()
    out = getattr(open_backend(name), method)(features, weight, table)
    (out * random(*out.shape, seed=2)).sum().backward()
    return out.detach(), features.grad, weight.grad


@pytest.mark.parametrize(
    ("method", "edge", "level"),
    [("submanifold", 5, 0)]
    + [(*each, level) for each in (("submanifold", 3), ("strided", 2), ("transposed", 2)) for level in (0, 2)],
)
def test_convolution_and_both_gradients_agree_on_fine_and_coarse_levels(coords, method, edge, level):
    stem_kernel = 5 if edge == 5 else 3
    read = read_tables(placed(coords, 4, stem_kernel), 4, stem_kernel)
    between = read.children[level]
    rows = between.parents if method == "transposed" else len(between.child)
    table = (read.stem if edge == 5 else read.pairs[level]) if method == "submanifold" else between
    found = forward_and_gradients("minkowski", method, rows, edge, table)
    expected = forward_and_gradients("torch", method, rows, edge, table)
    for mine, theirs in zip(found, expected, strict=True):
        assert theirs.abs().max() > 1
        torch.testing.assert_close(mine, theirs, **TOLERANCE)


def test_network_trains_alike(real_data):
    coords = sweep_coords(real_data, "nuScenes")
    config = unet_config("narrow", in_features=3, embedding_dim=8, stem_kernel=5)
    state = random_network(config, seed=3).state_dict()
    features, wanted = random(len(coords), 3, seed=4), random(len(coords), 8, seed=5)
    gradients = {}
    for name in ("torch", "minkowski"):
        network = SparseUNet(config, backend=name).double()
        network.load_state_dict(state)
        index = placed(coords, config.levels, config.stem_kernel)
        (network(features, index) * wanted).sum().backward()
        gradients[name] = {key: parameter.grad for key, parameter in network.named_parameters()}
    for key, expected in gradients["torch"].items():
        torch.testing.assert_close(gradients["minkowski"][key], expected, rtol=1e-7, atol=1e-7, msg=key)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_clouds_of_none_one_and_two_voxels_pass(count):
    coords = np.array([[-5, 0, 7], [3, 3, 3]], dtype=np.int32)[:count]
    config = unet_config("narrow", in_features=2, embedding_dim=4)
    state = random_network(config, seed=6).state_dict()
    rows = []
    for name in ("torch", "minkowski"):
        network = SparseUNet(config, backend=name).eval()
        network.load_state_dict(state)
        with torch.inference_mode():
            rows.append(network(torch.ones(count, 2), placed(coords, config.levels)))
    torch.testing.assert_close(rows[1], rows[0], rtol=0, atol=1e-5)


def test_index_without_voxels_is_refused():
    read = read_tables(tables(np.zeros((1, 3), dtype=np.int32)), 2, 3)
    with pytest.raises(ConfigError, match=r"index lacks the voxels \(coords\)"):
        open_backend("minkowski").submanifold(torch.ones(1, 2), torch.ones(27, 2, 2), read.pairs[0])
