"""MinkowskiEngine's state dicts become ours: names, order of offsets, prefixes, refusals. Without MinkowskiEngine."""

import re

import numpy as np
import pytest
import torch

from ov3d_perception.errors import ModelError
from ov3d_perception.sparse_index import build_sparse_index, kernel_offsets
from ov3d_trainer.network.backends import index_tensors
from ov3d_trainer.network.minkowski_import import convert_state, find_state, mix_inputs, read_config, x_slowest
from ov3d_trainer.network.model import SparseUNet, UNetConfig, unet_config
from tests.unit.network.minkowski_style import minkowski_state, random_network

SMALL = UNetConfig(
    architecture="MinkUNet (4, 6, 8, 10, 8, 6, 6, 5) x (1, 2, 1, 1, 1, 1, 1, 2)",
    in_features=3,
    embedding_dim=7,
    stem_channels=4,
    channels=(4, 6, 8, 10, 8, 6, 6, 5),
    layers=(1, 2, 1, 1, 1, 1, 1, 2),
)


@pytest.fixture
def network():
    return random_network(SMALL, seed=3)


@pytest.fixture
def theirs(network):
    return minkowski_state(network)


def embeddings(network, features=None):
    cells = np.random.default_rng(0).choice(12**3, size=150, replace=False)
    coords = np.stack(np.unravel_index(np.sort(cells), (12,) * 3), axis=1).astype(np.int32) - 6
    index = index_tensors(build_sparse_index(coords, network.config.levels, network.config.stem_kernel))
    if features is None:
        features = torch.randn(150, network.config.in_features, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        return network(features, index)


def imported(state, **flags):
    config = read_config(state, "file", **flags)
    network = SparseUNet(config).eval()
    network.load_state_dict(convert_state(state, config, "file", final=flags.get("final", True)))
    return network


def test_offset_that_runs_x_fastest_lands_on_its_own_place():
    # the offset (1, -1, 0) of 3x3x3: there row 2 + 3*0 + 9*1, here row 9*2 + 3*0 + 1
    kernel = torch.zeros(27, 1, 1)
    kernel[11] = 1.0
    assert x_slowest(kernel).nonzero().tolist() == [[19, 0, 0]]
    assert kernel_offsets(3)[19].tolist() == [1, -1, 0]


@pytest.mark.parametrize("edge", [2, 3, 5])
def test_order_of_offsets_is_its_own_inverse(edge):
    kernel = torch.arange(edge**3, dtype=torch.float32).reshape(-1, 1, 1)
    assert not torch.equal(x_slowest(kernel), kernel)
    assert torch.equal(x_slowest(x_slowest(kernel)), kernel)


def test_imported_network_is_the_same_network(network, theirs):
    again = imported(theirs)
    assert again.config == SMALL
    assert {name: torch.equal(tensor, network.state_dict()[name]) for name, tensor in again.state_dict().items()} == (
        dict.fromkeys(network.state_dict(), True)
    )
    assert torch.equal(embeddings(again), embeddings(network))


@pytest.mark.parametrize("name", ["MinkUNet18A", "MinkUNet34C"])
def test_published_architectures_are_recognised_with_their_stem(name):
    config = unet_config(name, in_features=1, embedding_dim=16, stem_kernel=5)
    assert read_config(minkowski_state(SparseUNet(config)), "file") == config


def test_final_without_bias_gets_a_bias_of_zero(network, theirs):
    del theirs["final.bias"]
    again = imported(theirs)
    assert not again.final.bias.any()
    assert torch.equal(again.final.weight, network.final.weight)


def test_without_final_the_last_block_speaks_and_its_sum_keeps_negative_numbers(network, theirs):
    again = imported(theirs, final=False, last_relu=False)
    assert again.config.embedding_dim == 5
    found = embeddings(again)
    assert (found < 0).any()
    network.up[-1].blocks[-1].last_relu = False
    network.final = torch.nn.Identity()
    assert torch.equal(found, embeddings(network))
    network.up[-1].blocks[-1].last_relu = True
    assert not torch.equal(found, embeddings(network))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: state,
        lambda state: {"epoch": 3, "state_dict": {f"module.net3d.{name}": row for name, row in state.items()}},
        lambda state: {"model_points": state, "model_images": {"encoder.conv1.weight": torch.zeros(1)}},
        lambda state: {"model": {f"model.{name}": row for name, row in state.items()}, "config": {"voxel_size": 0.1}},
    ],
    ids=["plain", "OpenScene", "SLidR", "Lightning"],
)
def test_what_leads_to_the_network_is_cut_off(theirs, wrap):
    assert find_state(wrap(theirs), "file").keys() == theirs.keys()


