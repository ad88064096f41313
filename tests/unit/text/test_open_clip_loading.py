"""Loading open_clip models: seeds, activations, and errors that say how to go on without a network."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ov3d_perception.errors import ConfigError, ModelError
from ov3d_trainer.open_clip_loading import TEXT_SPACE_KEY, load_open_clip, text_space

SMALLEST = "ViT-S-32-alt"
QUICK = "ViT-B-32-quickgelu"
HUB_FILES = r"open_clip_model.safetensors or open_clip_pytorch_model.bin"
TINY = {
    "embed_dim": 6,
    "vision_cfg": {"image_size": 16, "patch_size": 8, "width": 8, "head_width": 4, "layers": 1},
    "text_cfg": {"context_length": 4, "vocab_size": 49408, "width": 4, "heads": 1, "layers": 1},
}


def test_unknown_architecture_names_the_nearest(open_clip: Any) -> None:
    with pytest.raises(ModelError, match=r"no model 'ViT-B32' among \d+\. Nearest: .*ViT-B-32"):
        load_open_clip("ViT-B32", None)


def test_unknown_tag_names_the_tags(open_clip: Any) -> None:
    with pytest.raises(ModelError, match=r"'opnai' is neither a file nor a tag of this model.*openai"):
        load_open_clip("ViT-B-32", "opnai")


def test_hub_that_breaks_off_names_the_offline_way(open_clip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import open_clip.factory as factory

    def broken(*arguments: Any, **named: Any) -> None:
        raise OSError("connection reset")

    answering_hub(monkeypatch, lambda *arguments, **named: None)
    monkeypatch.setattr(factory, "download_pretrained", broken)
    with pytest.raises(ConfigError, match=rf"connection reset.*fetch {HUB_FILES} of timm/.*{QUICK}"):
        load_open_clip("ViT-B-32", "openai")


def test_hub_that_does_not_answer_is_asked_once(open_clip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def silent(address: str, *, timeout: float) -> None:
        asked.append(timeout)
        raise OSError("no route to host")

    answering_hub(monkeypatch, silent)
    with pytest.raises(ConfigError) as refusal:
        load_open_clip("ViT-B-32", "openai")
    message = str(refusal.value)
    assert "does not answer (no route to host)" in message
    assert f"fetch {HUB_FILES} of timm/vit_base_patch32_clip_224.openai elsewhere" in message
    assert f"give its path instead of the tag, with the model {QUICK}" in message
    assert len(asked) == 1
    assert asked[0] <= 10


def answering_hub(monkeypatch: pytest.MonkeyPatch, head: Any) -> None:
    """A hub whose cache is empty and whose client answers as `head` does."""
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *arguments: None)
    monkeypatch.setattr(huggingface_hub.utils, "get_session", lambda: SimpleNamespace(head=head))


def test_activation_follows_the_tag(open_clip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def stop(name: str, **named: Any) -> None:
        asked.update(named)
        raise RuntimeError("far enough")

    monkeypatch.setattr(open_clip, "create_model", stop)
    answering_hub(monkeypatch, lambda *arguments, **named: None)
    for tag, quick in (("openai", True), ("laion2b_s34b_b79k", False)):
        with pytest.raises(ConfigError, match="far enough"):
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


def test_model_file_is_a_model_of_its_own(open_clip: Any, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    (tmp_path / "tiny_own.json").write_text(json.dumps(TINY))
    model, _ = load_open_clip(str(tmp_path / "tiny_own.json"), None, seed=1)
    save_file(model.state_dict(), tmp_path / "own.safetensors", {TEXT_SPACE_KEY: "words:1"})
    again, _ = load_open_clip(str(tmp_path / "tiny_own.json"), tmp_path / "own.safetensors", seed=2)
    assert again.visual.proj.tolist() == model.visual.proj.tolist()
    assert text_space(str(tmp_path / "tiny_own.json"), tmp_path / "own.safetensors") == "words:1"
    assert text_space(str(tmp_path / "tiny_own.json"), None, seed=1) == "clip:tiny_own/random-1"


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("missing.json", None, "cannot be read"),
        ("rot.json", "{", "not JSON"),
        ("list.json", "[]", "expected the keys embed_dim, vision_cfg, text_cfg"),
        ("half.json", '{"embed_dim": 6}', "expected the keys"),
        ("ViT-B-32.json", json.dumps(TINY), "another model of the name 'ViT-B-32'"),
    ],
)
def test_model_file_that_is_none_is_refused(
    open_clip: Any, tmp_path: Path, name: str, text: str | None, complaint: str
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError, match=complaint):
        load_open_clip(str(tmp_path / name), None)


def test_space_of_a_weights_file_that_is_rot_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rot.safetensors").write_bytes(b"rot")
    with pytest.raises(ModelError, match="cannot be read"):
        text_space("ViT-B-32", tmp_path / "rot.safetensors")
