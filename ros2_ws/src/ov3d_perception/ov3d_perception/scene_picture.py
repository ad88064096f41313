"""One sweep on one page: what the cameras saw with the labelled points in it, the cloud, and the answer to one query.

matplotlib is imported on first use only; without it everything else works.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .cloud_view import (
    FAINT_INK,
    GRID,
    INK,
    Perspective,
    axes_at,
    draw_cloud,
    draw_rings,
    look_at,
    new_figure,
    point_colors,
    usual_reach,
    within,
)
from .errors import DataError
from .palette import label_colors
from .projection import not_occluded, project
from .render import LegendRow, check_fit, legend_rows, short
from .types import CameraView, FloatArray, Frame, Prediction

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_CAMERAS = 3

_WIDTH_IN, _MARGIN_IN, _GAP_IN = 12.0, 0.2, 0.1
_MOST_CAMERA_IN, _CLOUD_IN, _HEADING_IN, _LEGEND_LINE_IN, _FOOT_IN = 3.2, 3.9, 0.85, 0.29, 0.55
_TITLE_POINTS, _TEXT_POINTS = 20.0, 10.5
_MOST_LEGEND_ROWS, _LEGEND_ENTRY_IN = 19, 1.42
_DIMMED, _GREYED = 0.78, 0.3
_SPARSE_POINTS = 5000  # in one image; of denser clouds points are drawn smaller, so that the image shows through
_USUAL_AZIMUTH_DEG, _ASIDE_DEG = 235.0, 14.0
_ELEVATION_DEG, _EYE_AT, _AIM_AT, _RING_LABEL_DEG = 30.0, 0.72, -0.22, 125.0
_NEAR_SHARE, _POINT_GROWTH = 0.86, 1.5
_LOW_QUANTILE, _HIGH_QUANTILE = 0.5, 0.998
_HEAT_COLORS, _HEAT_FROM, _HEAT_TO, _FAINT = "inferno", 0.12, 1.0, 0.3
_NIGHT, _NIGHT_GRID, _NIGHT_INK = "#0b0d17", "#2a2f45", "#aab2c8"


@dataclass(frozen=True, slots=True, kw_only=True)
class Heat:
    """How near every point is to one query: its words, and the cosine (N,) of each point, NaN where there is none."""

    query: str
    score: NDArray[np.float32]


def scene_picture(
    frame: Frame, prediction: Prediction, names: Sequence[str], *, heat: Heat | None = None, title: str = ""
) -> Figure:
    """Draw a sweep, its labels and one query's scores; return a white matplotlib figure 12 inches wide.

    From the top: at most three cameras of the frame, those to the front first, with the labelled points that each
    sees; the labelled cloud in perspective, in the direction of the cameras; beside it the same cloud coloured by
    `heat`. What the frame or the call lacks is left out. `names[i]` belongs to label i + 1. Raises `ConfigError`
    without matplotlib and `DataError` for labels or scores that do not fit the points.
    """
    check_fit(frame, prediction, names)
    if heat is not None and heat.score.shape != (len(frame.points),):
        raise DataError(
            f"scene picture: scores of shape {heat.score.shape} for '{heat.query}' do not fit {len(frame.points)} "
            "points. Give one score per point of this frame."
        )
    palette = label_colors(names) / 255.0  # (Q + 1, 3)
    colors = point_colors(prediction.label, palette)
    cameras = front_cameras(frame.cameras)
    rows = [row for row in legend_rows(prediction.label, names, most_rows=_MOST_LEGEND_ROWS) if row.count]
    page = _lay_out(cameras, len(rows), columns=1 if heat is None else 2)
    figure = new_figure(_WIDTH_IN, page.height_in)
    finite = np.isfinite(frame.points).all(axis=1)
    _draw_cameras(figure, page, cameras, frame.points[finite], colors[finite])

    reach = usual_reach(frame.points)
    shown = within(frame.points, reach)
    view = _front_view(frame.points[shown], cameras)
    _write_heading(figure, page, 0, f"{len(names)} words", "each point in the colour of the word nearest to it")
    axes = axes_at(figure, page.left_in(0), page.clouds_in, page.cloud_width_in, _CLOUD_IN)
    ratio, sizes = _CLOUD_IN / page.cloud_width_in, np.full(int(shown.sum()), _POINT_GROWTH)
    draw_cloud(axes, frame.points[shown], colors[shown], view, height_ratio=ratio, sizes=sizes)
    draw_rings(axes, view, reach_m=reach, label_deg=view.azimuth_deg + _RING_LABEL_DEG)
    _draw_legend(figure, page, rows)
    if heat is not None:
        _write_heading(figure, page, 1, f"“{short(heat.query, 60)}”", "how near the same points are to these words")
        _draw_heat(figure, page, frame.points[shown], heat.score[shown], view, reach)
    note = " · ".join(part for part in (title, f"{len(frame.points):,} points, drawn to {reach:g} m") if part)
    where = ((_WIDTH_IN - _MARGIN_IN) / _WIDTH_IN, 0.1 / page.height_in)
    figure.text(*where, note, ha="right", va="bottom", fontsize=8, color=FAINT_INK, parse_math=False)
    return figure


def front_cameras(cameras: Sequence[CameraView]) -> list[CameraView]:
    """Return at most three cameras from left to right: those with `front` in their names, else the first ones."""
    front = [view for view in cameras if "front" in view.name.lower()]
    chosen = (front or list(cameras))[:MOST_CAMERAS]
    middle = _mean_direction(chosen)

    def leftness(view: CameraView) -> float:
        ahead = view.camera_from_lidar[2, :2]
        return float(np.arctan2(middle[0] * ahead[1] - middle[1] * ahead[0], middle @ ahead))

    return sorted(chosen, key=leftness, reverse=True)


# ------------------------------------------------------------------------------------------------------------ the page


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """Where things stand, in inches: `clouds_in` and `cameras_in` are lower edges, the legend is below the clouds."""

    columns: int
    clouds_in: float
    cameras_in: float
    camera_height_in: float

    @property
    def height_in(self) -> float:
        return self.cameras_in + self.camera_height_in + (_MARGIN_IN if self.camera_height_in else 0.0)

    @property
    def cloud_width_in(self) -> float:
        return (_WIDTH_IN - 2 * _MARGIN_IN - (self.columns - 1) * _GAP_IN) / self.columns

    def left_in(self, column: int) -> float:
        return _MARGIN_IN + column * (self.cloud_width_in + _GAP_IN)

    @property
    def legend_columns(self) -> int:
        return int(self.cloud_width_in / _LEGEND_ENTRY_IN)


def _lay_out(cameras: Sequence[CameraView], legend_rows: int, *, columns: int) -> _Page:
    """Cameras fill the width at equal heights; the legend takes the lines it needs."""
    page = _Page(columns=columns, clouds_in=0.0, cameras_in=0.0, camera_height_in=0.0)
    lines = max(math.ceil(legend_rows / page.legend_columns), 2)
    clouds_in = _FOOT_IN + lines * _LEGEND_LINE_IN
    height = 0.0
    if cameras:
        room = _WIDTH_IN - 2 * _MARGIN_IN - (len(cameras) - 1) * _GAP_IN
        height = min(_MOST_CAMERA_IN, room / sum(view.image.shape[1] / view.image.shape[0] for view in cameras))
    return _Page(
        columns=columns, clouds_in=clouds_in, cameras_in=clouds_in + _CLOUD_IN + _HEADING_IN, camera_height_in=height
    )


def _write_heading(figure: Figure, page: _Page, column: int, words: str, caption: str) -> None:
    """Big words and a line of explanation above one of the clouds; long words are set smaller."""
    points = min(_TITLE_POINTS, page.cloud_width_in * 72.0 / (0.62 * max(len(words), 1)))
    left = page.left_in(column) / _WIDTH_IN
    top = page.clouds_in + _CLOUD_IN
    at = (top + 0.36) / page.height_in
    figure.text(left, at, words, fontsize=points, weight="bold", color=INK, parse_math=False)
    figure.text(left, (top + 0.12) / page.height_in, caption, fontsize=_TEXT_POINTS, color=FAINT_INK)


def _draw_legend(figure: Figure, page: _Page, rows: Sequence[LegendRow]) -> None:
    """Colour and name of every label that occurs, the most frequent first, below the cloud."""
    lines = max(math.ceil(len(rows) / page.legend_columns), 1)
    height = lines * _LEGEND_LINE_IN
    axes = axes_at(figure, page.left_in(0), page.clouds_in - 0.1 - height, page.cloud_width_in, height)
    axes.set(xlim=(0, page.cloud_width_in), ylim=(-lines, 0))
    axes.axis("off")
    for entry, row in enumerate(rows):
        line, column = divmod(entry, page.legend_columns)
        x, y = column * _LEGEND_ENTRY_IN, -line - 0.5
        axes.plot([x + 0.09], [y], marker="o", markersize=9, color=row.color, markeredgecolor=GRID, markeredgewidth=0.5)
        axes.text(
            x + 0.23, y, short(row.name, 16), fontsize=_TEXT_POINTS, va="center_baseline", color=INK, parse_math=False
        )


# ------------------------------------------------------------------------------------------------------------- cameras


def _draw_cameras(
    figure: Figure, page: _Page, cameras: Sequence[CameraView], points: NDArray[np.float32], colors: FloatArray
) -> None:
    """Images side by side, dimmed, with the points that each camera sees, near ones over far ones."""
    left_in = _MARGIN_IN
    for view in cameras:
        height, width = view.image.shape[:2]
        axes = axes_at(figure, left_in, page.cameras_in, page.camera_height_in * width / height, page.camera_height_in)
        left_in += page.camera_height_in * width / height + _GAP_IN
        axes.imshow(_dimmed(view.image), interpolation="bilinear")
        projection = project(points, view)
        seen = np.flatnonzero(not_occluded(projection, (height, width)))
        seen = seen[np.argsort(-projection.depth_m[seen])]
        size = np.clip(60.0 / projection.depth_m[seen], 2.0, 7.0) * min(1.0, _SPARSE_POINTS / max(len(seen), 1))
        u, v = projection.pixels[seen].T
        axes.scatter(u, v, s=size, c=colors[seen], linewidths=0, rasterized=True)
        axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5), xticks=[], yticks=[])
        name = view.name.removeprefix("CAM_").replace("_", " ").lower()
        box = {"facecolor": INK, "edgecolor": "none", "alpha": 0.7, "boxstyle": "round,pad=0.3"}
        axes.text(
            0.02, 0.95, name, transform=axes.transAxes, va="top", fontsize=_TEXT_POINTS, color="white", bbox=box,
            parse_math=False,
        )  # fmt: skip


def _dimmed(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Darken an image and take some of its colour, so that coloured points stand out."""
    grey = image.mean(axis=2, keepdims=True)
    return np.asarray(_DIMMED * (_GREYED * grey + (1.0 - _GREYED) * image), dtype=np.uint8)


