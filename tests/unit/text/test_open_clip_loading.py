"""Loading open_clip models: seeds, activations, and errors that say how to go on without a network."""

from pathlib import Path
from typing import Any

import pytest

from ov3d_perception.errors import ModelError
from ov3d_trainer.open_clip_loading import load_open_clip

SMALLEST = "ViT-S-32-alt"
QUICK = "ViT-B-32-quickgelu"


@pytest.fixture
def without_hub(open_clip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every download fails, as on a machine without a network."""

    def unreachable(*arguments: Any, **named: Any) -> None:
        raise OSError("no route to host")

    import open_clip.factory as factory

    monkeypatch.setattr(factory, "download_pretrained", unreachable)


def test_unknown_architecture_names_the_nearest(open_clip: Any) -> None:
    with pytest.raises(ModelError, match=r"no model 'ViT-B32' among \d+\. Nearest: .*ViT-B-32"):
        load_open_clip("ViT-B32", None)


def test_unknown_tag_names_the_tags(open_clip: Any) -> None:
    with pytest.raises(ModelError, match=r"'opnai' is neither a file nor a tag of this model.*openai"):
        load_open_clip("ViT-B-32", "opnai")


@pytest.mark.usefixtures("without_hub")
def test_hub_that_cannot_be_reached_names_the_offline_way(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError) as refusal:
        load_open_clip("ViT-B-32", "openai")
    message = str(refusal.value)
    assert "no route to host" in message
    assert "Without a network: fetch the weights of timm/vit_base_patch32_clip_224.openai elsewhere" in message
    assert f"give its path instead of the tag, with the model {QUICK}" in message


def test_activation_follows_the_tag(open_clip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def stop(name: str, **named: Any) -> None:
        asked.update(named)
        raise RuntimeError("far enough")

    monkeypatch.setattr(open_clip, "create_model", stop)
    for tag, quick in (("openai", True), ("laion2b_s34b_b79k", False)):
        with pytest.raises(ModelError, match="far enough"):
            load_open_clip("ViT-B-32", tag)
        assert asked["force_quick_gelu"] is quick


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_file_that_holds_no_weights_is_refused(open_clip: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"rot")
    with pytest.raises(ModelError, match="Give a file of weights for ViT-S-32-alt"):
        load_open_clip(SMALLEST, tmp_path / name)


def test_random_weights_come_from_the_seed_and_survive_a_file(open_clip: Any, tmp_path: Path) -> None:
    import torch

    before = torch.random.get_rng_state()
    model, tokenizer = load_open_clip(SMALLEST, None, seed=5)
    assert torch.equal(torch.random.get_rng_state(), before)
    tokens = tokenizer(["a car"])
    features = model.encode_text(tokens)
    assert not model.training
    assert not features.requires_grad
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    loaded, _ = load_open_clip(SMALLEST, tmp_path / "weights.pt", seed=6)
    assert torch.equal(loaded.encode_text(tokens), features)
