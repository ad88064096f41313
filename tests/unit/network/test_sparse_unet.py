"""The whole network: shapes, unit length, locality, tiny clouds, names."""

import numpy as np
import pytest
import torch

from ov3d_perception.errors import ConfigError
from ov3d_perception.sparse_index import build_sparse_index
from ov3d_trainer.network.backends import index_tensors
from ov3d_trainer.network.model import ARCHITECTURES, SparseUNet, UNetConfig, unet_config

SMALL = UNetConfig(
    architecture="test",
    in_features=2,
    embedding_dim=6,
    stem_channels=4,
    channels=(4, 6, 8, 10, 8, 6, 6, 4),
    layers=(1,) * 8,
)


def blob(count, seed=0, side=12):
    cells = np.random.default_rng(seed).choice(side**3, size=count, replace=False)
    return np.stack(np.unravel_index(np.sort(cells), (side,) * 3), axis=1).astype(np.int32)


def features_of(count, seed=0, width=2):
    return torch.randn(count, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def run(model, features, coords):
    index = index_tensors(build_sparse_index(coords, model.config.levels, model.config.stem_kernel))
    return model(features, index)


@pytest.fixture
def model():
    return SparseUNet(SMALL, seed=3).double().eval()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_architecture_gives_unit_vectors_of_the_embedding_size(name):
    network = SparseUNet(unet_config(name, in_features=3, embedding_dim=32)).eval()
    coords = blob(40)
    with torch.inference_mode():
        out = run(network, features_of(40, width=3).float(), coords)
    assert out.shape == (40, 32)
    # float32: 32 squares add up with a relative error of some 1e-7
    torch.testing.assert_close(out.norm(dim=1), torch.ones(40), rtol=0, atol=1e-6)


def test_minkunet34c_has_the_published_number_of_parameters():
    # 37.9 million, as papers list MinkUNet34C on ScanNet: colours in, 20 classes out, stem kernel 5.
    network = SparseUNet(unet_config("MinkUNet34C", in_features=3, embedding_dim=20, stem_kernel=5))
    assert round(sum(parameter.numel() for parameter in network.parameters()) / 1e6, 1) == 37.9


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_clouds_of_none_one_and_two_voxels_pass(model, count, training):
    model.train(training)
    coords = np.array([[-3, 0, 5], [40, 2, 1]], dtype=np.int32)[:count]
    out = run(model, features_of(count), coords)
    assert out.shape == (count, 6)
    assert torch.isfinite(out).all()
    out.sum().backward()


def test_one_voxel_leaves_the_running_statistics_alone(model):
    model.train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    run(model, features_of(1), np.zeros((1, 3), dtype=np.int32))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_voxels_beyond_the_receptive_field_do_not_influence_each_other(model):
    # Level 4 voxels are 16 wide and see a few of their kind; 4096 voxels away nothing is left.
    near, far = blob(60, seed=1), blob(50, seed=2) + np.array([4096, 0, 0], dtype=np.int32)
    both = np.concatenate([near, far])
    features = features_of(110)
    with torch.inference_mode():
        alone = run(model, features[:60], near)
        together = run(model, features, both)[:60]
    # double precision: only the number of rows per product differs
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-12)


def test_voxels_within_the_receptive_field_do_influence_each_other(model):
    near, close = blob(60, seed=1), blob(50, seed=2) + np.array([12, 0, 0], dtype=np.int32)
    features = features_of(110)
    with torch.inference_mode():
        alone = run(model, features[:60], near)
        together = run(model, features, np.concatenate([near, close]))[:60]
    assert (together - alone).abs().max() > 1e-3


def test_moving_the_cloud_by_a_coarsest_voxel_changes_nothing(model):
    coords, features = blob(60), features_of(60)
    with torch.inference_mode():
        here = run(model, features, coords)
        there = run(model, features, coords + np.array([16, -32, 160], dtype=np.int32))
    torch.testing.assert_close(there, here, rtol=0, atol=1e-12)


def test_chosen_rows_are_those_of_the_whole(model):
    coords, features = blob(60), features_of(60)
    index = index_tensors(build_sparse_index(coords, 5, 3))
    rows = torch.tensor([5, 0, 59])
    # double precision: only the number of rows per product differs
    torch.testing.assert_close(model(features, index, rows=rows), model(features, index)[rows], rtol=0, atol=1e-12)


def test_gradient_reaches_every_weight(model):
    model.train()
    (run(model, features_of(200), blob(200)) * features_of(200, seed=9, width=6)).sum().backward()
    silent = [name for name, parameter in model.named_parameters() if not parameter.grad.any()]
    assert silent == []


def test_same_seed_gives_same_weights_and_another_seed_others():
    first, same, other = SparseUNet(SMALL, seed=5), SparseUNet(SMALL, seed=5), SparseUNet(SMALL, seed=6)
    assert torch.equal(first.stem.conv.weight, same.stem.conv.weight)
    assert not torch.equal(first.stem.conv.weight, other.stem.conv.weight)
    assert torch.equal(SparseUNet(SMALL, generator=torch.Generator().manual_seed(5)).final.weight, first.final.weight)


def test_unknown_architecture_names_the_known_ones():
    with pytest.raises(ConfigError, match="MinkUNet18A"):
        unet_config("MinkUNet99", in_features=1, embedding_dim=8)


@pytest.mark.parametrize(
    "change", [{"channels": (4,) * 7}, {"layers": (0,) * 8}, {"embedding_dim": 0}, {"stem_kernel": 4}, {"levels": 1}]
)
def test_impossible_shapes_are_refused(change):
    with pytest.raises(ConfigError):
        UNetConfig.from_dict({**SMALL.to_dict(), **change})


def test_config_of_before_last_relu_has_it():
    values = SMALL.to_dict()
    del values["last_relu"]
    assert UNetConfig.from_dict(values) == SMALL


def test_config_survives_its_dictionary_and_refuses_unknown_keys():
    assert UNetConfig.from_dict(SMALL.to_dict()) == SMALL
    with pytest.raises(ConfigError, match="colour"):
        UNetConfig.from_dict({**SMALL.to_dict(), "colour": 1})
