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

from ..mesh import Mesh
from ..things import Thing
from . import people, vehicles
from .furnish import stand
from .ground import draw_segment
from .plan import SEGMENT_M, Centreline, StreetPlan

_REACH_M = 85.0
_STEP_PHASES = 16


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
            add(plan.lane_center(sign, index), -sign * speed, rng.uniform(15, 26), plan.traffic, "vehicle", ego=ego)
        side = plan.side(sign)
        if side.parking_m == 0.0 and plan.roadworks < 0.15:
            add(sign * (plan.road_edge(sign) - 0.55), -sign * rng.uniform(3, 6), 22.0, plan.bicycles * 0.7, "cyclist")
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
    """Return, where they are at `time_s`, all movers within about 85 m of the ego vehicle at the time `listed_s`.

    The same `listed_s` gives the same movers in the same order, so that sweep and images number them alike.
    """
    ego_s = plan.ego_speed_mps * listed_s
    things = []
    for lane in lanes:
        travelled = lane.speed_mps * listed_s
        first = math.ceil((ego_s - _REACH_M - travelled) / lane.spacing_m)
        last = math.floor((ego_s + _REACH_M - travelled) / lane.spacing_m)
        for slot in range(first, last + 1):
            thing = _mover(plan, line, lane, slot, time_s)
            if thing is not None:
                things.append(thing)
    return things


def _mover(plan: StreetPlan, line: Centreline, lane: Lane, slot: int, time_s: float) -> Thing | None:
    rng = np.random.default_rng([plan.seed, 6, lane.number, slot + 1_000_000])
    if rng.random() >= lane.share or (lane.skip_ego_slot and slot == 0):
        return None
    s = slot * lane.spacing_m + lane.speed_mps * time_s + rng.uniform(-0.12, 0.12) * lane.spacing_m
    d = lane.d + rng.normal(0, 0.15)
    yaw = 0.0 if lane.speed_mps > 0 else math.pi
    mesh, kind = _draw_mover(plan.seed, lane, slot, time_s)
    segment = draw_segment(plan, math.floor(s / SEGMENT_M))
    pose = stand(plan, line, segment, s, d, yaw, tilt=lane.who != "walker")
    return Thing(mesh=mesh, global_from_object=pose, kind=kind, state="moving", key=f"lane {lane.number} slot {slot}")


def _draw_mover(seed: int, lane: Lane, slot: int, time_s: float) -> tuple[Mesh, str]:
    """Return who is in a slot; a walker's legs move in 16 phases, so that each mesh is made once."""
    if lane.who == "walker":
        turns = people.STEPS_PER_S * time_s + 0.618 * slot
        return _walker(seed, lane.number, slot, math.floor((turns % 1.0) * _STEP_PHASES)), "person"
    return _vehicle(seed, lane.number, slot, lane.who)


@lru_cache(maxsize=2048)
def _walker(seed: int, lane: int, slot: int, phase: int) -> Mesh:
    rng = np.random.default_rng([seed, 8, lane, slot + 1_000_000])
    return people.person(rng, stride=math.sin(2 * math.pi * phase / _STEP_PHASES))


@lru_cache(maxsize=512)
def _vehicle(seed: int, lane: int, slot: int, who: str) -> tuple[Mesh, str]:
    rng = np.random.default_rng([seed, 8, lane, slot + 1_000_000])
    if who == "cyclist":
        if rng.random() < 0.7:
            return vehicles.bicycle(rng, ridden=True), "bicycle"
        return vehicles.motorcycle(rng, ridden=True), "motorcycle"
    choices: list[tuple[Callable[[np.random.Generator], Mesh], str, float]] = [
        (vehicles.car, "car", 0.78),
        (vehicles.truck, "truck", 0.11),
        (vehicles.bus, "bus", 0.07),
        (lambda draw: vehicles.motorcycle(draw, ridden=True), "motorcycle", 0.04),
    ]
    make, kind, _ = choices[int(rng.choice(len(choices), p=[share for _, _, share in choices]))]
    return make(rng), kind
