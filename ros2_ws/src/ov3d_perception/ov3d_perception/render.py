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

from .errors import ConfigError, DataError
from .geometry import make_transform, transform_points
from .palette import label_colors
from .types import UNLABELLED, FloatArray, Frame, Prediction

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BACKGROUND, _INK, _FAINT_INK, _GRID = "#ffffff", "#1f2328", "#57606a", "#d0d7de"
_RING_STEPS_M = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_WIDTH_IN, _PANEL_IN, _LEGEND_LINE_IN, _LEGEND_COLUMNS = 14.0, 5.7, 0.42, 7
_MOST_LEGEND_ROWS = 27
_UNLABELLED_ALPHA = 0.35
_HALF_WIDTH = 0.5
_NEAR_M = 0.5


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
    if len(prediction.label) != len(frame.points) or int(prediction.label.max(initial=0)) > len(names):
        raise DataError(
            f"render: {len(prediction.label)} labels up to {prediction.label.max(initial=0)} do not fit "
            f"{len(frame.points)} points and {len(names)} names. Give the prediction and the names of one query set."
        )
    palette = label_colors(names) / 255.0  # (Q + 1, 3)
    finite = np.asarray(np.isfinite(frame.points).all(axis=1))
    distance = np.linalg.norm(frame.points[finite, :2], axis=1)
    reach = radius_m if radius_m is not None else _round_up(float(np.quantile(distance, 0.93)) if distance.size else 10)
    shown = finite.copy()
    shown[finite] = distance <= reach
    points, label = frame.points[shown], prediction.label[shown]

    rows = legend_rows(prediction.label, names)
    legend_in = _LEGEND_LINE_IN * math.ceil(len(rows) / _LEGEND_COLUMNS)
    figure = _new_figure(_WIDTH_IN, legend_in + 0.95 + _PANEL_IN + 0.85)
    panels_at = legend_in + 0.95
    figure.text(
        0.6 / _WIDTH_IN, 1 - 0.3 / figure.get_figheight(), title, va="top", fontsize=13, color=_INK, parse_math=False
    )
    _draw_from_above(_axes(figure, 0.6, panels_at, _PANEL_IN, _PANEL_IN), points, label, palette, reach)
    wide = _WIDTH_IN - _PANEL_IN - 1.15
    _draw_perspective(
        _axes(figure, _PANEL_IN + 0.9, panels_at, wide, _PANEL_IN), points, label, palette, reach, azimuth_deg
    )
    _draw_legend(_axes(figure, 0.6, 0.2, _WIDTH_IN - 0.85, legend_in), rows, len(prediction.label))
    hidden = int(len(frame.points) - shown.sum())
    note = f"{len(frame.points):,} points; {hidden:,} of them, farther than {reach:g} m or invalid, are not drawn"
    figure.text(
        1 - 0.25 / _WIDTH_IN, (panels_at - 0.3) / figure.get_figheight(), note, ha="right", fontsize=8, color=_FAINT_INK
    )
    return figure


def save_png(figure: Figure, path: Path | str, *, dpi: int = 120) -> None:
    """Write a figure as PNG."""
    figure.savefig(str(path), format="png", dpi=dpi, facecolor=figure.get_facecolor())


def legend_rows(label: NDArray[np.uint16], names: Sequence[str]) -> list[LegendRow]:
    """Return names with colours and counts: the labels by falling count, at most 27 lines, then `unlabelled`."""
    palette = label_colors(names) / 255.0
    counts = np.bincount(label, minlength=len(names) + 1)
    order = sorted(range(1, len(names) + 1), key=lambda row: -counts[row])
    rows = [LegendRow(name=names[row - 1], color=_rgb(palette[row]), count=int(counts[row])) for row in order]
    if len(rows) > _MOST_LEGEND_ROWS:
        rest = rows[_MOST_LEGEND_ROWS - 1 :]
        rows = rows[: _MOST_LEGEND_ROWS - 1]
        rows.append(LegendRow(name=f"{len(rest)} more", color=(1.0, 1.0, 1.0), count=sum(row.count for row in rest)))
    return [*rows, LegendRow(name="unlabelled", color=_rgb(palette[UNLABELLED]), count=int(counts[UNLABELLED]))]


