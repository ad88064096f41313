"""Student, teacher and both: who labels a point."""

import numpy as np

from ov3d_perception.queries import make_queries
from ov3d_trainer.data.sample import UNKNOWN
from ov3d_trainer.evaluation.modes import DISTILL, ENSEMBLE, FUSION, modes, taught_labels
from ov3d_trainer.evaluation.student import Answer
from ov3d_trainer.teacher.base import FeatureSupervision, Supervision, Targets


def test_ensemble_takes_the_teacher_where_it_is_surer():
    student = Answer(label=np.array([0, 1, 2]), score=np.array([0.9, 0.3, 0.5], np.float32))
    teacher = Answer(label=np.array([1, 0, 2]), score=np.array([0.8, 0.4, -1.0], np.float32))
    found = modes(student, teacher)
    assert found[DISTILL].tolist() == [0, 1, 2]
    assert found[FUSION].tolist() == [1, 0, 2]
    assert found[ENSEMBLE].tolist() == [0, 0, 2]


class FeatureTeacher:
    targets = Targets(names=("car",), text=np.eye(1, 4, dtype=np.float32), not_queryable={}, decoder=np.eye(4))


class NamingTeacher:
    targets = Targets(names=("person", "car"), text=np.eye(2, 4, dtype=np.float32), not_queryable={})


def test_features_are_labelled_as_on_the_robot_and_the_rest_is_unlabelled(bank):
    queries = make_queries(["car", "tree"], bank)
    code = np.array([[0, 3.0, 0, 4.0], [1.0, 0, 0, 0]])  # car with cosine 0.6; tree
    supervision = FeatureSupervision.of_points(4, np.array([1, 3]), code)
    answer = taught_labels(FeatureTeacher(), supervision, queries, 4)
    assert answer.label.tolist() == [2, 0, 2, 1]
    np.testing.assert_allclose(answer.score, [-1, 0.6, -1, 1], atol=1e-3)


def test_names_become_labels_of_the_queries(bank):
    queries = make_queries(["car", "tree"], bank)
    supervision = Supervision(target=np.array([1, UNKNOWN, 0]), weight=np.array([1, 0, 1], np.float32), count=2)
    answer = taught_labels(NamingTeacher(), supervision, queries, 3)
    assert answer.label.tolist() == [0, 2, 2]
    assert answer.score.tolist() == [1, -1, 1]
