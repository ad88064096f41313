"""Triangles with a kind, a material and a colour each, and the few primitives that everything is built from.

Objects stand in their own frame: x forward, y left, z up, metres, origin on the ground below the middle.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ov3d_perception.errors import ConfigError

from ..sample import UNKNOWN
from .kinds import kind_id
from .materials import material_id

Color = tuple[int, int, int]
Vector = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Surface:
    """What a primitive is made of: kind and material by name, colour as RGB 0..255."""

    kind: str
    material: str
    color: Color


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """Triangles: `vertices` (M, 3) m, `faces` (F, 3); per face `kind` (F,), `material` (F,) and `color` (F, 3) RGB.

    `instance` (F,) is the row of the world's list of objects that the triangle belongs to, `UNKNOWN` for none.
    """

    vertices: NDArray[np.float64]
    faces: NDArray[np.int32]
    kind: NDArray[np.int16]
    material: NDArray[np.int16]
    color: NDArray[np.uint8]
    instance: NDArray[np.int32]


def empty_mesh() -> Mesh:
    """Return a mesh without triangles."""
    return Mesh(
        vertices=np.zeros((0, 3)),
        faces=np.zeros((0, 3), np.int32),
        kind=np.zeros(0, np.int16),
        material=np.zeros(0, np.int16),
        color=np.zeros((0, 3), np.uint8),
        instance=np.zeros(0, np.int32),
    )


def cover(surface: Surface, vertices: ArrayLike, faces: NDArray[np.integer[Any]]) -> Mesh:
    """Return triangles that are all of one surface."""
    count = len(faces)
    return Mesh(
        vertices=np.asarray(vertices, dtype=np.float64),
        faces=faces.astype(np.int32),
        kind=np.full(count, kind_id(surface.kind), np.int16),
        material=np.full(count, material_id(surface.material), np.int16),
        color=np.tile(np.array(surface.color, np.uint8), (count, 1)),
        instance=np.full(count, UNKNOWN, np.int32),
    )


def merge(meshes: Iterable[Mesh]) -> Mesh:
    """Return all triangles in one mesh, in order."""
    parts = [mesh for mesh in meshes if len(mesh.faces)]
    if not parts:
        return empty_mesh()
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh in parts[:-1]])
    return Mesh(
        vertices=np.concatenate([mesh.vertices for mesh in parts]),
        faces=np.concatenate([mesh.faces + np.int32(start) for mesh, start in zip(parts, starts, strict=True)]),
        kind=np.concatenate([mesh.kind for mesh in parts]),
        material=np.concatenate([mesh.material for mesh in parts]),
        color=np.concatenate([mesh.color for mesh in parts]),
        instance=np.concatenate([mesh.instance for mesh in parts]),
    )


def place(mesh: Mesh, target_from_object: NDArray[np.float64]) -> Mesh:
    """Return the mesh moved by a (4, 4) transform, which may scale."""
    return replace(mesh, vertices=mesh.vertices @ target_from_object[:3, :3].T + target_from_object[:3, 3])


def number(mesh: Mesh, instance: int) -> Mesh:
    """Return the mesh with all its triangles in one instance."""
    return replace(mesh, instance=np.full(len(mesh.faces), instance, np.int32))


def shift(mesh: Mesh, offset: Vector) -> Mesh:
    """Return the mesh moved by `offset` metres."""
    moved = np.eye(4)
    moved[:3, 3] = offset
    return place(mesh, moved)


def box(surface: Surface, size: Vector, at: Vector) -> Mesh:
    """Return an upright box of `size` (x, y, z) whose bottom is centred on `at`."""
    return frustum(surface, size[:2], size[:2], size[2], at)


def frustum(
    surface: Surface,
    bottom: tuple[float, float],
    top: tuple[float, float],
    height: float,
    at: Vector,
    *,
    lean: float = 0.0,
    top_surface: Surface | None = None,
) -> Mesh:
    """Return a box whose top is of another size than its bottom and `lean` metres further forward."""
    x = np.array([-0.5, 0.5, 0.5, -0.5])
    y = np.array([-0.5, -0.5, 0.5, 0.5])
    low = np.stack([x * bottom[0], y * bottom[1], np.zeros(4)], axis=1)
    high = np.stack([x * top[0] + lean, y * top[1], np.full(4, height)], axis=1)
    vertices = np.concatenate([low, high]) + np.asarray(at)
    sides = [[i, (i + 1) % 4, 4 + (i + 1) % 4, 4 + i] for i in range(4)]
    walls = cover(surface, vertices, _split(np.array([*sides, [3, 2, 1, 0]])))
    lid = cover(top_surface or surface, vertices[4:], _split(np.array([[0, 1, 2, 3]])))
    return merge([walls, lid])


def cylinder(surface: Surface, radius: float, height: float, at: Vector, *, top_radius: float | None = None) -> Mesh:
    """Return an upright cylinder, or a cone where `top_radius` differs; the bottom is centred on `at`."""
    circle, faces = _unit_cylinder(10 if radius < 0.2 else 14)
    half = len(circle) // 2
    scale = np.full((len(circle), 3), radius)
    scale[half:] = radius if top_radius is None else top_radius
    scale[:, 2] = height
    return cover(surface, circle * scale + np.asarray(at), faces)


def wheel(surface: Surface, radius: float, width: float, at: Vector) -> Mesh:
    """Return a cylinder about the y axis centred on `at`."""
    circle, faces = _unit_cylinder(12)
    turned = np.stack([circle[:, 0] * radius, (circle[:, 2] - 0.5) * width, circle[:, 1] * radius], axis=1)
    return cover(surface, turned + np.asarray(at), faces)


def ring(surface: Surface, radius: float, thickness: float, at: Vector) -> Mesh:
    """Return a torus about the y axis centred on `at`: a tyre that one can look through."""
    vertices, faces = _unit_ring()
    angle, along, across = vertices.T
    reach = radius + thickness * across
    turned = np.stack([reach * np.cos(angle), thickness * along, reach * np.sin(angle)], axis=1)
    return cover(surface, turned + np.asarray(at), faces)


def tube(surface: Surface, start: Vector, end: Vector, radius: float) -> Mesh:
    """Return a square bar from `start` to `end`."""
    first, last = np.asarray(start, float), np.asarray(end, float)
    x, y, z = ((last - first) / max(float(np.linalg.norm(last - first)), 1e-6)).tolist()
    sx, sy, sz = (-z, 0.0, x) if abs(y) < 0.9 else (0.0, z, -y)  # axis x (0, 1, 0) or axis x (1, 0, 0)
    length = math.sqrt(sx * sx + sy * sy + sz * sz)
    sx, sy, sz = sx / length, sy / length, sz / length
    side, up = np.array([sx, sy, sz]), np.array([y * sz - z * sy, z * sx - x * sz, x * sy - y * sx])
    rim = radius * np.array([side, up, -side, -up])
    vertices = np.concatenate([first + rim, last + rim])
    quads_ = [[i, (i + 1) % 4, 4 + (i + 1) % 4, 4 + i] for i in range(4)] + [[3, 2, 1, 0], [4, 5, 6, 7]]
    return cover(surface, vertices, _split(np.array(quads_)))


def ball(
    surface: Surface, radii: Vector, at: Vector, *, rng: np.random.Generator | None = None, rough: float = 0.0
) -> Mesh:
    """Return an ellipsoid centred on `at`; `rough` moves its vertices in and out by that share, at random."""
    vertices, faces = _unit_ball(1 if max(radii) < 1.2 else 2)
    if rng is not None and rough > 0:
        vertices = vertices * rng.uniform(1 - rough, 1 + rough, (len(vertices), 1))
    return cover(surface, vertices * np.asarray(radii) + np.asarray(at), faces)


def quads(surface: Surface, corners: ArrayLike) -> Mesh:
    """Return flat quadrilaterals, corners (K, 4, 3) in order round each."""
    vertices = np.asarray(corners, dtype=np.float64).reshape(-1, 3)
    return cover(surface, vertices, _split(np.arange(len(vertices)).reshape(-1, 4)))


def prism(surface: Surface, outline: Sequence[tuple[float, float]], length: float, at: Vector) -> Mesh:
    """Return a convex outline of (y, z) corners drawn out along x and centred on `at`."""
    count = len(outline)
    section = np.asarray(outline, dtype=np.float64)
    ends = [np.column_stack([np.full(count, x), section]) for x in (-length / 2, length / 2)]
    sides = _split(np.array([[i, (i + 1) % count, count + (i + 1) % count, count + i] for i in range(count)]))
    fan = np.array([[0, i, i + 1] for i in range(1, count - 1)])
    return cover(surface, np.concatenate(ends) + np.asarray(at), np.concatenate([sides, fan, fan + count]))


def turn(yaw_rad: float, at: Vector = (0.0, 0.0, 0.0)) -> NDArray[np.float64]:
    """Return the (4, 4) transform that turns about z by `yaw_rad` and then moves to `at`."""
    cosine, sine = math.cos(yaw_rad), math.sin(yaw_rad)
    return np.array([[cosine, -sine, 0, at[0]], [sine, cosine, 0, at[1]], [0, 0, 1, at[2]], [0, 0, 0, 1]])


def _split(quadrilaterals: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([quadrilaterals[:, [0, 1, 2]], quadrilaterals[:, [0, 2, 3]]])


@cache
def _unit_cylinder(sections: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    angle = np.arange(sections) * 2 * math.pi / sections
    rim = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    low = np.column_stack([np.vstack([rim, [0, 0]]), np.zeros(sections + 1)])
    high = low + np.array([0.0, 0.0, 1.0])
    i, j, top = np.arange(sections), (np.arange(sections) + 1) % sections, sections + 1
    sides = _split(np.stack([i, j, j + top, i + top], axis=1))
    middle = np.full(sections, sections)
    lids = np.concatenate([np.stack([j, i, middle], 1), np.stack([i + top, j + top, middle + top], 1)])
    return np.concatenate([low, high]), np.concatenate([sides, lids])


@cache
def _unit_ball(subdivisions: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    try:
        import trimesh
    except ImportError as error:
        raise ConfigError("The simulated street needs trimesh: pip install 'ov3d_trainer[simulate]'.") from error
    sphere = trimesh.creation.icosphere(subdivisions=subdivisions)
    return np.asarray(sphere.vertices, dtype=np.float64), np.asarray(sphere.faces, dtype=np.int64)


@cache
def _unit_ring(sections: int = 14) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    angle = np.repeat(np.arange(sections) * 2 * math.pi / sections, 4)
    along = np.tile([1.0, 0.0, -1.0, 0.0], sections)
    across = np.tile([0.0, 1.0, 0.0, -1.0], sections)
    index = np.arange(4 * sections).reshape(sections, 4)
    after, beside = np.roll(index, -1, axis=0), np.roll(index, -1, axis=1)
    cells = np.stack([index, beside, np.roll(after, -1, axis=1), after], axis=-1).reshape(-1, 4)
    return np.stack([angle, along, across], axis=1), _split(cells)
