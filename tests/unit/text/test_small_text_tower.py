"""The small text tower: what it learns from, what it learns, and what a bundle makes of it; with a random teacher."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ov3d_perception.errors import ConfigError, ModelError
from ov3d_perception.text.encoder import open_text_encoder
from ov3d_trainer.data.simulate.words import Words, all_words
from tests.unit.text.tiny_bert import LAYERS, WIDTH, write_tiny_bert

STEPS = 60
TEXTS = ["", "car", "a photo of the red car in the street", "Tree-house?", "<end_of_text> car", "[SEP] [PAD] car", "東"]


@pytest.fixture(scope="module")
def teacher_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="module")
def run(teacher_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tower of one layer, trained for a few steps."""
    from ov3d_trainer.cli import main

    out = tmp_path_factory.mktemp("run")
    settings = [f"teacher={teacher_folder}", f"out={out}", f"cache={out / 'cache'}", f"steps={STEPS}", "batch=64"]
    settings += ["kept_layers=[1]", "rank=16", "context_length=24", "compositions=50", "space=tiny:1"]
    assert main(["text-tower", "--set", *settings, "optimiser.learning_rate=3e-3"]) == 0
    return out


@pytest.fixture(scope="module")
def bundle(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from ov3d_export.cli import main

    folder = tmp_path_factory.mktemp("bundle")
    assert main(["small-text-tower", str(run / "text_tower.pt"), "--out", str(folder)]) == 0
    return folder


def test_all_layers_with_padding_are_the_sentence_encoder_without(teacher_folder: Path) -> None:
    from ov3d_trainer.text_tower.teacher import encode_all
    from ov3d_trainer.words.sentence_encoder import open_sentence_encoder

    encoder = open_sentence_encoder(teacher_folder)
    texts = ["", "car", "a photo of the red car in the street", "東"]
    np.testing.assert_allclose(encode_all(encoder, texts, 40), encoder.encode(texts), atol=1e-5)


def test_vectors_of_known_texts_are_not_computed_again(teacher_folder: Path, tmp_path: Path) -> None:
    from ov3d_trainer.text_tower.teacher import encode_all, teacher_vectors
    from ov3d_trainer.words.sentence_encoder import open_sentence_encoder

    encoder = open_sentence_encoder(teacher_folder)
    teacher_vectors(encoder, ["car", "tree"], 24, tmp_path)
    (stored,) = tmp_path.iterdir()
    np.savez(stored, texts=np.array("car\ntree"), vectors=np.full((2, WIDTH), 7.0, np.float16))
    found = teacher_vectors(encoder, ["tree", "house"], 24, tmp_path)
    np.testing.assert_array_equal(found[0], 7.0)
    np.testing.assert_allclose(found[1], encode_all(encoder, ["house"], 24)[0], atol=1e-3)  # float16


def test_training_comes_nearer_to_the_teacher(run: Path) -> None:
    from ov3d_trainer.report import read_metrics

    cosine = [record["cosine"] for record in read_metrics(run / "metrics.jsonl")]
    assert len(cosine) == STEPS
    assert np.mean(cosine[-5:]) < 0.6 * np.mean(cosine[:5])


def test_report_measures_texts_that_training_never_saw(run: Path) -> None:
    report = json.loads((run / "report.json").read_text())
    assert 0.5 < report["cosine_held_back"] <= 1.0
    assert report["street"]["synonyms"] == len([1 for words in street_words() for _ in words.held_out])
    assert 0.0 <= report["street"]["nearest_by_tower"] <= 1.0


def street_words() -> list[Words]:
    from ov3d_trainer.data.simulate import words
    from ov3d_trainer.data.simulate.words import read_words

    return list(read_words(Path(words.__file__).parent / "street/words.yaml").values())


def test_bundle_encodes_what_torch_encodes(run: Path, bundle: Path) -> None:
    from ov3d_trainer.text_tower.checkpoint import TorchTextEncoder, load_text_tower

    encoder = open_text_encoder(bundle)
    assert (encoder.space, encoder.dim, encoder.supports_templates) == ("tiny:1", WIDTH, True)
    found = encoder.encode([*TEXTS, "car " * 50])
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)
    wanted = TorchTextEncoder(load_text_tower(run / "text_tower.pt")).encode([*TEXTS, "car " * 50])
    assert (1.0 - (found * wanted).sum(axis=1)).max() <= 1e-3  # the bound that exports promise, int8 weights included


