"""Objects before they have a place: what the builders of vehicles, people and furniture return."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..mesh import Mesh, Surface, cover

Station = tuple[float, float, float, float, float]
"""A cross-section: x, lower z, upper z, half the width below, half the width above (m)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """An object in its own frame: kind, mesh, the word for its colour ("" where none).

    `carries` are objects of their own that count as part of its box (a rider); `tows` are others with boxes of their
    own (a trailer). All share one frame: x forward, y left, z up, origin on the ground below the middle.
    """

    kind: str
    mesh: Mesh
    color: str = ""
    carries: tuple[Model, ...] = ()
    tows: tuple[Model, ...] = ()

    def parts(self) -> Iterator[tuple[Model, NDArray[np.float64]]]:
        """Yield the object and all that come with it, each with the corners (2, 3) of its box."""
        everything = np.concatenate([self.mesh.vertices, *(model.mesh.vertices for model in self.carries)])
        yield self, np.stack([everything.min(axis=0), everything.max(axis=0)])
        for model in (*self.carries, *self.tows):
            yield from model.parts()


def loft(surface: Surface, stations: Sequence[Station]) -> Mesh:
    """Return the hull through cross-sections in order of falling x, closed at both ends."""
    rows = []
    for x, low, high, below, above in stations:
        rows += [(x, -below, low), (x, below, low), (x, above, high), (x, -above, high)]
    faces = []
    for i in range(0, 4 * (len(stations) - 1), 4):
        for j in range(4):
            a, b = i + j, i + (j + 1) % 4
            faces += [(a, b, b + 4), (a, b + 4, a + 4)]
    last = 4 * (len(stations) - 1)
    faces += [(0, 2, 1), (0, 3, 2), (last, last + 1, last + 2), (last, last + 2, last + 3)]
    return cover(surface, np.array(rows, dtype=np.float64), np.array(faces))
