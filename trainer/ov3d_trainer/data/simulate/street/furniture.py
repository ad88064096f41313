"""What stands beside a street: trees, bushes, poles, signs, cones, barriers, fences and walls."""

from __future__ import annotations

import math

import numpy as np

from ..mesh import Color, Mesh, Surface, ball, box, cylinder, frustum, merge, place, quads, turn

_BARK: Color = (88, 68, 50)
_GALVANISED: Color = (140, 144, 148)


def vary(color: Color, rng: np.random.Generator, amount: int = 14) -> Color:
    """Return the colour with some random change in brightness and hue."""
    change = rng.integers(-amount, amount + 1) + rng.integers(-amount // 3, amount // 3 + 1, 3)
    red, green, blue = np.clip(np.array(color) + change, 0, 255)
    return int(red), int(green), int(blue)


def tree(rng: np.random.Generator, *, small: bool = False) -> Mesh:
    """Return a broad-leaved tree, a conifer or a poplar, 3 to 12 m tall."""
    height = rng.uniform(3.0, 5.5) if small else rng.uniform(5.0, 12.0)
    trunk = Surface("tree", "wood", vary(_BARK, rng))
    green = vary(((72, 112, 46), (92, 130, 58), (56, 96, 52), (130, 132, 52), (150, 96, 44))[_skewed(rng, 5)], rng)
    leaves = Surface("tree", "leaves", green)
    style = rng.random()
    if style < 0.2:
        parts = [cylinder(trunk, 0.05 + 0.018 * height, height * 0.3, (0, 0, -0.2))]
        for level in range(4):
            reach, base = height * 0.2 * (1 - 0.2 * level), height * (0.16 + 0.2 * level)
            parts.append(cylinder(leaves, reach, height * 0.3, (0, 0, base), top_radius=0.05))
        return merge(parts)
    bare = height * rng.uniform(0.25, 0.42)
    parts = [cylinder(trunk, 0.05 + 0.02 * height, bare + height * 0.2, (0, 0, -0.2), top_radius=0.03 + 0.012 * height)]
    crown = height - bare
    if style < 0.32:
        parts.append(
            ball(leaves, (crown * 0.18, crown * 0.18, crown * 0.55), (0, 0, bare + crown * 0.5), rng=rng, rough=0.12)
        )
        return merge(parts)
    reach = crown * rng.uniform(0.32, 0.48)
    for _ in range(int(rng.integers(3, 6))):
        angle, out = rng.uniform(0, 2 * math.pi), reach * rng.uniform(0.1, 0.5)
        radius = reach * rng.uniform(0.55, 0.85)
        at = (out * math.cos(angle), out * math.sin(angle), bare + crown * rng.uniform(0.35, 0.7))
        shade = Surface("tree", "leaves", vary(green, rng, 10))
        parts.append(ball(shade, (radius, radius, radius * rng.uniform(0.7, 0.95)), at, rng=rng, rough=0.14))
    return merge(parts)


def bush(rng: np.random.Generator) -> Mesh:
    """Return a round bush 0.5 to 1.6 m tall."""
    size = rng.uniform(0.35, 0.9)
    green = vary(((64, 104, 44), (84, 120, 60), (50, 84, 46))[int(rng.integers(3))], rng)
    parts = []
    for _ in range(int(rng.integers(2, 4))):
        x, y = rng.uniform(-0.6, 0.6, 2) * size
        leaves = Surface("bush", "leaves", vary(green, rng, 8))
        radius = size * rng.uniform(0.7, 1.0)
        parts.append(ball(leaves, (radius, radius, radius * 0.9), (x, y, radius * 0.6), rng=rng, rough=0.15))
    return merge(parts)


def hedge(rng: np.random.Generator, length: float) -> Mesh:
    """Return a cut hedge along x."""
    leaves = Surface("bush", "leaves", vary((58, 96, 46), rng))
    height, depth = rng.uniform(0.7, 1.7), rng.uniform(0.5, 0.9)
    return frustum(leaves, (length, depth), (length, depth * 0.85), height, (0, 0, -0.05))


def street_lamp(rng: np.random.Generator) -> Mesh:
    """Return a lamp post whose arm reaches along +y."""
    post = Surface("pole", "metal", vary(_GALVANISED if rng.random() < 0.6 else (58, 62, 60), rng))
    height, arm = rng.uniform(5.0, 8.5), rng.uniform(0.6, 2.0)
    return merge(
        [
            cylinder(post, 0.1, height, (0, 0, -0.1), top_radius=0.06),
            box(post, (0.08, arm, 0.08), (0, arm / 2, height - 0.2)),
            box(post, (0.24, 0.5, 0.1), (0, arm, height - 0.26)),
        ]
    )


def post(rng: np.random.Generator) -> Mesh:
    """Return a bare pole: bollard, parking-meter post or telegraph pole."""
    style = rng.random()
    if style < 0.35:
        return cylinder(Surface("pole", "metal", (60, 62, 66)), 0.08, rng.uniform(0.85, 1.1), (0, 0, 0))
    if style < 0.7:
        wood = Surface("pole", "wood", (104, 84, 62))
        height = rng.uniform(6.5, 9.0)
        return merge([cylinder(wood, 0.14, height, (0, 0, -0.1)), box(wood, (0.1, 1.6, 0.12), (0, 0, height - 0.8))])
    return cylinder(Surface("pole", "metal", _GALVANISED), 0.06, rng.uniform(2.5, 4.5), (0, 0, 0))


def traffic_sign(rng: np.random.Generator) -> Mesh:
    """Return one or two retro-reflecting plates on a pole; they face -x, towards traffic that drives along +x."""
    height = rng.uniform(2.3, 3.2)
    parts = [cylinder(Surface("pole", "metal", _GALVANISED), 0.04, height + 0.35, (0, 0, 0))]
    for level in range(1 + int(rng.random() < 0.3)):
        style = int(rng.integers(5))
        sides, color, size = (
            (8, (180, 24, 28), 0.42),
            (24, (28, 70, 160), 0.36),
            (4, (230, 190, 40), 0.48),
            (3, (205, 40, 40), 0.46),
            (24, (228, 228, 228), 0.36),
        )[style]
        middle = height - 0.75 * level
        parts.append(_plate(Surface("traffic sign", "reflector", color), sides, size, (-0.06, 0, middle)))
        parts.append(
            _plate(Surface("traffic sign", "reflector", (235, 235, 235)), sides, size * 0.72, (-0.075, 0, middle))
        )
        parts.append(_plate(Surface("traffic sign", "metal", (150, 150, 150)), sides, size, (-0.045, 0, middle)))
    return merge(parts)


def traffic_cone(rng: np.random.Generator) -> Mesh:
    """Return an orange cone with a white band."""
    height = rng.uniform(0.5, 0.95)
    orange, white = (
        Surface("traffic cone", "plastic", (232, 92, 26)),
        Surface("traffic cone", "reflector", (240, 240, 235)),
    )
    radius = 0.17 * height / 0.7
    return merge(
        [
            box(orange, (2.4 * radius, 2.4 * radius, 0.05), (0, 0, 0)),
            cylinder(orange, radius, height, (0, 0, 0), top_radius=0.03),
            cylinder(white, radius * 0.68, height * 0.22, (0, 0, height * 0.4), top_radius=radius * 0.48),
        ]
    )


def barrier(rng: np.random.Generator, *, style: str) -> Mesh:
    """Return one element of a barrier along x: `jersey` (concrete, 3 m) or `panel` (red and white boards, 2 m)."""
    if style == "jersey":
        stone = Surface("barrier", "concrete", vary((172, 170, 164), rng))
        return merge(
            [
                frustum(stone, (3.0, 0.6), (3.0, 0.26), 0.38, (0, 0, 0)),
                frustum(stone, (3.0, 0.26), (3.0, 0.16), 0.45, (0, 0, 0.38)),
            ]
        )
    red, white = Surface("barrier", "plastic", (205, 50, 40)), Surface("barrier", "plastic", (236, 236, 230))
    boards = [
        box(red if (i + row) % 2 else white, (0.4, 0.06, 0.26), (-0.8 + 0.4 * i, 0, 0.42 + 0.34 * row))
        for i in range(5)
        for row in range(2)
    ]
    feet = [box(red, (0.12, 0.5, 0.1), (x, 0, 0)) for x in (-0.8, 0.8)]
    legs = [box(white, (0.08, 0.06, 0.9), (x, 0, 0.1)) for x in (-0.8, 0.8)]
    return merge([*boards, *feet, *legs])


def fence(rng: np.random.Generator, length: float) -> Mesh:
    """Return a picket or rail fence along x."""
    height = rng.uniform(0.9, 1.8)
    color = ((214, 210, 200), (120, 92, 64), (70, 74, 76))[int(rng.integers(3))]
    wood = Surface("fence", "wood", vary(color, rng))
    rails = [box(wood, (length, 0.05, 0.09), (0, 0, height * share)) for share in (0.25, 0.8)]
    posts = [
        box(wood, (0.1, 0.1, height + 0.1), (float(x), 0, 0)) for x in np.arange(-length / 2, length / 2 + 0.1, 2.5)
    ]
    left = np.arange(-length / 2, length / 2, 0.2)
    right, zeros = left + 0.11, np.full(len(left), 0.04)
    low, high = np.full(len(left), 0.08), np.full(len(left), height)
    pickets = np.stack(
        [
            np.stack(c, axis=1)
            for c in ((left, zeros, low), (right, zeros, low), (right, zeros, high), (left, zeros, high))
        ],
        axis=1,
    )
    return merge([*rails, *posts, quads(wood, pickets)])


def wall(rng: np.random.Generator, length: float) -> Mesh:
    """Return a free-standing wall along x, 0.8 to 2.4 m tall."""
    color = ((168, 160, 148), (150, 92, 72), (190, 184, 172), (120, 118, 114))[int(rng.integers(4))]
    stone = Surface("wall", "concrete", vary(color, rng))
    cap = Surface("wall", "concrete", vary((150, 148, 142), rng))
    height = rng.uniform(0.8, 2.4)
    return merge(
        [box(stone, (length, 0.25, height + 0.3), (0, 0, -0.3)), box(cap, (length, 0.34, 0.1), (0, 0, height))]
    )


def _plate(surface: Surface, sides: int, radius: float, at: tuple[float, float, float]) -> Mesh:
    start = math.pi / 2 if sides % 2 else (math.pi / sides if sides == 8 else math.pi / 4 * (sides == 4))
    angle = start + np.arange(sides) * 2 * math.pi / sides
    rim = np.stack([np.full(sides, at[0]), at[1] + radius * np.cos(angle), at[2] + radius * np.sin(angle)], axis=1)
    middle = np.tile(np.asarray(at, dtype=float), (sides, 1))
    half = (rim + np.roll(rim, -1, axis=0)) / 2
    return quads(surface, np.stack([middle, rim, half, np.roll(rim, -1, axis=0)], axis=1))


def _skewed(rng: np.random.Generator, count: int) -> int:
    """Return an index that is small more often than large."""
    return int(count * rng.random() ** 1.8)


def facing(mesh: Mesh, yaw_rad: float) -> Mesh:
    """Return the mesh turned about its own z axis."""
    return place(mesh, turn(yaw_rad))
