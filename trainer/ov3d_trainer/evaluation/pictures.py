"""What the page shows: confusions, curves, and sweeps from above."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.palette import UNLABELLED_COLOR, colors_for

from ..data.sample import UNKNOWN
from .measure import Scene
from .text import ring_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

MOST_CLASSES = 40
"""Confusions of more classes are shown for the most frequent ones."""
_WITH_NUMBERS = 25
_NONE = "none of these"
_UNLABELLED = "unlabelled"
_RIGHT, _WRONG, _MISSED, _FOREIGN = "#d0d4d9", "#d62728", "#f2b134", "#7b5ea7"


def png(figure: Figure) -> bytes:
    """Return a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def literal(name: str) -> str:
    """Return a name that matplotlib draws as it is: between two dollar signs it would read mathematics."""
    return name.replace("$", r"\$")


def confusion_figure(names: Sequence[str], counts: NDArray[np.int64]) -> Figure:
    """Plot counts (C + 1, C + 1), truth by row, as percentages of each row; classes that never occur are left out."""
    from matplotlib.figure import Figure

    classes = [literal(name) for name in names]
    rows = [*classes, _NONE]
    columns = [*classes, _UNLABELLED]
    by_size = np.argsort(-(counts.sum(axis=1) + counts.sum(axis=0)), kind="stable")
    kept = np.sort(by_size[:MOST_CLASSES])
    true = [row for row in kept if counts[row].any()]
    called = [column for column in kept if counts[:, column].any()]
    share = 100.0 * counts[np.ix_(true, called)] / np.maximum(counts[true].sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(2.6 + 0.42 * len(called), 2.2 + 0.36 * len(true)), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    axes.set_xticks(range(len(called)), [columns[column] for column in called], rotation=60, ha="right", fontsize=9)
    axes.set_yticks(range(len(true)), [rows[row] for row in true], fontsize=9)
    axes.set_xlabel("called")
    axes.set_ylabel("truth")
    if len(called) <= _WITH_NUMBERS:
        for (row, column), value in np.ndenumerate(share):
            if value >= 0.5:
                color = "white" if value > 60 else "black"
                axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=7, color=color)
    figure.colorbar(image, ax=axes, label="% of the true class", shrink=0.8)
    return figure


def distance_figure(rings: Sequence[Mapping[str, Any]]) -> Figure:
    """Plot mean IoU and accuracy by ring."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    at = np.arange(len(rings))
    for key, label, color in (("accuracy", "accuracy", "tab:gray"), ("mean_iou", "mean IoU", "tab:blue")):
        values = [np.nan if ring[key] is None else ring[key] for ring in rings]
        axes.plot(at, values, marker="o", color=color, label=label)
        for x, value in zip(at, values, strict=True):
            if not np.isnan(value):
                axes.annotate(
                    f"{value:.0f}", (x, value), textcoords="offset points", xytext=(0, 6), ha="center", fontsize=8
                )
    axes.set_xticks(at, [ring_name(ring) for ring in rings])
    axes.set_xlabel("horizontal distance from the sensor")
    axes.set_ylabel("%")
    axes.set_ylim(0, 108)
    axes.margins(x=0.08)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(loc="lower left")
    return figure


def threshold_figure(curve: Sequence[Mapping[str, Any]], threshold: float) -> Figure:
    """Plot what each threshold would leave labelled, and how much of that is right."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 3.2), layout="constrained")
    axes = figure.subplots()
    at = [row["threshold"] for row in curve]
    lines = (
        ("labelled", "points that keep a label", "tab:gray"),
        ("accuracy", "of these right", "tab:blue"),
        ("foreign_labelled", "points of other classes that get a label", _FOREIGN),
    )
    for key, label, color in lines:
        values = [np.nan if row[key] is None else row[key] for row in curve]
        if not np.isnan(values).all():
            axes.plot(at, values, marker=".", color=color, label=label)
    if at[0] <= threshold <= at[-1]:
        axes.axvline(threshold, color="black", linewidth=0.8, linestyle=":")
    axes.set_xlabel("threshold (cosine)")
    axes.set_ylabel("%")
    axes.set_ylim(0, 105)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(loc="lower left", fontsize=8)
    return figure


