"""A robot's own recording goes in and a bundle comes out, by the commands that a person types; no labels anywhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("embreex", reason="the simulator needs embreex")

from bags.make_bag import main as make_bag
from ov3d_export.cli import main as export
from ov3d_perception.artifact import open_bundle
from ov3d_perception.bags import read_bag_frames
from ov3d_perception.engine import Engine
from ov3d_perception.queries import make_queries
from ov3d_trainer.cli import main as trainer
from ov3d_trainer.data.recordings import BagSamples


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("robot") / "drive"
    arguments = ["simulated", "--seed", "41", "--frames", "3", "--image-size", "192x108", "--out", str(folder)]
    assert make_bag([*arguments, "--quiet"]) == 0
    return folder


def test_samples_of_a_recording_know_where_the_lidar_stood(recording: Path) -> None:
    first, last = (BagSamples(path=recording).without_images(row).place for row in (0, 2))
    assert first is not None
    assert last is not None
    assert first.recording == last.recording == "drive"
    moved = np.linalg.norm(last.world_from_lidar[:3, 3] - first.world_from_lidar[:3, 3])
    assert 0.1 < moved < 20.0
    nowhere = BagSamples(path=recording, fixed_frame="nobody", cameras=False)
    assert nowhere.without_images(0).place is None


def test_recording_becomes_a_bundle(
    repository: Path, recording: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = repository / "export" / "bundles" / "demo"
    configuration = tmp_path / "robot.yaml"
    configuration.write_text(
        json.dumps(
            {
                "out": str(tmp_path / "run"),
                "cache": str(tmp_path / "cache"),
                "data": {"kind": "bag", "path": str(recording), "cameras": True},
                "vocabulary": str(repository / "trainer/configs/street_vocabulary.yaml"),
                "text": str(shipped),
                "teacher": {"kind": "pixel_text", "path": str(shipped / "image.onnx"), "keep": True},
                "inputs": {"voxel_size_m": 0.4, "max_range_m": 40.0, "features": ["one", "intensity", "z"]},
                "optimiser": {"learning_rate": 1.0e-2},
                "steps": 12,
                "threads": 1,
            }
        )
    )
    assert trainer(["cache", "--config", str(configuration)]) == 0
    assert "supervision of 3 samples, 3 of them new" in capsys.readouterr().out
    assert trainer(["train", "--config", str(configuration)]) == 0
    checkpoint = tmp_path / "run" / "checkpoint.pt"
    assert trainer(["evaluate", "--checkpoint", str(checkpoint)]) == 0
    report = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert report["data"] == f"bag {recording}"
    assert report["teacher_agreement"] > 20.0  # of 18 words; a student that learnt nothing agrees on about 5 %
    assert "truth" not in report  # nobody labelled the recording
    assert export(["student", str(checkpoint), "--out", str(tmp_path / "bundle"), "--text", str(shipped)]) == 0
    bundle = open_bundle(tmp_path / "bundle")
    queries = make_queries(["road", "car", "something to sit on"], bundle.open_text_encoder(), threshold=-1.0)
    frame = next(iter(read_bag_frames(recording)))
    assert set(Engine(bundle).infer(frame, queries).label) <= {0, 1, 2, 3}
