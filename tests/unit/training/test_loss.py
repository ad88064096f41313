import math

import numpy as np
import pytest
import torch

from ov3d_perception.sparse_index import build_sparse_index
from ov3d_trainer.loss import DistillationLoss, class_weights, text_cross_entropy, weighted_cosine
from ov3d_trainer.network.backends import index_tensors
from ov3d_trainer.network.head import text_similarity
from ov3d_trainer.network.model import SparseUNet, UNetConfig

NETWORK = UNetConfig(
    architecture="test",
    in_features=3,
    embedding_dim=8,
    stem_channels=4,
    channels=(4, 5, 5, 4),
    layers=(1,) * 4,
    levels=3,
)
EXACT = 1e-6  # float32 arithmetic on a handful of numbers


def test_cosine_loss_is_weighted_mean_of_one_minus_cosine():
    # Cosines 1, 0, 0.6 with weights 1, 1, 2: (0 + 1 + 2 * 0.4) / 4 = 0.45
    loss = weighted_cosine(torch.tensor([1.0, 0.0, 0.6]), torch.tensor([1.0, 1.0, 2.0]))
    assert float(loss) == pytest.approx(0.45, abs=EXACT)


def test_cross_entropy_of_two_words():
    # Logits 1/0.5 and 0: -log(e^2 / (e^2 + 1)) = log(1 + e^-2)
    loss = text_cross_entropy(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0]]), torch.ones(1), 0.5)
    assert float(loss) == pytest.approx(math.log(1 + math.exp(-2)), abs=EXACT)


def test_soft_target_mixes_the_words():
    # Equal similarity to both words: each has log probability -log 2, whatever the shares.
    loss = text_cross_entropy(torch.tensor([[0.7, 0.7]]), torch.tensor([[0.3, 0.7]]), torch.ones(1), 0.07)
    assert float(loss) == pytest.approx(math.log(2), abs=EXACT)


def test_cosine_of_a_mixed_voxel_is_against_the_unit_mean_of_its_words():
    # Words at 0 and 60 degrees, equal shares: their unit mean lies at 30 degrees, where the embedding is: loss 0.
    half = math.sqrt(0.75)
    text = torch.tensor([[1.0, 0.0], [0.5, half]])
    embedding = torch.tensor([[half, 0.5]])
    loss = DistillationLoss(text=text, class_weight=torch.ones(2), cross_entropy=0.0)
    assert float(loss(embedding @ text.T, torch.tensor([[0.5, 0.5]])).total) == pytest.approx(0.0, abs=EXACT)


def test_similarity_without_the_embedding_equals_the_one_with_it():
    # The same numbers in another order of multiplication: 1e-5 covers float32 rounding, gradients relative to theirs.
    generator = torch.Generator().manual_seed(0)
    coords = np.unique(np.random.default_rng(0).integers(0, 8, (150, 3)), axis=0).astype(np.int32)
    index = index_tensors(build_sparse_index(coords, 3))
    features = torch.randn(len(coords), 3, generator=generator)
    text = torch.nn.functional.normalize(torch.randn(5, 8, generator=generator), dim=1)
    model = SparseUNet(NETWORK, seed=1)
    torch.nn.init.normal_(model.final.bias, generator=generator)
    gradients = []
    for similarity in (model(features, index) @ text.T, text_similarity(model, features, index, text)):
        model.zero_grad()
        similarity.square().sum().backward()
        gradients.append({name: value.grad.clone() for name, value in model.named_parameters()})
        gradients[-1]["similarity"] = similarity.detach()
    for name, value in gradients[0].items():
        scale = float(value.abs().max()) + 1e-3
        torch.testing.assert_close(gradients[1][name], value, atol=1e-4 * scale, rtol=0, msg=name)


def test_unsupervised_voxels_count_nothing():
    loss = DistillationLoss(text=torch.eye(3), class_weight=torch.ones(3))
    embedding = torch.nn.functional.normalize(torch.tensor([[1.0, 2.0, 0.5], [0.3, 0.1, 2.0]]), dim=1)
    targets = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.0]])
    both, first = loss(embedding, targets), loss(embedding[:1], targets[:1])
    assert float(both.total) == pytest.approx(float(first.total), abs=EXACT)


def test_no_supervision_at_all_is_zero_with_zero_gradient():
    embedding = torch.ones(4, 3, requires_grad=True)
    parts = DistillationLoss(text=torch.eye(3), class_weight=torch.ones(3))(embedding, torch.zeros(4, 3))
    parts.total.backward()
    assert float(parts.total.detach()) == 0.0
    assert float(embedding.grad.abs().sum()) == 0.0


def test_voxel_weighs_as_its_points_do():
    # Voxel 0 is right (cosine 1) with weight 0.25, voxel 1 wrong (cosine 0) with weight 0.75.
    loss = DistillationLoss(text=torch.eye(2), class_weight=torch.ones(2), cross_entropy=0.0)
    parts = loss(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.25, 0.0], [0.75, 0.0]]))
    assert float(parts.total) == pytest.approx(0.75, abs=EXACT)


def test_class_weight_shifts_the_balance():
    loss = DistillationLoss(text=torch.eye(2), class_weight=torch.tensor([3.0, 1.0]), cross_entropy=0.0)
    # Class 0 wrong with weight 3, class 1 right with weight 1: 3 / 4
    parts = loss(torch.tensor([[0.0, 1.0], [0.0, 1.0]]), torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert float(parts.total) == pytest.approx(0.75, abs=EXACT)


def test_class_weights_follow_the_power_and_keep_the_mean():
    # Counts 100 and 25, power 0.5: relative weights 1 and 2, scale 125 / (100 + 50) = 5/6; an absent class keeps 1.
    weights = class_weights(torch.tensor([100.0, 25.0, 0.0]), 0.5, 10.0)
    np.testing.assert_allclose(weights, [5 / 6, 10 / 6, 1.0], rtol=1e-6)  # float32


def test_class_weights_are_limited():
    weights = class_weights(torch.tensor([1000.0, 1.0]), 1.0, 5.0)
    assert float(weights[1] / weights[0]) == pytest.approx(5.0, rel=1e-6)


def test_power_zero_weighs_points_alike():
    np.testing.assert_allclose(class_weights(torch.tensor([7.0, 1.0]), 0.0, 5.0), [1.0, 1.0], rtol=1e-6)
