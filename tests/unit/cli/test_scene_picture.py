"""The picture of a whole scene: cameras with labelled points in them, the cloud with its legend, one query's scores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ov3d_perception.errors import DataError
from ov3d_perception.palette import label_colors
from ov3d_perception.render import save_png
from ov3d_perception.scene_picture import Heat, front_cameras, scene_picture
from ov3d_perception.types import CameraView, Frame, Prediction

pytest.importorskip("matplotlib")

NAMES = ["car", "tree", "road"]
WIDTH, HEIGHT = 64, 36


def look(name: str, azimuth_deg: float) -> CameraView:
    """A camera at the lidar that looks to an azimuth (0 = +x, anticlockwise), 90 degrees wide."""
    angle = np.deg2rad(azimuth_deg)
    camera_from_lidar = np.eye(4)
    camera_from_lidar[:3, :3] = [[np.sin(angle), -np.cos(angle), 0], [0, 0, -1], [np.cos(angle), np.sin(angle), 0]]
    return CameraView(
        name=name,
        image=np.full((HEIGHT, WIDTH, 3), 200, np.uint8),
        intrinsics=np.array([[WIDTH / 2, 0, WIDTH / 2], [0, WIDTH / 2, HEIGHT / 2], [0, 0, 1.0]]),
        camera_from_lidar=camera_from_lidar,
        stamp_ns=0,
    )


SIX = tuple(
    look(name, azimuth)
    for name, azimuth in (
        ("CAM_FRONT", 90), ("CAM_BACK", 270), ("CAM_FRONT_RIGHT", 35), ("CAM_BACK_LEFT", 200),
        ("CAM_FRONT_LEFT", 145), ("CAM_BACK_RIGHT", 340),
    )
)  # fmt: skip


def scatter(count: int, cameras: tuple[CameraView, ...] = ()) -> Frame:
    points = np.random.default_rng(0).uniform(-8, 8, (count, 3)).astype(np.float32)
    return Frame(
        points=points, intensity=np.zeros(count, np.float32), stamp_ns=0, frame_id="lidar", cameras=cameras
    )  # fmt: skip


def predict(label: Any) -> Prediction:
    label = np.asarray(label, np.uint16)
    return Prediction(label=label, score=np.zeros(len(label), np.float32), queries_version=1)


def rising(count: int) -> Heat:
    return Heat(query="something to sit on", score=np.linspace(-0.2, 0.8, count).astype(np.float32))


def texts(figure: Any) -> list[str]:
    found = [text.get_text() for text in figure.texts]
    return found + [text.get_text() for axes in figure.axes for text in axes.texts]


def images(figure: Any) -> list[Any]:
    return [axes for axes in figure.axes if axes.images]


def test_whole_picture_has_cameras_from_left_to_right_legend_query_and_colour_bar() -> None:
    frame = scatter(300, SIX)
    figure = scene_picture(frame, predict([1, 2, 0] * 100), NAMES, heat=rising(300), title="a drive")
    cameras = images(figure)
    assert [axes.texts[0].get_text() for axes in cameras] == ["front left", "front", "front right"]
    left = [axes.get_position().x0 for axes in cameras]
    assert left == sorted(left)
    assert {"car", "tree", "unlabelled", "“something to sit on”", "3 words"} <= set(texts(figure))
    assert "road" not in texts(figure)  # no point has it
    assert any("a drive" in text and "300 points" in text for text in texts(figure))
    (bar,) = [axes for axes in figure.axes if axes.get_xlabel()]
    assert "cosine similarity" in bar.get_xlabel()
    low, high = bar.get_xlim()
    assert low == pytest.approx(np.quantile(np.linspace(-0.2, 0.8, 300), 0.5), abs=0.01)
    assert 0.7 < high <= 0.8


def test_nothing_overlaps_and_nothing_leaves_the_page() -> None:
    figure = scene_picture(scatter(300, SIX), predict([1, 2, 3] * 100), NAMES, heat=rising(300))
    boxes = [axes.get_position() for axes in figure.axes]
    for number, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= 1
        assert box.y1 <= 1
        for other in boxes[number + 1 :]:
            apart = box.x1 <= other.x0 or other.x1 <= box.x0 or box.y1 <= other.y0 or other.y1 <= box.y0
            assert apart, (box, other)


def test_points_lie_on_the_image_where_the_camera_sees_them_in_their_colours() -> None:
    points = np.array([[0, 5, 0], [-2.5, 5, 1.25], [0, -5, 0]], np.float32)  # ahead, left above, behind
    frame = Frame(
        points=points, intensity=np.zeros(3, np.float32), stamp_ns=0, frame_id="lidar", cameras=(look("front", 90),)
    )
    (axes,) = images(scene_picture(frame, predict([1, 2, 3]), NAMES))
    drawn = axes.collections[0]
    places = {tuple(place) for place in np.rint(np.asarray(drawn.get_offsets())).astype(int).tolist()}
    assert places == {(32, 18), (16, 10)}
    colors = {tuple(row) for row in np.rint(np.asarray(drawn.get_facecolor())[:, :3] * 255).astype(int).tolist()}
    assert colors == {tuple(map(int, row)) for row in label_colors(NAMES)[1:3]}
    assert np.asarray(axes.images[0].get_array()).max() < 200  # dimmed


def test_high_scores_are_brighter_larger_and_less_transparent_than_low_ones() -> None:
    frame = scatter(200)
    # The cloud's own panel comes first, the query's second; its last collection holds every point, halos are below.
    query = scene_picture(frame, predict([1] * 200), NAMES, heat=rising(200)).axes[2].collections[-1]
    colors, sizes = np.asarray(query.get_facecolor()), query.get_sizes()
    brightness = colors[:, :3].sum(axis=1)
    assert len(colors) == len(sizes) > 100
    assert np.corrcoef(brightness, colors[:, 3])[0, 1] > 0.9
    assert np.corrcoef(brightness, sizes)[0, 1] > 0.2
    assert colors[:, 3].min() < 0.4
    assert colors[:, 3].max() > 0.95


def test_point_without_score_is_not_drawn_among_the_scores() -> None:
    heat = rising(200)
    heat.score[:50] = np.nan
    figures = [scene_picture(scatter(200), predict([1] * 200), NAMES, heat=each) for each in (rising(200), heat)]
    drawn = [len(figure.axes[2].collections[-1].get_offsets()) for figure in figures]
    assert drawn[0] - drawn[1] > 30


@pytest.mark.parametrize("cameras", [(), SIX[:1], SIX], ids=["no camera", "one camera", "six cameras"])
@pytest.mark.parametrize("with_heat", [False, True], ids=["no query", "query"])
@pytest.mark.parametrize("count", [0, 1, 50])
def test_what_is_missing_is_left_out(
    cameras: tuple[CameraView, ...], with_heat: bool, count: int, tmp_path: Path
) -> None:
    heat = rising(count) if with_heat else None
    figure = scene_picture(scatter(count, cameras), predict([1] * count), NAMES, heat=heat)
    assert len(images(figure)) == min(len(cameras), 3)
    assert any(axes.get_xlabel() for axes in figure.axes) == with_heat
    save_png(figure, tmp_path / "scene.png", dpi=30)
    assert (tmp_path / "scene.png").read_bytes().startswith(b"\x89PNG")


def test_points_that_are_not_numbers_do_no_harm(tmp_path: Path) -> None:
    frame = scatter(20, SIX)
    frame.points[::2] = np.nan
    frame.points[1] = np.inf
    save_png(scene_picture(frame, predict([1] * 20), NAMES, heat=rising(20)), tmp_path / "scene.png", dpi=30)


def test_equal_scores_have_a_scale_too() -> None:
    heat = Heat(query="sky", score=np.full(50, 0.3, np.float32))
    figure = scene_picture(scatter(50), predict([1] * 50), NAMES, heat=heat)
    (bar,) = [axes for axes in figure.axes if axes.get_xlabel()]
    assert bar.get_xlim()[0] < bar.get_xlim()[1]


def test_long_query_is_set_smaller_and_odd_characters_stay_text(tmp_path: Path) -> None:
    queries = ("bus", "a vehicle that carries many people to work $\\frac$")
    size = {}
    for query in queries:
        figure = scene_picture(scatter(9), predict([1] * 9), NAMES, heat=Heat(query=query, score=np.zeros(9, "f4")))
        (heading,) = [text for text in figure.texts if text.get_text() == f"“{query}”"]
        size[query] = heading.get_fontsize()
        save_png(figure, tmp_path / "scene.png", dpi=30)
    assert size[queries[0]] > size[queries[1]] > 8


def test_many_labels_are_cut_in_the_legend() -> None:
    names = [f"word {number}" for number in range(40)]
    figure = scene_picture(scatter(41), predict(range(41)), names, heat=rising(41))
    shown = texts(figure)
    assert "22 more" in shown
    assert "word 17" in shown
    assert "word 18" not in shown


def test_cameras_without_front_in_their_names_are_the_first_three_in_order_of_their_directions() -> None:
    cameras = [look("a", 60), look("b", 120), look("c", 90), look("d", 270)]
    assert [view.name for view in front_cameras(cameras)] == ["b", "c", "a"]
    assert front_cameras([]) == []


def test_labels_and_scores_that_do_not_fit_are_refused() -> None:
    with pytest.raises(DataError, match="do not fit 3 points and 3 names"):
        scene_picture(scatter(3), predict([1, 1]), NAMES)
    with pytest.raises(DataError, match="do not fit 3 points and 3 names"):
        scene_picture(scatter(3), predict([1, 1, 4]), NAMES)
    with pytest.raises(DataError, match=r"scores of shape \(2,\) for 'something to sit on' do not fit 3 points"):
        scene_picture(scatter(3), predict([1, 1, 1]), NAMES, heat=rising(2))
