"""The ground of a street segment: road, kerbs, sidewalks, grass, lane markings and side streets."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..colors import vary
from ..mesh import Color, Mesh, Surface, merge, quads
from .plan import SEGMENT_M, STYLES, Centreline, StreetPlan

_ASPHALT: Color = (92, 92, 96)
_PAVING: Color = (168, 164, 156)
_TURF: Color = (104, 132, 62)
_WORN: Color = (106, 105, 104)
_ISLAND: Color = (150, 142, 132)
_SOIL: Color = (148, 126, 98)
_WHITE: Color = (226, 226, 220)
_YELLOW: Color = (222, 178, 60)
_REACH_M = 120.0
_STEP_M = 2.5
_BAND_M = 4.0
_MARKING_LIFT_M = 0.012
_FRONT_M = 36.0
_RAISED = {"grass": "grass", "island": "traffic island"}


_SETBACKS = {
    "blocks": (0.2, 5.0), "houses": (3.5, 10.0), "park": (25.0, 45.0), "industry": (6.0, 16.0), "parking": (13.0, 34.0),
    "plaza": (10.0, 26.0), "works": (14.0, 28.0),
}  # fmt: skip
_FRONTS = {
    "blocks": {"sidewalk": 0.8, "grass": 0.2},
    "houses": {"grass": 0.8, "gravel": 0.12, "sidewalk": 0.08},
    "park": {"grass": 0.92, "gravel": 0.08},
    "industry": {"parking lot": 0.55, "gravel": 0.2, "grass": 0.15, "sidewalk": 0.1},
    "parking": {"parking lot": 1.0},
    "plaza": {"sidewalk": 1.0},
    "works": {"gravel": 1.0},
}
"""What the ground between sidewalk and building may be, with shares."""

_FLUSH = ("road", "parking lot")
"""Kinds of ground at the height of the road; others lie as high as the kerb."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot:
    """What lies beyond the sidewalk on one side of a segment."""

    style: str
    setback_m: float
    front: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """One stretch of street from `start_m`; the first `crossing_m` of it are a side street (0: none)."""

    number: int
    crossing_m: float
    left: Lot
    right: Lot

    @property
    def start_m(self) -> float:
        """Where the segment begins along the street."""
        return self.number * SEGMENT_M

    @property
    def end_m(self) -> float:
        """Where the segment ends along the street."""
        return (self.number + 1) * SEGMENT_M

    def lot(self, sign: int) -> Lot:
        """Return the left (+1) or right (-1) lot."""
        return self.left if sign > 0 else self.right


@lru_cache(maxsize=256)
def draw_segment(plan: StreetPlan, number: int) -> Segment:
    """Draw what kind of segment this is; it depends on the seed and the number only."""
    rng = np.random.default_rng([plan.seed, 2, number + 1_000_000])
    crossing = float(rng.uniform(7.0, 12.0)) if rng.random() < plan.crossing else 0.0
    return Segment(number=number, crossing_m=crossing, left=_draw_lot(plan, rng), right=_draw_lot(plan, rng))


def _draw_lot(plan: StreetPlan, rng: np.random.Generator) -> Lot:
    style = STYLES[int(rng.choice(len(STYLES), p=plan.styles))]
    low, high = _SETBACKS[style]
    fronts, shares = zip(*_FRONTS[style].items(), strict=True)
    front = str(rng.choice(fronts, p=shares))
    return Lot(style=style, setback_m=float(rng.uniform(low, high)), front=front)


def surface_height(plan: StreetPlan, segment: Segment, s: float, d: float) -> float:
    """Return how far the surface lies above the road there: 0 on asphalt, the kerb's height elsewhere."""
    sign = 1 if d >= 0 else -1
    on_road = abs(d) < plan.road_edge(sign) and not (plan.median in _RAISED and abs(d) < plan.median_m / 2)
    on_crossing = segment.start_m <= s < segment.start_m + segment.crossing_m
    lot, side = segment.lot(sign), plan.side(sign)
    inside = abs(d) - plan.road_edge(sign) - side.verge_m - side.sidewalk_m
    on_lot = lot.front in _FLUSH and 0 <= inside < min(lot.setback_m, _FRONT_M)
    return 0.0 if on_road or on_crossing or on_lot else plan.kerb_m


def ground(plan: StreetPlan, line: Centreline, segment: Segment) -> Mesh:
    """Return the ground of one segment."""
    rng = np.random.default_rng([plan.seed, 3, segment.number + 1_000_000])
    d_edges, kinds = _bands(plan, segment)
    crossing_end = segment.start_m + segment.crossing_m
    steps = max(round((segment.end_m - crossing_end) / _STEP_M), 1)
    s_edges = np.linspace(crossing_end, segment.end_m, steps + 1)
    on_crossing = np.zeros(steps, bool)
    if segment.crossing_m > 0:
        s_edges = np.concatenate([np.linspace(segment.start_m, crossing_end, 4)[:-1], s_edges])
        on_crossing = np.concatenate([np.ones(3, bool), on_crossing])
    names = np.array(kinds)[None, :].repeat(len(on_crossing), axis=0)
    names[on_crossing] = "road"
    lift = np.where(np.isin(names, _FLUSH), 0.0, plan.kerb_m)
    grid = line.to_global(s_edges[:, None], d_edges[None, :])
    return merge(
        [
            *_cells(grid, names, lift, rng),
            *_kerbs(grid, lift, segment.crossing_m > 0, plan),
            *_markings(plan, line, segment),
        ]
    )


