import numpy as np
import pytest

from ov3d_perception.errors import ConfigError, DataError
from ov3d_trainer.config import TeacherConfig
from ov3d_trainer.data.sample import UNKNOWN
from ov3d_trainer.teacher import choose_targets, make_teacher
from ov3d_trainer.words.vocabulary import parse_vocabulary
from tests.unit.training.hand_made import label_image, make_sample, make_view

WORDS = parse_vocabulary({"labels": [{"name": "tree", "aliases": ["vegetation"]}, "car", "road"], "ignore": ["sky"]})


def test_names_without_a_text_row_are_reported_by_name(bank, caplog):
    targets = choose_targets(WORDS, ["vegetation", "car", "road", "sky", "zeppelin", "building"], bank)
    assert targets.names == ("tree", "car", "building")
    assert set(targets.not_queryable) == {"road", "sky", "zeppelin"}
    assert "ignored" in targets.not_queryable["sky"]
    assert "test:axes" in targets.not_queryable["zeppelin"]
    assert "zeppelin" in caplog.text
    np.testing.assert_array_equal(targets.text, np.eye(4)[[0, 1, 3]])


def test_teacher_without_any_usable_name_is_refused(bank):
    with pytest.raises(ConfigError, match="none of its names"):
        choose_targets(parse_vocabulary({"labels": ["road"]}), ["road"], bank)


def test_mask_teacher_weighs_by_confidence_and_maps_synonyms(bank):
    sample = make_sample(
        [[0, 4, 0], [0, -4, 0]],
        views=[make_view()],
        labels={"front": label_image(np.zeros((4, 8)), np.full((4, 8), 0.5))},
        names=("vegetation", "road"),
    )
    teacher = make_teacher(TeacherConfig(kind="masks"), WORDS, bank, sample)
    supervision = teacher.supervise(sample)
    assert supervision.target.tolist() == [0, UNKNOWN]
    assert supervision.weight.tolist() == [0.5, 0.0]
    assert supervision.supervised.tolist() == [0]


def test_ignored_label_is_not_overruled_by_a_doubtful_one(bank):
    # One camera is sure of "road", which has no text row; another one doubtfully says "car". Nothing is taught.
    labels = {
        "front": label_image(np.ones((4, 8)), np.full((4, 8), 0.9)),
        "other": label_image(np.zeros((4, 8)), np.full((4, 8), 0.3)),
    }
    sample = make_sample([[0, 4, 0]], views=[make_view(), make_view("other")], labels=labels, names=("car", "road"))
    supervision = make_teacher(TeacherConfig(kind="masks"), WORDS, bank, sample).supervise(sample)
    assert supervision.target.tolist() == [UNKNOWN]
    assert supervision.weight.tolist() == [0.0]


def test_label_teacher_supervises_named_points(bank):
    sample = make_sample(
        [[0, 4, 0], [1, 4, 0], [2, 4, 0]], point_labels=[1, 0, UNKNOWN], point_names=("vegetation", "car")
    )
    supervision = make_teacher(TeacherConfig(kind="labels"), WORDS, bank, sample).supervise(sample)
    assert supervision.target.tolist() == [1, 0, UNKNOWN]
    assert supervision.weight.tolist() == [1.0, 1.0, 0.0]


def test_label_teacher_needs_point_labels(bank):
    sample = make_sample([[0, 4, 0]])
    teacher = make_teacher(TeacherConfig(kind="labels"), WORDS, bank, sample)
    with pytest.raises(DataError, match="no point labels"):
        teacher.supervise(sample)


def test_mask_teacher_needs_label_images(bank):
    with pytest.raises(ConfigError, match="no label images"):
        make_teacher(TeacherConfig(kind="masks"), WORDS, bank, make_sample([[0, 4, 0]], names=()))


def test_unknown_teacher_is_refused(bank):
    with pytest.raises(ConfigError, match=r"teacher\.kind.*oracle.*masks, labels"):
        make_teacher(TeacherConfig(kind="oracle"), WORDS, bank, make_sample([[0, 4, 0]]))
