"""Pictures of single phrases: what a camera saw, where the thing is, and which points the phrase ranks high.

For every question the view that sees most of what is wanted is shown, whether the answer there is right or wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.projection import DEFAULT_MIN_DEPTH_M, not_occluded, project
from ov3d_perception.types import CameraView

from ..data.sample import Sample, SampleSource
from .questions import RankQuestion
from .sources import ENSEMBLE, STUDENT, BundleSources

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAIRS_A_ROW = 3
_FEWEST_POINTS = 8
_CROP = 0.6
"""Share of the image's width and height that is shown, round the wanted points."""
_COLDEST, _HOTTEST = 50.0, 99.7
"""Percentiles of a sweep's cosines where the heat map's colours begin and end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """Where a question is shown: sample, camera, and how many wanted points the camera sees."""

    sample: int
    camera: str
    points: int


def find_spots(source: SampleSource, ranks: Sequence[RankQuestion]) -> dict[str, Spot]:
    """Return, per question's title, the view that sees most wanted points; none where no view sees enough."""
    spots: dict[str, Spot] = {}
    for index in range(len(source)):
        sample = source[index]
        seen = {view.name: visible_points(sample, view)[0] for view in sample.frame.cameras}
        for rank in ranks:
            wanted = rank.sides(sample)[0]
            for camera, rows in seen.items():
                points = int(wanted[rows].sum())
                if points >= max(_FEWEST_POINTS, spots[rank.title].points + 1 if rank.title in spots else 0):
                    spots[rank.title] = Spot(sample=index, camera=camera, points=points)
    return spots


def visible_points(sample: Sample, view: CameraView) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return rows (S,) and pixels (S, 2) of the points that a view sees."""
    projection = project(sample.frame.points, view, min_depth_m=DEFAULT_MIN_DEPTH_M)
    rows = np.flatnonzero(not_occluded(projection, (view.image.shape[0], view.image.shape[1])))
    return rows, projection.pixels[rows]


def heat_sheet(
    bundle: BundleSources, source: SampleSource, ranks: Sequence[RankQuestion], areas: Mapping[str, float | None]
) -> Figure | None:
    """Return a page with two pictures per question, wanted points and heat; `areas` (percent) go into the titles."""
    from matplotlib.figure import Figure

    spots = find_spots(source, ranks)
    shown = [rank for rank in ranks if rank.title in spots]
    if not shown:
        return None
    rows = -(-len(shown) // PAIRS_A_ROW)
    figure = Figure(figsize=(4.6 * PAIRS_A_ROW, 1.95 * rows), layout="constrained")
    grid = figure.subplots(rows, 2 * PAIRS_A_ROW, squeeze=False)
    for axes in grid.ravel():
        axes.set_axis_off()
    for at, rank in enumerate(shown):
        row, column = divmod(at, PAIRS_A_ROW)
        area = areas.get(rank.title)
        _show((grid[row, 2 * column], grid[row, 2 * column + 1]), bundle, source, rank, spots[rank.title], area)
    return figure


def _show(
    pair: tuple[Axes, Axes],
    bundle: BundleSources,
    source: SampleSource,
    rank: RankQuestion,
    spot: Spot,
    area: float | None,
) -> None:
    sample = source[spot.sample]
    view = next(view for view in sample.frame.cameras if view.name == spot.camera)
    rows, pixels = visible_points(sample, view)
    tables = bundle.ask(sample).of
    cosine = tables.get(ENSEMBLE, tables[STUDENT])[:, bundle.rows[rank.phrase]]
    low, high = np.percentile(cosine[cosine > -1.0], (_COLDEST, _HOTTEST))
    wanted = rank.sides(sample)[0][rows]
    for axes in pair:
        axes.imshow(view.image)
        _crop(axes, view.image.shape, pixels[wanted])
    pair[0].scatter(pixels[wanted, 0], pixels[wanted, 1], s=9, facecolors="none", edgecolors="#39ff14", linewidths=0.6)
    order = np.argsort(cosine[rows])
    column, line, heat = pixels[order, 0], pixels[order, 1], cosine[rows][order]
    pair[1].scatter(column, line, c=heat, s=4, cmap="inferno", vmin=low, vmax=max(high, low + 1e-6))
    pair[0].set_title(f"“{rank.phrase}”", loc="left", fontsize=9)
    pair[1].set_title("" if area is None else f"AUC {area:.0f} %", loc="left", fontsize=9)


def _crop(axes: Axes, shape: tuple[int, ...], pixels: NDArray[np.float32]) -> None:
    """Show a part of the image with the pixels in its middle."""
    middle = np.median(pixels, axis=0)
    limits = []
    for size, center in ((shape[1], middle[0]), (shape[0], middle[1])):
        start = float(np.clip(center - _CROP * size / 2, 0, (1 - _CROP) * size))
        limits.append((start, start + _CROP * size))
    axes.set_xlim(*limits[0])
    axes.set_ylim(limits[1][1], limits[1][0])
