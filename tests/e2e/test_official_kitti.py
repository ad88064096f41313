"""SemanticKITTI: a student trained for seconds on the real scan, its submission, and the benchmark's own arithmetic."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from ov3d_perception.text.bank import write_bank
from ov3d_trainer.cli import main

pytestmark = pytest.mark.slow

POINTS = 123_389
# The benchmark's published configuration, typed anew: raw number -> number of the class, and the classes from 1 on.
LEARNING_MAP = {
    0: 0, 1: 0, 10: 1, 11: 2, 13: 5, 15: 3, 16: 5, 18: 4, 20: 5, 30: 6, 31: 7, 32: 8, 40: 9, 44: 10, 48: 11, 49: 12,
    50: 13, 51: 14, 52: 0, 60: 9, 70: 15, 71: 16, 72: 17, 80: 18, 81: 19, 99: 0, 252: 1, 253: 7, 254: 6, 255: 8,
    256: 5, 257: 5, 258: 4, 259: 5,
}  # fmt: skip
NAMES = (
    "car", "bicycle", "motorcycle", "truck", "other-vehicle", "person", "bicyclist", "motorcyclist", "road", "parking",
    "sidewalk", "other-ground", "building", "fence", "vegetation", "trunk", "terrain", "pole", "traffic-sign",
)  # fmt: skip
WORDS = [name.replace("-", " ") for name in NAMES]
CALIBRATION = "P2: 10 0 8 1 0 10 4 0 0 0 1 0\nTr: 0 -1 0 0 0 0 -1 0 1 0 0 -0.25\n"


@dataclass(frozen=True)
class Written:
    """Raw numbers (N,) of truth and prediction as the files hold them, and the report beside them."""

    truth: NDArray[np.uint32]
    predicted: NDArray[np.uint32]
    report: dict[str, Any]
    page: str


@pytest.fixture(scope="module")
def written(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("kitti")
    sequence = folder / "root" / "sequences" / "08"
    for kind, suffix in (("velodyne", "bin"), ("labels", "label")):
        (sequence / kind).mkdir(parents=True)
        shutil.copy(real_data / "semantickitti" / f"seq08_000000.{suffix}", sequence / kind / f"000000.{suffix}")
    (sequence / "calib.txt").write_text(CALIBRATION)
    (folder / "words.yaml").write_text(yaml.safe_dump({"labels": WORDS, "groups": {"ground": WORDS[8:12]}}))
    write_bank(folder / "bank.npz", WORDS, np.random.default_rng(0).normal(size=(len(WORDS), 24)), "test:random")
    settings = [
        f"vocabulary={folder / 'words.yaml'}", f"text={folder / 'bank.npz'}", f"out={folder / 'run'}",
        "data.kind=kitti", f"data.path={folder / 'root'}", "data.split=08", "teacher.kind=labels", "loss.cosine=0",
        "inputs.voxel_size_m=0.5", "inputs.max_range_m=30", "optimiser.learning_rate=1e-2", "steps=20", "threads=1",
    ]  # fmt: skip
    assert main(["train", "--set", *settings]) == 0
    checkpoint = folder / "run" / "checkpoint.pt"
    arguments = ["--submission", str(folder / "submission"), "--pictures", "1"]
    assert main(["evaluate", "--checkpoint", str(checkpoint), *arguments]) == 0
    return Written(
        truth=np.fromfile(sequence / "labels" / "000000.label", "<u4") & 0xFFFF,
        predicted=np.fromfile(folder / "submission" / "sequences" / "08" / "predictions" / "000000.label", "<u4"),
        report=json.loads((folder / "run" / "evaluation.json").read_text()),
        page=(folder / "run" / "evaluation.html").read_text(),
    )


def test_every_point_has_a_raw_number_of_a_class(written: Written) -> None:
    assert written.predicted.shape == (POINTS,)
    assert set(np.unique(written.predicted)) <= set(LEARNING_MAP)
    assert min(LEARNING_MAP[int(raw)] for raw in np.unique(written.predicted)) > 0


def test_figures_equal_a_plain_recomputation_from_the_files(written: Written) -> None:
    truth, predicted = (np.vectorize(LEARNING_MAP.get)(raw) for raw in (written.truth, written.predicted))
    scored = truth > 0
    expected = []
    for number in range(1, 20):
        is_true, is_called = truth[scored] == number, predicted[scored] == number
        union = (is_true | is_called).sum()
        expected.append((is_true & is_called).sum() / union if union else 0.0)
    ours = written.report["submission"]
    assert list(ours["iou_per_class"]) == list(NAMES)
    np.testing.assert_allclose(list(ours["iou_per_class"].values()), expected, atol=1e-12)
    assert ours["miou"] == pytest.approx(np.mean(expected), abs=1e-12)  # over all 19, absent ones count 0
    assert 0.05 < ours["miou"] < 1.0
    assert ours["points"] == POINTS


def test_report_has_groups_rings_and_a_page_with_pictures(written: Written) -> None:
    report = written.report
    ground = [report["truth"]["classes"][name] for name in WORDS[8:12]]
    expected = np.mean([row["iou"] for row in ground if row["points"]])
    assert report["groups"]["ground"]["mean_iou"] == pytest.approx(expected, abs=0.01)
    assert [ring["to_m"] for ring in report["distance"]] == [10.0, 20.0, 30.0, 50.0]
    assert (
        sum(ring["points"] for ring in report["distance"]) == (np.vectorize(LEARNING_MAP.get)(written.truth) > 0).sum()
    )
    assert report["distance"][-1]["accuracy"] == 0.0  # 30 to 50 m: beyond the student's 30 m
    assert written.page.count("data:image/png;base64,") == 4  # scene, distance, confusions, thresholds
