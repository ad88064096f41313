"""The exported CLIP text tower against open_clip itself, and files that are no tower."""

import argparse
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from ov3d_perception.errors import ConfigError, ModelError, QueryError
from ov3d_perception.queries import make_queries
from ov3d_perception.text.cache import CachedEncoder
from ov3d_perception.text.clip_tower import BATCH_SIZE, CARD_KEY, ClipTower, TowerCard
from ov3d_perception.text.encoder import open_text_encoder

TEXTS = [
    *(
        "",
        "car",
        "a",
        "Forklift",
        "something to sit on!",
        "a photo of a red car, parked in the rain",
        "東京 🚗",
        "x" * 400,
    ),
    *("street with cars " * 40, "une forêt", "it's the driver's 3rd traffic-light", "<end_of_text> car"),
]
TOLERANCE = 1e-4
"""The bound that exports promise; float32 in another order of summation gives about 1e-6."""


def torch_features(model: Any, tokenizer: Any, texts: list[str]) -> np.ndarray:
    import torch

    with torch.inference_mode():
        return model.encode_text(tokenizer(texts), normalize=True).numpy()


def export(model: Any, tokenizer: Any, folder: Path, **changes: Any) -> Any:
    from ov3d_export.text_tower import export_text_tower

    return export_text_tower(model, tokenizer, folder, space="clip:test", **changes)


def test_features_equal_torch_at_every_length(small_tower: Any) -> None:
    tower = ClipTower(small_tower.folder)
    found = tower.encode(TEXTS)
    assert (found.shape, found.dtype) == ((len(TEXTS), 32), np.float32)
    np.testing.assert_allclose(found, torch_features(small_tower.model, small_tower.tokenizer, TEXTS), atol=TOLERANCE)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)
    assert tower.encode([]).shape == (0, 32)


def test_texts_do_not_depend_on_their_neighbours_or_order(small_tower: Any) -> None:
    tower = ClipTower(small_tower.folder, threads=1)
    texts = [f"{TEXTS[number % len(TEXTS)]} {number}" for number in range(2 * BATCH_SIZE + 3)]
    together = tower.encode(texts)
    for row in (0, 1, BATCH_SIZE, len(texts) - 1):
        np.testing.assert_allclose(tower.encode([texts[row]])[0], together[row], atol=1e-5)
    np.testing.assert_allclose(tower.encode(texts[::-1])[::-1], together, atol=1e-5)
    assert np.ptp(together @ together[0]) > 0.1  # texts really differ


def test_cutting_at_the_end_token_changes_nothing(small_tower: Any) -> None:
    tower = ClipTower(small_tower.folder)
    tokens = tower.tokenize(["a photo of a car"])
    assert (tokens[0] == 49407).argmax() == 6
    np.testing.assert_allclose(tower._run(tokens[:, :7]), tower._run(tokens), atol=1e-6)


@pytest.mark.parametrize(
    "variant",
    [
        {"custom": True},
        {"quick_gelu": True},
        {"ls_init_value": 0.5},
        {"custom": True, "proj_type": "none"},
        {"custom": True, "proj_bias": True},
        {"pool_type": "eos", "eos_id": 49407},
        {"custom": True, "pool_type": "eos", "eos_id": 49407},
        {"context_length": 20},
    ],
    ids=str,
)
def test_every_variant_of_the_standard_tower_equals_torch(
    make_clip: Any, clip_tokenizer: Any, tmp_path: Path, variant: dict[str, Any]
) -> None:
    model = make_clip(**variant)
    report = export(model, clip_tokenizer, tmp_path)
    assert report.difference < TOLERANCE
    tower = ClipTower(tmp_path)
    assert tower.card.context_length == variant.get("context_length", 77)


