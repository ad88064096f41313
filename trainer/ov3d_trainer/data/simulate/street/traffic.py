"""What moves: cars, buses and riders in their lanes, people on the sidewalks. An endless row of slots per lane.

Slot k of a lane starts at `k * spacing` and travels with the lane's speed; who is in it follows from the seed, the
lane and k. So a mover is where it is at a time, whichever frame asks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..things import Thing
from . import people, trucks, two_wheelers
from .ground import draw_segment
from .lots import parked_vehicle
from .model import Model
from .plan import SEGMENT_M, Centreline, StreetPlan
from .site import place_all, stand

_REACH_M = {"vehicle": 90.0, "cyclist": 70.0, "walker": 55.0}
"""How far ahead and behind movers are made."""

_STEP_PHASES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """A row of slots: where (d), how fast (signed, along s), how far apart, how full."""

    number: int
    d: float
    speed_mps: float
    spacing_m: float
    share: float
    who: str
    skip_ego_slot: bool = False


def draw_lanes(plan: StreetPlan) -> tuple[Lane, ...]:
    """Return all lanes of the street: driving lanes, cyclists beside them, walkers on the sidewalks."""
    rng = np.random.default_rng([plan.seed, 5])
    lanes: list[Lane] = []

    def add(d: float, speed: float, spacing: float, share: float, who: str, *, ego: bool = False) -> None:
        lane = Lane(number=len(lanes), d=d, speed_mps=speed, spacing_m=spacing, share=share, who=who, skip_ego_slot=ego)
        lanes.append(lane)

    for sign in (-1, 1):
        for index in range(plan.lanes):
            ego = sign < 0 and index == plan.ego_lane
            speed = plan.ego_speed_mps if ego else rng.uniform(4.0, 13.0)
            add(plan.lane_center(sign, index), -sign * speed, rng.uniform(16, 32), plan.traffic, "vehicle", ego=ego)
        side = plan.side(sign)
        beside = plan.road_edge(sign) - (side.parking_m + 0.28)
        if side.parking_m > 0 or plan.roadworks < 0.2:
            add(sign * beside, -sign * rng.uniform(3, 6), 20.0, plan.bicycles, "cyclist")
        inner = plan.road_edge(sign) + side.verge_m
        for place_, direction in ((0.42, 1), (0.62, -1)):
            add(
                sign * (inner + place_ * side.sidewalk_m),
                direction * rng.uniform(0.9, 1.6),
                9.0,
                plan.walkers,
                "walker",
            )
    return tuple(lanes)


def movers(
    plan: StreetPlan, line: Centreline, lanes: tuple[Lane, ...], time_s: float, *, listed_s: float
) -> list[Thing]:
    """Return, where they are at `time_s`, all movers near (`_REACH_M`) the ego vehicle at the time `listed_s`.

    The same `listed_s` gives the same movers in the same order, so that sweep and images number them alike.
    """
    ego_s = plan.ego_speed_mps * listed_s
    things: list[Thing] = []
    for lane in lanes:
        travelled, reach = lane.speed_mps * listed_s, _REACH_M[lane.who]
        first = math.ceil((ego_s - reach - travelled) / lane.spacing_m)
        last = math.floor((ego_s + reach - travelled) / lane.spacing_m)
        for slot in range(first, last + 1):
            things += _mover(plan, line, lane, slot, time_s)
    return things


def _mover(plan: StreetPlan, line: Centreline, lane: Lane, slot: int, time_s: float) -> list[Thing]:
    rng = np.random.default_rng([plan.seed, 6, lane.number, slot + 1_000_000])
    if rng.random() >= lane.share or (lane.skip_ego_slot and slot == 0):
        return []
    s = slot * lane.spacing_m + lane.speed_mps * time_s + rng.uniform(-0.12, 0.12) * lane.spacing_m
    d = lane.d + float(np.clip(rng.normal(0, 0.15), -0.3, 0.3)) * (0.3 if lane.who == "cyclist" else 1.0)
    yaw = 0.0 if lane.speed_mps > 0 else math.pi
    segment = draw_segment(plan, math.floor(s / SEGMENT_M))
    pose = stand(plan, line, segment, s, d, yaw, tilt=lane.who != "walker")
    state = "walking" if lane.who == "walker" else "moving"
    return place_all(_draw_mover(plan, lane, slot, time_s), pose, state=state, key=f"lane {lane.number} slot {slot}")


def _draw_mover(plan: StreetPlan, lane: Lane, slot: int, time_s: float) -> Model:
    """Return who is in a slot; a walker's legs move in 8 phases, so that each mesh is made once."""
    if lane.who == "walker":
        turns = people.STEPS_PER_S * time_s + 0.618 * slot
        return _walker(plan.seed, lane.number, slot, math.floor((turns % 1.0) * _STEP_PHASES))
    return _vehicle(plan.seed, lane.number, slot, lane.who, lane.spacing_m, plan.rare)


@lru_cache(maxsize=2048)
def _walker(seed: int, lane: int, slot: int, phase: int) -> Model:
    rng = np.random.default_rng([seed, 8, lane, slot + 1_000_000])
    make = people.child if rng.random() < 0.14 else people.person
    return make(rng, stride=math.sin(2 * math.pi * phase / _STEP_PHASES))


@lru_cache(maxsize=512)
def _vehicle(seed: int, lane: int, slot: int, who: str, room_m: float, rare: float) -> Model:
    rng = np.random.default_rng([seed, 8, lane, slot + 1_000_000])
    choices = _RIDERS if who == "cyclist" else _LONG if room_m > 24.0 else _SHORT
    shares = (1.0 - rare) * np.array([share for _, share in choices]) + rare / len(choices)
    return choices[int(rng.choice(len(choices), p=shares))][0](rng)


def _ridden(make: Callable[..., Model]) -> Callable[[np.random.Generator], Model]:
    return lambda rng: make(rng, ridden=True)


_RIDERS = (
    (_ridden(two_wheelers.bicycle), 0.70),
    (_ridden(two_wheelers.scooter), 0.17),
    (_ridden(two_wheelers.motorcycle), 0.13),
)
"""Who rides beside the lanes."""

_SHORT: tuple[tuple[Callable[[np.random.Generator], Model], float], ...] = (
    (parked_vehicle, 0.80),
    (trucks.truck, 0.08),
    (trucks.bus, 0.04),
    (_ridden(two_wheelers.motorcycle), 0.05),
    (_ridden(two_wheelers.scooter), 0.03),
)
"""Who drives where the slots are short; in long slots there are also long vehicles."""

_LONG = (
    (parked_vehicle, 0.63),
    (trucks.truck, 0.10),
    (trucks.bus, 0.07),
    (trucks.semi_truck, 0.11),
    (trucks.bendy_bus, 0.04),
    (_ridden(two_wheelers.motorcycle), 0.05),
)