def scene_figure(scene: Scene, names: Sequence[str]) -> Figure:
    """Plot a sweep from above: truth, the student's labels, and which points it got wrong."""
    from matplotlib.figure import Figure

    colors = np.concatenate([colors_for(names), np.array([UNLABELLED_COLOR], np.uint8)]) / 255.0
    finite = np.isfinite(scene.points).all(axis=1)
    points = scene.points[finite]
    order = np.argsort(points[:, 2], kind="stable")  # what is higher covers what is lower, as from above
    points, truth, predicted = points[order], scene.truth[finite][order], scene.predicted[finite][order]
    known = truth != UNKNOWN
    panels, kinds = (3 if known.any() else 1), []
    figure = Figure(figsize=(4.9 * panels, 6.1), layout="constrained")
    grid = figure.subplots(1, panels, squeeze=False, sharex=True, sharey=True)[0]
    student = grid[1] if panels == 3 else grid[0]
    _dots(student, points, colors[predicted])
    student.set_title("student", fontsize=11)
    shown = set(np.unique(predicted).tolist())
    if panels == 3:
        _dots(grid[0], points[~known], "#e8eaed")
        _dots(grid[0], points[known], colors[truth[known]])
        grid[0].set_title("truth", fontsize=11)
        shown |= set(np.unique(truth[known]).tolist())
        kinds = _right_and_wrong(grid[2], points[known], truth[known], predicted[known], len(names))
    for axes in grid:
        _limit(axes, points)
    words = [*(literal(name) for name in names), f"{_UNLABELLED}, {_NONE}"]
    called = [(words[row], colors[row]) for row in sorted(shown)]
    handles = [_entry(name, color, "o") for name, color in called] + [_entry(name, color, "s") for name, color in kinds]
    figure.legend(handles=handles, loc="outside lower center", ncols=2 * panels, fontsize=8, frameon=False)
    return figure


def _right_and_wrong(
    axes: Axes, points: NDArray[np.float32], truth: NDArray[np.int64], predicted: NDArray[np.int64], none: int
) -> list[tuple[str, Any]]:
    """Plot the points by what became of them and return an entry of the legend per kind."""
    kinds = (
        ("right", _RIGHT, truth == predicted),
        ("wrong", _WRONG, (truth != predicted) & (truth != none) & (predicted != none)),
        ("unlabelled", _MISSED, (truth != none) & (predicted == none)),
        ("of no class asked for, but labelled", _FOREIGN, (truth == none) & (predicted != none)),
    )
    entries = []
    for name, color, here in kinds:
        if here.any():
            _dots(axes, points[here], color)
            entries.append((f"{name} ({100 * here.mean():.1f} %)", color))
    axes.set_title("right and wrong", fontsize=11)
    return entries


def _dots(axes: Axes, points: NDArray[np.float32], colors: Any) -> None:
    axes.scatter(points[:, 0], points[:, 1], s=1.2, c=colors, linewidths=0, rasterized=True)


def _limit(axes: Axes, points: NDArray[np.float32]) -> None:
    """Show where all but the farthest hundredth of the points lie, in a square."""
    if len(points):
        low, high = np.percentile(points[:, :2], (1, 99), axis=0)
        middle, half = (low + high) / 2, max(float((high - low).max()) / 2, 1.0)
        axes.set_xlim(middle[0] - half, middle[0] + half)
        axes.set_ylim(middle[1] - half, middle[1] + half)
    axes.set_aspect("equal")
    axes.set_xlabel("x (m)")
    axes.set_ylabel("y (m)")


def _entry(name: str, color: Any, marker: str) -> Line2D:
    from matplotlib.lines import Line2D

    return Line2D([], [], marker=marker, linestyle="", color=color, label=name)
