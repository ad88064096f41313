"""The command that measures a teacher, on two keyframes of three points: a car, cones and a point of no class."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from ov3d_perception.text.bank import write_bank
from ov3d_trainer.cli import main
from tests.unit.data.tiny_nuscenes import write_tiny_nuscenes

CAR, CONE = [1.0, 0.0], [0.0, 1.0]


@pytest.fixture
def settings(tmp_path: Path) -> list[str]:
    """Features of a teacher that takes a cone of the second keyframe for a car and does not see the other cone."""
    write_tiny_nuscenes(tmp_path / "nuscenes")
    write_bank(tmp_path / "bank.npz", ["car", "traffic cone"], np.eye(2, dtype=np.float32), space="test:axes")
    (tmp_path / "words.yaml").write_text("labels: [car, traffic cone]\n")
    (tmp_path / "features").mkdir()
    for name, rows, features in (("lidar0", [0, 2], [CAR, CONE]), ("lidar2", [0, 2], [CAR, CAR])):
        mask = torch.zeros(3, dtype=torch.bool)
        mask[rows] = True
        torch.save({"feat": torch.tensor(features).half(), "mask_full": mask}, tmp_path / "features" / f"{name}.pt")
    return [
        "data.kind=nuscenes", f"data.path={tmp_path / 'nuscenes'}", "data.version=v1.0-mini",
        "data.split=scene-0061", f"text={tmp_path / 'bank.npz'}", f"vocabulary={tmp_path / 'words.yaml'}",
        "teacher.kind=features", f"teacher.path={tmp_path / 'features'}",
    ]  # fmt: skip


def test_teacher_is_held_against_the_truth(
    settings: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["teacher", "--out", str(tmp_path / "report.json"), "--set", *settings]) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["samples"], report["points"], report["supervised"]) == (2, 6, 66.67)
    # it speaks of two cars, a cone, and a cone that it takes for a car: car 2/3, cone 1/2
    speaks = report["where_it_speaks"]
    assert {name: speaks["classes"][name]["iou"] for name in ("car", "traffic cone")} == {
        "car": 66.67,
        "traffic cone": 50.0,
    }
    # one more cone is missed: cone 1/3
    assert report["everywhere"]["classes"]["traffic cone"]["iou"] == 33.33
    assert report["everywhere"]["mean_iou"] == 50.0
    assert report["vectors"] == 2
    assert 0.3 < report["kilobytes"] < 3.0
    assert set(report["milliseconds"]) >= {"teach and lift", "read supervision", "pool to voxels"}
    assert "66.67 % of them supervised" in capsys.readouterr().out


def test_data_without_truth_is_an_error(
    settings: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "nuscenes/v1.0-mini/lidarseg.json").unlink()
    assert main(["teacher", "--set", *settings]) == 2
    assert "none of its samples has labels of points" in capsys.readouterr().err
