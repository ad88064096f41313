"""Palette: stable, distinct, grey for what has no label."""

import numpy as np

from ov3d_perception.palette import UNLABELLED_COLOR, colors_for, label_colors


def test_unlabelled_is_grey_and_comes_first() -> None:
    np.testing.assert_array_equal(label_colors(["car"])[0], UNLABELLED_COLOR)


def test_car_is_orange_in_any_list() -> None:
    assert colors_for(["wombat", "car"])[1].tolist() == colors_for(["car"])[0].tolist() == [255, 158, 0]


def test_thirty_words_get_clearly_different_colours() -> None:
    colors = label_colors([f"thing {number}" for number in range(30)]).astype(float)
    distance = np.linalg.norm(colors[:, None] - colors[None], axis=-1) + 1000 * np.eye(len(colors))
    assert distance.min() > 35


def test_a_thousand_words_still_get_a_colour_each() -> None:
    assert colors_for([str(number) for number in range(1000)]).shape == (1000, 3)


def test_colours_repeat_evenly_when_all_are_taken() -> None:
    _, counts = np.unique(colors_for([str(number) for number in range(480)]), axis=0, return_counts=True)
    assert counts.max() <= 3
