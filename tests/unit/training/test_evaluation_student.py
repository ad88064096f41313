"""What a student says about points: as on the robot, over several voxelisations, or the best label in any case."""

import math

import numpy as np
import pytest
import torch

from ov3d_perception.errors import ConfigError
from ov3d_perception.inputs import InputSpec
from ov3d_perception.queries import make_queries
from ov3d_perception.types import Frame
from ov3d_trainer.data.sample import Sample
from ov3d_trainer.evaluation.student import NOWHERE, Cosines, Repeats, Student, ask_for, moved
from ov3d_trainer.words.vocabulary import parse_vocabulary

INPUTS = InputSpec(voxel_size_m=1.0, features=("x", "y", "one"), max_range_m=20.0, levels=1)


class MeanPosition(torch.nn.Module):
    """Gives a voxel the unit vector (cos a, sin a, 0, 0) of its mean point's direction a."""

    def forward(self, features, index):
        length = torch.linalg.norm(features[:, :2], dim=1, keepdim=True)
        return torch.cat([features[:, :2] / length, torch.zeros(len(features), 2)], dim=1)


def make_student(bank):
    queries = make_queries(["tree", "car"], bank)
    return Student(inputs=INPUTS, model=MeanPosition(), queries=queries, device=torch.device("cpu"))


def make_sample(points):
    points = np.array(points, np.float32)
    frame = Frame(points=points, intensity=np.zeros(len(points), np.float32), stamp_ns=0, frame_id="lidar")
    return Sample(name="hand-made", frame=frame)


def test_best_label_passes_over_threshold_and_background(bank):
    queries = make_queries(["tree", "car"], bank, background=["building"], threshold=0.5)
    rows = np.array([[0.6, 0.1, 0.2], [0.1, 0.3, 0.2], [0.6, 0.1, 0.9]], np.float32)
    cosines = Cosines(rows=rows, row_of_point=np.array([2, 0, -1, 1]))
    assert cosines.answer(queries).label.tolist() == [2, 0, 2, 2]
    assert cosines.best(queries).tolist() == [0, 0, NOWHERE, 1]


def test_repeats_average_the_cosines_of_moved_clouds(bank):
    student = make_student(bank)
    sample = make_sample([[3.0, 4.0, 0.0], [30.0, 0.0, 0.0]])
    cosines = student.cosines(sample, Repeats(count=3), np.random.default_rng(7))
    generator = np.random.default_rng(7)
    seen = [np.array([3.0, 4.0])]
    seen += [moved(sample.frame, 1.0, generator, rotate=False).points[0, :2] for _ in range(2)]
    expected = np.mean([point / np.hypot(*point) for point in seen], axis=0)  # tree and car are the axes x and y
    np.testing.assert_allclose(cosines.rows[cosines.row_of_point[0]], expected, rtol=1e-5)
    assert cosines.row_of_point[1] == -1  # out of range every time
    assert cosines.best(student.queries).tolist() == [1, NOWHERE]


def test_one_repeat_is_the_cloud_as_it_is(bank):
    student = make_student(bank)
    cosines = student.cosines(make_sample([[3.0, 4.0, 0.0]]), Repeats(count=1), np.random.default_rng(7))
    np.testing.assert_allclose(cosines.rows[cosines.row_of_point[0]], [0.6, 0.8], rtol=1e-6)


def test_moved_cloud_is_turned_about_z_and_shifted_by_less_than_a_voxel():
    frame = make_sample([[0, 0, 0], [2, 0, 1]]).frame
    shifted = moved(frame, 0.5, np.random.default_rng(1), rotate=False).points
    assert ((shifted[0] >= 0) & (shifted[0] < 0.5)).all()
    np.testing.assert_allclose(shifted[1] - shifted[0], [2, 0, 1], atol=1e-6)
    turned = moved(frame, 0.5, np.random.default_rng(1), rotate=True).points
    angle_rad = np.random.default_rng(1).uniform(0.0, 2.0 * math.pi)
    expected = [2 * math.cos(angle_rad), 2 * math.sin(angle_rad), 1]
    np.testing.assert_allclose(turned[1] - turned[0], expected, atol=1e-6)


def test_repeats_are_bounded():
    with pytest.raises(ConfigError, match="--repeats: expected 1 to 100, got 0"):
        Repeats(count=0)


def test_vocabulary_without_any_known_word_is_named(bank):
    with pytest.raises(ConfigError, match=r"none of its labels \(forklift, dog\) has a text row in test:axes"):
        ask_for(parse_vocabulary({"labels": ["forklift", "dog"]}), None, bank)


def test_synonyms_ask_for_the_same_label(bank):
    queries = ask_for(parse_vocabulary({"labels": [{"name": "tree", "synonyms": ["building"]}, "car"]}), None, bank)
    rows = np.array([[0.1, 0.9, 0.2]], np.float32)  # tree, building, car
    assert Cosines(rows=rows, row_of_point=np.array([0])).answer(queries).label.tolist() == [0]
