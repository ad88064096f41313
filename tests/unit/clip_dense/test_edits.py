"""Edits of the last block against a plain re-computation, head by head and patch by patch, on random weights."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from ov3d_perception.errors import ModelError
from ov3d_trainer.clip_dense.edits import EDITS, check_visual, dense_features, patch_size, window_over_patches
from ov3d_trainer.clip_dense.windows import DenseClip, DenseOptions
from ov3d_trainer.open_clip_loading import import_open_clip

HEADS, WIDTH = 2, 16


@pytest.fixture(scope="module")
def visual() -> Any:
    import_open_clip()
    from open_clip.transformer import VisionTransformer

    torch.manual_seed(5)
    return VisionTransformer(
        image_size=32, patch_size=8, width=WIDTH, layers=3, heads=HEADS, mlp_ratio=2.0, output_dim=6
    ).eval()


def images(rows: int = 32, columns: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.randn(1, 3, rows, columns, generator=torch.Generator().manual_seed(seed))


def by_hand(visual: Any, picture: torch.Tensor, edit: str) -> np.ndarray:
    """The same in numpy-like loops, from the tokens before the last block."""
    seen: list[torch.Tensor] = []
    last = visual.transformer.resblocks[-1]
    with last.register_forward_pre_hook(lambda _module, arguments: seen.append(arguments[0])), torch.no_grad():
        visual(picture)
        x = seen[0][0].double()
        visual.double()
        normed = last.ln_1(x)
        joint = normed @ last.attn.in_proj_weight.T + last.attn.in_proj_bias
        edge = WIDTH // HEADS
        collected = torch.zeros_like(x)
        for head in range(HEADS):
            q, k, v = (joint[:, WIDTH * part + head * edge : WIDTH * part + (head + 1) * edge] for part in range(3))
            for row in range(len(x)):
                collected[row, head * edge : (head + 1) * edge] = weights(edit, q, k, row) @ v
        out = collected @ last.attn.out_proj.weight.T + last.attn.out_proj.bias
        if edit in ("plain", "sclip"):
            out = x + out
            out = out + last.mlp(last.ln_2(out))
        feature = visual.ln_post(out)[1:] @ visual.proj
        visual.float()
    return (feature / feature.norm(dim=1, keepdim=True)).float().numpy()


def weights(edit: str, q: torch.Tensor, k: torch.Tensor, row: int) -> torch.Tensor:
    """How much token `row` takes of every token."""

    def softmax(logits: torch.Tensor) -> torch.Tensor:
        return torch.exp(logits) / torch.exp(logits).sum()

    scale = math.sqrt(q.shape[1])
    if edit == "maskclip":
        return torch.eye(len(q), dtype=q.dtype)[row]
    if edit == "sclip":
        return softmax(q @ q[row] / scale) + softmax(k @ k[row] / scale)
    if edit == "clearclip":
        return softmax(q @ q[row] / scale)
    if edit == "plain":
        return softmax(k @ q[row] / scale)
    bonus = torch.zeros(len(k), dtype=k.dtype)
    for other in range(1, len(k)):
        if row > 0:
            distance = np.hypot((row - 1) // 4 - (other - 1) // 4, (row - 1) % 4 - (other - 1) % 4)
            bonus[other] = math.exp(-(distance**2) / 50.0)
    return softmax(k @ k[row] / scale + bonus)


@pytest.mark.parametrize("edit", EDITS)
def test_edit_equals_its_formula(visual: Any, edit: str) -> None:
    with torch.no_grad():
        found = dense_features(visual, images(), edit)
    assert found.shape == (1, 6, 4, 4)
    np.testing.assert_allclose(found[0].flatten(1).T.numpy(), by_hand(visual, images(), edit), atol=2e-5)


def test_plain_edit_is_the_models_own_last_block(visual: Any) -> None:
    with torch.no_grad():
        tokens = visual.forward_intermediates(images(), indices=1, output_fmt="NLC")["image_intermediates"][0]
        wanted = torch.nn.functional.normalize(visual.ln_post(tokens) @ visual.proj, dim=-1)
        found = dense_features(visual, images(), "plain")
    np.testing.assert_allclose(found[0].flatten(1).T.numpy(), wanted[0].numpy(), atol=1e-5)


def test_other_sizes_get_resized_positions(visual: Any) -> None:
    with torch.no_grad():
        assert dense_features(visual, images(48, 24), "naclip").shape == (1, 6, 6, 3)


def test_window_is_one_at_the_patch_itself_and_leaves_the_class_token_alone() -> None:
    window = window_over_patches((2, 3))
    assert window.shape == (7, 7)
    assert (window[0] == 0).all()
    assert (window[:, 0] == 0).all()
    np.testing.assert_allclose(window.diagonal()[1:], 1.0)
    assert float(window[1, 6]) == pytest.approx(math.exp(-5 / 50))  # one row and two columns apart


def test_resnet_gives_the_value_path_of_its_pool() -> None:
    import_open_clip()
    from open_clip.modified_resnet import ModifiedResNet

    torch.manual_seed(1)
    resnet = ModifiedResNet([1, 1, 1, 1], output_dim=6, heads=2, image_size=64, width=4).eval()
    with torch.no_grad():
        found = dense_features(resnet, images(64, 64), "maskclip")
        cells = resnet.layer4(resnet.layer3(resnet.layer2(resnet.layer1(resnet.stem(images(64, 64))))))
        pool = resnet.attnpool
        cell = cells[0, :, 1, 0]
        value = pool.c_proj.weight @ (pool.v_proj.weight @ cell + pool.v_proj.bias) + pool.c_proj.bias
    assert (found.shape, patch_size(resnet)) == ((1, 6, 2, 2), 32)
    np.testing.assert_allclose(found[0, :, 1, 0].numpy(), (value / value.norm()).numpy(), atol=1e-5)
    with pytest.raises(ModelError, match="ResNet"):
        check_visual(resnet, "naclip")


def test_unknown_edits_and_towers_are_refused(visual: Any) -> None:
    with pytest.raises(ModelError, match=r"teacher\.edit"):
        check_visual(visual, "magic")
    with pytest.raises(ModelError, match="no ViT"):
        check_visual(torch.nn.Linear(2, 2), "naclip")


def test_one_window_without_flip_is_the_plain_grid(visual: Any) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    dense = DenseClip(visual, DenseOptions(edit="clearclip", short_side=32, window=0, flip=False))
    normal = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255.0
    with torch.no_grad():
        wanted = dense_features(visual, normal, "clearclip")[0]
    np.testing.assert_allclose(dense.features(picture).numpy(), wanted.numpy(), atol=1e-5)


def test_global_feature_is_the_towers_own(visual: Any) -> None:
    picture = np.random.default_rng(3).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    dense = DenseClip(visual, DenseOptions(short_side=64))
    with torch.no_grad():
        own = visual(torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255.0)[0]
    np.testing.assert_allclose(dense.global_feature(picture).numpy(), (own / own.norm()).numpy(), atol=1e-5)


def test_edits_taken_together_are_the_edits_taken_alone(visual: Any) -> None:
    picture = np.random.default_rng(4).integers(0, 256, (40, 72, 3), dtype=np.uint8)
    options = DenseOptions(short_side=40, window=24, stride=16, flip=True)
    together = DenseClip(visual, options).features_of_edits(picture, EDITS)
    for edit, found in zip(EDITS, together, strict=True):
        alone = DenseClip(visual, replace(options, edit=edit)).features(picture)
        torch.testing.assert_close(found, alone, atol=1e-6, rtol=0)


def test_windows_cover_everything_and_end_with_the_image(visual: Any) -> None:
    dense = DenseClip(visual, DenseOptions(edit="maskclip", short_side=40, window=24, stride=16, flip=False))
    assert list(dense._windows(5, 9)) == [
        (0, 0, 3, 3), (0, 2, 3, 3), (0, 4, 3, 3), (0, 6, 3, 3), (2, 0, 3, 3), (2, 2, 3, 3), (2, 4, 3, 3), (2, 6, 3, 3),
    ]  # fmt: skip
    picture = np.zeros((40, 72, 3), np.uint8)
    found = dense.features(picture)
    assert found.shape == (6, 5, 9)
    np.testing.assert_allclose(found.norm(dim=0), 1.0, atol=1e-5)


def test_flip_makes_mirrored_images_give_mirrored_features(visual: Any) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    dense = DenseClip(visual, DenseOptions(edit="naclip", short_side=32, window=32, stride=16, flip=True))
    mirrored = dense.features(np.ascontiguousarray(picture[:, ::-1]))
    np.testing.assert_allclose(mirrored.flip(2).numpy(), dense.features(picture).numpy(), atol=1e-5)
