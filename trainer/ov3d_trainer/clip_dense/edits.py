"""What a CLIP image tower says about each patch: the last block is changed so that patches keep what is their own.

CLIP learns one vector per image, and its last block mixes all patches. Training-free edits of that block leave features
that can be compared with text patch by patch. q, k, v are the block's queries, keys and values, per head:

| edit | weights of the patches | residual and MLP of the block | source |
|---|---|---|---|
| plain | softmax(q k / sqrt d) | kept | CLIP itself (Radford et al. 2021) |
| maskclip | each patch itself | left out | MaskCLIP (Zhou et al. 2022) |
| sclip | softmax(q q / sqrt d) + softmax(k k / sqrt d) | kept | SCLIP (Wang et al. 2024) |
| naclip | softmax(k k / sqrt d + a Gaussian window over patches) | left out | NACLIP (Hajimiri et al. 2025) |
| clearclip | softmax(q q / sqrt d) | left out | ClearCLIP (Lan et al. 2024) |
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional as F

from ov3d_perception.errors import ModelError

EDITS = ("plain", "maskclip", "sclip", "naclip", "clearclip")
WINDOW_PATCHES = 5.0
"""Standard deviation of NACLIP's window."""
_KEEP_RESIDUAL = ("plain", "sclip")


def check_visual(visual: Any, edit: str) -> None:
    """Raise `ModelError` where an image tower of open_clip has no such edit."""
    if edit not in EDITS:
        raise ModelError(f"teacher.edit: unknown '{edit}'. Choose from {', '.join(EDITS)}.")
    if _is_resnet(visual):
        if edit != "maskclip":
            raise ModelError(f"teacher.edit: a ResNet has no block to edit as '{edit}'. Set teacher.edit=maskclip.")
        return
    reason = _why_not(visual)
    if reason:
        raise ModelError(
            f"open_clip: {type(visual).__name__} {reason}. Use a ViT with a class token (ViT-B-16, ViT-L-14-336, ...) "
            "or RN50."
        )


def _why_not(visual: Any) -> str:
    """Return what keeps the formulas below from being those of the tower's own last block; "" where nothing does."""
    if hasattr(visual, "trunk"):
        return "is a tower of timm (SigLIP, EVA, ConvNeXt, ...): its last block is not open_clip's"
    blocks = getattr(getattr(visual, "transformer", None), "resblocks", None)
    if blocks is None or not hasattr(visual, "class_embedding"):
        return "is no ViT whose last block is known"
    if getattr(visual, "attn_pool", None) is not None:
        return "pools its patches by attention (CoCa): there is no projection of single patches"
    if not isinstance(blocks[-1].attn, torch.nn.MultiheadAttention) or not hasattr(blocks[-1], "ls_1"):
        return "has blocks of its own kind (norms or scales within the attention)"
    if visual.patch_size[0] != visual.patch_size[1]:
        return f"has patches of {visual.patch_size[0]} x {visual.patch_size[1]} pixels, which are not square"
    return ""


def patch_size(visual: Any) -> int:
    """Return the edge of a patch in pixels; of a ResNet, how much smaller its last map is than the image."""
    return 32 if _is_resnet(visual) else int(visual.patch_size[0])


def dense_features(visual: Any, images: torch.Tensor, edit: str) -> torch.Tensor:
    """Return unit features (B, D, h, w) in the space of the model's texts, one per patch.

    `images` (B, 3, H, W) normalised as the model wants them; H and W multiples of `patch_size`. Sizes other than those
    that the model was trained with get bicubically resized position embeddings.
    """
    return features_of_edits(visual, images, (edit,))[0]


def features_of_edits(visual: Any, images: torch.Tensor, edits: Sequence[str]) -> list[torch.Tensor]:
    """Return `dense_features` of several edits; what comes before the last block is computed once."""
    if _is_resnet(visual):
        return [_of_resnet(visual, images) for _ in edits]
    rows, columns = images.shape[2] // patch_size(visual), images.shape[3] // patch_size(visual)
    x = _tokens(visual, images, (rows, columns))
    blocks = visual.transformer.resblocks
    for block in blocks[:-1]:
        x = block(x)
    found = []
    for edit in edits:
        last = visual.ln_post(_last_block(blocks[-1], x, edit, (rows, columns)))
        feature = F.normalize(last[:, 1:] @ visual.proj, dim=-1)
        found.append(feature.transpose(1, 2).reshape(len(images), -1, rows, columns))
    return found


