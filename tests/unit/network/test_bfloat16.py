"""The network in bfloat16: sums and moments stay float32, and the result agrees with float32 as far as 8 bits carry."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ov3d_perception.sparse_index import build_sparse_index
from ov3d_trainer.network.backends import index_tensors, open_backend, read_tables
from ov3d_trainer.network.layers import VoxelNorm
from ov3d_trainer.network.model import SparseUNet, unet_config

CUBE = np.array([(x, y, z) for x in range(3) for y in range(3) for z in range(3)], np.int32)


def tables_of(coords: np.ndarray, levels: int) -> dict[str, torch.Tensor]:
    return index_tensors(build_sparse_index(coords, levels, 3))


def test_sums_over_neighbours_are_not_rounded_one_by_one() -> None:
    """The middle of a full cube: 256 from itself, 0.5 from each of 26 neighbours, together 269.

    bfloat16 has steps of 2 from 256 on: rounded one by one, no half would ever count, and 256 remain. 269 lies
    between 268 and 270, and is rounded to the even one of both significands, 268 = 134 x 2.
    """
    pairs = read_tables(tables_of(CUBE, 2), 2, 3).pairs[0]
    weight = torch.full((27, 1, 1), 0.5)
    weight[13] = 256.0
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = open_backend("torch").submanifold(torch.ones(27, 1), weight, pairs)
    assert out.dtype == torch.bfloat16
    assert float(out[13]) == 268.0


def test_gradient_sums_are_not_rounded_one_by_one_either() -> None:
    pairs = read_tables(tables_of(CUBE, 2), 2, 3).pairs[0]
    weight = torch.full((27, 1, 1), 0.5)
    weight[13] = 256.0
    features = torch.ones(27, 1, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = open_backend("torch").submanifold(features, weight, pairs)
    out.float().sum().backward()  # type: ignore[no-untyped-call]
    assert features.grad is not None
    assert features.grad.dtype == torch.float32
    assert float(features.grad[13]) == 268.0


def test_moments_are_float32() -> None:
    """10,000 ones and one 257: in bfloat16 the sum of ones would stand still at 256, and the mean be 0.03."""
    norm = VoxelNorm(1, momentum=1.0).train()
    rows = torch.ones(10_001, 1, dtype=torch.bfloat16)
    rows[0] = 258.0
    out = norm(rows)
    assert out.dtype == torch.bfloat16
    assert norm.running_mean is not None
    assert norm.running_mean.dtype == torch.float32
    assert float(norm.running_mean) == pytest.approx((10_000 + 258) / 10_001, rel=1e-5)


Scene = tuple[torch.Tensor, dict[str, torch.Tensor]]


@pytest.fixture
def scene() -> Scene:
    """Some 6000 voxels of a flat world, so that the coarsest level too has enough of them for a normalisation."""
    coords = np.random.default_rng(0).integers(0, [200, 200, 8], size=(6000, 3))
    coords = np.unique(coords, axis=0).astype(np.int32)
    x, y, z = coords.T
    features = np.stack([np.sin(x / 20), np.cos(y / 20), z / 4], axis=1).astype(np.float32)
    return torch.from_numpy(features), tables_of(coords, 5)


def loss_and_gradient(precision: str, scene: Scene) -> tuple[float, torch.Tensor]:
    model = SparseUNet(unet_config("narrow", in_features=3, embedding_dim=8), precision=precision).train()
    wanted = torch.eye(8)[(scene[0][:, 0] > 0).long()]  # by the sign of the first feature
    loss = (1.0 - (model(*scene) * wanted).sum(dim=1)).mean()
    loss.backward()  # type: ignore[no-untyped-call]
    parts = [value.grad for value in model.parameters() if value.grad is not None]
    assert all(part.dtype == torch.float32 for part in parts)
    return float(loss.detach()), torch.cat([part.flatten() for part in parts])


def test_loss_and_gradients_agree_to_bfloat16(scene: Scene) -> None:
    """What one rounding to bfloat16 does is measured: the inputs are rounded, and the network computes in float32.

    Rounding in each of some 20 layers, independent of each other, does sqrt(20) = 4.5 times as much. The loss is a
    mean over 6000 voxels, whose errors cancel: 0.2 %, one rounding, is enough for it.
    """
    loss, gradient = loss_and_gradient("fp32", scene)
    _, nudged = loss_and_gradient("fp32", (scene[0].bfloat16().float(), scene[1]))
    found_loss, found = loss_and_gradient("bf16", scene)
    assert found_loss == pytest.approx(loss, rel=2**-9)
    assert 0.0 < float((found - gradient).norm()) < 4.5 * float((nudged - gradient).norm())


def test_what_comes_out_is_float32_and_of_unit_length(scene: Scene) -> None:
    model = SparseUNet(unet_config("narrow", in_features=3, embedding_dim=8), precision="bf16").eval()
    with torch.no_grad():
        vectors = model(*scene)
    assert vectors.dtype == torch.float32
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(len(vectors)), atol=1e-6, rtol=0)