def test_inputs_are_written_with_our_features_exactly(network, theirs):
    # what the network took was 2 red - 1, 2 green - 1 and a 1; the columns now are one, red, green
    mixing = torch.tensor([[-1.0, 2.0, 0.0], [-1.0, 0.0, 2.0], [1.0, 0.0, 0.0]])
    columns = torch.rand(150, 3, generator=torch.Generator().manual_seed(2))
    columns[:, 0] = 1.0
    expected = embeddings(network, columns @ mixing.T)
    mixed = SparseUNet(SMALL).eval()
    mixed.load_state_dict(mix_inputs(convert_state(theirs, SMALL, "file"), mixing))
    # float32: sums in another order
    torch.testing.assert_close(embeddings(mixed, columns), expected, rtol=0, atol=1e-5)


def test_missing_tensor_is_named(theirs):
    del theirs["block3.0.norm2.bn.running_var"]
    with pytest.raises(
        ModelError, match=r"file: 1 of \d+ tensors .* missing: block3\.0\.norm2\.bn\.running_var\. Give"
    ):
        convert_state(theirs, SMALL, "file")


def test_missing_final_is_missing_unless_it_is_not_wanted(theirs):
    del theirs["final.kernel"], theirs["final.bias"]
    with pytest.raises(ModelError, match=r"expected a kernel called final\.kernel"):
        read_config(theirs, "file")
    assert read_config(theirs, "file", final=False).embedding_dim == 5


def test_unknown_tensor_is_named(theirs):
    theirs["projection_layer.weight"] = torch.zeros(5, 7, 1)
    with pytest.raises(ModelError, match=r"has 1 tensors that MinkUNet lacks: projection_layer\.weight"):
        convert_state(theirs, SMALL, "file")


def test_tensor_of_another_shape_says_both_shapes(theirs):
    theirs["convtr5p8s2.kernel"] = torch.zeros(8, 8, 9)
    expected = "convtr5p8s2.kernel is (8, 8, 9), expected (8, 8, 6)"
    with pytest.raises(ModelError, match=re.escape(expected)):
        convert_state(theirs, SMALL, "file")


def test_other_networks_are_refused_with_what_the_file_has():
    with pytest.raises(ModelError, match=r"no key ends in conv0p1s1\.kernel\. The file has model\.stem\.0\.kernel"):
        find_state({"model": {"stem.0.kernel": torch.zeros(27, 4, 32)}}, "file")


def test_two_networks_in_a_file_are_refused(theirs):
    with pytest.raises(ModelError, match=r"expected one network, got 2: ema\., net\."):
        find_state({"net": theirs, "ema": theirs}, "file")


def test_bottleneck_blocks_are_refused(theirs):
    theirs["block1.0.conv3.kernel"] = torch.zeros(4, 16)
    with pytest.raises(ModelError, match="bottleneck"):
        read_config(theirs, "file")


def test_stem_of_another_size_is_refused(theirs):
    theirs["conv0p1s1.kernel"] = torch.zeros(343, 3, 4)
    with pytest.raises(ModelError, match=r"conv0p1s1\.kernel is \(343, 3, 4\), expected \(27"):
        read_config(theirs, "file")


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (torch.zeros(1).expand(27, 4, 8), "repeats a few stored numbers"),
        (torch.zeros(27, 4, 9000), "is no layer of a MinkUNet"),
        (torch.zeros(27, 4, 8, dtype=torch.complex64), "expected dense real numbers"),
        (torch.zeros(27, 4, 8).to_sparse(), "expected dense real numbers"),
        (torch.full((27, 4, 8), torch.nan), "not finite"),
        (torch.empty(27, 4, 8, device="meta"), "expected dense real numbers"),
    ],
)
def test_tensors_that_no_network_has_are_refused_before_anything_is_made_of_them(tensor, reason):
    with pytest.raises(ModelError, match=reason):
        find_state({"state_dict": {"conv0p1s1.kernel": tensor}}, "file")
