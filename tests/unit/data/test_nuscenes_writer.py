"""Simulated streets as nuScenes tables: what the rows say, worked out by hand. The official devkit has its say in
tests/e2e/test_official_devkit.py."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("embreex", reason="the simulator needs embreex")

from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.geometry import make_transform
from ov3d_perception.types import CameraView, Frame
from ov3d_trainer.data.nuscenes import recording, tables, writer
from ov3d_trainer.data.nuscenes.categories import (
    CHALLENGE_CLASSES,
    RAW_CATEGORIES,
    challenge_class_of_kind,
    challenge_ids,
    raw_labels,
)
from ov3d_trainer.data.nuscenes.visibility import visible_shares
from ov3d_trainer.data.sample import UNKNOWN, Box, LabelImage, Rig, Sample, SceneObject
from ov3d_trainer.data.simulate.kinds import KIND_OF

STAMP_NS = 1_600_000_000_500_000_000


def test_challenge_ids_are_the_published_table() -> None:
    published = [0, 0, 7, 7, 7, 0, 7, 0, 0, 1, 0, 0, 8, 0, 2, 3, 3, 4, 5, 0, 0, 6, 9, 10, 11, 12, 13, 14, 15, 0, 16, 0]
    assert challenge_ids().tolist() == published
    assert len(RAW_CATEGORIES) == len(set(RAW_CATEGORIES)) == 32
    assert len(CHALLENGE_CLASSES) == 16


def test_every_kind_names_a_category_that_exists() -> None:
    assert {kind.nuscenes for kind in KIND_OF.values()} <= {*RAW_CATEGORIES, ""}


def test_kinds_go_to_the_class_that_the_challenge_scores_them_as() -> None:
    class_of = challenge_class_of_kind()
    assert set(class_of.values()) == set(CHALLENGE_CLASSES)
    assert (class_of["van"], class_of["child"]) == ("car", "pedestrian")
    assert "stroller" not in class_of  # ignored


def test_points_of_no_kind_get_their_own_label_and_kinds_without_category_are_static_other() -> None:
    labels = np.array([0, UNKNOWN, 1, UNKNOWN], np.int32)
    unknown = np.array([9, 31, 9, 0], np.uint8)
    assert raw_labels(labels, ("car", "a kind nobody heard of"), unknown).tolist() == [17, 31, 29, 0]


def test_first_scenes_are_those_that_the_official_evaluation_wants_together() -> None:
    assert writer.scene_names(2) == ("scene-0103", "scene-0916")
    assert writer.scene_names(11)[2:] == (*writer.TRAINING_SCENES, "scene-2001")


def sample_of_one_car(*, tilt_deg: float = 0.0) -> Sample:
    """A car of 4 x 2 x 1.5 m, 10 m in front of a lidar that leans forward, two points in its box and one far away."""
    tilt = np.radians(tilt_deg)
    leaning = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    ego_from_lidar = make_transform(leaning, (0.0, 0.0, 2.0))
    points = np.array([[0.0, 10, -1], [0.9, 10, -1], [0, 40, 0], [0, 1, -0.5]], np.float32)
    camera_from_lidar = make_transform(np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]), (0.0, 0.0, 0.0))
    view = CameraView(
        name="CAM_FRONT",
        image=np.zeros((60, 100, 3), np.uint8),
        intrinsics=np.array([[50.0, 0, 50], [0, 50, 30], [0, 0, 1]]),
        camera_from_lidar=camera_from_lidar,
        stamp_ns=STAMP_NS - 20_000_000,
    )
    instances = np.full((60, 100), UNKNOWN, np.int32)
    instances[33:38, 46:54] = 1
    box = Box(
        category="car",
        center_m=np.array([0.0, 10.0, -1.0]),
        size_lwh_m=np.array([4.0, 2.0, 1.5]),
        yaw_rad=np.pi / 2,
        key="lane 1",
    )
    return Sample(
        name="by hand",
        frame=Frame(
            points=points,
            intensity=np.ones(4, np.float32),
            ring=np.arange(4, dtype=np.uint16),
            stamp_ns=STAMP_NS,
            frame_id="LIDAR_TOP",
            cameras=(view,),
        ),
        rig=Rig(
            ego_from_lidar=ego_from_lidar,
            ego_from_camera={"CAM_FRONT": np.eye(4)},
            global_from_ego={
                STAMP_NS: make_transform(np.eye(3), (100.0, 200.0, 3.0)),
                view.stamp_ns: make_transform(np.eye(3), (100.0, 199.8, 3.0)),
            },
        ),
        point_labels=np.array([1, 1, 0, UNKNOWN], np.int32),
        point_label_names=("road", "car"),
        point_instances=np.array([1, 1, 0, UNKNOWN], np.int32),
        objects=(
            SceneObject(kind="road", key="road"),
            SceneObject(kind="car", color="red", state="moving", key="lane 1"),
        ),
        view_labels={"CAM_FRONT": LabelImage(labels=np.zeros((60, 100), np.int32), instances=instances)},
        boxes=(box,),
    )


def record_of(sample: Sample, root: Path, monkeypatch: pytest.MonkeyPatch) -> recording.KeyframeRecord:
    monkeypatch.setattr(recording.Drive, "open", lambda drive: [sample])  # a street of this one keyframe
    (root / "lidarseg" / "v1.0-mini").mkdir(parents=True)
    (record,) = recording.record_keyframes(DRIVE, [0], root)
    return record


DRIVE = recording.Drive(name="scene-0103", seed=5, keyframes=1, image_size=(100, 60))


def test_keyframe_becomes_an_annotation_in_the_global_frame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = tables.scene_tables(DRIVE, [record_of(sample_of_one_car(), tmp_path, monkeypatch)])
    (annotation,) = rows["sample_annotation"]
    margin = recording.BOX_MARGIN_M
    # lidar at (100, 200, 5), car 10 m further along y and 1 m lower; the box grows upwards only
    np.testing.assert_allclose(annotation["translation"], [100.0, 210.0, 4.0 + margin / 2])
    np.testing.assert_allclose(annotation["size"], [2 + 2 * margin, 4 + 2 * margin, 1.5 + margin])  # w, l, h
    np.testing.assert_allclose(annotation["rotation"], [np.sqrt(0.5), 0, 0, np.sqrt(0.5)])  # 90 degrees about z
    assert annotation["num_lidar_pts"] == 2
    named = {row["token"]: row["name"] for row in tables.shared_tables([DRIVE], {})["attribute"]}
    assert [named[token] for token in annotation["attribute_tokens"]] == ["vehicle.moving"]
    (instance,) = rows["instance"]
    assert instance["first_annotation_token"] == instance["last_annotation_token"] == annotation["token"]
    lidar, camera = (next(row for row in rows["sample_data"] if row["fileformat"] == form) for form in ("pcd", "jpg"))
    assert (lidar["timestamp"], camera["timestamp"]) == (1_600_000_000_500_000, 1_600_000_000_480_000)
    assert (camera["width"], camera["height"]) == (100, 60)
    assert (camera["prev"], camera["next"]) == ("", "")


def test_files_of_a_keyframe_are_points_and_labels_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = sample_of_one_car()
    record = record_of(sample, tmp_path, monkeypatch)
    (cloud,) = (file for file in record.files if file.channel == "LIDAR_TOP")
    rows = np.fromfile(tmp_path / cloud.filename, "<f4").reshape(-1, 5)
    np.testing.assert_array_equal(rows[:, :3], sample.frame.points)
    np.testing.assert_array_equal(rows[:, 4], [0, 1, 2, 3])
    (labels,) = (tmp_path / "lidarseg" / "v1.0-mini").glob("*_lidarseg.bin")
    names = [RAW_CATEGORIES[number] for number in np.fromfile(labels, np.uint8)]
    assert names == ["vehicle.car", "vehicle.car", "flat.driveable_surface", "vehicle.ego"]


def test_box_of_a_leaning_lidar_stands_upright(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (annotation,) = record_of(sample_of_one_car(tilt_deg=2.0), tmp_path, monkeypatch).annotations
    np.testing.assert_allclose(annotation.box.yaw_rad, np.pi / 2)
    # 10 m ahead and 1 m below, turned by 2 degrees about x: y = 10 cos 2 + sin 2, z = 10 sin 2 - cos 2
    expected = [100.0, 200 + 10 * np.cos(np.radians(2)) + np.sin(np.radians(2))]
    np.testing.assert_allclose(annotation.box.center_m[:2], expected)


def test_box_without_object_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sample = sample_of_one_car()
    nameless = Box(category="car", center_m=np.zeros(3), size_lwh_m=np.ones(3), yaw_rad=0.0)
    object.__setattr__(sample, "boxes", (nameless,))
    with pytest.raises(DataError, match="by hand: expected the key of a box to name an object, got ''"):
        record_of(sample, tmp_path, monkeypatch)


def test_share_of_an_object_is_its_pixels_over_those_of_its_box() -> None:
    sample = sample_of_one_car()
    # The near face at 8 m is 12.5 x 9.4 px; the roof, 0.25 m below the camera and 8 to 12 m away, adds a trapezoid
    # 50 * 0.25 * (1 / 8 - 1 / 12) = 0.52 px high and (12.5 + 8.3) / 2 px wide. The image shows 8 x 5 px of the car.
    (share,) = visible_shares(sample).values()
    assert share == pytest.approx(40 / (0.65 * (12.5 * 9.375 + 0.52 * 10.4)), rel=0.05)


@pytest.mark.parametrize(("share", "token"), [(0.0, "1"), (0.39, "1"), (0.4, "2"), (0.6, "3"), (0.8, "4"), (1.0, "4")])
def test_visibility_has_the_official_bins(share: float, token: str) -> None:
    assert tables._visibility_token(share) == token


@pytest.mark.parametrize(
    ("thing", "attribute"),
    [
        (SceneObject(kind="person", state="walking"), "pedestrian.moving"),
        (SceneObject(kind="bicycle", state="parked"), "cycle.without_rider"),
        (SceneObject(kind="car", state="parked"), "vehicle.parked"),
        (SceneObject(kind="barrier"), ""),
    ],
)
def test_state_becomes_the_official_attribute(thing: SceneObject, attribute: str) -> None:
    assert tables._attribute(thing) == attribute


def test_object_is_described_once_with_colour_and_state_in_its_caption(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    road, car = sorted(
        tables.object_rows(DRIVE, [record_of(sample_of_one_car(), tmp_path, monkeypatch)]),
        key=lambda row: row["kind"] == "car",
    )
    assert (road["annotated"], car["annotated"]) == (False, True)
    assert car["caption"] == "a red moving car"
    assert car["color"] == "red"
    assert car["category"] == "vehicle.car"
    assert len(car["synonyms"]) >= 2


def test_unseen_kinds_are_asked_of_the_street_only_when_wanted() -> None:
    assert replace(DRIVE, unseen=True).open().unseen
    assert not DRIVE.open().unseen


def test_same_arguments_give_the_same_files_whatever_the_number_of_processes(tmp_path: Path) -> None:
    settings = {"scenes": 1, "seed": 3, "keyframes": 2, "image_size": (64, 36)}
    for jobs in (1, 2):
        writer.write_streets(tmp_path / str(jobs), jobs=jobs, **settings)
    first, second = (
        {path.relative_to(root): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
        for root in (tmp_path / "1", tmp_path / "2")
    )
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []
    assert len([name for name in first if name.parts[0] == "sweeps"]) == 9
    splits = json.loads(first[Path("v1.0-mini/splits.json")])
    assert splits == {"simulated_train": [], "simulated_val": ["scene-0103"]}


def test_overwrite_removes_only_what_an_earlier_run_wrote(tmp_path: Path) -> None:
    for name in (tables.MAP_FILE, "samples/CAM_FRONT/old.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("old")
    writer.prepare_folder(tmp_path, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_overwrite_never_removes_a_recorded_data_set(tmp_path: Path) -> None:
    recorded = tmp_path / "samples" / "LIDAR_TOP" / "real.pcd.bin"
    recorded.parent.mkdir(parents=True)
    recorded.touch()
    with pytest.raises(ConfigError, match="expected what `simulate street` wrote"):
        writer.prepare_folder(tmp_path, overwrite=True)
    assert recorded.exists()


@pytest.mark.parametrize("setting", [{"scenes": 0}, {"keyframes": 0}, {"jobs": 0}, {"seed": -1}])
def test_numbers_out_of_range_are_refused_before_anything_is_written(setting: dict[str, int], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="simulate street: expected"):
        writer.write_streets(tmp_path / "out", **{"scenes": 1, **setting})
    assert not (tmp_path / "out").exists()
