"""The plan of one simulated street, drawn from its seed: centre line, widths, densities, light."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..render import Light

SEGMENT_M = 40.0
"""Length of street that is furnished at once: everything in it follows from the seed and the segment's number."""

STYLES: tuple[str, ...] = ("blocks", "houses", "park", "industry", "parking", "plaza", "works")


_RARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One side of the street, widths in metres from the road outwards."""

    parking_m: float
    verge_m: float
    sidewalk_m: float
    street_trees: float
    parked: float
    rail: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StreetPlan:
    """What makes one street differ from another; lengths in metres, angles in radians, shares in [0, 1].

    Street coordinates are (s, d): s along the centre line, d to its left. Traffic drives on the right: lanes with
    d < 0 run along +s. `rare` is the share of vehicles that are drawn without regard to how common they are.
    """

    seed: int
    lanes: int
    lane_m: float
    median_m: float
    median: str
    kerb_m: float
    left: Side
    right: Side
    styles: tuple[float, ...]
    crossing: float
    traffic: float
    walkers: float
    bicycles: float
    roadworks: float
    bridges: float
    lamp_spacing_m: float
    ego_speed_mps: float
    ego_lane: int
    bends: tuple[tuple[float, float, float], ...]
    hill: tuple[float, float, float]
    bank: tuple[float, float]
    bumps: tuple[tuple[float, float, float, float], ...]
    light: Light
    lidar_tilt: tuple[float, float]
    rare: float

    def side(self, sign: int) -> Side:
        """Return the left (+1) or right (-1) side."""
        return self.left if sign > 0 else self.right

    def road_edge(self, sign: int) -> float:
        """Return how far from the centre line the kerb of a side is."""
        return self.median_m / 2 + self.lanes * self.lane_m + 0.4 + self.side(sign).parking_m

    def lane_center(self, sign: int, lane: int) -> float:
        """Return d of a lane's middle; lane 0 is next to the centre line, sign -1 runs along +s."""
        return sign * (self.median_m / 2 + (lane + 0.5) * self.lane_m)


def draw_plan(seed: int, *, varied: bool = False) -> StreetPlan:
    """Draw the plan of the street with this seed; a `varied` one has more vehicles of rare kinds and roadworks."""
    rng, rare = np.random.default_rng([seed, 1]), _RARE if varied else 0.0
    lanes = int(rng.choice([1, 2, 3], p=[0.5, 0.4, 0.1]))
    medians = [0.65, 0.0, 0.05, 0.25, 0.05] if lanes == 1 else [0.1, 0.2, 0.2, 0.35, 0.15]
    median = str(rng.choice(["none", "barrier", "grass", "island", "rail"], p=medians))
    styles = rng.dirichlet((0.9, 0.8, 0.5, 0.45, 0.4, 0.35, 0.3))
    return StreetPlan(
        seed=seed,
        lanes=lanes,
        lane_m=rng.uniform(3.0, 3.7),
        median_m={
            "none": 0.2,
            "barrier": 1.4,
            "grass": rng.uniform(1.8, 4.0),
            "island": rng.uniform(1.2, 3.0),
            "rail": 1.2,
        }[median],
        median=median,
        kerb_m=rng.uniform(0.01, 0.04) if rng.random() < 0.15 else rng.uniform(0.07, 0.17),
        left=_draw_side(rng),
        right=_draw_side(rng),
        styles=tuple(float(share) for share in styles),
        crossing=rng.uniform(0.1, 0.35),
        traffic=rng.uniform(0.2, 0.7),
        walkers=rng.uniform(0.1, 0.7),
        bicycles=rng.uniform(0.1, 0.6),
        roadworks=rng.uniform(0.1, 0.35) * (1.0 + rare),
        bridges=0.2 if rng.random() < 0.35 else 0.0,
        lamp_spacing_m=rng.uniform(14.0, 30.0),
        ego_speed_mps=rng.uniform(4.0, 12.0),
        ego_lane=int(rng.integers(lanes)),
        bends=(
            (rng.uniform(-0.25, 0.25), rng.uniform(350, 700), rng.uniform(0, 2 * math.pi)),
            (rng.uniform(-0.02, 0.02), rng.uniform(100, 200), rng.uniform(0, 2 * math.pi)),
        ),
        hill=(rng.uniform(0.0, 1.6), rng.uniform(180, 400), rng.uniform(0, 2 * math.pi)),
        bank=(rng.normal(0, 0.05), rng.normal(0, 0.05)),
        bumps=tuple(_draw_bump(rng, size) for size in (rng.uniform(0, 0.25), rng.uniform(0, 0.15), 0.03)),
        light=_draw_light(rng),
        lidar_tilt=(math.radians(rng.uniform(-1.5, 1.5)), math.radians(rng.uniform(-0.6, 0.6))),
        rare=rare,
    )


