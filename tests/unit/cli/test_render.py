"""The picture of a labelled cloud: what is drawn, in which units and colours."""

from pathlib import Path

import numpy as np
import pytest

from ov3d_perception.errors import DataError
from ov3d_perception.palette import UNLABELLED_COLOR, label_colors
from ov3d_perception.render import legend_rows, render_labelled_cloud, save_png
from ov3d_perception.types import Frame, Prediction

pytest.importorskip("matplotlib")


def predict(*labels: int) -> Prediction:
    return Prediction(
        label=np.array(labels, dtype=np.uint16), score=np.zeros(len(labels), dtype=np.float32), queries_version=1
    )


def scatter_cloud(count: int) -> Frame:
    points = np.random.default_rng(0).uniform(-8, 8, (count, 3)).astype(np.float32)
    return Frame(points=points, intensity=np.zeros(count, dtype=np.float32), stamp_ns=0, frame_id="lidar")


def test_plan_has_equal_scales_and_metres() -> None:
    figure = render_labelled_cloud(scatter_cloud(30), predict(*[1, 0, 2] * 10), ["car", "tree"])
    plan = figure.axes[0]
    assert plan.get_xlabel() == "x [m]"
    assert plan.get_ylabel() == "y [m]"
    assert plan.get_aspect() == 1.0
    assert plan.get_xlim() == plan.get_ylim()


def test_points_have_their_labels_colours_and_unlabelled_is_grey() -> None:
    figure = render_labelled_cloud(scatter_cloud(3), predict(0, 1, 2), ["car", "tree"], radius_m=20.0)
    drawn = np.asarray(figure.axes[0].collections[0].get_facecolor())[:, :3] * 255
    palette = label_colors(["car", "tree"])
    assert tuple(palette[0]) == UNLABELLED_COLOR
    assert {tuple(row) for row in np.rint(drawn).astype(int)} == {tuple(map(int, row)) for row in palette}


def test_labelled_points_are_drawn_over_unlabelled_ones() -> None:
    figure = render_labelled_cloud(scatter_cloud(4), predict(1, 0, 1, 0), ["car"], radius_m=20.0)
    alpha = np.asarray(figure.axes[0].collections[0].get_facecolor())[:, 3]
    assert (np.diff(alpha) >= 0).all()


def test_point_ahead_of_the_eye_is_right_of_one_on_its_left() -> None:
    # The eye stands at azimuth 180 degrees (on -x) and looks along +x: +y is to its left, up is up.
    points = np.array([[0, 5, 0], [0, -5, 0], [0, 0, 5]], dtype=np.float32)
    frame = Frame(points=points, intensity=np.zeros(3, dtype=np.float32), stamp_ns=0, frame_id="lidar")
    names = ["left", "right", "above"]
    figure = render_labelled_cloud(frame, predict(1, 2, 3), names, radius_m=20.0, azimuth_deg=180.0)
    view = figure.axes[1].collections[0]
    colors = np.rint(np.asarray(view.get_facecolor())[:, :3] * 255).astype(int).tolist()
    places = dict(zip(map(tuple, colors), np.asarray(view.get_offsets()), strict=True))
    left, right, above = (places[tuple(map(int, row))] for row in label_colors(names)[1:])
    assert left[0] < above[0] < right[0]
    assert above[1] > left[1]
    assert left[1] == pytest.approx(right[1])


def test_legend_lists_labels_by_count_and_unlabelled_last() -> None:
    rows = legend_rows(np.array([2, 2, 1, 0, 0, 0], dtype=np.uint16), ["car", "tree", "person"])
    assert [(row.name, row.count) for row in rows] == [("tree", 2), ("car", 1), ("person", 0), ("unlabelled", 3)]


def test_long_legend_is_cut_and_says_so() -> None:
    labels = np.repeat(np.arange(1, 41), 2).astype(np.uint16)
    rows = legend_rows(labels, [f"word {row}" for row in range(40)])
    assert len(rows) == 28  # 26 labels, the rest, unlabelled
    assert (rows[-2].name, rows[-2].count) == ("14 more", 28)
    assert sum(row.count for row in rows) == 80


def test_picture_is_written_as_png(tmp_path: Path) -> None:
    figure = render_labelled_cloud(scatter_cloud(10), predict(*[0] * 10), ["$\\frac$"], title="$\\frac$")
    save_png(figure, tmp_path / "cloud.png", dpi=40)
    assert (tmp_path / "cloud.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("labels", [(1, 1), (1, 1, 3)], ids=["too few labels", "label beyond the names"])
def test_labels_that_do_not_fit_are_refused(labels: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match="do not fit"):
        render_labelled_cloud(scatter_cloud(3), predict(*labels), ["car", "tree"])
