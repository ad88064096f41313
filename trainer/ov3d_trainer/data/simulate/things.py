"""Objects in their places, and their numbering: rows of the list that a sample calls `objects`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..sample import SceneObject
from .mesh import Mesh, merge, number, place


@dataclass(frozen=True, slots=True, kw_only=True)
class Thing:
    """An object in its place: mesh in its own frame, `global_from_object` (4, 4) and what it is.

    `kind` is "" for what is not an object of its own (a far backdrop); `bounds` (2, 3) are the corners of its box in
    its own frame where that holds more than its mesh (a bicycle with its rider); the rest is as in `SceneObject`.
    """

    mesh: Mesh
    global_from_object: NDArray[np.float64]
    kind: str = ""
    color: str = ""
    state: str = ""
    key: str = ""
    bounds: NDArray[np.float64] | None = None

    def describe(self) -> SceneObject:
        """Return what is known about the object apart from its shape and place."""
        return SceneObject(kind=self.kind, color=self.color, state=self.state, key=self.key)

    def extent(self) -> NDArray[np.float64]:
        """Return the lowest and the highest corner (2, 3) of its box in its own frame."""
        if self.bounds is not None:
            return self.bounds
        return np.stack([self.mesh.vertices.min(axis=0), self.mesh.vertices.max(axis=0)])


def assemble(things: Iterable[Thing], first: int = 0) -> tuple[Mesh, list[Thing]]:
    """Return one mesh in global coordinates, and the objects in it in the order of their numbers from `first`."""
    meshes: list[Mesh] = []
    objects: list[Thing] = []
    for thing in things:
        mesh = place(thing.mesh, thing.global_from_object)
        if thing.kind:
            mesh = number(mesh, first + len(objects))
            objects.append(thing)
        meshes.append(mesh)
    return merge(meshes), objects


def describe_all(things: Sequence[Thing]) -> tuple[SceneObject, ...]:
    """Return the list that instance numbers refer to."""
    return tuple(thing.describe() for thing in things)
