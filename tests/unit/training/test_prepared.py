"""Kept supervision: made once, found again, made anew when anything that it depends on changes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.text.bank import write_bank
from ov3d_perception.types import Frame
from ov3d_trainer.cli import main
from ov3d_trainer.config import SourceConfig, TeacherConfig, TrainConfig
from ov3d_trainer.data.nuscenes.keyframes import NuScenesKeyframes
from ov3d_trainer.data.sample import DataSet, Place, Sample
from ov3d_trainer.supervision import prepared
from ov3d_trainer.supervision.prepared import (
    ConsolidatedSamples,
    PreparedSamples,
    fill_supervision,
    prepare_data,
    supervision_folder,
)
from ov3d_trainer.teacher.base import FeatureSupervision, Targets
from ov3d_trainer.words.vocabulary import parse_vocabulary
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
    data = prepare_data(config)
    teacher, words = data.teacher, data.words
    folder = supervision_folder(config, teacher, words)
    changed = [
        replace(config, teacher=replace(config.teacher, min_depth_m=2.0)),
        replace(config, data=replace(config.data, image_width=800)),
        replace(config, data=replace(config.data, sweeps=3)),
        replace(config, data=replace(config.data, cameras=True)),
    ]
    folders = {folder, *(supervision_folder(other, teacher, words) for other in changed)}
    assert len(folders) == 5
    ignoring = parse_vocabulary({"labels": ["car", "traffic cone"], "ignore": ["bus"]})
    aliased = parse_vocabulary({"labels": ["car", {"name": "traffic cone", "synonyms": ["pylon"]}]})
    assert len({*folders, *(supervision_folder(config, teacher, other) for other in (ignoring, aliased))}) == 7
    same = replace(config, steps=77, data=replace(config.data, split="mini_train"))
    assert supervision_folder(same, teacher, words) == folder
    assert supervision_folder(replace(config, teacher=TeacherConfig(kind="labels")), teacher, words) is None
    with pytest.raises(ConfigError, match=r"teacher\.keep"):
        supervision_folder(replace(config, cache=""), teacher, words)


def test_weights_in_the_same_file_name_are_told_apart(config: TrainConfig, tmp_path: Path) -> None:
    data = prepare_data(config)
    teacher, words = data.teacher, data.words
    weights = tmp_path / "tower.pt"
    trained = replace(config, teacher=replace(config.teacher, path=str(weights)))
    weights.write_bytes(b"one")
    before = supervision_folder(trained, teacher, words)
    weights.write_bytes(b"two")
    assert supervision_folder(trained, teacher, words) != before


def test_a_folder_of_masks_that_is_written_anew_is_told_apart(config: TrainConfig, tmp_path: Path) -> None:
    data = prepare_data(config)
    (tmp_path / "masks" / "one").mkdir(parents=True)
    (tmp_path / "masks" / "one" / "front.png").write_bytes(b"before")
    masks = replace(config, teacher=replace(config.teacher, path=str(tmp_path / "masks")))
    before = supervision_folder(masks, data.teacher, data.words)
    assert supervision_folder(masks, data.teacher, data.words) == before
    (tmp_path / "masks" / "one" / "front.png").write_bytes(b"afterwards")
    assert supervision_folder(masks, data.teacher, data.words) != before


def test_teachers_of_images_refuse_data_without(config: TrainConfig) -> None:
    looking = replace(config, teacher=TeacherConfig(kind="pixel_text", path="tower.pt"))
    with pytest.raises(ConfigError, match=r"teacher\.kind=pixel_text: it looks at images.*data\.cameras=true"):
        prepare_data(looking)


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


class Standing:
    """Three samples of one drive that does not move, and one of another; every sample has the same two points."""

    def __len__(self) -> int:
        return 4

    def key(self, index: int) -> str:
        return f"standing_{index}"

    def __getitem__(self, index: int) -> Sample:
        points = np.array([[5, 0, 0], [9, 0, 0]], np.float32)
        frame = Frame(points=points, intensity=np.zeros(2, np.float32), stamp_ns=index, frame_id="lidar")
        place = Place(recording="first" if index < 3 else "second", world_from_lidar=np.eye(4))
        return Sample(name=self.key(index), frame=frame, place=place)

    def without_images(self, index: int) -> Sample:
        return self[index]


class Numbering:
    """Says of a sample's first point the sample's number; of the second something in the last drive only."""

    targets = CountingTeacher.targets

    def supervise(self, sample: Sample) -> FeatureSupervision:
        number = sample.frame.stamp_ns
        rows = np.array([0] if number < 3 else [0, 1])
        return FeatureSupervision.of_points(2, rows, np.array([[number, 1.0]] * len(rows)))


def test_neighbours_of_the_same_drive_are_averaged_by_their_distance(tmp_path: Path) -> None:
    options = TeacherConfig(neighbours=1, neighbour_factor=0.5)
    alone = PreparedSamples(Standing(), Numbering(), tmp_path / "alone")
    together = ConsolidatedSamples(alone, options, tmp_path / "together")
    code = [together[row].supervision.code[:, 0].tolist() for row in range(4)]
    # 0 with half of 1; 1 with half of 0 and of 2; 2 with half of 1; the last has no neighbour of its own drive
    np.testing.assert_allclose([row[0] for row in code], [0.5 / 1.5, 1.0, 2.5 / 1.5, 3.0], atol=1e-3)
    assert len(code[2]) == 1  # what the other drive saw at the second point stays there
    assert sorted(path.name for path in (tmp_path / "together").iterdir()) == [
        f"standing_{row}.npz" for row in range(4)
    ]
    again = ConsolidatedSamples(alone, options, tmp_path / "together")
    np.testing.assert_array_equal(again[1].supervision.code, together[1].supervision.code)


def test_cache_makes_what_samples_say_alone_first(config: TrainConfig) -> None:
    together = replace(config, teacher=replace(config.teacher, neighbours=1))
    assert fill_supervision(together) == (2, 2)
    folders = {folder.name: len(list(folder.iterdir())) for folder in Path(config.cache).iterdir()}
    assert sorted(folders.values()) == [2, 2]
    assert fill_supervision(config) == (2, 0)  # without neighbours there is nothing to do any more
    elsewhere = replace(together, data=replace(together.data, every=2))
    data = prepare_data(config)
    folders = [supervision_folder(one, data.teacher, data.words) for one in (elsewhere, together)]
    assert folders[0] != folders[1]


def test_far_points_of_one_word_of_the_codebook_are_averaged_apart(tmp_path: Path) -> None:
    class Two(Standing):
        def __len__(self) -> int:
            return 2

    class Alike:
        """The first sample has one feature everywhere; the second saw something of its own at the second place."""

        targets = CountingTeacher.targets

        def supervise(self, sample: Sample) -> FeatureSupervision:
            first = sample.frame.stamp_ns == 0
            code = np.array([[1.0, 0.0], [1.0, 0.0] if first else [0.0, 1.0]])
            return FeatureSupervision.of_groups(2, np.arange(2), code, np.array([0, 0 if first else 1]))

    options = TeacherConfig(neighbours=1, neighbour_factor=1.0, codebook=8)
    together = ConsolidatedSamples(PreparedSamples(Two(), Alike(), codebook=8), options)
    np.testing.assert_allclose(together[0].supervision.code, [[1.0, 0.0], [0.5, 0.5]], atol=1e-3)


def test_a_neighbour_that_nobody_can_place_is_an_error() -> None:
    class Lost(Standing):
        def __getitem__(self, index: int) -> Sample:
            return replace(super().__getitem__(index), place=None) if index == 1 else super().__getitem__(index)

    together = ConsolidatedSamples(PreparedSamples(Lost(), Numbering()), TeacherConfig(neighbours=1))
    with pytest.raises(DataError, match=r"standing_1: nobody knows where the lidar stood"):
        together[0]


def test_memory_holds_no_more_than_its_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = PreparedSamples(Standing(), Numbering())
    samples[0]
    monkeypatch.setattr(prepared, "_KEPT_BYTES", 2 * samples._kept_bytes)
    for row in range(4):
        samples[row]
    assert sorted(samples._kept) == [0, 1]
