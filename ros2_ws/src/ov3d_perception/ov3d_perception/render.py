"""A picture of a labelled cloud: view from above, view in perspective, and a legend with counts.

matplotlib is imported on first use only; without it everything else works.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .cloud_view import (
    FAINT_INK,
    GRID,
    INK,
    PAPER,
    axes_at,
    draw_cloud,
    draw_rings,
    look_at,
    new_figure,
    point_colors,
    ring_radii,
    usual_reach,
    within,
)
from .errors import DataError
from .palette import label_colors
from .types import UNLABELLED, FloatArray, Frame, Prediction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_WIDTH_IN, _PANEL_IN, _LEGEND_LINE_IN, _LEGEND_COLUMNS = 14.0, 5.7, 0.42, 7
_MOST_LEGEND_ROWS = 27


@dataclass(frozen=True, slots=True, kw_only=True)
class LegendRow:
    """One line of the legend: a name, its colour as 0..1 RGB and its number of points."""

    name: str
    color: tuple[float, float, float]
    count: int


def render_labelled_cloud(
    frame: Frame,
    prediction: Prediction,
    names: Sequence[str],
    *,
    title: str = "",
    radius_m: float | None = None,
    azimuth_deg: float = 235.0,
) -> Figure:
    """Draw a sweep and its labels; return a matplotlib figure 14 inches wide (save it with `save_png`).

    `names[i]` belongs to label i + 1. Both views show the points within `radius_m` of the sensor (by default the
    distance that holds 93 % of them). The perspective view looks at the sensor from above and from `azimuth_deg`
    (0 = +x, anticlockwise). Raises `ConfigError` without matplotlib and `DataError` for labels beyond the names.
    """
    check_fit(frame, prediction, names)
    palette = label_colors(names) / 255.0  # (Q + 1, 3)
    reach = radius_m if radius_m is not None else usual_reach(frame.points)
    shown = within(frame.points, reach)
    points, label = frame.points[shown], prediction.label[shown]

    rows = legend_rows(prediction.label, names)
    legend_in = _LEGEND_LINE_IN * math.ceil(len(rows) / _LEGEND_COLUMNS)
    figure = new_figure(_WIDTH_IN, legend_in + 0.95 + _PANEL_IN + 0.85)
    panels_at = legend_in + 0.95
    figure.text(
        0.6 / _WIDTH_IN, 1 - 0.3 / figure.get_figheight(), title, va="top", fontsize=13, color=INK, parse_math=False
    )
    _draw_from_above(axes_at(figure, 0.6, panels_at, _PANEL_IN, _PANEL_IN), points, label, palette, reach)
    wide = _WIDTH_IN - _PANEL_IN - 1.15
    perspective = axes_at(figure, _PANEL_IN + 0.9, panels_at, wide, _PANEL_IN)
    perspective.set_title("in perspective, with distance rings on the ground", loc="left", fontsize=10, color=FAINT_INK)
    view = look_at(points, reach_m=reach, azimuth_deg=azimuth_deg)
    draw_cloud(perspective, points, point_colors(label, palette), view, height_ratio=_PANEL_IN / wide)
    draw_rings(perspective, view, reach_m=reach, label_deg=azimuth_deg)
    _draw_legend(axes_at(figure, 0.6, 0.2, _WIDTH_IN - 0.85, legend_in), rows, len(prediction.label))
    hidden = int(len(frame.points) - shown.sum())
    note = f"{len(frame.points):,} points; {hidden:,} of them, farther than {reach:g} m or invalid, are not drawn"
    figure.text(
        1 - 0.25 / _WIDTH_IN, (panels_at - 0.3) / figure.get_figheight(), note, ha="right", fontsize=8, color=FAINT_INK
    )
    return figure


def check_fit(frame: Frame, prediction: Prediction, names: Sequence[str]) -> None:
    """Raise `DataError` unless a prediction has one label per point of the frame, each with a name."""
    highest = int(prediction.label.max(initial=0))
    if len(prediction.label) != len(frame.points) or highest > len(names):
        raise DataError(
            f"render: {len(prediction.label)} labels up to {highest} do not fit {len(frame.points)} points and "
            f"{len(names)} names. Give the prediction and the names of one query set."
        )


def save_png(figure: Figure, path: Path | str, *, dpi: int = 120) -> None:
    """Write a figure as PNG."""
    figure.savefig(str(path), format="png", dpi=dpi, facecolor=figure.get_facecolor())


def legend_rows(
    label: NDArray[np.uint16], names: Sequence[str], *, most_rows: int = _MOST_LEGEND_ROWS
) -> list[LegendRow]:
    """Return names with colours and counts: labels by falling count, at most `most_rows`, then `unlabelled`."""
    palette = label_colors(names) / 255.0
    counts = np.bincount(label, minlength=len(names) + 1)
    order = sorted(range(1, len(names) + 1), key=lambda row: -counts[row])
    rows = [LegendRow(name=names[row - 1], color=_rgb(palette[row]), count=int(counts[row])) for row in order]
    if len(rows) > most_rows:
        rest = rows[most_rows - 1 :]
        rows = rows[: most_rows - 1]
        rows.append(LegendRow(name=f"{len(rest)} more", color=(1.0, 1.0, 1.0), count=sum(row.count for row in rest)))
    return [*rows, LegendRow(name="unlabelled", color=_rgb(palette[UNLABELLED]), count=int(counts[UNLABELLED]))]


def _draw_from_above(
    axes: Axes, points: FloatArray, label: NDArray[np.uint16], palette: FloatArray, reach: float
) -> None:
    """Plan of the sweep, x to the right and y up, both in metres; higher points cover lower ones."""
    axes.set_facecolor(PAPER)
    for radius in ring_radii(reach):
        axes.add_artist(_circle(radius))
    order = np.lexsort((points[:, 2], label != UNLABELLED))
    size = 3.0 * min(3.0, max(0.4, (40_000 / max(len(points), 1)) ** 0.5))
    axes.scatter(
        points[order, 0], points[order, 1], s=size, c=point_colors(label[order], palette), linewidths=0, rasterized=True
    )
    axes.plot([0], [0], marker="^", color=INK, markersize=7, markeredgecolor="white", linestyle="none")
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xlabel="x [m]", ylabel="y [m]")
    axes.set_title("from above", loc="left", fontsize=10, color=FAINT_INK)
    axes.tick_params(colors=FAINT_INK, labelsize=8)
    axes.xaxis.label.set_color(FAINT_INK)
    axes.yaxis.label.set_color(FAINT_INK)


def _draw_legend(axes: Axes, rows: Sequence[LegendRow], total: int) -> None:
    """One entry per label, row by row: colour, name, number of points and their share."""
    lines = math.ceil(len(rows) / _LEGEND_COLUMNS)
    axes.set(xlim=(0, _LEGEND_COLUMNS), ylim=(-lines, 0))
    axes.axis("off")
    for entry, row in enumerate(rows):
        x, y = entry % _LEGEND_COLUMNS, -(entry // _LEGEND_COLUMNS) - 0.5
        axes.plot(
            [x + 0.05], [y], marker="s", markersize=11, color=row.color, markeredgecolor=GRID, markeredgewidth=0.5
        )
        axes.text(x + 0.13, y + 0.2, short(row.name), fontsize=9, va="center", color=INK, parse_math=False)
        share = 100.0 * row.count / max(total, 1)
        axes.text(x + 0.13, y - 0.22, f"{row.count:,} · {share:.1f} %", fontsize=7.5, va="center", color=FAINT_INK)


def _circle(radius: float) -> Any:
    from matplotlib.patches import Circle

    return Circle((0, 0), radius, fill=False, color=GRID, linewidth=0.8, zorder=0)


def _rgb(row: FloatArray) -> tuple[float, float, float]:
    return (float(row[0]), float(row[1]), float(row[2]))


def short(name: str, limit: int = 20) -> str:
    """Cut a name at `limit` characters, with an ellipsis in place of the rest."""
    return name if len(name) <= limit else name[: limit - 1] + "…"
