"""Where things may stand: the free space of a room, and placing pieces in it.

Room frame: z up from the floor, origin in the middle of the floor, x along the room's length.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..mesh import turn
from ..things import Thing
from .piece import Piece, Top

_TRIES = 40
_WALL_YAWS = (math.pi, -math.pi / 2, 0.0, math.pi / 2)
"""Yaw of what stands against the walls at +x, +y, -x, -y: it faces away from the wall."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A piece in its place: (4, 4) `room_from_piece`."""

    piece: Piece
    transform: NDArray[np.float64]


class Space:
    """A room `length` x `width` x `height` that remembers what stands where, and draws free places at random."""

    def __init__(self, rng: np.random.Generator, length: float, width: float, height: float) -> None:
        self.rng = rng
        self.length, self.width, self.height = length, width, height
        self.spots: list[Spot] = []
        self._taken: list[tuple[NDArray[np.float64], Piece | None]] = []

    def against_wall(
        self,
        piece: Piece,
        *,
        z: float = 0.0,
        gap: float = 0.02,
        front: float = 0.0,
        wall: int | None = None,
        at: float | None = None,
    ) -> Spot | None:
        """Put a piece against a wall, `front` metres left free before it; None where it fits nowhere.

        `wall` is 0..3 for +x, +y, -x, -y; `at` is the place along it as a share in [0, 1]; both at random where None.
        """
        extent = piece.extent()
        half = (extent[1, 1] - extent[0, 1]) / 2
        for _ in range(_TRIES if at is None or wall is None else 1):
            side = int(self.rng.integers(4)) if wall is None else wall
            reach = (self.width if side % 2 == 0 else self.length) / 2 - half - 0.03
            if reach < 0:
                continue
            along = float(self.rng.uniform(-reach, reach)) if at is None else (2 * at - 1) * reach
            out = (self.length if side % 2 == 0 else self.width) / 2 - gap + extent[0, 0]
            along -= (extent[0, 1] + extent[1, 1]) / 2
            x, y = ((out, along), (-along, out), (-out, -along), (along, -out))[side]
            spot = self._try(piece, turn(_WALL_YAWS[side], (x, y, z)), front=front)
            if spot is not None:
                return spot
        return None

    def free_standing(self, piece: Piece, *, yaw: float | None = None, around: float = 0.0) -> Spot | None:
        """Put a piece anywhere on the floor with `around` metres free on all sides; None where it fits nowhere."""
        for _ in range(_TRIES):
            angle = float(self.rng.uniform(-math.pi, math.pi)) if yaw is None else yaw
            x = float(self.rng.uniform(-0.5, 0.5) * self.length)
            y = float(self.rng.uniform(-0.5, 0.5) * self.width)
            spot = self._try(piece, turn(angle, (x, y, 0.0)), margin=around)
            if spot is not None:
                return spot
        return None

    def beside(self, host: Spot, piece: Piece, x: float, y: float, *, yaw: float = 0.0, z: float = 0.0) -> Spot | None:
        """Put a piece at a place of another one's frame; None where something else is in the way."""
        return self._try(piece, host.transform @ turn(yaw, (x, y, z)), host=host.piece)

    def at_wall(self, wall: int, along: float, z: float = 0.0) -> NDArray[np.float64]:
        """Return the frame (4, 4) of a place on a wall: x leads away from it, `along` metres from its middle."""
        out = (self.length if wall % 2 == 0 else self.width) / 2
        x, y = ((out, along), (-along, out), (-out, -along), (along, -out))[wall]
        return turn(_WALL_YAWS[wall], (x, y, z))

    def fit(self, piece: Piece, transform: NDArray[np.float64]) -> Spot | None:
        """Put a piece at a place of the room; None where something is in the way."""
        return self._try(piece, transform, shrink=0.004)

    def on(self, host: Spot, piece: Piece, *, yaw: float | None = None, top: int | None = None) -> Spot | None:
        """Put a piece on one of the tops of another that has room for it; None where none has."""
        tops = host.piece.tops
        if not tops:
            return None
        extent = piece.extent()
        for _ in range(_TRIES // 2):
            chosen: Top = tops[int(self.rng.integers(len(tops))) if top is None else top]
            angle = float(self.rng.uniform(-0.5, 0.5)) if yaw is None else yaw
            x, y = self._draw_on(chosen, extent, angle)
            if math.isnan(x):
                continue
            placed = host.transform @ turn(angle, (x, y, chosen.z - float(extent[0, 2])))
            spot = self._try(piece, placed, shrink=0.012, host=host.piece)
            if spot is not None:
                return spot
        return None

    def put(self, piece: Piece, transform: NDArray[np.float64], *, solid: bool = True) -> Spot:
        """Put a piece where the caller wants it; one that is not `solid` (a rug) takes no space."""
        spot = Spot(piece, transform)
        self.spots.append(spot)
        if solid:
            self._taken.append((_bounds(piece.extent(), transform), piece))
        return spot

    def block(self, low: tuple[float, float, float], high: tuple[float, float, float]) -> None:
        """Keep a box free of things."""
        self._taken.append((np.array([low, high]), None))

    def clear_at(self, x: float, y: float, z: float, margin: float) -> bool:
        """Whether a point is inside the room, `margin` metres from every wall and from all that stands so high."""
        if abs(x) > self.length / 2 - margin or abs(y) > self.width / 2 - margin:
            return False
        point = np.array([x, y, z])
        return not any(
            bool((point > low - margin).all() and (point < high + margin).all())
            for (low, high), owner in self._taken
            if owner
        )

    def things(self) -> list[Thing]:
        """Return every object in its place, with what it holds, in order."""
        found: list[Thing] = []
        for spot in self.spots:
            _collect(spot.piece, spot.transform, found)
        return found

    def _draw_on(self, top: Top, extent: NDArray[np.float64], yaw: float) -> tuple[float, float]:
        bounds = _bounds(extent, turn(yaw))
        room_x = (top.low[0] - bounds[0, 0], top.high[0] - bounds[1, 0])
        room_y = (top.low[1] - bounds[0, 1], top.high[1] - bounds[1, 1])
        if room_x[0] > room_x[1] or room_y[0] > room_y[1]:
            return math.nan, math.nan
        return float(self.rng.uniform(*room_x)), float(self.rng.uniform(*room_y))

    def _try(
        self,
        piece: Piece,
        transform: NDArray[np.float64],
        *,
        front: float = 0.0,
        margin: float = 0.0,
        shrink: float = 0.0,
        host: Piece | str = "",
    ) -> Spot | None:
        extent = piece.extent()
        bounds = _bounds(extent, transform)
        limit = np.array([self.length / 2, self.width / 2, self.height]) + 0.01
        if (bounds[1] > limit).any() or (bounds[0, :2] < -limit[:2]).any():
            return None
        wanted = extent + np.array([[-margin, -margin, 0], [margin + front, margin, 0]])
        wanted += np.array([[shrink] * 3, [-shrink] * 3])
        asked = _bounds(wanted, transform)
        for taken, owner in self._taken:
            if owner is not host and bool((asked[0] < taken[1]).all() and (asked[1] > taken[0]).all()):
                return None
        return self.put(piece, transform)


def _bounds(extent: NDArray[np.float64], transform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the upright box (2, 3) round a box that is turned about z and moved."""
    corners = np.array([[extent[i, 0], extent[j, 1], extent[k, 2]] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    placed = corners @ transform[:3, :3].T + transform[:3, 3]
    return np.stack([placed.min(axis=0), placed.max(axis=0)])


def _collect(piece: Piece, transform: NDArray[np.float64], found: list[Thing]) -> None:
    found.append(
        Thing(
            mesh=piece.mesh,
            global_from_object=transform,
            kind=piece.kind,
            color=piece.color,
            state=piece.state,
            key=f"room-object-{len(found):04d}",
        )
    )
    for held in piece.holds:
        _collect(held, transform, found)
