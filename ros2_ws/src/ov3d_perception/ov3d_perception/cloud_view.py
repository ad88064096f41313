"""A cloud in perspective on a matplotlib figure: the drawing that `render` and `scene_picture` share.

matplotlib is imported on first use only; without it everything else works.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .errors import ConfigError
from .geometry import make_transform, transform_points
from .types import UNLABELLED, BoolArray, FloatArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PAPER, INK, FAINT_INK, GRID = "#ffffff", "#1f2328", "#57606a", "#d0d7de"

_RING_STEPS_M = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)
_UNLABELLED_ALPHA = 0.35
_FOCAL_LENGTH, _HALF_WIDTH = 0.62, 0.5  # of the drawing: a view 78 degrees wide
_NEAR_M = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Perspective:
    """Where the eye stands: `view_from_lidar` (4, 4), x right, y down, z forward; all lengths in metres.

    `reach_m` is the distance from the sensor that the picture is made for; `ground_m` is the height of the distance
    rings and `azimuth_deg` the side from which the eye looks (0 = from +x, anticlockwise).
    """

    view_from_lidar: NDArray[np.float64]
    reach_m: float
    ground_m: float
    azimuth_deg: float

    def flatten(self, points: FloatArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Project (N, 3) to the drawing, (N, 2) with y up, half width about 0.5; and depth (N,) in metres."""
        seen = transform_points(self.view_from_lidar, points.astype(np.float64))
        depth = seen[:, 2]
        flat = _FOCAL_LENGTH * seen[:, :2] / np.maximum(depth, _NEAR_M)[:, None]
        flat[:, 1] *= -1
        return flat, depth


def look_at(
    points: FloatArray,
    *,
    reach_m: float,
    azimuth_deg: float,
    elevation_deg: float = 30.0,
    distance: float = 0.9,
    target: float = 0.1,
) -> Perspective:
    """Return the view of an eye `distance` reaches away from the sensor that looks `target` reaches before it."""
    ground = float(np.quantile(points[:, 2], 0.05)) if len(points) else 0.0
    azimuth, elevation = math.radians(azimuth_deg), math.radians(elevation_deg)
    back = np.array([math.cos(azimuth), math.sin(azimuth), 0.0])
    eye = distance * reach_m * (math.cos(elevation) * back + np.array([0.0, 0.0, math.sin(elevation)]))
    aim = target * reach_m * back + np.array([0.0, 0.0, ground])
    forward = (aim - eye) / np.linalg.norm(aim - eye)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])  # x right, y down, z forward
    return Perspective(
        view_from_lidar=make_transform(rotation, -rotation @ eye),
        reach_m=reach_m,
        ground_m=ground,
        azimuth_deg=azimuth_deg,
    )


def draw_cloud(
    axes: Axes,
    points: FloatArray,
    colors: FloatArray,
    view: Perspective,
    *,
    height_ratio: float,
    sizes: FloatArray | None = None,
) -> None:
    """Draw points (N, 3) in colours (N, 4) as seen by the eye, near ones over far ones, with the sensor's place.

    `height_ratio` is the height of the axes over their width; `sizes` (N,) makes points larger than usual.
    """
    half_height = _HALF_WIDTH * height_ratio
    axes.set(xlim=(-_HALF_WIDTH, _HALF_WIDTH), ylim=(-half_height, half_height), aspect="equal", xticks=[], yticks=[])
    flat, depth = view.flatten(points)
    order = np.argsort(-depth)  # far first, so that near points cover them
    order = order[depth[order] > _NEAR_M]
    size = np.clip(2.6 * (view.reach_m / depth[order]) ** 1.5, 0.8, 14.0)
    if sizes is not None:
        size = size * sizes[order]
    axes.scatter(flat[order, 0], flat[order, 1], s=size, c=colors[order], linewidths=0, rasterized=True, zorder=2)
    sensor, _ = view.flatten(np.zeros((1, 3)))
    axes.plot(*sensor[0], marker="^", color=INK, markersize=8, markeredgecolor=PAPER, linestyle="none", zorder=4)


