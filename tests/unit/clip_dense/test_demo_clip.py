"""The demo CLIP: which regions it is shown, its loss by hand, and a training as small as it can be."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.text.bank import read_bank, write_bank
from ov3d_trainer.cli import main
from ov3d_trainer.config import TeacherConfig
from ov3d_trainer.data import dataset
from ov3d_trainer.data.sample import UNKNOWN, LabelImage, Sample, SceneObject
from ov3d_trainer.demo_clip.config import load_demo_clip_config
from ov3d_trainer.demo_clip.regions import draw_crops, load_regions, regions_of
from ov3d_trainer.demo_clip.training import contrastive_loss, train_demo_clip
from ov3d_trainer.image_tower.concepts import training_captions
from ov3d_trainer.open_clip_loading import load_model, text_space
from ov3d_trainer.teacher import make_teacher
from ov3d_trainer.words.vocabulary import parse_vocabulary
from tests.unit.training.hand_made import make_sample, make_view

MODEL = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 16, "patch_size": 8, "width": 16, "head_width": 8, "layers": 2},
    "text_cfg": {"context_length": 4, "vocab_size": 49408, "width": 4, "heads": 1, "layers": 1},
}
THINGS = (SceneObject(kind="tree"), SceneObject(kind="car", color="red"))


def source(*, labelled: bool = True) -> list[Sample]:
    """One image of 48 x 64: a red car of 20 x 24 pixels at row 10, column 30, in a green tree; sky above row 4."""
    labels, instances = np.zeros((48, 64), np.int32), np.full((48, 64), UNKNOWN, np.int32)
    labels[:4] = UNKNOWN
    labels[10:30, 30:54], instances[10:30, 30:54] = 1, 0
    image = np.where((labels == 1)[..., None], [220, 20, 20], [20, 160, 20]).astype(np.uint8)
    sample = make_sample(
        [[0, 0, 0]],
        views=[replace(make_view(width=64, height=48), image=image)],
        labels={"front": LabelImage(labels=labels, instances=instances)} if labelled else {},
        names=("tree", "car"),
    )
    return [replace(sample, objects=(SceneObject(kind="car", color="red"),))]


def test_regions_are_objects_and_surfaces_with_their_boxes() -> None:
    regions = load_regions(source())
    assert regions.things == THINGS
    found = {regions.things[row].kind: box.tolist() for row, box in zip(regions.concept, regions.box, strict=True)}
    assert found == {"tree": [4, 0, 48, 64], "car": [10, 30, 30, 54]}
    car = 20 * 24
    assert regions.share == pytest.approx({"car": car / (44 * 64), "tree": 1 - car / (44 * 64)})


def test_two_objects_of_one_concept_are_two_regions_and_small_ones_are_none() -> None:
    concepts = np.zeros((20, 30), np.int16)
    instances = np.full((20, 30), UNKNOWN, np.int32)
    instances[:10, :10], instances[:10, 10:20], instances[19, :5] = 0, 1, 2
    found = regions_of(concepts, instances)
    assert found.tolist() == [[0, 0, 20, 30, 0, 395], [0, 0, 10, 10, 0, 100], [0, 10, 10, 20, 0, 100]]


def test_crops_are_centred_on_what_they_are_called() -> None:
    regions = load_regions(source())
    crops, concepts = draw_crops(regions, regions.by_kind(), 40, 16, 1.0, np.random.default_rng(0))
    assert crops.shape == (40, 16, 16, 3)
    assert set(concepts.tolist()) == {0, 1}
    for crop, concept in zip(crops, concepts, strict=True):
        red = np.mean(crop[..., 0] > 120)
        # A car of 20 x 24 pixels in a square of 24 to 36: at least 480 / 1,296. A piece of the tree is 35 % tree.
        assert red > 0.3 if concept == 1 else red < 0.66


def test_loss_leaves_out_captions_that_are_true_too() -> None:
    text = torch.eye(3)  # "car", "red car", "tree"
    image = torch.tensor([[0.6, 0.8, 0.0], [0.0, 0.0, 1.0]])
    true = torch.tensor([[True, True, False], [False, False, True]])
    scale = torch.tensor(2.0)
    # Of the first crop "car" is said: "red car" (cosine 0.8) is true too and takes no part.
    first = -math.log(math.exp(1.2) / (math.exp(1.2) + math.exp(0.0)))
    second = -math.log(math.exp(2.0) / (math.exp(2.0) + 2 * math.exp(0.0)))
    back = (-math.log(math.exp(1.2) / (math.exp(1.2) + 1)) - math.log(math.exp(2.0) / (math.exp(2.0) + 1))) / 2
    found = contrastive_loss(image, text, torch.tensor([0, 2]), true, scale)
    assert float(found) == pytest.approx(((first + second) / 2 + back) / 2, abs=1e-6)


def test_two_crops_with_one_caption_do_not_compete_for_it() -> None:
    text, true = torch.eye(2), torch.tensor([[True, False], [True, False]])
    image = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    found = contrastive_loss(image, text, torch.tensor([0, 0]), true, torch.tensor(1.0))
    over_captions = (math.log(1 + math.exp(-1)) + math.log(1 + math.exp(1))) / 2
    assert float(found) == pytest.approx(over_captions / 2, abs=1e-6)  # over images nothing is left to confuse


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setitem(dataset._RECORDED, "keyframe", lambda config: source())
    (tmp_path / "tiny_demo_clip.json").write_text(json.dumps(MODEL))
    captions = sorted({text for thing in THINGS for text in training_captions([thing])})
    seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") for text in captions]
    rows = np.stack([np.random.default_rng(seed).normal(size=8) for seed in seeds]).astype(np.float32)
    write_bank(tmp_path / "bank.npz", captions, rows / np.linalg.norm(rows, axis=1, keepdims=True), "test:invented")
    lines = [
        f"model: {tmp_path}/tiny_demo_clip.json", f"text: {tmp_path}/bank.npz", f"out: {tmp_path}/out", "cache: ''",
        "data: {kind: keyframe, path: here}", "kind_balance: 1.0", "batch: 8", "evaluation: {kind: '', path: here}",
        "steps: 40", "threads: 1", "average: 0.5",
        "optimiser: {learning_rate: 5.0e-3}",
    ]  # fmt: skip
    (tmp_path / "config.yaml").write_text("\n".join(lines))
    return tmp_path / "config.yaml"


def test_trained_tower_loads_as_any_other_and_tells_a_car_from_a_tree(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo-clip", "--config", str(config_file), "--set", "evaluation.kind=keyframe"]) == 0
    assert "100.0 % of 1024 crops are nearest to their own of 2 kinds" in capsys.readouterr().out
    out = config_file.with_name("out")
    model, weights = out / "demo_clip.json", out / "demo_clip.safetensors"
    assert text_space(str(model), weights) == "test:invented"
    tower = load_model(str(model), weights).visual
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 40
    records = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert np.mean([record["loss"] for record in records[-8:]]) < np.mean([record["loss"] for record in records[:8]])
    car, tree = (torch.tensor(colour).view(1, 3, 1, 1).expand(1, 3, 16, 16) / 255.0 for colour in CAR_AND_TREE)
    captions = {kind: training_captions([thing]) for kind, thing in zip(("tree", "car"), THINGS, strict=True)}
    assert nearest(tower, car, config_file) in captions["car"]
    assert nearest(tower, tree, config_file) in captions["tree"]


def test_trained_tower_teaches_in_the_space_that_its_file_names(config_file: Path) -> None:
    weights = train_demo_clip(load_demo_clip_config(config_file, ["steps=2"]))
    config = TeacherConfig(
        kind="open_clip",
        model=str(weights.with_suffix(".json")),
        pretrained=str(weights),
        short_side=48,
        window=16,
        stride=16,
    )
    words, sample = parse_vocabulary({"labels": ["car", "tree"]}), source()[0]
    sample = replace(sample, frame=replace(sample.frame, points=np.array([[0, 4, 0]], np.float32)))
    supervision = make_teacher(config, words, read_bank(config_file.with_name("bank.npz")), sample).supervise(sample)
    assert supervision.rows.tolist() == [0]
    assert np.linalg.norm(supervision.code[0]) == pytest.approx(1.0, abs=1e-3)


CAR_AND_TREE = ((220.0, 20.0, 20.0), (20.0, 160.0, 20.0))


def nearest(tower: torch.nn.Module, image: torch.Tensor, config_file: Path) -> str:
    bank = read_bank(config_file.with_name("bank.npz"))
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (tower.image_mean, tower.image_std))
    captions = sorted({text for thing in THINGS for text in training_captions([thing])})
    return captions[int((tower((image - mean) / std).numpy() @ bank.encode(captions).T).argmax())]


def test_same_seed_gives_the_same_weights(config_file: Path) -> None:
    first, second = (
        load_file(train_demo_clip(load_demo_clip_config(config_file, [f"out={config_file.parent}/{name}", "steps=2"])))
        for name in ("one", "two")
    )
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_what_does_not_fit_is_refused(config_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="model: 'ViT-B-32' is out of range"):
        load_demo_clip_config(config_file, ["model=ViT-B-32"])
    config = load_demo_clip_config(config_file)
    Path(config.model).with_name("wide.json").write_text(json.dumps({**MODEL, "embed_dim": 12}))
    with pytest.raises(ConfigError, match=r"embed_dim is 12, vectors of .* have 8"):
        train_demo_clip(replace(config, model=str(Path(config.model).with_name("wide.json"))))
    monkeypatch.setitem(dataset._RECORDED, "keyframe", lambda config: source(labelled=False))
    with pytest.raises(DataError, match="no images with labels"):
        train_demo_clip(config)