def test_text_does_not_depend_on_its_neighbours(bundle: Path) -> None:
    from ov3d_perception.text.clip_tower import ClipTower

    tower = ClipTower(bundle)
    together = tower.encode(TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(tower.encode([text])[0], vector, atol=1e-5)


def test_text_beyond_the_context_is_cut(bundle: Path) -> None:
    encoder = open_text_encoder(bundle)
    long, cut = encoder.encode(["car " * 500, "car " * 22])  # 24 tokens with start and end
    np.testing.assert_allclose(long, cut, atol=1e-6)


def test_tokens_are_those_of_the_teacher(run: Path, teacher_folder: Path, bundle: Path) -> None:
    from ov3d_perception.text.clip_tower import ClipTower
    from ov3d_trainer.text_tower.tokens import small_tokenizer
    from ov3d_trainer.words.sentence_encoder import open_sentence_encoder

    teacher = open_sentence_encoder(teacher_folder).tokenizer
    _, kept_ids = small_tokenizer(teacher)
    text = "A photo of the RED car, (wörds)!"
    ids = ClipTower(bundle).tokenize([text])[0]
    assert [kept_ids[token] for token in ids if token] == teacher.encode(text).ids
    tokens = teacher.get_vocab()
    assert {tokens[token] for token in ("東", "[unused0]", "[MASK]", "[")} & set(kept_ids) == {tokens["["]}


def test_list_holds_no_held_out_word(run: Path) -> None:
    texts = (run / "texts.txt").read_text(encoding="utf-8").splitlines()
    assert len(texts) == len(set(texts)) > 10_000
    assert {"car", "a red car", "house"} <= set(texts)
    assert "tarmac" not in texts  # a word of the vocabulary, and held out
    joined = "\n".join(f" {text.replace('-', ' ')} " for text in texts)
    for words in all_words().values():
        for word in words.held_out:
            assert f" {word} " not in joined
            assert f" {word}s " not in joined


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a flagpole", True),
        ("Flagpoles, two of them", True),
        ("flagpole-like", True),
        ("a chain-link gate", True),
        ("flagpolehood", False),
        ("chain of links", False),
        ("many pansies", True),
        ("two firemen", True),
        ("churches", True),
    ],
)
def test_held_out_words_are_found_in_singular_and_plural(text: str, found: bool) -> None:
    from ov3d_trainer.text_tower.texts import _spaced, held_out_pattern

    pattern = held_out_pattern(["flagpole", "chain link", "pansy", "fireman", "church"])
    assert bool(pattern.search(_spaced(text))) is found


def test_no_held_out_words_exclude_nothing() -> None:
    from ov3d_trainer.text_tower.texts import held_out_pattern

    assert not held_out_pattern([]).search("anything")


def test_wordnet_gives_concrete_nouns_of_common_words(tmp_path: Path) -> None:
    from ov3d_trainer.text_tower.texts import read_nouns

    lines = [
        "  1 a line of the licence",
        '00000001 06 n 02 street_car 0 zyzzyx 0 001 @ 00000009 n 0000 | a car that runs on rails; "he took it"',
        "00000002 07 n 01 beauty 0 001 @ 00000009 n 0000 | what pleases",
        "00000003 18 n 01 car 0 001 @i 00000009 n 0000 | somebody of that name",
        "00000004 20 n 01 zyzzyx 0 001 @ 00000009 n 0000 | a rare weed",
    ]
    (tmp_path / "data.noun").write_text("\n".join(lines) + "\n")
    common = {"street", "car", "beauty"}
    assert read_nouns(tmp_path / "data.noun", common) == (["street car"], ["a car that runs on rails"])
    with pytest.raises(ConfigError, match=r"absent/data\.noun.*wordnet-base"):
        read_nouns(tmp_path / "absent" / "data.noun", common)


def test_list_command_writes_the_list_of_training(run: Path, teacher_folder: Path, tmp_path: Path) -> None:
    from ov3d_trainer.cli import main

    path = tmp_path / "texts.txt"
    settings = ["--set", f"teacher={teacher_folder}", "compositions=50"]
    assert main(["text-tower", *settings, "--list", str(path)]) == 0
    assert path.read_text() == (run / "texts.txt").read_text()


def test_layer_is_rounded_by_output_and_input() -> None:
    from ov3d_export.sentence_graph import quantise_layer

    weight = np.array([[4.0, -2.0], [1.0, 0.5], [0.0, 0.0]], np.float32)  # (inputs, outputs)
    whole, outputs, inputs = quantise_layer(weight)
    np.testing.assert_allclose(inputs[:2, 0], [2.0, 1.0])
    np.testing.assert_allclose(outputs, [2.0 / 127, 1.0 / 127], rtol=1e-6)
    assert whole.tolist() == [[127, -127], [64, 64], [0, 0]]  # 63.5 goes to the even neighbour
    assert whole.dtype == np.int8


def test_nearest_kind_by_hand() -> None:
    from ov3d_trainer.text_tower.measure import nearest_share

    angle = {"a car": 0, "a tree": 90, "a wagon": 30, "a shrub": 40, "a bush": 45}
    kinds = [Words(name="car", held_out=("wagon",)), Words(name="tree", synonyms=("bush",), held_out=("shrub",))]

    def encode(texts: Any) -> Any:
        angles = np.radians([angle[text] for text in texts])
        return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)

    assert nearest_share(encode, kinds) == 0.5  # the shrub at 40 is nearer to the car at 0
    assert nearest_share(encode, kinds, synonyms=True) == 0.5  # now the bush takes both


def test_broken_weights_are_not_exported(run: Path, tmp_path: Path) -> None:
    from ov3d_export.sentence_tower import export_small_tower
    from ov3d_trainer.text_tower.checkpoint import load_text_tower

    checkpoint = load_text_tower(run / "text_tower.pt")
    state = {name: tensor.clone() for name, tensor in checkpoint.model_state.items()}
    state["positions"][0, 0] = float("nan")
    with pytest.raises(ModelError):
        export_small_tower(replace(checkpoint, model_state=state), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_layers_that_the_teacher_lacks_are_named(teacher_folder: Path, tmp_path: Path) -> None:
    from ov3d_trainer.text_tower.config import load_text_config
    from ov3d_trainer.text_tower.training import train_text_tower

    settings = [
        f"teacher={teacher_folder}",
        f"out={tmp_path}",
        "cache=",
        f"kept_layers=[0,{LAYERS}]",
        "context_length=24",
    ]
    with pytest.raises(ModelError, match=r"layers \[0, 3\]"):
        train_text_tower(load_text_config(None, [*settings, "compositions=0"]))
    with pytest.raises(ConfigError, match="kept_layers"):
        load_text_config(None, ["kept_layers=[]"])