@pytest.mark.parametrize(
    ("variant", "reason"),
    [
        ({"custom": True, "no_causal_mask": True}, "does not attend causally"),
        ({"custom": True, "embed_cls": True}, "class token"),
        ({"custom": True, "pool_type": "last"}, "reads its answer at 'last'"),
        ({"block_type": "custom"}, "CustomResidualAttentionBlock"),
        ({"act_kwargs": {"approximate": "tanh"}}, "activation"),
        ({"pool_type": "eos", "eos_id": 2}, "ends texts with 2"),
    ],
    ids=str,
)
def test_other_towers_are_refused_with_their_reason(
    make_clip: Any, clip_tokenizer: Any, tmp_path: Path, variant: dict[str, Any], reason: str
) -> None:
    with pytest.raises(ModelError, match=reason):
        export(make_clip(**variant), clip_tokenizer, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_graph_is_one_file_of_standard_operators_that_old_runtimes_read(small_tower: Any) -> None:
    model = onnx.load(str(small_tower.folder / "text.onnx"), load_external_data=False)
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} == {""}
    assert [(entry.domain, entry.version <= 20) for entry in model.opset_import] == [("", True)]
    assert model.ir_version <= 10
    assert all(tensor.data_location != onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer)
    assert sorted(path.name for path in small_tower.folder.iterdir()) == ["text.onnx", "tokenizer.json"]


def test_card_tells_what_was_exported(small_tower: Any) -> None:
    tower = ClipTower(small_tower.folder)
    assert tower.card == TowerCard(
        space="clip:small/random",
        embedding_dim=32,
        context_length=77,
        vocabulary_size=49408,
        start_id=49406,
        end_id=49407,
        pad_id=0,
        source={"model": "small"},
    )
    assert (tower.space, tower.dim, tower.supports_templates) == ("clip:small/random", 32, True)
    assert tower.provider == "CPUExecutionProvider"


def test_export_that_differs_from_torch_leaves_the_folder_as_it_was(
    make_clip: Any, clip_tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ov3d_export.text_tower as exporter

    right = exporter.text_graph

    def wrong(modules: Any) -> onnx.ModelProto:
        graph = right(modules)
        stored = next(tensor for tensor in graph.graph.initializer if list(tensor.dims) == [32, 96])
        values = onnx.numpy_helper.to_array(stored).copy()
        values[0, 64:] += 0.5
        stored.CopyFrom(onnx.numpy_helper.from_array(values, stored.name))
        return graph

    (tmp_path / "text.onnx").write_bytes(b"the one before")
    monkeypatch.setattr(exporter, "text_graph", wrong)
    with pytest.raises(ModelError, match="features differ from torch"):
        export(make_clip(), clip_tokenizer, tmp_path)
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("text.onnx", b"the one before")]


def test_export_with_other_tokens_is_refused(make_clip: Any, clip_tokenizer: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="open_clip says"):
        export(make_clip(), clip_tokenizer, tmp_path, texts=["car", "cafÃ©"])
    assert list(tmp_path.iterdir()) == []


def test_weights_that_are_not_finite_are_refused(make_clip: Any, clip_tokenizer: Any, tmp_path: Path) -> None:
    import torch

    model = make_clip()
    with torch.no_grad():
        model.ln_final.weight[0] = torch.nan
    with pytest.raises(ModelError, match="not finite"):
        export(model, clip_tokenizer, tmp_path)


def test_queries_through_the_tower_average_templates(small_tower: Any, tmp_path: Path) -> None:
    encoder = open_text_encoder(small_tower.folder, cache_dir=tmp_path / "cache")
    assert isinstance(encoder, CachedEncoder)
    templates = ("a photo of a {}", "a {} in a scene")
    queries = make_queries(["car"], encoder, templates=templates)
    mean = ClipTower(small_tower.folder).encode(["a photo of a car", "a car in a scene"]).mean(axis=0)
    np.testing.assert_allclose(queries.text[0], mean / np.linalg.norm(mean), atol=1e-5)
    assert len(list((tmp_path / "cache").glob("*.npy"))) == 2
    again = open_text_encoder(small_tower.folder, cache_dir=tmp_path / "cache")
    np.testing.assert_array_equal(make_queries(["car"], again, templates=templates).text, queries.text)


