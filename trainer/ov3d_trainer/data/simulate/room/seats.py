"""What people sit on: chairs of several kinds, sofas, stools, benches."""

from __future__ import annotations

import math

import numpy as np

from ..mesh import Mesh, Surface, ball, box, cylinder, frustum, merge, place, tube, turn
from .piece import CLOTHS, WOODS, Piece, draw_surface, legs, level, metal, slab, tilt_forward


def chair(rng: np.random.Generator) -> Piece:
    """Return a dining chair: wooden with a slatted or a solid back, padded, or a plastic shell on thin legs."""
    depth, width = rng.uniform(0.40, 0.47), rng.uniform(0.40, 0.48)
    seat, top = rng.uniform(0.43, 0.48), rng.uniform(0.80, 1.0)
    style = int(rng.integers(4))
    if style == 3:
        return _shell_chair(rng, depth, width, seat)
    word, wood = draw_surface("chair", "wood", rng, WOODS)
    parts = [legs(wood, depth, width, seat, 0.04)]
    if style == 2:
        word, cushion = draw_surface("chair", "cloth", rng, CLOTHS)
        parts.append(slab(cushion, depth, width, 0.08, (0, 0, seat - 0.04)))
        parts.append(slab(cushion, 0.06, width, top - seat - 0.05, (-depth / 2 + 0.03, 0, seat + 0.05)))
        return Piece(kind="chair", mesh=merge(parts), color=word)
    parts.append(slab(wood, depth, width, 0.03, (0, 0, seat - 0.015)))
    back = -depth / 2 + 0.02
    if style == 0:
        posts = np.linspace(-width / 2 + 0.02, width / 2 - 0.02, int(rng.integers(4, 7)))
        parts += [slab(wood, 0.025, 0.03, top - seat, (back, y, seat)) for y in posts]
        parts.append(slab(wood, 0.03, width, 0.07, (back, 0, top - 0.07)))
    else:
        parts.append(slab(wood, 0.025, width, (top - seat) * 0.6, (back, 0, top - (top - seat) * 0.6)))
        parts += [slab(wood, 0.03, 0.04, top - seat, (back, side * (width / 2 - 0.02), seat)) for side in (-1, 1)]
    return Piece(kind="chair", mesh=merge(parts), color=word)


def _shell_chair(rng: np.random.Generator, depth: float, width: float, seat: float) -> Piece:
    word, shell = draw_surface("chair", "plastic", rng, CLOTHS)
    leg = metal("chair", rng)
    parts = [frustum(shell, (depth, width), (depth * 1.05, width * 1.05), 0.06, (0, 0, seat - 0.03))]
    back = frustum(shell, (0.04, width), (0.03, width * 0.85), 0.42, (0, 0, 0), lean=-0.08)
    parts.append(place(back, turn(0.0, (-depth / 2 + 0.02, 0, seat))))
    for i in (-1, 1):
        for j in (-1, 1):
            foot = (i * depth * 0.48, j * width * 0.48, 0.0)
            parts.append(tube(leg, foot, (i * depth * 0.3, j * width * 0.3, seat), 0.018))
    return Piece(kind="chair", mesh=merge(parts), color=word)


def office_chair(rng: np.random.Generator) -> Piece:
    """Return a swivel chair: star base on castors, column, padded seat and back, with or without arms."""
    word, cushion = draw_surface("office chair", "cloth", rng, {**CLOTHS, "black": 0.45})
    dark = Surface("office chair", "plastic", (38, 38, 42))
    seat, width = rng.uniform(0.44, 0.54), rng.uniform(0.44, 0.52)
    tall = rng.uniform(0.42, 0.75)
    parts = [cylinder(dark, 0.035, seat - 0.12, (0, 0, 0.08)), cylinder(dark, 0.07, 0.05, (0, 0, 0.07))]
    for angle in np.arange(5) * 2 * math.pi / 5:
        foot = (0.3 * math.cos(angle), 0.3 * math.sin(angle), 0.08)
        parts += [tube(dark, (0, 0, 0.11), foot, 0.025), ball(dark, (0.035, 0.035, 0.035), (foot[0], foot[1], 0.035))]
    parts.append(slab(cushion, 0.46, width, 0.09, (0.02, 0, seat - 0.05)))
    back = frustum(cushion, (0.07, width * 0.95), (0.05, width * 0.8), tall, (0, 0, 0), lean=-0.07)
    parts.append(place(back, turn(0.0, (-0.22, 0, seat + 0.1))))
    parts.append(tube(dark, (-0.12, 0, seat - 0.03), (-0.25, 0, seat + 0.2), 0.03))
    if rng.random() < 0.65:
        for side in (-1, 1):
            y = side * (width / 2 + 0.03)
            parts.append(slab(dark, 0.28, 0.06, 0.03, (0.0, y, seat + 0.2)))
            parts.append(tube(dark, (-0.04, y, seat - 0.02), (-0.04, y, seat + 0.2), 0.022))
    return Piece(kind="office chair", mesh=merge(parts), color=word)


