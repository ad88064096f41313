"""`python -m ov3d_trainer simulate`: what it refuses, and the scans that it writes; streets have tests of their own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("embreex", reason="the simulator needs embreex")

from ov3d_trainer.cli import main
from ov3d_trainer.data.scannet.reader import names_of_split
from ov3d_trainer.data.scannet.writer import write_splits


def test_rooms_become_scans_numbered_from_zero(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "scannet"
    arguments = ["--scenes", "2", "--views", "2", "--seed", "5", "--jobs", "1"]
    assert main(["simulate", "room", "--out", str(out), *arguments]) == 0
    assert "2 scans of 2 images each (2 for train, 0 for val)" in capsys.readouterr().out
    scans = sorted(path.name for path in (out / "scans").iterdir())
    assert scans == ["scene0000_00", "scene0001_00"]
    described = [(out / "scans" / name / f"{name}_objects.json").read_text() for name in scans]
    assert json.loads(described[0]) != json.loads(described[1])  # other seeds, other rooms
    assert (out / "scannetv2-labels.combined.tsv").is_file()


@pytest.mark.parametrize("world", ["street", "room"])
def test_folder_with_files_is_refused_and_kept(world: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["simulate", world, "--scenes", "1", "--out", str(tmp_path)]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("world", ["street", "room"])
@pytest.mark.parametrize("wrong", [("--scenes", "0"), ("--scenes", "1001"), ("--jobs", "0"), ("--seed", "-1")])
def test_number_out_of_range_is_refused_before_anything_is_written(
    world: str, wrong: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["simulate", world, "--scenes", "1", "--out", str(out), *wrong]) == 2
    assert " ".join(wrong) in capsys.readouterr().err
    assert not out.exists()


def test_every_fifth_scan_is_kept_for_evaluation(tmp_path: Path) -> None:
    write_splits(tmp_path, 11)
    assert names_of_split(tmp_path, "val") == ("scene0004_00", "scene0009_00")
    train = names_of_split(tmp_path, "train")
    assert train is not None
    assert len(train) == 9