def _draw_bump(rng: np.random.Generator, size: float) -> tuple[float, float, float, float]:
    """Return a wave of the ground: height (m), waves per metre along s and d, phase."""
    direction, length = rng.uniform(0, math.pi), rng.uniform(9.0, 30.0)
    return size, math.cos(direction) / length, math.sin(direction) / length, rng.uniform(0, 2 * math.pi)


def _draw_light(rng: np.random.Generator) -> Light:
    """Draw sun, clouds and how the cameras are set."""
    warm = rng.normal(0, 0.04)
    return Light(
        azimuth=rng.uniform(0, 2 * math.pi),
        elevation=math.radians(rng.uniform(18, 70)),
        cloud=rng.uniform(0.6, 1.0) if rng.random() < 0.3 else rng.uniform(0.0, 0.45),
        exposure=rng.uniform(0.8, 1.2),
        balance=(1.0 + warm, 1.0, 1.0 - warm),
        haze_m=rng.uniform(180, 600),
    )


def _draw_side(rng: np.random.Generator) -> Side:
    verge = rng.uniform(0.8, 2.6) if rng.random() < 0.45 else 0.0
    parking = 2.3 if rng.random() < 0.6 else 0.0
    return Side(
        parking_m=parking,
        verge_m=verge,
        sidewalk_m=rng.uniform(1.6, 4.0),
        street_trees=rng.uniform(0.2, 0.9) if verge > 0 or rng.random() < 0.4 else 0.0,
        parked=rng.uniform(0.2, 0.9),
        rail=bool(parking == 0.0 and rng.random() < 0.3),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Centreline:
    """The middle of the street as a table, and the map from street coordinates (s, d) to global x, y, z."""

    plan: StreetPlan
    s: NDArray[np.float64]
    xy: NDArray[np.float64]

    def heading(self, s: ArrayLike) -> NDArray[np.float64]:
        """Return the direction of the street in radians, 0 along global x at s = 0."""
        return _heading(self.plan, np.asarray(s, dtype=np.float64))

    def height(self, s: ArrayLike, d: ArrayLike) -> NDArray[np.float64]:
        """Return the height of the ground without kerbs: a long hill along s, banks and bumps beside the street."""
        amplitude, wavelength, phase = self.plan.hill
        along = amplitude * (np.sin(2 * math.pi * np.asarray(s) / wavelength + phase) - math.sin(phase))
        beside = np.asarray(d, dtype=np.float64)
        out = np.where(beside > 0, beside - self.plan.road_edge(1), -beside - self.plan.road_edge(-1)) - 6.0
        bank = np.clip(out, 0, 25) * np.where(beside > 0, *self.plan.bank)
        rough = np.zeros(np.broadcast_shapes(np.shape(s), np.shape(d)))
        for size, per_s, per_d, phase in self.plan.bumps:
            rough = rough + size * np.sin(2 * math.pi * (np.asarray(s) * per_s + beside * per_d) + phase)
        return np.asarray(along + bank + rough * np.clip(out / 5.0, 0.08, 1.0))

    def slope(self, s: float) -> float:
        """Return the rise of the road in metres per metre."""
        amplitude, wavelength, phase = self.plan.hill
        rate = 2 * math.pi / wavelength
        return amplitude * rate * math.cos(rate * s + phase)

    def to_global(self, s: ArrayLike, d: ArrayLike) -> NDArray[np.float64]:
        """Return global x, y, z (..., 3) of street coordinates (...)."""
        along, beside = np.broadcast_arrays(np.asarray(s, np.float64), np.asarray(d, np.float64))
        heading = self.heading(along)
        x = np.interp(along, self.s, self.xy[:, 0]) - beside * np.sin(heading)
        y = np.interp(along, self.s, self.xy[:, 1]) + beside * np.cos(heading)
        return np.stack([x, y, self.height(along, beside)], axis=-1)


def draw_centreline(plan: StreetPlan, start_m: float, end_m: float) -> Centreline:
    """Integrate the plan's bends outwards from s = 0, so that the place of a thing does not depend on the length."""
    step = 0.5
    ahead = np.arange(0.0, max(end_m, 0.0) + step, step)
    behind = np.arange(0.0, max(-start_m, 0.0) + step, step)
    forward = _integrate(plan, ahead, step)
    backward = _integrate(plan, -behind, -step)
    s = np.concatenate([-behind[:0:-1], ahead])
    return Centreline(plan=plan, s=s, xy=np.concatenate([backward[:0:-1], forward]))


def _integrate(plan: StreetPlan, s: NDArray[np.float64], step: float) -> NDArray[np.float64]:
    heading = _heading(plan, s)
    direction = np.stack([np.cos(heading), np.sin(heading)], axis=1)
    xy = np.zeros((len(s), 2))
    xy[1:] = np.cumsum((direction[:-1] + direction[1:]) / 2, axis=0) * step
    return xy


def _heading(plan: StreetPlan, s: NDArray[np.float64]) -> NDArray[np.float64]:
    total = np.zeros_like(s)
    for amplitude, wavelength, phase in plan.bends:
        total = total + amplitude * (np.sin(2 * math.pi * s / wavelength + phase) - math.sin(phase))
    return total