def armchair(rng: np.random.Generator) -> Piece:
    """Return a padded chair with arms: a block on short feet, or one with wooden arms."""
    return _padded(rng, "armchair", rng.uniform(0.55, 0.68), seats=1)


def sofa(rng: np.random.Generator) -> Piece:
    """Return a sofa for two or three, at times with a part to put the legs on."""
    seats = int(rng.integers(2, 4))
    return _padded(rng, "sofa", seats * rng.uniform(0.58, 0.72), seats=seats)


def _padded(rng: np.random.Generator, kind: str, inner: float, *, seats: int) -> Piece:
    """Return an upholstered seat `inner` metres wide between its arms."""
    leather = rng.random() < 0.25
    shares = {"brown": 0.4, "black": 0.3, "white": 0.15, "red": 0.15} if leather else CLOTHS
    word, cover = draw_surface(kind, "leather" if leather else "cloth", rng, shares)
    foot = metal(kind, rng)
    depth, seat, top = rng.uniform(0.78, 0.95), rng.uniform(0.38, 0.45), rng.uniform(0.72, 0.95)
    arm, arm_top = rng.uniform(0.1, 0.22), rng.uniform(0.55, 0.66)
    low, width = rng.uniform(0.04, 0.14), inner + 2 * arm
    parts = [legs(foot, depth - 0.06, width - 0.06, low), slab(cover, depth, width, seat - 0.14 - low, (0, 0, low))]
    cushion = inner / seats
    for number in range(seats):
        y = (number - (seats - 1) / 2) * cushion
        parts.append(slab(cover, depth - 0.2, cushion - 0.015, 0.15, (0.1, y, seat - 0.14)))
        back = frustum(cover, (0.2, cushion - 0.015), (0.12, cushion - 0.02), top - seat, (0, 0, 0), lean=-0.06)
        parts.append(place(back, turn(0.0, (-depth / 2 + 0.26, y, seat))))
    parts.append(slab(cover, 0.16, width, top - low - 0.06, (-depth / 2 + 0.08, 0, low)))
    if rng.random() < 0.8:
        parts += [slab(cover, depth, arm, arm_top - low, (0, s * (inner + arm) / 2, low)) for s in (-1, 1)]
    else:
        parts += [_wooden_arm(rng, kind, depth, s * (inner + arm) / 2, arm_top) for s in (-1, 1)]
    if kind == "sofa" and rng.random() < 0.25:
        side = (1 if rng.random() < 0.5 else -1) * (inner - cushion) / 2
        parts.append(slab(cover, 0.7, cushion, seat - low, (depth / 2 + 0.35, side, low)))
    place_for_pillows = level(seat, depth - 0.4, inner)
    return Piece(kind=kind, mesh=merge(parts), color=word, tops=(place_for_pillows,))


def _wooden_arm(rng: np.random.Generator, kind: str, depth: float, y: float, top: float) -> Mesh:
    wood = draw_surface(kind, "wood", rng, {"brown": 0.6, "beige": 0.4})[1]
    posts = [box(wood, (0.05, 0.05, top - 0.03), (x, y, 0)) for x in (-depth * 0.3, depth * 0.4)]
    return merge([*posts, slab(wood, depth * 0.9, 0.07, 0.03, (0.02, y, top - 0.03))])