def draw_rings(
    axes: Axes,
    view: Perspective,
    *,
    reach_m: float,
    label_deg: float,
    color: str = GRID,
    ink: str = INK,
    paper: str = PAPER,
) -> None:
    """Draw circles on the ground up to `reach_m`, with their radii in metres, to axes that `draw_cloud` has set.

    The radii are written where the circles cross the azimuth `label_deg` (0 = +x, anticlockwise).
    """
    for radius in ring_radii(reach_m):
        angle = np.linspace(0, 2 * np.pi, 181)
        ring = np.stack([radius * np.cos(angle), radius * np.sin(angle), np.full_like(angle, view.ground_m)], axis=1)
        flat, depth = view.flatten(ring)
        flat[depth < _NEAR_M] = np.nan
        axes.plot(flat[:, 0], flat[:, 1], color=color, linewidth=0.8, zorder=1)
    toward = math.radians(label_deg)
    for radius in ring_radii(reach_m):
        place = np.array([[radius * math.cos(toward), radius * math.sin(toward), view.ground_m]])
        (spot,), (depth_m,) = view.flatten(place)
        if depth_m > _NEAR_M and (abs(spot) < 0.92 * np.array([axes.get_xlim()[1], axes.get_ylim()[1]])).all():
            box = {"facecolor": paper, "edgecolor": "none", "alpha": 0.8, "pad": 1.0}
            axes.text(
                spot[0], spot[1], f"{radius:g} m", fontsize=8, color=ink, ha="center", va="center", bbox=box, zorder=5
            )


def new_figure(width_in: float, height_in: float) -> Figure:
    """Return an empty white figure; `ConfigError` without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ConfigError("png: matplotlib is not installed. Install it with `pip install matplotlib`.") from error
    figure = Figure(figsize=(width_in, height_in), facecolor=PAPER)
    FigureCanvasAgg(figure)  # no window system, no global state
    return figure


def axes_at(figure: Figure, left_in: float, bottom_in: float, width_in: float, height_in: float) -> Axes:
    """Add axes with a thin frame at a place given in inches."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes((left_in / width, bottom_in / height, width_in / width, height_in / height))
    for spine in axes.spines.values():
        spine.set_color(GRID)
    return axes


def usual_reach(points: FloatArray, share: float = 0.93) -> float:
    """Return the distance in metres from the sensor, in the plane and rounded up, that holds a share of the points."""
    far = np.linalg.norm(points[np.isfinite(points).all(axis=1), :2], axis=1)
    distance = max(float(np.quantile(far, share)) if far.size else 10.0, 1.0)
    return 5.0 * math.ceil(distance / 5.0) if distance > 5 else float(math.ceil(distance))


def within(points: FloatArray, reach_m: float) -> BoolArray:
    """Return (N,) bool: finite, and at most `reach_m` from the sensor in the plane."""
    shown: BoolArray = np.asarray(np.isfinite(points).all(axis=1))
    shown[shown] = np.linalg.norm(points[shown, :2], axis=1) <= reach_m
    return shown


def ring_radii(reach_m: float) -> NDArray[np.float64]:
    """Return the radii of at most five rings, in round numbers of metres."""
    step = next((step for step in _RING_STEPS_M if reach_m / step <= 5), reach_m / 5)
    return np.arange(step, reach_m + 1e-6, step)


def point_colors(label: NDArray[np.uint16], palette: FloatArray) -> NDArray[np.float64]:
    """Return (N, 4) colours 0..1 of labels (N,) by a palette (Q + 1, 3) in 0..1; unlabelled points are faint."""
    alpha = np.where(label == UNLABELLED, _UNLABELLED_ALPHA, 1.0)
    return np.concatenate([palette[label], alpha[:, None]], axis=1)
