"""From the few large triangles of a simulated room to the fine mesh that a real scan would have given."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..simulate.mesh import Mesh

_STEPS = 40
_OFFSETS = np.array([(i, j, k) for i in (-1, 0, 1) for j in (-1, 0, 1) for k in (-1, 0, 1)])


@dataclass(frozen=True, slots=True, kw_only=True)
class FineMesh:
    """`vertices` (V, 3) m, `faces` (F, 3); per vertex the row of the `Mesh` triangle that it lies on, `source` (V,)."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    source: NDArray[np.int64]


def refine(mesh: Mesh, edge_m: float, near: NDArray[np.float32], reach_m: float) -> FineMesh:
    """Return the mesh cut into triangles with edges of at most `edge_m`, as far as it is near the points (N, 3).

    Triangles further than about `reach_m` from every point are left out: no camera saw them. Vertices that coincide
    and belong to one object are one.
    """
    corners, source = _split_to(mesh.vertices[mesh.faces], edge_m)
    seen = _is_near(corners.mean(axis=1), near, reach_m)
    corners, source = corners[seen], source[seen]
    flat = corners.reshape(-1, 3)
    instance = np.repeat(mesh.instance[source], 3)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing = np.repeat(np.argmax(np.abs(normal), axis=1), 3)
    place = np.rint((flat - flat.min(axis=0)) * 1000).astype(np.int64)
    size = place.max(axis=0) + 1
    keys = (((place[:, 0] * size[1] + place[:, 1]) * size[2] + place[:, 2]) * 3 + facing) * (instance.max() + 2)
    _, first, number = np.unique(keys + instance + 1, return_index=True, return_inverse=True)
    faces = number.reshape(-1, 3).astype(np.int32)
    whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])
    used, corner = np.unique(faces[whole], return_inverse=True)
    first = first[used]
    return FineMesh(vertices=flat[first], faces=corner.reshape(-1, 3).astype(np.int32), source=source[first // 3])


def _split_to(corners: NDArray[np.float64], edge_m: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Halve the longest edge of triangles (F, 3, 3) until none is longer; return them and the rows they come from."""
    source = np.arange(len(corners), dtype=np.int64)
    done, done_source = [], []
    for _ in range(_STEPS):
        length = np.linalg.norm(corners - np.roll(corners, -1, axis=1), axis=2)
        longest = length.argmax(axis=1)
        fine = length.max(axis=1) <= edge_m
        done.append(corners[fine])
        done_source.append(source[fine])
        corners, source, longest = corners[~fine], source[~fine], longest[~fine]
        if not len(corners):
            break
        rows = np.arange(len(corners))
        first, second = corners[rows, longest], corners[rows, (longest + 1) % 3]
        third, middle = corners[rows, (longest + 2) % 3], (first + second) / 2
        corners = np.concatenate([np.stack([first, middle, third], 1), np.stack([middle, second, third], 1)])
        source = np.concatenate([source, source])
    return np.concatenate([*done, corners]), np.concatenate([*done_source, source])


def _is_near(places: NDArray[np.float64], points: NDArray[np.float32], reach_m: float) -> NDArray[np.bool_]:
    """Return (F,) bool: a point lies in the place's cell of `reach_m` or in one beside it."""
    low = points.min(axis=0) - 2 * reach_m
    size = np.ceil((points.max(axis=0) + 2 * reach_m - low) / reach_m).astype(np.int64) + 1
    taken = np.zeros(size, bool)
    cells = np.floor((points - low) / reach_m).astype(np.int64)
    for offset in _OFFSETS:
        taken[tuple((cells + offset).T)] = True
    asked = np.floor((places - low) / reach_m).astype(np.int64)
    inside = ((asked >= 0) & (asked < size)).all(axis=1)
    asked[~inside] = 0
    return inside & taken[tuple(asked.T)]
