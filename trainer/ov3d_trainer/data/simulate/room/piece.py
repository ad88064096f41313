"""Furniture before it has a place: `Piece`, and the small parts that most of it is made of.

A piece stands in its own frame: x is the side it faces (away from the wall), y its left, z up, metres; the origin is on
the floor below its middle, or at its back for what hangs on a wall.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..colors import draw_color
from ..mesh import Color, Mesh, Surface, box, cylinder, merge, place

WOODS: Mapping[str, float] = {"brown": 0.42, "beige": 0.22, "white": 0.2, "black": 0.09, "grey": 0.07}
CLOTHS: Mapping[str, float] = {
    "grey": 0.2, "blue": 0.14, "beige": 0.13, "red": 0.11, "green": 0.1, "black": 0.08, "brown": 0.08, "white": 0.06,
    "yellow": 0.04, "orange": 0.03, "purple": 0.02, "pink": 0.03,
}  # fmt: skip
APPLIANCES: Mapping[str, float] = {"white": 0.5, "silver": 0.28, "black": 0.16, "grey": 0.03, "red": 0.03}
BRIGHTS: Mapping[str, float] = {
    "red": 0.16, "blue": 0.17, "green": 0.13, "yellow": 0.11, "white": 0.11, "orange": 0.08, "black": 0.08,
    "pink": 0.06, "purple": 0.05, "brown": 0.05,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Top:
    """A level place to put things on: height (m) and rectangle (x, y from low to high) in the piece's frame."""

    z: float
    low: tuple[float, float]
    high: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """An object in its own frame: kind, mesh, the word for its colour ("" where none).

    `tops` are where other things may be put; `holds` are objects of their own in the same frame (the pillows of a bed).
    """

    kind: str
    mesh: Mesh
    color: str = ""
    state: str = ""
    tops: tuple[Top, ...] = ()
    holds: tuple[Piece, ...] = ()

    def extent(self) -> NDArray[np.float64]:
        """Return the lowest and the highest corner (2, 3) of it and all that it holds."""
        corners = [self.mesh.vertices, *(piece.extent() for piece in self.holds)]
        everything = np.concatenate(corners)
        return np.stack([everything.min(axis=0), everything.max(axis=0)])


def moved(piece: Piece, transform: NDArray[np.float64]) -> Piece:
    """Return the piece with what it holds at another place (4, 4) of the same frame; its tops are given up."""
    return Piece(
        kind=piece.kind,
        mesh=place(piece.mesh, transform),
        color=piece.color,
        state=piece.state,
        holds=tuple(moved(held, transform) for held in piece.holds),
    )


def draw_surface(
    kind: str, material: str, rng: np.random.Generator, shares: Mapping[str, float]
) -> tuple[str, Surface]:
    """Draw a colour by its share: return its word and a surface of it."""
    word, color = draw_color(rng, shares)
    return word, Surface(kind, material, color)


def level(z: float, depth: float, width: float, margin: float = 0.04) -> Top:
    """Return the top of something `depth` x `width` about the origin, without a margin at the edge."""
    x, y = depth / 2 - margin, width / 2 - margin
    return Top(z, (-x, -y), (x, y))


def legs(surface: Surface, depth: float, width: float, height: float, thick: float = 0.05) -> Mesh:
    """Return four posts below the corners of a rectangle."""
    x, y = (depth - thick) / 2, (width - thick) / 2
    return merge([box(surface, (thick, thick, height), (i * x, j * y, 0)) for i in (-1, 1) for j in (-1, 1)])


def slab(surface: Surface, depth: float, width: float, height: float, at: Sequence[float]) -> Mesh:
    """Return a box by depth (x), width (y) and height, its bottom centred on `at`."""
    return box(surface, (depth, width, height), (float(at[0]), float(at[1]), float(at[2])))


def rod_x(surface: Surface, radius: float, length: float, at: Sequence[float]) -> Mesh:
    """Return a cylinder along x that begins at `at`."""
    return place(cylinder(surface, radius, length, (0, 0, 0)), tilt_forward(math.pi / 2, at))


def tilt_forward(angle_rad: float, at: Sequence[float] = (0.0, 0.0, 0.0)) -> NDArray[np.float64]:
    """Return the (4, 4) turn about y that lays z down towards x, then moves to `at`."""
    cosine, sine = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[cosine, 0, sine, at[0]], [0, 1, 0, at[1]], [-sine, 0, cosine, at[2]], [0, 0, 0, 1]])


def fronts(
    surface: Surface, knob: Surface, depth: float, width: float, low: float, high: float, *, columns: int, rows: int
) -> Mesh:
    """Return doors or drawers with knobs, 1.5 cm before the front of a body `depth` x `width`, from `low` to `high`."""
    tall, wide = (high - low) / rows, width / columns
    parts = []
    for row in range(rows):
        for column in range(columns):
            y, z = (column - (columns - 1) / 2) * wide, low + row * tall
            parts.append(slab(surface, 0.015, wide - 0.015, tall - 0.015, (depth / 2 + 0.007, y, z + 0.007)))
            side = 0.0 if tall < wide * 1.3 else (wide / 2 - 0.05) * (1 if column % 2 == 0 else -1)
            parts.append(slab(knob, 0.03, 0.03, 0.03, (depth / 2 + 0.02, y + side, z + tall / 2)))
    return merge(parts)


def metal(kind: str, rng: np.random.Generator) -> Surface:
    """Return bare or dark metal."""
    colors: tuple[Color, ...] = ((176, 180, 184), (60, 62, 66), (130, 132, 136))
    return Surface(kind, "metal", colors[int(rng.integers(len(colors)))])
