"""Pictures of single phrases: which view is shown, and what the page says."""

import numpy as np

from ov3d_trainer.benchmark.pictures import find_spots, heat_sheet, visible_points
from ov3d_trainer.benchmark.questions import RankQuestion
from ov3d_trainer.benchmark.sources import STUDENT, Similarities
from tests.unit.training.hand_made import make_sample, make_view

CARS = RankQuestion(phrase="car", title="cars", wanted=lambda thing: thing.kind == "car")
DOGS = RankQuestion(phrase="dog", title="dogs", wanted=lambda thing: thing.kind == "dog")


def scene(cars, trees=5):
    """Points in a row before the camera, 4 pixels apart: cars from the left, then trees; one more car behind it."""
    columns = 0.4 * np.arange(cars + trees)  # u = 4 + 40 x / 4
    points = [*((x, 4.0, 0.0) for x in columns), (0.0, -4.0, 0.0)]
    labels = [0] * cars + [1] * trees + [0]
    view = make_view(width=100, height=40, focal=40.0)
    return make_sample(points, views=[view], point_labels=labels, point_names=("car", "tree"))


class CarsAreHot:
    """Stands for a bundle that gives cars 1 and all else 0."""

    rows = {"car": 0, "dog": 1}  # noqa: RUF012

    def ask(self, sample):
        table = np.stack([sample.point_labels == 0, np.zeros(len(sample.point_labels))], axis=1).astype(np.float32)
        return Similarities(of={STUDENT: table}, seen=np.ones(len(table), bool))


def test_points_behind_the_camera_are_not_shown():
    sample = scene(cars=9)
    rows, pixels = visible_points(sample, sample.frame.cameras[0])
    assert rows.tolist() == list(range(14))
    np.testing.assert_allclose(pixels[:3], [[4, 2], [8, 2], [12, 2]], atol=1e-4)


def test_the_view_with_most_wanted_points_is_shown():
    spots = find_spots([scene(cars=8), scene(cars=12), scene(cars=10)], [CARS, DOGS])
    assert (spots["cars"].sample, spots["cars"].camera, spots["cars"].points) == (1, "front", 12)
    assert set(spots) == {"cars"}  # nobody saw a dog


def test_few_points_make_no_picture():
    assert heat_sheet(CarsAreHot(), [scene(cars=7)], [CARS], {}) is None


def test_page_names_phrase_and_area_and_colours_by_cosine():
    figure = heat_sheet(CarsAreHot(), [scene(cars=9)], [CARS, DOGS], {"cars": 87.4})
    found, heat = figure.axes[:2]
    assert found.get_title(loc="left") == "“car”"
    assert heat.get_title(loc="left") == "AUC 87 %"
    assert len(found.collections[0].get_offsets()) == 9
    cosine = np.asarray(heat.collections[0].get_array())
    assert sorted(cosine) == [0.0] * 5 + [1.0] * 9