def stool(rng: np.random.Generator) -> Piece:
    """Return a round or square stool, low or at bar height."""
    height = rng.uniform(0.42, 0.5) if rng.random() < 0.6 else rng.uniform(0.62, 0.78)
    word, seat = draw_surface("stool", "wood", rng, {**WOODS, "red": 0.08, "yellow": 0.05})
    radius = rng.uniform(0.15, 0.19)
    leg = seat if rng.random() < 0.5 else metal("stool", rng)
    parts = []
    for angle in np.arange(4) * math.pi / 2 + math.pi / 4:
        x, y = math.cos(angle), math.sin(angle)
        parts.append(
            tube(leg, (radius * x * 1.05, radius * y * 1.05, 0), (radius * x * 0.6, radius * y * 0.6, height), 0.02)
        )
        following = angle + math.pi / 2
        step = height * 0.35
        ends = [(radius * 0.9 * math.cos(a), radius * 0.9 * math.sin(a), step) for a in (angle, following)]
        parts.append(tube(leg, ends[0], ends[1], 0.012))
    if rng.random() < 0.65:
        parts.append(cylinder(seat, radius, 0.04, (0, 0, height - 0.02)))
    else:
        parts.append(slab(seat, radius * 1.9, radius * 1.9, 0.04, (0, 0, height - 0.02)))
    return Piece(kind="stool", mesh=merge(parts), color=word)


def bench(rng: np.random.Generator) -> Piece:
    """Return a wooden bench without a back, or a padded one."""
    word, wood = draw_surface("bench", "wood", rng, WOODS)
    depth, width, height = rng.uniform(0.32, 0.42), rng.uniform(0.95, 1.5), rng.uniform(0.42, 0.48)
    parts = [slab(wood, depth, width, 0.05, (0, 0, height - 0.05))]
    parts += [slab(wood, depth - 0.04, 0.05, height - 0.05, (0, s * (width / 2 - 0.12), 0)) for s in (-1, 1)]
    parts.append(slab(wood, 0.04, width - 0.25, 0.08, (0, 0, height * 0.45)))
    if rng.random() < 0.35:
        cushion = draw_surface("bench", "cloth", rng, CLOTHS)[1]
        parts.append(slab(cushion, depth - 0.02, width - 0.04, 0.05, (0, 0, height)))
    return Piece(kind="bench", mesh=merge(parts), color=word)


def ottoman(rng: np.random.Generator) -> Piece:
    """Return a padded cube or drum to put the feet on."""
    word, cover = draw_surface("ottoman", "cloth", rng, CLOTHS)
    height = rng.uniform(0.34, 0.44)
    if rng.random() < 0.5:
        radius = rng.uniform(0.22, 0.3)
        body = cylinder(cover, radius, height * 0.8, (0, 0, 0), top_radius=radius * 1.05)
        lid = ball(cover, (radius, radius, height * 0.2), (0, 0, height * 0.8))
        return Piece(kind="ottoman", mesh=merge([body, lid]), color=word)
    depth, width = rng.uniform(0.42, 0.55), rng.uniform(0.42, 0.7)
    feet = legs(metal("ottoman", rng), depth - 0.04, width - 0.04, 0.06)
    return Piece(kind="ottoman", mesh=merge([feet, slab(cover, depth, width, height - 0.06, (0, 0, 0.06))]), color=word)


def pillow(rng: np.random.Generator, *, standing: bool = False) -> Piece:
    """Return a soft square cushion, or a longer one; `standing` leans it on what is behind it."""
    word, cover = draw_surface("pillow", "cloth", rng, CLOTHS if standing else {**CLOTHS, "white": 0.6})
    half = rng.uniform(0.19, 0.24)
    size = (half, half, 0.07) if standing else (half * 0.9, half * 1.5, 0.07)
    body = merge([ball(cover, size, (0, 0, 0.07)), slab(cover, size[0] * 1.7, size[1] * 1.7, 0.06, (0, 0, 0.04))])
    if standing:
        body = place(body, tilt_forward(-math.pi * 0.38, (0.0, 0.0, half * 0.85)))
    return Piece(kind="pillow", mesh=body, color=word)