def _axes(figure: Figure, left_in: float, bottom_in: float, width_in: float, height_in: float) -> Axes:
    """Add axes at a place given in inches."""
    width, height = figure.get_size_inches()
    return figure.add_axes((left_in / width, bottom_in / height, width_in / width, height_in / height))


def _new_figure(width_in: float, height_in: float) -> Figure:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("png: matplotlib is not installed. Install it with `pip install matplotlib`.") from error
    figure = Figure(figsize=(width_in, height_in), facecolor=_BACKGROUND)
    FigureCanvasAgg(figure)  # no window system, no global state
    return figure


def _draw_from_above(
    axes: Axes, points: FloatArray, label: NDArray[np.uint16], palette: FloatArray, reach: float
) -> None:
    """Plan of the sweep, x to the right and y up, both in metres; higher points cover lower ones."""
    axes.set_facecolor(_BACKGROUND)
    for radius in _rings(reach):
        axes.add_artist(_circle(radius))
    order = np.lexsort((points[:, 2], label != UNLABELLED))
    size = 3.0 * min(3.0, max(0.4, (40_000 / max(len(points), 1)) ** 0.5))
    axes.scatter(
        points[order, 0], points[order, 1], s=size, c=_rgba(label[order], palette), linewidths=0, rasterized=True
    )
    axes.plot([0], [0], marker="^", color=_INK, markersize=7, markeredgecolor="white", linestyle="none")
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xlabel="x [m]", ylabel="y [m]")
    axes.set_title("from above", loc="left", fontsize=10, color=_FAINT_INK)
    axes.tick_params(colors=_FAINT_INK, labelsize=8)
    axes.xaxis.label.set_color(_FAINT_INK)
    axes.yaxis.label.set_color(_FAINT_INK)
    for spine in axes.spines.values():
        spine.set_color(_GRID)


def _draw_perspective(
    axes: Axes, points: FloatArray, label: NDArray[np.uint16], palette: FloatArray, reach: float, azimuth_deg: float
) -> None:
    """View from a raised point behind the sensor; rings on the ground tell the distance in metres."""
    axes.set_facecolor(_BACKGROUND)
    ground = float(np.quantile(points[:, 2], 0.05)) if len(points) else 0.0
    view_from_lidar = _look_at(reach, azimuth_deg, ground)
    half_height = _HALF_WIDTH * _PANEL_IN / (_WIDTH_IN - _PANEL_IN - 1.15)
    axes.set(xlim=(-_HALF_WIDTH, _HALF_WIDTH), ylim=(-half_height, half_height), aspect="equal", xticks=[], yticks=[])
    axes.set_title("in perspective, with distance rings on the ground", loc="left", fontsize=10, color=_FAINT_INK)
    for spine in axes.spines.values():
        spine.set_color(_GRID)
    for radius in _rings(reach):
        angle = np.linspace(0, 2 * np.pi, 181)
        ring = np.stack([radius * np.cos(angle), radius * np.sin(angle), np.full_like(angle, ground)], axis=1)
        flat, depth = _flatten(ring, view_from_lidar)
        flat[depth < _NEAR_M] = np.nan
        axes.plot(flat[:, 0], flat[:, 1], color=_GRID, linewidth=0.8, zorder=1)
    flat, depth = _flatten(points, view_from_lidar)
    order = np.argsort(-depth)  # far first, so that near points cover them
    order = order[depth[order] > _NEAR_M]
    size = np.clip(2.6 * (reach / depth[order]) ** 1.5, 0.8, 14.0)
    colors = _rgba(label[order], palette)
    axes.scatter(flat[order, 0], flat[order, 1], s=size, c=colors, linewidths=0, rasterized=True, zorder=2)
    sensor, _ = _flatten(np.zeros((1, 3)), view_from_lidar)
    axes.plot(*sensor[0], marker="^", color=_INK, markersize=8, markeredgecolor="white", linestyle="none", zorder=4)
    toward = math.radians(azimuth_deg)
    for radius in _rings(reach):
        place = np.array([[radius * math.cos(toward), radius * math.sin(toward), ground]])
        (spot,), (spot_depth,) = _flatten(place, view_from_lidar)
        if spot_depth > _NEAR_M and abs(spot).max() < 0.9 * half_height:
            box = {"facecolor": _BACKGROUND, "edgecolor": "none", "alpha": 0.8, "pad": 1.0}
            axes.text(
                spot[0], spot[1], f"{radius:g} m", fontsize=8, color=_INK, ha="center", va="center", bbox=box, zorder=5
            )