def test_cached_vectors_of_other_weights_are_not_used(
    make_clip: Any, clip_tokenizer: Any, small_tower: Any, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    export(make_clip(seed=2), clip_tokenizer, other)
    assert ClipTower(other).digest() != ClipTower(small_tower.folder).digest()


def test_over_long_query_is_refused(small_tower: Any) -> None:
    with pytest.raises(QueryError, match="at most 10,000"):
        open_text_encoder(small_tower.folder).encode(["x" * 10_001])


def damaged(small_tower: Any, folder: Path, card: str | None) -> Path:
    """Copy the tower with another card (None: without one)."""
    shutil.copyfile(small_tower.folder / "tokenizer.json", folder / "tokenizer.json")
    model = onnx.load(str(small_tower.folder / "text.onnx"))
    del model.metadata_props[:]
    if card is not None:
        onnx.helper.set_model_props(model, {CARD_KEY: card})
    onnx.save(model, str(folder / "text.onnx"))
    return folder


def test_card_that_does_not_fit_is_refused(small_tower: Any, tmp_path: Path) -> None:
    card = ClipTower(small_tower.folder).card
    for text, reason in (
        (None, "no card"),
        ("{", "not valid JSON"),
        ("[]", "format"),
        (card.to_json().replace('"format": 1', '"format": 99'), "card format 99, this ov3d reads format 1"),
        (card.to_json().replace('"pad_id": 0', '"pad_id": "0"'), "pad_id must be int"),
        (replace(card, embedding_dim=33).to_json(), r"\(T, 33\)"),
        (replace(card, end_id=60_000).to_json(), "impossible values"),
        (replace(card, context_length=2).to_json(), "impossible values"),
        (replace(card, vocabulary_size=49_407, end_id=49_405).to_json(), "one export"),
        (replace(card, context_length=78).to_json(), "run on CPUExecutionProvider failed"),
    ):
        with pytest.raises(ModelError, match=reason):
            ClipTower(damaged(small_tower, tmp_path, text)).encode(["car " * 100])


def test_files_that_are_no_tower_are_refused(small_tower: Any, tmp_path: Path) -> None:
    shutil.copyfile(small_tower.folder / "tokenizer.json", tmp_path / "tokenizer.json")
    with pytest.raises(ModelError, match=r"text\.onnx: does not exist"):
        ClipTower(tmp_path)
    content = (small_tower.folder / "text.onnx").read_bytes()
    for wrong in (b"", b"rot", content[: len(content) // 2]):
        (tmp_path / "text.onnx").write_bytes(wrong)
        with pytest.raises(ModelError, match=r"text\.onnx: onnxruntime .* cannot run it"):
            open_text_encoder(tmp_path)


def test_bad_threads_and_providers_are_refused(small_tower: Any) -> None:
    with pytest.raises(ConfigError, match="threads"):
        ClipTower(small_tower.folder, threads=0)
    with pytest.raises(ConfigError, match="providers"):
        ClipTower(small_tower.folder, providers="tpu")


def test_tower_runs_without_torch_open_clip_and_ftfy(small_tower: Any) -> None:
    code = (
        "import sys\n"
        "from ov3d_perception.text.encoder import open_text_encoder\n"
        f"print(open_text_encoder({str(small_tower.folder)!r}).encode(['a “red” car']).shape)\n"
        "print(sorted(set(sys.modules) & {'torch', 'open_clip', 'ftfy', 'regex', 'transformers', 'onnx'}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.splitlines() == ["(1, 32)", "[]"]


def test_command_needs_weights_or_an_explicit_random_start(tmp_path: Path) -> None:
    from ov3d_export.text_tower import add_text_tower_command, run_text_tower

    parser = argparse.ArgumentParser()
    add_text_tower_command(parser.add_subparsers(required=True))
    with pytest.raises(SystemExit):
        parser.parse_args(["text-tower", "--model", "ViT-B-32", "--out", str(tmp_path)])
    options = parser.parse_args(["text-tower", "--model", "ViT-B-32", "--out", str(tmp_path), "--random-init"])
    assert options.func is options.run is run_text_tower
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        run_text_tower(argparse.Namespace(**{**vars(options), "out": tmp_path / "file"}))


@pytest.mark.slow
def test_command_exports_a_tower_of_vit_b_32s_shape_that_equals_torch(tmp_path: Path) -> None:
    """The real text tower with random weights: 12 layers, width 512, 63 million parameters, 254 MB."""
    from ov3d_export.cli import main
    from ov3d_trainer.open_clip_loading import load_open_clip

    assert main(["text-tower", "--model", "ViT-B-32", "--random-init", "--seed", "3", "--out", str(tmp_path)]) == 0
    tower = ClipTower(tmp_path, threads=2)
    assert (tower.space, tower.dim) == ("clip:ViT-B-32/random-3", 512)
    assert (tmp_path / "text.onnx").stat().st_size == pytest.approx(254e6, rel=0.01)
    model, tokenizer = load_open_clip("ViT-B-32", None, seed=3)
    del model.visual  # its memory is better used by others
    np.testing.assert_allclose(tower.encode(TEXTS), torch_features(model, tokenizer, TEXTS), atol=TOLERANCE)
