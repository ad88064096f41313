"""A bundle opens when card, graph and text side agree; every way in which they do not is named."""

import json
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto

from ov3d_perception.artifact import ModelCard, check_text_space, open_bundle
from ov3d_perception.errors import ModelError
from ov3d_perception.inputs import InputSpec
from ov3d_perception.queries import LabelSpec
from tests.unit.engine.tiny_student import CARD, Directions, card_with, write_bank, write_bundle, write_student


def test_card_survives_json() -> None:
    card = card_with(labels=(LabelSpec(name="person", synonyms=("pedestrian", "Fußgänger")),), notes="ä")
    assert ModelCard.from_json(card.to_json()) == card


def test_bundle_opens_with_its_card_and_bank(tiny_bundle: Path) -> None:
    bundle = open_bundle(str(tiny_bundle))
    assert bundle.card == CARD
    assert bundle.has_bank
    assert [path.name for path in bundle.text_files] == ["bank.npz"]


def test_text_tower_is_preferred_to_a_bank(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    for name in ("text.onnx", "tokenizer.json"):
        (tmp_path / name).write_bytes(b"x")
    assert not open_bundle(tmp_path).has_bank


def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"absent: does not exist. Give the folder"):
        open_bundle(tmp_path / "absent")


def test_file_instead_of_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "student.onnx").write_bytes(b"")
    with pytest.raises(ModelError, match="is a file, not a folder"):
        open_bundle(tmp_path / "student.onnx")


def test_missing_student_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"student.onnx is missing. Export it again"):
        open_bundle(tmp_path)


@pytest.mark.parametrize("content", [b"", b"not a graph", b"\x08\x08\x12\x00" * 40], ids=["empty", "text", "bytes"])
def test_corrupt_student_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "student.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"^student.onnx: "):
        open_bundle(tmp_path)


def test_truncated_student_is_named(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    content = (tmp_path / "student.onnx").read_bytes()
    (tmp_path / "student.onnx").write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelError, match="cannot read it"):
        open_bundle(tmp_path)


def test_student_without_card_is_named(tmp_path: Path) -> None:
    write_student(tmp_path / "student.onnx", card=None)
    with pytest.raises(ModelError, match=r"no model card in its metadata \(key ov3d_card\)"):
        open_bundle(tmp_path)


def _changed(**changes: Any) -> str:
    return json.dumps({**json.loads(CARD.to_json()), **changes})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("[1]", "expected a JSON object with a format number"),
        (_changed(format=2), "format 2, this ov3d reads format 1. Update ov3d_perception"),
        (_changed(format=True), "format True"),
        (_changed(format="1"), "format '1'"),
        (_changed(colour="red"), "missing none, unknown colour"),
        (json.dumps({"format": 1, "name": "x"}), "missing architecture, background, embedding_dim, inputs and 7 more"),
        (_changed(embedding_dim="3"), "embedding_dim is '3' of type str"),
        (_changed(embedding_dim=0), "embedding_dim is 0, expected at least 1"),
        (_changed(threshold=float("nan")), "threshold is nan"),
        (_changed(threshold=1.5), "threshold is 1.5, expected -1 to 1"),
        (_changed(templates=[]), "templates: expected a list of at least one"),
        (_changed(templates=["a photo"]), "holds {} 0 times"),
        (_changed(background=[1]), "background must hold words only"),
        (_changed(labels=["car"]), "label 'car' is not"),
        (_changed(labels=[{"name": "up", "synonyms": []}]), "'up' occurs twice"),
        (_changed(inputs={"voxel_size_m": 0.1}), "inputs: expected the keys"),
    ],
)
def test_bad_card_is_named(text: str, message: str) -> None:
    with pytest.raises(ModelError) as caught:
        ModelCard.from_json(text)
    assert str(caught.value).startswith("card: ")
    assert message in str(caught.value)