# -------------------------------------------------------------------------------------------------------------- clouds


def _front_view(points: NDArray[np.float32], cameras: Sequence[CameraView]) -> Perspective:
    """Look the way the cameras do, a little from the side, so that both show the same things in the same places."""
    azimuth = _USUAL_AZIMUTH_DEG
    if cameras:
        x, y = _mean_direction(cameras)
        azimuth = math.degrees(math.atan2(-y, -x)) + _ASIDE_DEG
    return look_at(
        points,
        reach_m=usual_reach(points, _NEAR_SHARE),
        azimuth_deg=azimuth,
        elevation_deg=_ELEVATION_DEG,
        distance=_EYE_AT,
        target=_AIM_AT,
    )


def _mean_direction(cameras: Sequence[CameraView]) -> NDArray[np.float64]:
    """Return where the cameras look on average, (2,) in the lidar's x and y."""
    directions = np.array([view.camera_from_lidar[2, :2] for view in cameras], dtype=np.float64)
    return np.asarray(directions.reshape(-1, 2).sum(axis=0))


def _draw_heat(
    figure: Figure,
    page: _Page,
    points: NDArray[np.float32],
    score: NDArray[np.float32],
    view: Perspective,
    reach: float,
) -> None:
    """The cloud with low scores faint and high ones glowing on a dark ground, and a bar that gives the cosines."""
    import matplotlib
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    axes = axes_at(figure, page.left_in(1), page.clouds_in, page.cloud_width_in, _CLOUD_IN)
    axes.set_facecolor(_NIGHT)
    known = np.isfinite(score)
    points, score = points[known], score[known]
    low, high = _limits(score)
    heat = np.clip((score - low) / (high - low), 0.0, 1.0)
    scale = LinearSegmentedColormap.from_list(
        "heat", matplotlib.colormaps[_HEAT_COLORS](np.linspace(_HEAT_FROM, _HEAT_TO, 256))
    )
    colors = np.asarray(scale(heat)).reshape(-1, 4)
    ratio = _CLOUD_IN / page.cloud_width_in
    for growth, alpha in ((14.0, 0.05), (6.0, 0.1)):  # the glow: larger, fainter discs below
        halo = heat > 0.5
        faint = colors[halo].copy()
        faint[:, 3] = alpha * heat[halo]
        draw_cloud(axes, points[halo], faint, view, height_ratio=ratio, sizes=np.full(int(halo.sum()), growth))
    colors[:, 3] = _FAINT + (1.0 - _FAINT) * heat
    draw_cloud(axes, points, colors, view, height_ratio=ratio, sizes=_POINT_GROWTH * (0.7 + 0.5 * heat))
    labels_at = view.azimuth_deg + _RING_LABEL_DEG
    draw_rings(axes, view, reach_m=reach, label_deg=labels_at, color=_NIGHT_GRID, ink=_NIGHT_INK, paper=_NIGHT)
    bar_axes = axes_at(figure, page.left_in(1), page.clouds_in - 0.29, page.cloud_width_in, 0.13)
    bar = figure.colorbar(
        ScalarMappable(Normalize(low, high), scale), cax=bar_axes, orientation="horizontal", extend="both"
    )
    bar.set_label("cosine similarity of the point's feature to the query", fontsize=_TEXT_POINTS, color=FAINT_INK)
    bar.ax.tick_params(labelsize=9, colors=FAINT_INK, length=3)
    bar.outline.set_visible(False)


def _limits(score: NDArray[np.float32]) -> tuple[float, float]:
    """Return the ends of the colour scale: the middle score is its dark end, so that only the best ones glow."""
    if not len(score):
        return 0.0, 1.0
    low, high = (float(value) for value in np.quantile(score, (_LOW_QUANTILE, _HIGH_QUANTILE)))
    return low, max(high, low + 1e-3)