def backdrop(center: NDArray[np.float64]) -> Mesh:
    """Return a far plain of grass below the street, so that the world does not end in the air."""
    reach = 1500.0
    corners = np.array([[-1, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]) * reach + (
        center[0],
        center[1],
        center[2] - 6.0,
    )
    return quads(Surface("grass", "turf", (112, 134, 74)), corners[None])


def _bands(plan: StreetPlan, segment: Segment) -> tuple[NDArray[np.float64], list[str]]:
    """Return the edges d (B + 1,) from right to left and the kind of each band."""
    halves = []
    for sign in (-1, 1):
        side, lot = plan.side(sign), segment.lot(sign)
        widths = [
            (plan.median_m / 2, _RAISED.get(plan.median, "road")),
            (plan.road_edge(sign) - plan.median_m / 2, "road"),
            (side.verge_m, "grass"),
            (side.sidewalk_m, "sidewalk"),
            (min(lot.setback_m, _FRONT_M), lot.front),
            (18.0, "grass"),
            (30.0, "grass"),
        ]
        kept = [part for width, kind in widths if width > 0 for part in _split(width, kind)]
        edges = np.cumsum([width for width, _ in kept])
        halves.append(([*edges, _REACH_M], [*(kind for _, kind in kept), "grass"]))
    (right, right_kinds), (left, left_kinds) = halves
    return np.array([-d for d in reversed(right)] + [0.0, *left]), [*reversed(right_kinds), *left_kinds]


def _split(width: float, kind: str) -> list[tuple[float, str]]:
    """Return a band in parts narrow enough to follow the ground."""
    count = max(math.ceil(width / _BAND_M), 1)
    return [(width / count, kind)] * count


def _cells(
    grid: NDArray[np.float64], names: NDArray[np.str_], lift: NDArray[np.float64], rng: np.random.Generator
) -> list[Mesh]:
    corners = np.stack([grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]], axis=2)  # (S, B, 4, 3)
    corners = corners + np.stack([np.zeros_like(lift), np.zeros_like(lift), lift], axis=-1)[:, :, None]
    looks = {
        "road": ("asphalt", _ASPHALT, 4), "parking lot": ("asphalt", _WORN, 5), "sidewalk": ("paving", _PAVING, 8),
        "traffic island": ("paving", _ISLAND, 8), "grass": ("turf", _TURF, 10), "gravel": ("loose ground", _SOIL, 10),
    }  # fmt: skip
    meshes = []
    for kind, (material, color, amount) in looks.items():
        base = vary(color, rng, 8)
        rows, columns = np.nonzero(names == kind)
        if len(rows) == 0:
            continue
        mesh = quads(Surface(kind, material, base), corners[rows, columns])
        change = rng.integers(-amount, amount + 1, (len(rows), 1))
        mesh.color[:] = np.clip(mesh.color + np.tile(change, (2, 1)), 0, 255).astype(np.uint8)
        meshes.append(mesh)
    return meshes


def _kerbs(grid: NDArray[np.float64], lift: NDArray[np.float64], starts_low: bool, plan: StreetPlan) -> list[Mesh]:
    """Return the upright faces between cells of different height."""
    stone = Surface("sidewalk", "concrete", (186, 184, 178))
    up = np.array([0.0, 0.0, plan.kerb_m])
    rows, columns = np.nonzero(lift[:, 1:] != lift[:, :-1])
    a, b = grid[rows, columns + 1], grid[rows + 1, columns + 1]
    faces = [np.stack([a, b, b + up, a + up], axis=1)]
    rows, columns = np.nonzero(lift[1:] != lift[:-1])
    a, b = grid[rows + 1, columns], grid[rows + 1, columns + 1]
    faces.append(np.stack([a, b, b + up, a + up], axis=1))
    if starts_low:
        columns = np.flatnonzero(lift[-1] > 0)
        a, b = grid[0, columns], grid[0, columns + 1]
        faces.append(np.stack([a, b, b + up, a + up], axis=1))
    return [quads(stone, np.concatenate(faces))]


def _markings(plan: StreetPlan, line: Centreline, segment: Segment) -> list[Mesh]:
    start, end = segment.start_m + segment.crossing_m, segment.end_m
    white, yellow = Surface("road", "marking", _WHITE), Surface("road", "marking", _YELLOW)
    meshes = []
    dashes = np.arange(np.ceil(start / 6.0) * 6.0, end - 3.0, 6.0)
    for sign in (-1, 1):
        for lane in range(1, plan.lanes):
            meshes.append(_strips(line, dashes, 3.0, sign * (plan.median_m / 2 + lane * plan.lane_m), 0.14, white))
        solid = np.arange(start, end - 0.1, 2.0)
        edge = plan.median_m / 2 + plan.lanes * plan.lane_m + 0.1
        meshes.append(_strips(line, solid, min(2.0, end - start), sign * edge, 0.12, white))
        if plan.median not in _RAISED:
            meshes.append(_strips(line, solid, 2.0, sign * max(plan.median_m / 2, 0.12), 0.12, yellow))
    if segment.crossing_m > 0:
        inner, outer = -plan.road_edge(-1) + 0.5, plan.road_edge(1) - 0.5
        for d in np.arange(inner, outer, 1.1):
            if plan.median not in _RAISED or abs(d) > plan.median_m / 2 + 0.3:
                meshes.append(_strips(line, np.array([start + 1.0]), 2.6, float(d), 0.5, white))
    return meshes


def _strips(
    line: Centreline, starts: NDArray[np.float64], length: float, d: float, width: float, surface: Surface
) -> Mesh:
    if len(starts) == 0:
        return merge([])
    s = np.stack([starts, starts + length, starts + length, starts], axis=1)
    across = np.broadcast_to(d + np.array([-1, -1, 1, 1]) * width / 2, s.shape)
    return quads(surface, line.to_global(s, across) + np.array([0.0, 0.0, _MARKING_LIFT_M]))
