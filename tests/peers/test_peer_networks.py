"""Whole networks give what MinkowskiEngine and spconv give, on real sweeps, with weights as uneven as learnt ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ov3d_export.bench.peers import minkowski_network, spconv_network
from ov3d_perception.errors import ConfigError
from ov3d_trainer.network.minkowski_import import convert_state, find_state, read_config
from ov3d_trainer.network.model import SparseUNet, UNetConfig, unet_config
from tests.peers.sweeps import SWEEPS, batched, in_our_order, sweep_coords, tables
from tests.unit.network.minkowski_style import random_network

HINT = "is not here: see docs/peers.md"
TOLERANCE = {"rtol": 0, "atol": 1e-5}  # unit vectors in float32 after some 40 convolutions
SMALL = UNetConfig(
    architecture="small",
    in_features=3,
    embedding_dim=7,
    stem_channels=4,
    channels=(4, 6, 8, 10, 8, 6, 6, 5),
    layers=(1, 2, 1, 1, 1, 1, 1, 2),
    last_relu=False,
)
PUBLISHED = {
    "OpenScene": unet_config("MinkUNet18A", in_features=3, embedding_dim=768, stem_kernel=5),
    "SLidR": unet_config("MinkUNet34C", in_features=1, embedding_dim=64, stem_kernel=3),
}


@pytest.fixture(params=SWEEPS)
def coords(request, real_data):
    return sweep_coords(real_data, request.param)


def features_of(coords, config, seed=5):
    return np.random.default_rng(seed).normal(size=(len(coords), config.in_features)).astype(np.float32)


def embedding(network, features, coords):
    with torch.inference_mode():
        index = tables(coords, network.config.levels, network.config.stem_kernel)
        return network(torch.from_numpy(features), index)


def fill_at_random(state):
    """Weights of He's size, uneven norms: activations as large and as varied as in a trained network."""
    generator = torch.Generator().manual_seed(6)
    for name, tensor in state.items():
        if name.endswith("kernel"):
            fan_in = tensor.shape[:-1].numel()
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * (2.0 / fan_in) ** 0.5)
        elif "running_var" in name or name.endswith("bn.weight"):
            tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
        elif "running_mean" in name or name.endswith("bias"):
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.2)


def assert_varied(embedding):
    """Where all voxels had the same vector, there would be nothing to get wrong."""
    rows = torch.as_tensor(embedding)
    distance = (rows - rows.mean(dim=0)).norm(dim=1)
    assert distance.median() > 0.05, distance.median()


@pytest.mark.parametrize("config", [SMALL, *PUBLISHED.values()], ids=["small", *PUBLISHED])
def test_network_of_minkowski_engine_is_imported_as_it_is(real_data, config):
    """The state dict of a network built there, found as in a published file, in ours: the same vectors."""
    ME = pytest.importorskip("MinkowskiEngine", reason=f"MinkowskiEngine {HINT}")
    from ov3d_export.bench.minkowski_unet import MinkowskiUNet

    coords = sweep_coords(real_data, "nuScenes")
    theirs = MinkowskiUNet(config).eval()
    fill_at_random(theirs.state_dict())
    file = {"state_dict": {f"module.net3d.{name}": tensor for name, tensor in theirs.state_dict().items()}}
    state = find_state(file, "file")
    read = read_config(state, "file", last_relu=config.last_relu)
    network = SparseUNet(read).eval()
    network.load_state_dict(convert_state(state, read, "file"))
    assert (read.channels, read.layers, read.stem_kernel) == (config.channels, config.layers, config.stem_kernel)
    features = features_of(coords, config)
    with torch.inference_mode():
        tensor = ME.SparseTensor(torch.from_numpy(features), batched(coords))
        rows = ME.SparseTensor(
            torch.nn.functional.normalize(theirs(tensor), dim=1),
            coordinate_map_key=tensor.coordinate_map_key,
            coordinate_manager=tensor.coordinate_manager,
        )
        expected = in_our_order(rows, coords)
    assert_varied(expected)
    torch.testing.assert_close(embedding(network, features, coords), expected, **TOLERANCE)


@pytest.mark.parametrize("config", [SMALL, unet_config("narrow", in_features=3, embedding_dim=16, stem_kernel=5)])
@pytest.mark.parametrize(
    ("module", "build"), [("MinkowskiEngine", minkowski_network), ("spconv.pytorch", spconv_network)]
)
def test_peers_of_the_bench_give_our_vectors_in_our_order(coords, config, module, build):
    pytest.importorskip(module, reason=f"{module} {HINT}")
    network = random_network(config, seed=8)
    features = features_of(coords, config)
    found = build(config, network.state_dict())(features, coords)
    assert_varied(found)
    np.testing.assert_allclose(found, embedding(network, features, coords).numpy(), **TOLERANCE)


@pytest.mark.parametrize(
    ("module", "build"), [("MinkowskiEngine", minkowski_network), ("spconv.pytorch", spconv_network)]
)
def test_mink_unet_18a_of_the_peers_is_ours(real_data, module, build):
    pytest.importorskip(module, reason=f"{module} {HINT}")
    coords = sweep_coords(real_data, "nuScenes")
    config = unet_config("MinkUNet18A", in_features=3, embedding_dim=64)
    network = random_network(config, seed=9)
    features = features_of(coords, config)
    found = build(config, network.state_dict())(features, coords)
    assert_varied(found)
    np.testing.assert_allclose(found, embedding(network, features, coords).numpy(), **TOLERANCE)


def test_spconv_is_right_where_torch_has_two_threads(real_data):
    pytest.importorskip("spconv.pytorch", reason=f"spconv {HINT}")
    coords = sweep_coords(real_data, "nuScenes")
    network = random_network(SMALL, seed=10)
    features, peer = features_of(coords, SMALL), spconv_network(SMALL, network.state_dict())
    threads = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        found = peer(features, coords)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_allclose(found, embedding(network, features, coords).numpy(), **TOLERANCE)


def test_peers_refuse_anchors():
    config = unet_config("narrow", in_features=3, embedding_dim=16, anchors=4)
    for build in (minkowski_network, spconv_network):
        with pytest.raises(ConfigError, match="anchors=0"):
            build(config, {})
