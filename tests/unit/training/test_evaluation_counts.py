"""Rings of distance, thresholds and groups, against figures worked by hand."""

import numpy as np
import pytest

from ov3d_perception.errors import ConfigError
from ov3d_trainer.evaluation.measure import group_figures
from ov3d_trainer.evaluation.student import Answer
from ov3d_trainer.evaluation.tally import Surety, Tally, ring_of
from ov3d_trainer.scores import count_confusion, harmonic_mean
from ov3d_trainer.words.vocabulary import parse_vocabulary


def test_rings_go_by_horizontal_distance_and_begin_at_their_nearer_border():
    points = np.array([[0, 0, 99], [6, 8, 0], [0, -19.9, 0], [20, 0, 0], [0, 49, 0], [-50, 0, 0], [np.nan, 0, 0]])
    assert ring_of(points.astype(np.float32)).tolist() == [0, 1, 1, 2, 3, 4, 4]


def test_tally_adds_up_by_name():
    tally = Tally(["a", "b"])
    tally.count("near", np.array([0, 1]), np.array([0, 0]))
    tally.count("near", np.array([0]), np.array([0]))
    tally.count("far", np.array([1]), np.array([2]))
    near, far = tally.found("near"), tally.found("far")
    assert near is not None
    assert far is not None
    assert near.counts.tolist() == [[2, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert far.unlabelled() == 1.0
    assert tally.found("nowhere") is None


def test_share_unlabelled_and_accuracy_of_the_rest_by_hand():
    # of five points with a class two are unlabelled and two of the others right; of two foreign ones one is labelled
    confusion = count_confusion(["a", "b"], np.array([0, 0, 0, 1, 1, 2, 2]), np.array([0, 0, 1, 2, 2, 0, 2]))
    assert confusion.unlabelled() == pytest.approx(2 / 5)
    assert confusion.accuracy_of_labelled() == pytest.approx(2 / 3)
    assert confusion.foreign_labelled() == pytest.approx(1 / 2)


def test_agreement_counts_what_both_leave_unlabelled():
    # the same label twice, both unlabelled once; one unlabelled by the first alone, one by the second alone
    confusion = count_confusion(["a", "b"], np.array([0, 1, 2, 2, 1]), np.array([0, 1, 2, 0, 2]))
    assert confusion.agreement() == pytest.approx(3 / 5)
    assert np.isnan(count_confusion(["a"], np.zeros(0, int), np.zeros(0, int)).agreement())


def test_threshold_curve_by_hand():
    surety = Surety()
    truth = np.array([0, 0, 1, 1, 2])
    label = np.array([0, 0, 0, 2, 1])  # right, right, wrong; the background took the fourth; the fifth is foreign
    score = np.array([0.62, 0.72, 0.62, 0.9, 0.66], np.float32)
    surety.count(truth, Answer(label=label, score=score), none=2)
    rows = {row["threshold"]: row for row in surety.curve()}
    assert list(rows) == [0.6, 0.65, 0.7]  # below 0.6 nothing is lost, from 0.75 on nothing is left
    assert rows[0.6] == {"threshold": 0.6, "labelled": 75.0, "accuracy": 66.67, "foreign_labelled": 100.0}
    assert rows[0.65] == {"threshold": 0.65, "labelled": 25.0, "accuracy": 100.0, "foreign_labelled": 100.0}
    assert rows[0.7] == {"threshold": 0.7, "labelled": 25.0, "accuracy": 100.0, "foreign_labelled": 0.0}


def test_no_labelled_point_gives_no_curve():
    surety = Surety()
    surety.count(np.array([0]), Answer(label=np.array([1]), score=np.zeros(1, np.float32)), none=1)
    assert surety.curve() == []


def test_groups_are_averaged_apart_and_base_and_novel_harmonically():
    # a: IoU 2/3, recall 1; b: IoU 1/2, recall 1/2; c: IoU 1/2, recall 1/2; d never occurs
    truth, predicted = np.array([0, 0, 1, 1, 2, 2]), np.array([0, 0, 1, 0, 2, 4])
    confusion = count_confusion(["a", "b", "c", "d"], truth, predicted)
    groups = {"base": ["a", "b"], "novel": ["c", "d"], "tail": ["d"]}
    found = group_figures(confusion, groups)
    assert found["base"] == {"classes": 2, "occurring": 2, "mean_iou": 58.33, "mean_accuracy": 75.0}
    assert found["novel"] == {"classes": 2, "occurring": 1, "mean_iou": 50.0, "mean_accuracy": 50.0}
    assert found["tail"] == {"classes": 1, "occurring": 0, "mean_iou": None, "mean_accuracy": None}
    # 2 * 7/12 * 1/2 / (7/12 + 1/2) = 7/13; 2 * 3/4 * 1/2 / (5/4) = 3/5
    assert found["harmonic_mean"] == {"mean_iou": 53.85, "mean_accuracy": 60.0}


def test_label_without_a_text_row_is_left_out_of_its_group():
    confusion = count_confusion(["a"], np.array([0]), np.array([0]))
    found = group_figures(confusion, {"head": ["a", "unknown word"]})
    assert found == {"head": {"classes": 2, "occurring": 1, "mean_iou": 100.0, "mean_accuracy": 100.0}}


def test_harmonic_mean_of_nothing_is_nothing():
    assert harmonic_mean(0.0, 0.0) == 0.0
    assert np.isnan(harmonic_mean(float("nan"), 0.5))


def test_vocabulary_names_groups_by_label_synonym_or_alias():
    words = parse_vocabulary(
        {
            "labels": ["car", {"name": "tree", "aliases": ["vegetation"]}],
            "groups": {"base": ["Car"], "novel": ["vegetation", "tree"]},
        }
    )
    assert words.groups == {"base": ("car",), "novel": ("tree",)}


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"base": ["cra"]}, "groups: base: 'cra' is none of the labels. Did you mean 'car'"),
        ({"base": "car"}, "base: expected a list"),
        (["car"], "groups: expected names with lists"),
    ],
)
def test_wrong_groups_are_named(groups, message):
    with pytest.raises(ConfigError, match=message):
        parse_vocabulary({"labels": ["car"], "groups": groups})
