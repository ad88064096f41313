"""A small random CLIP with CLIP's real vocabulary, exported once for all tests of text."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

SMALL_CLIP: dict[str, Any] = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedTower:
    """An open_clip model with its tokenizer, and the folder that they were exported to."""

    model: Any
    tokenizer: Any
    folder: Path


@pytest.fixture(scope="session")
def open_clip() -> Any:
    from ov3d_trainer.open_clip_loading import import_open_clip

    return import_open_clip()


@pytest.fixture(scope="session")
def clip_tokenizer(open_clip: Any) -> Any:
    """open_clip's own tokenizer: what tokens are compared with."""
    return open_clip.get_tokenizer("ViT-B-32")


@pytest.fixture(scope="session")
def make_clip(open_clip: Any) -> Callable[..., Any]:
    """Makes a random CLIP of two layers whose weights all matter: biases are not left at 0, scales not at 1."""

    def make(*, seed: int = 1, custom: bool = False, quick_gelu: bool = False, **text: Any) -> Any:
        import torch

        config = {**SMALL_CLIP, "text_cfg": {**SMALL_CLIP["text_cfg"], **text}, "quick_gelu": quick_gelu}
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(seed)
            model = (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**config)
            for parameter in model.parameters():
                parameter += 0.1 * torch.randn_like(parameter)
        return model.eval()

    return make


@pytest.fixture(scope="session")
def small_tower(
    make_clip: Callable[..., Any], clip_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory
) -> ExportedTower:
    from ov3d_export.text_tower import export_text_tower

    model = make_clip(seed=0)
    folder = tmp_path_factory.mktemp("tower")
    export_text_tower(model, clip_tokenizer, folder, space="clip:small/random", source={"model": "small"})
    return ExportedTower(model=model, tokenizer=clip_tokenizer, folder=folder)
