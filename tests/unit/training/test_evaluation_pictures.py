"""Class names in pictures are drawn as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ov3d_trainer.evaluation.measure import Scene
from ov3d_trainer.evaluation.pictures import confusion_figure, literal, png, scene_figure

NO_MATHEMATICS = r"$\frac{$"  # an error where it is read as such


def drawn(text: str, **choices: Any) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2, 1))
    figure.text(0.1, 0.5, text, **choices)
    return png(figure)


@pytest.mark.parametrize("name", ["$x$", r"a \$ b", "one $"])
def test_dollar_signs_are_drawn_as_they_are(name: str) -> None:
    assert drawn(literal(name)) == drawn(name, parse_math=False)
    assert drawn("$x$") != drawn("$x$", parse_math=False)


def test_classes_with_dollar_signs_can_be_plotted() -> None:
    names = [NO_MATHEMATICS, "car"]
    assert png(confusion_figure(names, np.eye(3, dtype=np.int64)))
    classes = np.array([0, 1], np.int64)
    scene = Scene(name="one", points=np.eye(2, 3, dtype=np.float32), truth=classes, predicted=classes)
    assert png(scene_figure(scene, names))
