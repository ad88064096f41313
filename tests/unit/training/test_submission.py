"""Predictions in the layouts of nuScenes-lidarseg and SemanticKITTI, byte by byte."""

import json

import numpy as np
import pytest

from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.queries import make_queries
from ov3d_perception.text.bank import BankEncoder
from ov3d_perception.types import Frame
from ov3d_trainer.config import SourceConfig
from ov3d_trainer.evaluation.student import NOWHERE, ask_for
from ov3d_trainer.evaluation.submission import (
    Submission,
    classes_of_labels,
    fill_from_nearest,
    layout_of,
    official_figures,
    truth_of,
)
from ov3d_trainer.scores import count_confusion
from ov3d_trainer.words.vocabulary import parse_vocabulary, read_vocabulary

NUSCENES = layout_of(SourceConfig(kind="nuscenes", split="mini_val"))
KITTI = layout_of(SourceConfig(kind="kitti", split="08"))
WORDS = parse_vocabulary({"labels": ["car", {"name": "tree", "aliases": ["vegetation"]}], "background": ["building"]})


def frame(points, time_offset_s=None):
    points = np.array(points, np.float32)
    return Frame(
        points=points,
        intensity=np.zeros(len(points), np.float32),
        stamp_ns=0,
        frame_id="lidar",
        time_offset_s=None if time_offset_s is None else np.array(time_offset_s, np.float32),
    )


def submission(folder, layout, bank):
    rows = classes_of_labels(make_queries(WORDS.labels, bank), WORDS, layout)
    return Submission(folder=folder, layout=layout, class_of_label=rows)


def test_nuscenes_files_hold_challenge_numbers_and_the_meta_keys(tmp_path, bank):
    target = submission(tmp_path, NUSCENES, bank)
    target.prepare(["ab12"])
    # car is 4 and vegetation 16; the last point has no label of its own and is nearest to the second
    written = target.write("ab12", frame([[0, 0, 0], [9, 0, 0], [99, 0, 0]]), np.array([0, 1, NOWHERE]))
    assert [NUSCENES.classes[row] for row in written] == ["car", "vegetation", "vegetation"]
    assert (tmp_path / "lidarseg" / "mini_val" / "ab12_lidarseg.bin").read_bytes() == bytes([4, 16, 16])
    meta = json.loads((tmp_path / "mini_val" / "submission.json").read_text())["meta"]
    assert meta == {
        "use_camera": False, "use_lidar": True, "use_radar": False, "use_map": False, "use_external": True,
    }  # fmt: skip


def test_kitti_files_hold_raw_numbers_of_four_bytes(tmp_path, bank):
    submission(tmp_path, KITTI, bank).write("08_000012", frame([[0, 0, 0], [9, 0, 0]]), np.array([1, 0]))
    path = tmp_path / "sequences" / "08" / "predictions" / "000012.label"
    assert path.read_bytes() == bytes([70, 0, 0, 0, 10, 0, 0, 0])  # vegetation, car


def test_points_of_earlier_sweeps_are_not_written(tmp_path, bank):
    joined = frame([[0, 0, 0], [9, 0, 0], [1, 0, 0]], [0.0, 0.0, -0.05])
    submission(tmp_path, NUSCENES, bank).write("ab12", joined, np.array([0, 0, 1]))
    assert (tmp_path / "lidarseg" / "mini_val" / "ab12_lidarseg.bin").read_bytes() == bytes([4, 4])


def test_sweep_without_any_label_gets_the_first_one():
    points = np.array([[1, 2, 3], [np.nan, 0, 0]], np.float32)
    assert fill_from_nearest(points, np.array([NOWHERE, NOWHERE])).tolist() == [0, 0]


def test_point_that_is_no_number_gets_a_label_all_the_same():
    points = np.array([[1, 0, 0], [50, 0, 0], [np.nan, 0, 0]], np.float32)
    assert fill_from_nearest(points, np.array([1, 0, NOWHERE])).tolist() == [1, 0, 1]


def test_files_of_other_samples_are_not_mixed_in(tmp_path, bank):
    target = submission(tmp_path, NUSCENES, bank)
    target.prepare(["ab12"])
    target.write("ab12", frame([[0, 0, 0]]), np.array([0]))
    target.prepare(["ab12"])  # again is fine
    with pytest.raises(DataError, match=r"ab12_lidarseg.bin and 0 more are of other samples. Give an empty folder"):
        target.prepare(["cd34"])


def test_sample_name_cannot_lead_out_of_the_folder(tmp_path, bank):
    with pytest.raises(DataError, match="not a name"):
        submission(tmp_path, NUSCENES, bank).write("../../ab12", frame([[0, 0, 0]]), np.array([0]))


def test_label_that_is_no_class_is_named(bank):
    words = parse_vocabulary({"labels": ["car", "person", "building"]})
    with pytest.raises(ConfigError, match=r"'person', 'building' of the vocabulary is no class of nuScenes-lidarseg"):
        classes_of_labels(make_queries(words.labels, bank), words, NUSCENES)


@pytest.mark.parametrize(("name", "layout"), [("nuscenes", NUSCENES), ("kitti", KITTI)])
def test_shipped_vocabulary_names_every_class_once(configs, name, layout):
    words = read_vocabulary(configs / f"{name}_vocabulary.yaml")
    text = BankEncoder(words.names, np.eye(len(words.names), dtype=np.float32), "test:axes")
    rows = classes_of_labels(ask_for(words, None, text), words, layout)
    assert rows.tolist() == list(range(len(layout.classes)))


def test_label_that_stands_for_two_classes_is_named_unless_its_name_decides(bank):
    words = parse_vocabulary({"labels": [{"name": "tree", "aliases": ["vegetation", "terrain"]}]})
    with pytest.raises(ConfigError, match=r"'tree' \(stands for terrain and vegetation\)"):
        classes_of_labels(make_queries(words.labels, bank), words, NUSCENES)
    words = parse_vocabulary({"labels": [{"name": "car", "aliases": ["truck"]}]})
    assert classes_of_labels(make_queries(words.labels, bank), words, NUSCENES).tolist() == [3]


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (SourceConfig(kind="street"), "kind 'street' has no official layout, only nuscenes and kitti have"),
        (SourceConfig(kind="nuscenes", split="train_verify"), "knows no split 'train_verify'. Set evaluation.split"),
    ],
)
def test_data_without_an_official_layout_is_refused(config, message):
    with pytest.raises(ConfigError, match=message):
        layout_of(config)


def test_official_means_differ_in_what_an_absent_class_counts():
    # car: 1 of 2 points; vegetation: hit 1, one false -> 1/2; truck: called, never true -> 0; the others are absent
    truth = truth_of(np.array([0, 0, 1, -1]), ["car", "vegetation"], NUSCENES)
    assert truth.tolist() == [3, 3, 15, 16]
    confusion = count_confusion(NUSCENES.classes, truth[:3], np.array([3, 9, 15]))
    found = official_figures(confusion, NUSCENES)
    assert found["miou"] == pytest.approx((1 / 2 + 1 + 0) / 3)
    assert (found["iou_per_class"]["truck"], found["iou_per_class"]["traffic_cone"]) == (0.0, None)
    confusion = count_confusion(KITTI.classes, np.array([0, 0, 14]), np.array([0, 3, 14]))
    found = official_figures(confusion, KITTI)
    assert found["miou"] == pytest.approx((1 / 2 + 1) / 19)  # the official tool averages over all 19
    assert found["iou_per_class"]["traffic-sign"] == 0.0
