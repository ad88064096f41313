"""Kept supervision: made once, found again, made anew when anything that it depends on changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.text.bank import write_bank
from ov3d_trainer.cli import main
from ov3d_trainer.config import SourceConfig, TeacherConfig, TrainConfig
from ov3d_trainer.data.nuscenes.keyframes import NuScenesKeyframes
from ov3d_trainer.data.sample import DataSet, Sample
from ov3d_trainer.prepared import PreparedSamples, fill_supervision, prepare_data, supervision_folder
from ov3d_trainer.teacher.base import FeatureSupervision, Targets
from ov3d_trainer.work import Workers
from tests.unit.data.tiny_nuscenes import write_tiny_nuscenes


class CountingTeacher:
    """Gives the second point a vector, and counts how often it is asked."""

    targets = Targets(names=("car",), text=np.eye(1, 2, dtype=np.float32), not_queryable={}, decoder=np.eye(2))

    def __init__(self) -> None:
        self.asked = 0

    def supervise(self, sample: Sample) -> FeatureSupervision:
        assert len(sample.frame.cameras) == 1
        self.asked += 1
        return FeatureSupervision.of_points(len(sample.frame.points), np.array([1]), np.array([[0.6, 0.8]]))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tiny_nuscenes(tmp_path / "nuscenes")


@pytest.fixture
def source(root: Path) -> DataSet:
    return NuScenesKeyframes(root, version="v1.0-mini", split="scene-0061")


@pytest.fixture
def config(root: Path, tmp_path: Path) -> TrainConfig:
    write_bank(tmp_path / "bank.npz", ["car", "traffic cone"], np.eye(2, dtype=np.float32), space="test:axes")
    (tmp_path / "words.yaml").write_text("labels: [car, traffic cone]\n")
    return TrainConfig(
        data=SourceConfig(kind="nuscenes", path=str(root), version="v1.0-mini", split="scene-0061"),
        cache=str(tmp_path / "cache"),
        vocabulary=str(tmp_path / "words.yaml"),
        text=str(tmp_path / "bank.npz"),
        teacher=TeacherConfig(kind="labels", keep=True),
    )


def test_teacher_is_asked_once_and_images_are_read_once(source: DataSet, root: Path, tmp_path: Path) -> None:
    teacher = CountingTeacher()
    first = PreparedSamples(source, teacher, tmp_path / "kept")[1]
    for image in (root / "samples/CAM_FRONT").iterdir():
        image.unlink()
    second = PreparedSamples(source, teacher, tmp_path / "kept")[1]
    assert teacher.asked == 1
    np.testing.assert_array_equal(first.frame.points, second.frame.points)
    assert second.frame.cameras == ()
    np.testing.assert_array_equal(first.supervision.supervised, second.supervision.supervised)
    assert isinstance(second.supervision, FeatureSupervision)
    np.testing.assert_allclose(second.supervision.code, [[0.6, 0.8]], atol=1e-3)


def test_without_a_folder_everything_stays_in_memory(source: DataSet, tmp_path: Path) -> None:
    teacher = CountingTeacher()
    samples = PreparedSamples(source, teacher)
    assert samples[0] is samples[0]
    assert (teacher.asked, samples.path(0)) == (1, None)


def test_supervision_of_another_cloud_is_refused(root: Path, tmp_path: Path) -> None:
    (root / "v1.0-mini" / "lidarseg.json").unlink()
    source = NuScenesKeyframes(root, version="v1.0-mini", split="scene-0061")
    PreparedSamples(source, CountingTeacher(), tmp_path / "kept")[0]
    cloud = next(path for path in (root / "samples/LIDAR_TOP").iterdir() if path.name.endswith("000000.pcd.bin"))
    cloud.write_bytes(cloud.read_bytes()[:20])
    with pytest.raises(DataError, match="is of 3 points, the sample has 1"):
        PreparedSamples(source, CountingTeacher(), tmp_path / "kept")[0]


def test_folder_changes_with_what_supervision_depends_on(config: TrainConfig, tmp_path: Path) -> None:
    teacher = prepare_data(config).teacher
    folder = supervision_folder(config, teacher)
    changed = [
        replace(config, teacher=replace(config.teacher, min_depth_m=2.0)),
        replace(config, data=replace(config.data, image_width=800)),
        replace(config, data=replace(config.data, sweeps=3)),
    ]
    folders = {folder, *(supervision_folder(other, teacher) for other in changed)}
    assert len(folders) == 4
    same = replace(config, steps=77, data=replace(config.data, split="mini_train"))
    assert supervision_folder(same, teacher) == folder
    assert supervision_folder(replace(config, teacher=TeacherConfig(kind="labels")), teacher) is None
    with pytest.raises(ConfigError, match=r"teacher\.keep"):
        supervision_folder(replace(config, cache=""), teacher)


def test_weights_in_the_same_file_name_are_told_apart(config: TrainConfig, tmp_path: Path) -> None:
    teacher = prepare_data(config).teacher
    weights = tmp_path / "tower.pt"
    trained = replace(config, teacher=replace(config.teacher, path=str(weights)))
    weights.write_bytes(b"one")
    before = supervision_folder(trained, teacher)
    weights.write_bytes(b"two")
    assert supervision_folder(trained, teacher) != before


def test_several_processes_fill_the_cache_and_find_it_full(config: TrainConfig) -> None:
    assert fill_supervision(config, Workers(jobs=2)) == (2, 2)
    assert fill_supervision(config) == (2, 0)
    samples = prepare_data(config).samples
    path = samples.path(0)
    assert path is not None
    assert path.is_file()
    assert samples[0].supervision.supervised.tolist() == [0, 2]


def test_cache_command_says_what_it_made(config: TrainConfig, capsys: pytest.CaptureFixture[str]) -> None:
    data = config.data
    settings = [
        f"data.path={data.path}", "data.kind=nuscenes", "data.version=v1.0-mini", "data.split=scene-0061",
        "evaluation.kind=", "teacher.kind=labels", "teacher.keep=true", f"text={config.text}",
        f"cache={config.cache}", f"vocabulary={config.vocabulary}",
    ]  # fmt: skip
    assert main(["cache", "--set", *settings]) == 0
    assert "teacher: supervision of 2 samples, 2 of them new" in capsys.readouterr().out