def window_over_patches(grid: tuple[int, int], deviation: float = WINDOW_PATCHES) -> torch.Tensor:
    """Return (1 + h w, 1 + h w): exp(-distance^2 / 2 deviation^2) between patches, 0 to and from the class token."""
    place = torch.stack(torch.meshgrid(torch.arange(grid[0]), torch.arange(grid[1]), indexing="ij"), dim=-1)
    place = place.reshape(-1, 2).float()
    squared = (place[:, None] - place[None]).square().sum(dim=-1)
    window = torch.zeros(len(place) + 1, len(place) + 1)
    window[1:, 1:] = torch.exp(-squared / (2.0 * deviation**2))
    return window


def _is_resnet(visual: Any) -> bool:
    return hasattr(visual, "attnpool") and hasattr(visual, "layer4")


def _of_resnet(visual: Any, images: torch.Tensor) -> torch.Tensor:
    """The value path of the pool at the end (MaskCLIP): what each cell would add, were it looked at alone."""
    x = visual.stem(images)
    for layer in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
        x = layer(x)
    pool = visual.attnpool
    return F.normalize(pool.c_proj(pool.v_proj(x.permute(0, 2, 3, 1))), dim=-1).permute(0, 3, 1, 2)


def _tokens(visual: Any, images: torch.Tensor, grid: tuple[int, int]) -> torch.Tensor:
    """Return the tokens (B, 1 + h w, C) before the first block."""
    x = visual.conv1(images).flatten(2).transpose(1, 2)
    first = visual.class_embedding.to(x.dtype).expand(len(x), 1, -1)
    return visual.ln_pre(torch.cat([first, x], dim=1) + _positions(visual, grid).to(x.dtype))  # type: ignore[no-any-return]


def _positions(visual: Any, grid: tuple[int, int]) -> torch.Tensor:
    """Return the position embedding (1 + h w, C), resized where the grid is not the one that was trained."""
    own, position = tuple(visual.grid_size), visual.positional_embedding
    if own == grid:
        return torch.as_tensor(position)
    patches = position[1:].T.reshape(1, -1, *own)
    resized = F.interpolate(patches, size=grid, mode="bicubic", align_corners=False)
    return torch.cat([position[:1], resized[0].flatten(1).T])


def _last_block(block: Any, x: torch.Tensor, edit: str, grid: tuple[int, int]) -> torch.Tensor:
    attention = block.attn
    q, k, v = F.linear(block.ln_1(x), attention.in_proj_weight, attention.in_proj_bias).chunk(3, dim=-1)
    q, k, v = (part.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2) for part in (q, k, v))  # (B, heads, T, d)
    mixed = _mix(q, k, v, edit, grid).transpose(1, 2).flatten(2)
    mixed = block.ls_1(attention.out_proj(mixed))
    if edit not in _KEEP_RESIDUAL:
        return torch.as_tensor(mixed)
    x = x + mixed
    return torch.as_tensor(x + block.ls_2(block.mlp(block.ln_2(x))))


def _mix(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, edit: str, grid: tuple[int, int]) -> torch.Tensor:
    """Return what every token collects (B, heads, T, d)."""
    if edit == "maskclip":
        return v
    scale = 1.0 / math.sqrt(q.shape[-1])
    if edit == "sclip":
        return (_softmax(q, q, scale) + _softmax(k, k, scale)) @ v
    if edit == "naclip":
        logits = k @ k.transpose(-1, -2) * scale + window_over_patches(grid).to(k)
        return logits.softmax(dim=-1) @ v
    return _softmax(q, k if edit == "plain" else q, scale) @ v


def _softmax(one: torch.Tensor, other: torch.Tensor, scale: float) -> torch.Tensor:
    return (one @ other.transpose(-1, -2) * scale).softmax(dim=-1)
