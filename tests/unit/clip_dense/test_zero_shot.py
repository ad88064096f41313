"""Dense zero-shot figures: labels of pixels and superpixels by hand, and the whole command on a tiny tower."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.queries import make_queries
from ov3d_perception.text.bank import BankEncoder, write_bank
from ov3d_trainer.cli import main
from ov3d_trainer.clip_dense.edits import EDITS
from ov3d_trainer.clip_dense.windows import DenseClip, DenseOptions
from ov3d_trainer.clip_dense.zero_shot import _looks, label_pixels, label_segments, measure_zero_shot
from ov3d_trainer.config import load_config
from ov3d_trainer.data import dataset
from ov3d_trainer.open_clip_loading import load_model
from tests.unit.training.hand_made import label_image, make_sample, make_view

MODEL = {
    "embed_dim": 3,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 16, "head_width": 8, "layers": 2},
    "text_cfg": {"context_length": 4, "vocab_size": 49408, "width": 4, "heads": 1, "layers": 1},
}
WORDS = "labels: [{name: car, synonyms: [van]}, tree]\nbackground: [sky]\nignore: [ego]\n"
NAMES = ("car", "tree", "sky", "van")


def queries():
    rows = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [0.8, 0, 0.6]], np.float32)
    encoder = BankEncoder(NAMES, rows, "test:axes")
    return make_queries(["car", "tree"], encoder, background=["sky"])


def test_pixel_has_the_label_of_the_phrase_that_is_nearest_between_patches():
    features = torch.tensor([[[1.0, 0.0, 0.0]], [[0.0, 1.0, 0.0]], [[0.0, 0.0, 1.0]]])  # car, tree, sky
    # Six columns over three cells: cells meet at columns 1|2 and 3|4, and one step off the border the own one leads.
    found = label_pixels(features, queries(), (2, 6))
    np.testing.assert_array_equal(found, [[0, 0, 1, 1, 2, 2]] * 2)


def test_superpixel_has_one_label_for_all_its_pixels():
    features = torch.tensor([[[1.0, 0.0, 1.0]], [[0.0, 1.0, 0.0]], [[0.0, 0.0, 0.0]]])  # car, tree, car
    segments = np.array([[0, 0, 0, 0, 7, 7]])  # half car and half tree; the last is a car
    found = label_segments(features, queries(), segments, (2, 12))
    assert found.shape == (2, 12)
    assert len(np.unique(found[:, :8])) == 1
    assert (found[:, 8:] == 0).all()
    segments[0, 1] = 7  # now the first has a pixel of the car and two of the tree
    np.testing.assert_array_equal(label_segments(features, queries(), segments, (1, 6)), [[1, 0, 1, 1, 0, 0]])


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One image of 64 x 96 pixels, seen by a tower with random weights: car, tree, ego and something unnamed."""
    (tmp_path / "zero_shot.json").write_text(json.dumps(MODEL))
    (tmp_path / "words.yaml").write_text(WORDS)
    rows = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    write_bank(tmp_path / "bank.npz", NAMES, rows, "clip:zero_shot/random-0")
    labels = np.repeat(np.repeat(np.array([[0, 1, 2], [3, -1, 1]]), 32, axis=0), 32, axis=1)
    sample = make_sample(
        [[0, 4, 0]],
        views=[make_view(width=96, height=64)],
        labels={"front": label_image(labels)},
        names=("van", "tree", "ego", "kiosk"),
    )
    monkeypatch.setitem(dataset._RECORDED, "keyframe", lambda config: [sample])
    lines = [f"vocabulary: {tmp_path}/words.yaml", f"text: {tmp_path}/bank.npz", "data: {path: here}"]
    teacher = f"kind: open_clip, model: {tmp_path}/zero_shot.json, pretrained: '', short_side: 64, window: 32"
    lines.append(f"teacher: {{{teacher}, stride: 16, superpixels: 20}}")
    (tmp_path / "config.yaml").write_text("\n".join(lines))
    return tmp_path / "config.yaml"


def test_every_edit_is_measured_in_every_way(config_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = config_file.with_name("figures.json")
    assert main(["dense-zero-shot", "--config", str(config_file), "--out", str(out)]) == 0
    report = json.loads(out.read_text())
    assert (report["images"], report["left_out"]) == (1, ["ego", "kiosk"])
    assert list(report["edits"]) == list(EDITS)
    for ways in report["edits"].values():
        assert list(ways) == ["whole image", "windows", "windows, mirrored", "windows, mirrored, superpixels"]
        for figures in ways.values():
            assert [row["points"] for row in figures["classes"].values()] == [32 * 32, 2 * 32 * 32]  # car, tree
    printed = capsys.readouterr().out
    assert "left out: ego, kiosk" in printed
    assert "naclip" in printed


def test_figures_are_those_of_a_plain_count(config_file: Path) -> None:
    found = measure_zero_shot(load_config(config_file), ("naclip",))
    for confusion in found.figures.values():
        counts = confusion.counts  # true car, tree, none; predicted car, tree, sky
        assert counts[2].sum() == 0
        iou = [counts[row, row] / (counts[row].sum() + counts[:, row].sum() - counts[row, row]) for row in range(2)]
        assert confusion.mean_iou() == pytest.approx(np.mean(iou))
        assert confusion.accuracy() == pytest.approx((counts[0, 0] + counts[1, 1]) / 3072)


def test_text_of_another_space_and_data_without_labels_are_refused(config_file: Path) -> None:
    with pytest.raises(ConfigError, match="clip:zero_shot/random-0"):
        measure_zero_shot(load_config(config_file, ["teacher.pretrained=elsewhere.pt"]), EDITS)
    dataset._RECORDED["keyframe"] = lambda config: [make_sample([[0, 4, 0]])]
    with pytest.raises(DataError, match="no label images"):
        measure_zero_shot(load_config(config_file), EDITS)


def test_mirrored_look_is_the_teachers_own(config_file: Path) -> None:
    config = load_config(config_file)
    visual = load_model(config.teacher.model, None).visual
    image = np.random.default_rng(2).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    windows = DenseOptions(edit="naclip", short_side=64, window=32, stride=16, flip=False)
    looks = _looks(*(DenseClip(visual, replace(windows, window=size)) for size in (0, 32)), image, ("naclip",))
    wanted = DenseClip(visual, replace(windows, flip=True)).features(image)
    torch.testing.assert_close(looks["windows, mirrored"][0], wanted, atol=1e-5, rtol=0)
    whole = DenseClip(visual, replace(windows, window=0)).features(image)
    torch.testing.assert_close(looks["whole image"][0], whole, atol=1e-6, rtol=0)