def _draw_legend(axes: Axes, rows: Sequence[LegendRow], total: int) -> None:
    """One entry per label, row by row: colour, name, number of points and their share."""
    lines = math.ceil(len(rows) / _LEGEND_COLUMNS)
    axes.set(xlim=(0, _LEGEND_COLUMNS), ylim=(-lines, 0))
    axes.axis("off")
    for entry, row in enumerate(rows):
        x, y = entry % _LEGEND_COLUMNS, -(entry // _LEGEND_COLUMNS) - 0.5
        axes.plot(
            [x + 0.05], [y], marker="s", markersize=11, color=row.color, markeredgecolor=_GRID, markeredgewidth=0.5
        )
        axes.text(x + 0.13, y + 0.2, _short(row.name), fontsize=9, va="center", color=_INK, parse_math=False)
        share = 100.0 * row.count / max(total, 1)
        axes.text(x + 0.13, y - 0.22, f"{row.count:,} · {share:.1f} %", fontsize=7.5, va="center", color=_FAINT_INK)


def _look_at(reach: float, azimuth_deg: float, ground: float) -> NDArray[np.float64]:
    """Return `view_from_lidar` (4, 4) of an eye 0.9 `reach` away and 30 degrees up, looking just before the sensor."""
    azimuth, elevation = math.radians(azimuth_deg), math.radians(30.0)
    back = np.array([math.cos(azimuth), math.sin(azimuth), 0.0])
    eye = 0.9 * reach * (math.cos(elevation) * back + np.array([0.0, 0.0, math.sin(elevation)]))
    target = 0.1 * reach * back + np.array([0.0, 0.0, ground])
    forward = (target - eye) / np.linalg.norm(target - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])  # x right, y down, z forward
    return make_transform(rotation, -rotation @ eye)


def _flatten(points: FloatArray, view_from_lidar: FloatArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Project (N, 3) to the picture, (N, 2) with y up, half width about 0.5; and depth (N,) in metres."""
    seen = transform_points(view_from_lidar, points.astype(np.float64))
    depth = seen[:, 2]
    flat = 0.62 * seen[:, :2] / np.maximum(depth, _NEAR_M)[:, None]
    flat[:, 1] *= -1
    return flat, depth


def _rings(reach: float) -> NDArray[np.float64]:
    step = next((step for step in _RING_STEPS_M if reach / step <= 5), reach / 5)
    return np.arange(step, reach + 1e-6, step)


def _round_up(distance: float) -> float:
    return float(5.0 * math.ceil(max(distance, 1.0) / 5.0)) if distance > 5 else float(math.ceil(max(distance, 1.0)))


def _circle(radius: float) -> Any:
    from matplotlib.patches import Circle

    return Circle((0, 0), radius, fill=False, color=_GRID, linewidth=0.8, zorder=0)


def _rgba(label: NDArray[np.uint16], palette: FloatArray) -> NDArray[np.float64]:
    alpha = np.where(label == UNLABELLED, _UNLABELLED_ALPHA, 1.0)
    return np.concatenate([palette[label], alpha[:, None]], axis=1)


def _rgb(row: FloatArray) -> tuple[float, float, float]:
    return (float(row[0]), float(row[1]), float(row[2]))


def _short(name: str, limit: int = 20) -> str:
    return name if len(name) <= limit else name[: limit - 1] + "…"
