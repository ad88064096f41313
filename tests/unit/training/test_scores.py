import numpy as np
import pytest

from ov3d_perception.errors import ConfigError
from ov3d_trainer.scores import add_confusions, count_confusion

# Classes a, b; 2 means none of them.          a: 2 hits, 1 missed; b: 1 hit, 1 unlabelled; one foreign point called a.
TRUTH = np.array([0, 0, 0, 1, 1, 2])
PREDICTED = np.array([0, 0, 1, 1, 2, 0])


def test_iou_precision_and_recall_by_hand():
    confusion = count_confusion(["a", "b"], TRUTH, PREDICTED)
    # a: TP 2, FN 1, FP 1 -> 2/4; b: TP 1, FN 1, FP 1 -> 1/3
    np.testing.assert_allclose(confusion.iou(), [2 / 4, 1 / 3])
    np.testing.assert_allclose(confusion.precision(), [2 / 3, 1 / 2])
    np.testing.assert_allclose(confusion.recall(), [2 / 3, 1 / 2])
    assert confusion.mean_iou() == pytest.approx((2 / 4 + 1 / 3) / 2)
    assert confusion.accuracy() == pytest.approx(3 / 5)


def test_mean_accuracy_weighted_iou_and_groups_by_hand():
    confusion = count_confusion(["a", "b", "c"], np.where(TRUTH == 2, 3, TRUTH), np.where(PREDICTED == 2, 3, PREDICTED))
    assert confusion.mean_accuracy() == pytest.approx((2 / 3 + 1 / 2) / 2)  # c never occurs
    assert confusion.weighted_iou() == pytest.approx((3 * (2 / 4) + 2 * (1 / 3)) / 5)
    groups = confusion.group_iou({"head": ["a", "c"], "tail": ["b"], "empty": ["c"]})
    assert groups["head"] == pytest.approx(2 / 4)
    assert groups["tail"] == pytest.approx(1 / 3)
    assert np.isnan(groups["empty"])
    with pytest.raises(ConfigError, match="no class d"):
        confusion.group_iou({"head": ["d"]})


def test_class_that_never_occurs_is_undefined_and_not_averaged():
    confusion = count_confusion(["a", "b", "c"], np.array([0, 1]), np.array([0, 1]))
    assert np.isnan(confusion.iou()[2])
    assert confusion.mean_iou() == 1.0
    assert confusion.to_dict()["classes"]["c"] == {"points": 0, "iou": None, "precision": None, "recall": None}


def test_wrongly_predicted_class_without_truth_has_iou_zero_but_is_not_averaged():
    confusion = count_confusion(["a", "b"], np.array([0, 0]), np.array([0, 1]))
    assert confusion.iou().tolist() == [0.5, 0.0]
    assert confusion.mean_iou() == 0.5


def test_confusions_add_up():
    one = count_confusion(["a", "b"], TRUTH, PREDICTED)
    assert add_confusions([one, one]).counts.tolist() == (2 * one.counts).tolist()


def test_no_points_at_all_is_undefined():
    nothing = count_confusion(["a"], np.array([], dtype=int), np.array([], dtype=int))
    assert nothing.to_dict()["mean_iou"] is None
    assert nothing.to_dict()["accuracy"] is None
