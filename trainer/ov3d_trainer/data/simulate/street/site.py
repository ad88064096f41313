"""One segment of street while it is furnished: where things stand, and which stand there already."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..mesh import turn
from ..things import Thing
from .ground import Segment, surface_height
from .model import Model
from .plan import Centreline, StreetPlan


def stand(
    plan: StreetPlan, line: Centreline, segment: Segment, s: float, d: float, yaw: float = 0.0, *, tilt: bool = False
) -> NDArray[np.float64]:
    """Return `global_from_object` (4, 4) of a thing on the ground at (s, d).

    `yaw` is relative to the street; with `tilt` the thing leans with the slope of the road, as vehicles do.
    """
    x, y, z = line.to_global(s, d)
    street = turn(float(line.heading(s)), (float(x), float(y), float(z) + surface_height(plan, segment, s, d)))
    if tilt:
        pitch = math.atan(line.slope(s))
        cosine, sine = math.cos(pitch), math.sin(pitch)
        lean = np.array([[cosine, 0, -sine, 0], [0, 1, 0, 0], [sine, 0, cosine, 0], [0, 0, 0, 1]])
        street = street @ lean
    return street @ turn(yaw)


def place_all(model: Model, pose: NDArray[np.float64], *, state: str, key: str) -> list[Thing]:
    """Return a model and all that comes with it as things at `pose` (`global_from_object`)."""
    things = []
    for number, (part, bounds) in enumerate(model.parts()):
        own = key if number == 0 else f"{key} with {number}"
        things.append(
            Thing(
                mesh=part.mesh, global_from_object=pose, kind=part.kind, color=part.color, state=state, key=own,
                bounds=bounds,
            )
        )  # fmt: skip
    return things


def outward(sign: int) -> float:
    """Return the yaw that turns a thing whose front is -y towards the street's middle from its side."""
    return 0.0 if sign > 0 else math.pi


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the furnishing functions share for one segment; `taken` are circles (s, d, radius) nobody else may use."""

    plan: StreetPlan
    line: Centreline
    segment: Segment
    rng: np.random.Generator
    things: list[Thing] = field(default_factory=list)
    taken: list[tuple[float, float, float]] = field(default_factory=list)

    @property
    def start(self) -> float:
        """Where the segment's street begins, behind the crossing."""
        return self.segment.start_m + self.segment.crossing_m

    @property
    def length(self) -> float:
        """How long the segment is without its crossing."""
        return self.segment.end_m - self.start

    def kerb(self, sign: int) -> float:
        """Return how far the kerb is from the centre line."""
        return self.plan.road_edge(sign)

    def edge(self, sign: int) -> float:
        """Return where the lot begins behind verge and sidewalk."""
        side = self.plan.side(sign)
        return self.plan.road_edge(sign) + side.verge_m + side.sidewalk_m

    def add(self, model: Model, s: float, d: float, yaw: float = 0.0, *, state: str = "", tilt: bool = False) -> None:
        """Put a thing at (s, d), turned by `yaw` against the street."""
        pose = stand(self.plan, self.line, self.segment, s, d, yaw, tilt=tilt)
        key = f"segment {self.segment.number} thing {len(self.things)}"
        self.things.extend(place_all(model, pose, state=state, key=key))

    def claim(self, s: float, d: float, radius: float) -> bool:
        """Return whether the circle is free, and take it if so."""
        if any(math.hypot(s - other_s, d - other_d) < radius + reach for other_s, other_d, reach in self.taken):
            return False
        self.taken.append((s, d, radius))
        return True

    def scatter(self, margin: float = 1.0) -> float:
        """Return some place along the segment, `margin` metres from its ends."""
        return float(self.start + self.rng.uniform(margin, max(self.length - margin, margin + 0.5)))
