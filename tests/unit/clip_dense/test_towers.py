"""Which image towers of open_clip give dense features: every family, shrunk, with random weights."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from ov3d_perception.errors import ModelError
from ov3d_trainer.clip_dense.edits import EDITS, check_visual, dense_features, patch_size
from ov3d_trainer.open_clip_loading import load_model

VIT = {"image_size": 32, "patch_size": 8, "width": 16, "head_width": 8, "layers": 2}
TEXT = {"context_length": 4, "vocab_size": 49408, "width": 4, "heads": 1, "layers": 1}
RESNET = {"image_size": 64, "width": 4, "head_width": 64, "layers": [1, 1, 1, 1], "patch_size": None}
ONE_TOKEN = {"pool_type": "avg", "final_ln_after_pool": True, "no_ln_pre": True}
TIMM = {"timm_model_pretrained": False, "timm_drop": 0.0, "image_size": 32}

SUPPORTED = {
    "vit": VIT,
    "vit_quickgelu": VIT,
    "vit_layer_scale": {**VIT, "ls_init_value": 0.1},
    "vit_sines": {**VIT, "pos_embed_type": "sin_cos_2d"},
    "clipa": {**VIT, **ONE_TOKEN},
    "wide_image": {**VIT, "image_size": [32, 48]},
}
REFUSED = {
    "coca": ({**VIT, "attentional_pool": True, "attn_pooler_heads": 2}, "pools its patches by attention"),
    "own_blocks": ({**VIT, "qk_norm": True}, "blocks of its own kind"),
    "long_patches": ({**VIT, "patch_size": [8, 16]}, "8 x 16 pixels, which are not square"),
    "siglip": ({**TIMM, "timm_model_name": "test_vit", "timm_pool": "map", "timm_proj": "none"}, "tower of timm"),
    "eva": ({**TIMM, "timm_model_name": "eva02_tiny_patch14_224", "image_size": 28}, "tower of timm"),
    "convnext": ({**TIMM, "timm_model_name": "test_convnext"}, "tower of timm"),
}


def build(folder: Path, name: str, vision: dict[str, Any]) -> Any:
    """Return the random image tower of a model file."""
    dim = 64 if vision.get("timm_proj") == "none" else 6
    quick = {"quick_gelu": True} if "quickgelu" in name else {}
    content = {"embed_dim": dim, "vision_cfg": vision, "text_cfg": TEXT, **quick}
    path = folder / f"tiny_{name}.json"
    path.write_text(json.dumps(content))
    return load_model(str(path), None).visual


@pytest.mark.parametrize("name", SUPPORTED)
def test_vit_of_open_clip_gives_features_of_patches(tmp_path: Path, name: str) -> None:
    visual = build(tmp_path, name, SUPPORTED[name])
    images = torch.randn(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    grids = []
    for edit in EDITS:
        check_visual(visual, edit)
        found = dense_features(visual, images, edit)
        assert found.shape == (2, 6, 4, 6)
        torch.testing.assert_close(found.norm(dim=1), torch.ones(2, 4, 6))
        grids.append(found)
    assert all(not torch.allclose(one, other, atol=1e-3) for one, other in pairwise(grids))


@pytest.mark.parametrize("name", SUPPORTED)
def test_plain_edit_is_what_the_tower_computes_itself(tmp_path: Path, name: str) -> None:
    visual = build(tmp_path, name, SUPPORTED[name])
    rows, columns = visual.image_size
    images = torch.randn(1, 3, rows, columns, generator=torch.Generator().manual_seed(1))
    tokens = visual.forward_intermediates(images, indices=1, output_fmt="NLC")["image_intermediates"][0]
    wanted = torch.nn.functional.normalize(visual.ln_post(tokens) @ visual.proj, dim=-1)
    found = dense_features(visual, images, "plain")[0].flatten(1).T
    torch.testing.assert_close(found, wanted[0], atol=1e-5, rtol=0)


def test_resnet_of_open_clip_gives_its_value_path_only(tmp_path: Path) -> None:
    visual = build(tmp_path, "resnet", RESNET)
    check_visual(visual, "maskclip")
    assert patch_size(visual) == 32
    assert dense_features(visual, torch.randn(1, 3, 64, 96), "maskclip").shape == (1, 6, 2, 3)
    with pytest.raises(ModelError, match=r"Set teacher\.edit=maskclip"):
        check_visual(visual, "plain")


@pytest.mark.parametrize("name", REFUSED)
def test_other_towers_are_refused_with_the_reason(tmp_path: Path, name: str) -> None:
    vision, reason = REFUSED[name]
    visual = build(tmp_path, name, vision)
    for edit in EDITS:
        with pytest.raises(ModelError, match=rf"{reason}.*Use a ViT with a class token"):
            check_visual(visual, edit)