def test_card_that_json_cannot_hold_is_named() -> None:
    with pytest.raises(ModelError, match="cannot be written as JSON"):
        card_with(training={"loss": float("nan")}).to_json()


def test_feature_width_that_differs_is_named_on_both_sides(tmp_path: Path) -> None:
    write_student(tmp_path / "student.onnx", features=5)
    with pytest.raises(ModelError, match=r"^student.onnx: card says 3 input features, graph takes 5\. Export it again"):
        open_bundle(tmp_path)


def test_text_width_that_differs_is_named(tmp_path: Path) -> None:
    write_student(tmp_path / "student.onnx", text="D", card=card_with(embedding_dim=4), embedding=3)
    with pytest.raises(ModelError, match="card says embeddings of 4 numbers, graph gives 3"):
        open_bundle(tmp_path)


def test_embedding_width_that_differs_is_named(tmp_path: Path) -> None:
    write_student(tmp_path / "student.onnx", text=3, card=card_with(embedding_dim=4), embedding="D")
    with pytest.raises(ModelError, match="card says text of 4 numbers, graph takes 3"):
        open_bundle(tmp_path)


def test_number_of_levels_that_differs_is_named(tmp_path: Path) -> None:
    write_student(tmp_path / "student.onnx", levels=3)
    with pytest.raises(ModelError, match=r"card says 2 levels and stem kernel 3.*missing none, unknown down1_child"):
        open_bundle(tmp_path)


def test_stem_kernel_that_differs_is_named(tmp_path: Path) -> None:
    inputs = InputSpec(voxel_size_m=1.0, features=("x", "y", "z"), levels=2, stem_kernel=5)
    write_student(tmp_path / "student.onnx", card_with(inputs=inputs))
    with pytest.raises(ModelError, match="missing stem_pair_count, stem_pair_source, stem_pair_target, unknown none"):
        open_bundle(tmp_path)


def test_feature_type_that_differs_is_named(tmp_path: Path) -> None:
    write_student(tmp_path / "student.onnx", feature_type=TensorProto.FLOAT16)
    with pytest.raises(ModelError, match=r"features is tensor\(float16\)"):
        open_bundle(tmp_path)


def test_missing_text_side_is_named(tmp_path: Path) -> None:
    write_student(tmp_path / "student.onnx")
    with pytest.raises(ModelError, match=r"no text side. Put bank.npz, or text.onnx and tokenizer.json, beside"):
        open_bundle(tmp_path)


def test_tower_without_tokenizer_is_named_even_beside_a_bank(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    (tmp_path / "text.onnx").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"text\.onnx is there, tokenizer\.json is missing"):
        open_bundle(tmp_path)


def test_encoder_of_another_space_is_refused() -> None:
    encoder = Directions()
    encoder.space = "clip"
    with pytest.raises(ModelError, match="live in text space 'directions', the text encoder gives 'clip'"):
        check_text_space(CARD, encoder)


def test_encoder_of_another_width_is_refused() -> None:
    with pytest.raises(ModelError, match="card says embeddings of 4 numbers, the text encoder gives 3"):
        check_text_space(card_with(embedding_dim=4), Directions())


def test_bundle_with_a_bank_of_another_space_is_refused(tmp_path: Path) -> None:
    write_bundle(tmp_path)
    write_bank(tmp_path / "bank.npz", space="clip")
    with pytest.raises(ModelError, match="text space"):
        open_bundle(tmp_path).open_text_encoder()


def test_bundle_of_an_older_exporter_says_that_it_must_be_exported_again(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "old")
    model = onnx.load(folder / "student.onnx")
    model.graph.output.append(onnx.helper.make_tensor_value_info("embedding", onnx.TensorProto.FLOAT, ["V", 3]))
    model.graph.node.append(onnx.helper.make_node("Identity", ["compact"], ["embedding"]))
    onnx.save(model, folder / "student.onnx")
    with pytest.raises(ModelError, match=r"made by an older ov3d_export.*Export it again"):
        open_bundle(folder)
