"""Answers as plain JSON types, as text tables and as plots."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..report import table
from ..scores import percentage
from .measure import ALL, HIDDEN, SEEN, Answers
from .sources import ENSEMBLE, STUDENT, TEACHER

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLUMNS = ((TEACHER, SEEN), (STUDENT, SEEN), (ENSEMBLE, SEEN), (STUDENT, HIDDEN), (STUDENT, ALL), (ENSEMBLE, ALL))
_COLORS = {TEACHER: "#8250df", STUDENT: "#0969da", ENSEMBLE: "#1a7f37"}
GOOD_AREA = 0.75


def class_figures(answers: Answers, question: str) -> dict[str, Any]:
    """Return mean IoU and IoU per class for every source and region of one question, and what the text side allows."""
    figures: dict[str, Any] = {"text side alone": answers.text_alone[question].to_dict()}
    for (name, source, region), confusion in answers.classes.items():
        if name == question:
            figures[f"{source}, {region}"] = confusion.to_dict()
    return figures


def rank_figures(answers: Answers) -> dict[str, Any]:
    """Return the area under the ROC curve per question, source and region, with the number of points wanted."""
    figures: dict[str, Any] = {}
    for (title, where), score in answers.ranks.items():
        area = percentage(score.area())
        figures.setdefault(title, {})[where] = {"area": area, "points": int(score.hits.sum())}
    return figures


def class_table(figures: Mapping[str, Any]) -> str:
    """Lay out IoU per class (percent), a column per source and region."""
    columns = [f"{source}, {region}" for source, region in COLUMNS if f"{source}, {region}" in figures]
    reference = figures[f"{STUDENT}, {ALL}"]["classes"]
    rows = [
        [name, reference[name]["points"], *(figures[column]["classes"][name]["iou"] for column in columns)]
        for name in reference
    ]
    rows.append(["mean", sum(row[1] for row in rows), *(figures[column]["mean_iou"] for column in columns)])
    return table(["class", "points", *columns], rows)


def rank_table(figures: Mapping[str, Any]) -> str:
    """Lay out areas under the ROC curve (percent), a column per source and region."""
    columns = list(dict.fromkeys(where for found in figures.values() for where in found))
    rows = [
        [title, found[columns[0]]["points"], *(found.get(where, {}).get("area") for where in columns)]
        for title, found in figures.items()
    ]
    return table(["query", "points", *columns], rows)


def class_plot(figures: Mapping[str, Any], title: str) -> Figure:
    """Plot IoU per class on the points that a camera sees: teacher, student, both."""
    shown = [(source, f"{source}, {SEEN}") for source in (TEACHER, STUDENT, ENSEMBLE) if f"{source}, {SEEN}" in figures]
    names = [name for name, row in figures[f"{STUDENT}, {ALL}"]["classes"].items() if row["points"]]
    series = [
        (f"{source} (mean {figures[column]['mean_iou']:.1f})", _COLORS[source],
         [figures[column]["classes"][name]["iou"] or 0.0 for name in names])
        for source, column in shown
    ]  # fmt: skip
    return _bars(names, series, "IoU (%), points that a camera sees", title)


def rank_plot(figures: Mapping[str, Any], title: str) -> Figure:
    """Plot the area under the ROC curve per query."""
    names = [name for name, found in figures.items() if any(entry["points"] for entry in found.values())]
    series = []
    for source, region in ((TEACHER, SEEN), (STUDENT, SEEN), (ENSEMBLE, SEEN)):
        where = f"{source}, {region}"
        values = [figures[name].get(where, {}).get("area") or 0.0 for name in names]
        if any(values):
            series.append((source, _COLORS[source], values))
    figure = _bars(names, series, "area under the ROC curve (%)", title)
    figure.axes[0].axvline(100 * GOOD_AREA, color="#57606a", linestyle=":", linewidth=1)
    return figure


def _bars(names: Sequence[str], series: Sequence[tuple[str, str, list[float]]], axis: str, title: str) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 0.9 + 0.32 * len(names) * max(len(series), 1) / 2), layout="constrained")
    axes = figure.subplots()
    height = 0.8 / max(len(series), 1)
    for at, (label, color, values) in enumerate(series):
        places = [row + at * height for row in range(len(names))]
        axes.barh(places, values, height=height * 0.9, color=color, label=label)
    axes.set_yticks([row + 0.4 - height / 2 for row in range(len(names))], names)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_xlabel(axis)
    axes.set_title(title, loc="left")
    figure.legend(loc="outside lower center", ncols=len(series), fontsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure
