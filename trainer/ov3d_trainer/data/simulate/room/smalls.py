"""Small things that stand on furniture or on the floor."""

from __future__ import annotations

import math

import numpy as np

from ..colors import draw_color, tint, vary
from ..mesh import Mesh, Surface, ball, box, cylinder, frustum, merge, place, quads, tube, turn
from .piece import APPLIANCES, BRIGHTS, CLOTHS, WOODS, Piece, draw_surface, metal, slab


def book_row(rng: np.random.Generator, depth: float, width: float, height: float, low: float) -> Mesh:
    """Return standing books in a row about the middle, all of kind "book", their feet at `low`."""
    parts: list[Mesh] = []
    y = -width / 2
    while y < width / 2 - 0.02:
        thick = rng.uniform(0.018, 0.055)
        tall, deep = height * rng.uniform(0.6, 0.98), depth * rng.uniform(0.7, 0.95)
        color = draw_color(rng, BRIGHTS)[1]
        parts.append(slab(Surface("book", "paper", color), deep, thick, tall, (0.0, y + thick / 2, low)))
        y += thick + (rng.uniform(0.05, 0.15) if rng.random() < 0.06 else 0.001)
    return merge(parts)


def books(rng: np.random.Generator) -> Piece:
    """Return one lying book or a small stack."""
    word, z, parts = "", 0.0, []
    count = int(rng.integers(1, 6))
    for _ in range(count):
        word, cover = draw_surface("book", "paper", rng, BRIGHTS)
        thick = rng.uniform(0.02, 0.045)
        lying = slab(cover, rng.uniform(0.2, 0.28), rng.uniform(0.15, 0.2), thick, (0, 0, 0))
        parts.append(place(lying, turn(rng.uniform(-0.3, 0.3), (0, 0, z))))
        z += thick
    return Piece(kind="book", mesh=merge(parts), color=word if count == 1 else "")


def potted_plant(rng: np.random.Generator, *, small: bool = False) -> Piece:
    """Return a plant in a pot: bushy, with long upright leaves, or with hanging ones."""
    kind, scale = "potted plant", rng.uniform(0.35, 0.5) if small else rng.uniform(0.8, 1.3)
    pots = {"brown": 0.35, "white": 0.3, "grey": 0.15, "black": 0.1, "blue": 0.1}
    pot = draw_surface(kind, "ceramic", rng, pots)[1]
    radius, tall = 0.17 * scale, 0.3 * scale
    parts = [cylinder(pot, radius * 0.75, tall, (0, 0, 0), top_radius=radius)]
    green = Surface(kind, "leaves", vary((58, 112, 48), rng, 22))
    if rng.random() < 0.5:
        stem = Surface(kind, "bark", (96, 78, 54))
        parts.append(tube(stem, (0, 0, tall), (0, 0, tall + 0.35 * scale), 0.02 * scale))
        for _ in range(7):
            at = rng.uniform(-0.2, 0.2, 3) * scale + [0, 0, tall + 0.45 * scale]
            size = rng.uniform(0.1, 0.2) * scale
            parts.append(ball(green, (size, size, size * 0.8), tuple(at.tolist()), rng=rng, rough=0.3))
    else:
        for angle in np.arange(11) * 2 * math.pi / 11 + rng.uniform(0, 1):
            reach, high = rng.uniform(0.15, 0.45) * scale, rng.uniform(0.35, 0.8) * scale
            x, y, wide = reach * math.cos(angle), reach * math.sin(angle), 0.05 * scale
            across = np.array([-math.sin(angle), math.cos(angle), 0]) * wide
            middle, end = np.array([x * 0.5, y * 0.5, tall + high]), np.array([x, y, tall + high * 0.8])
            root = np.array([0, 0, tall])
            parts.append(quads(green, [[root - across * 0.4, root + across * 0.4, middle + across, middle - across]]))
            parts.append(quads(green, [[middle - across, middle + across, end + across * 0.1, end - across * 0.1]]))
    return Piece(kind=kind, mesh=merge(parts), color="")


def small_plant(rng: np.random.Generator) -> Piece:
    """Return a potted plant for a table or a window sill."""
    return potted_plant(rng, small=True)


def trash_can(rng: np.random.Generator) -> Piece:
    """Return a waste bin of a room: a round or square pail, or one with a pedal and a lid."""
    kind, radius, height = "trash can", rng.uniform(0.12, 0.18), rng.uniform(0.28, 0.5)
    word, skin = draw_surface(
        kind, "plastic", rng, {"black": 0.3, "grey": 0.2, "white": 0.18, "silver": 0.12, "blue": 0.1, "red": 0.1}
    )
    dark = Surface(kind, "plastic", (40, 40, 42))
    if rng.random() < 0.4:
        body = cylinder(skin, radius, height, (0, 0, 0))
        lid = ball(dark, (radius, radius, 0.05), (0, 0, height))
        pedal = slab(dark, 0.06, 0.08, 0.02, (radius + 0.02, 0, 0.01))
        return Piece(kind=kind, mesh=merge([body, lid, pedal]), color=word)
    if rng.random() < 0.5:
        parts = [cylinder(skin, radius * 0.8, height, (0, 0, 0), top_radius=radius)]
        parts.append(cylinder(dark, radius * 0.9, 0.004, (0, 0, height)))
    else:
        side = radius * 1.8
        parts = [frustum(skin, (side * 0.75, side * 0.85), (side, side * 1.1), height, (0, 0, 0), top_surface=dark)]
    return Piece(kind=kind, mesh=merge(parts), color=word)


def backpack(rng: np.random.Generator) -> Piece:
    """Return a backpack standing on the floor, with a front pocket and straps."""
    word, cloth = draw_surface("backpack", "cloth", rng, {**CLOTHS, "black": 0.25})
    high, wide, deep = rng.uniform(0.4, 0.52), rng.uniform(0.28, 0.34), rng.uniform(0.16, 0.22)
    dark = Surface("backpack", "cloth", tuple(int(value * 0.6) for value in cloth.color))  # type: ignore[arg-type]
    parts = [
        frustum(cloth, (deep, wide), (deep * 0.7, wide * 0.85), high * 0.85, (0, 0, 0)),
        ball(cloth, (deep * 0.38, wide * 0.43, high * 0.16), (0, 0, high * 0.85)),
        frustum(dark, (deep * 0.5, wide * 0.8), (deep * 0.35, wide * 0.75), high * 0.42, (deep * 0.45, 0, 0.02)),
        tube(dark, (0, -0.04, high * 0.97), (0, 0.04, high * 0.97), 0.012),
    ]
    parts += [tube(dark, (-deep * 0.5, s * 0.09, 0.08), (-deep * 0.42, s * 0.06, high * 0.8), 0.02) for s in (-1, 1)]
    return Piece(kind="backpack", mesh=merge(parts), color=word)


def suitcase(rng: np.random.Generator) -> Piece:
    """Return a suitcase on wheels with its handle out or in."""
    word, shell = draw_surface("suitcase", "plastic", rng, {**BRIGHTS, "grey": 0.15, "black": 0.25})
    high, wide, deep = rng.uniform(0.5, 0.7), rng.uniform(0.36, 0.48), rng.uniform(0.2, 0.28)
    dark = Surface("suitcase", "plastic", (36, 36, 38))
    parts = [slab(shell, deep, wide, high, (0, 0, 0.05)), slab(dark, deep + 0.006, 0.02, high, (0, 0, 0.05))]
    parts += [slab(shell, deep + 0.012, 0.03, high * 0.9, (0, y * wide, 0.08)) for y in (-0.35, -0.17, 0.17, 0.35)]
    parts += [
        ball(dark, (0.025, 0.025, 0.025), (i * deep * 0.4, j * wide * 0.4, 0.025)) for i in (-1, 1) for j in (-1, 1)
    ]
    grip = high + 0.05 + (0.35 if rng.random() < 0.5 else 0.04)
    bar = metal("suitcase", rng)
    parts += [tube(bar, (-deep * 0.3, s * 0.1, high), (-deep * 0.3, s * 0.1, grip), 0.01) for s in (-1, 1)]
    parts.append(tube(dark, (-deep * 0.3, -0.11, grip), (-deep * 0.3, 0.11, grip), 0.015))
    return Piece(kind="suitcase", mesh=merge(parts), color=word)


def clothes(rng: np.random.Generator) -> Piece:
    """Return a heap of clothes."""
    word, parts = "", []
    for number in range(int(rng.integers(2, 5))):
        word, cloth = draw_surface("clothes", "cloth", rng, CLOTHS)
        size = (rng.uniform(0.12, 0.2), rng.uniform(0.14, 0.24), rng.uniform(0.03, 0.07))
        at = (rng.uniform(-0.1, 0.1), rng.uniform(-0.12, 0.12), 0.04 + 0.04 * number)
        parts.append(ball(cloth, size, at, rng=rng, rough=0.25))
    return Piece(kind="clothes", mesh=merge(parts), color=word)


def shoes(rng: np.random.Generator) -> Piece:
    """Return a pair of shoes or boots side by side."""
    word, leather = draw_surface(
        "shoe", "leather", rng, {"black": 0.35, "brown": 0.25, "white": 0.2, "red": 0.1, "blue": 0.1}
    )
    sole = Surface("shoe", "rubber", (220, 216, 208) if rng.random() < 0.4 else (40, 36, 34))
    shaft = rng.uniform(0.08, 0.12) if rng.random() < 0.75 else rng.uniform(0.2, 0.3)
    parts: list[Mesh] = []
    for side in (-1, 1):
        y = side * 0.06
        parts.append(slab(sole, 0.28, 0.095, 0.025, (0, y, 0)))
        parts.append(frustum(leather, (0.16, 0.09), (0.06, 0.07), 0.06, (0.055, y, 0.025), lean=-0.04))
        parts.append(frustum(leather, (0.12, 0.09), (0.1, 0.08), shaft, (-0.075, y, 0.025)))
    return Piece(kind="shoe", mesh=merge(parts), color=word)


def vase(rng: np.random.Generator) -> Piece:
    """Return a vase, with or without flowers."""
    word, clay = draw_surface("vase", "ceramic", rng, {**BRIGHTS, "white": 0.3})
    radius, height = rng.uniform(0.05, 0.09), rng.uniform(0.18, 0.34)
    parts = [
        cylinder(clay, radius * 0.6, height * 0.45, (0, 0, 0), top_radius=radius),
        cylinder(clay, radius, height * 0.35, (0, 0, height * 0.45), top_radius=radius * 0.45),
        cylinder(clay, radius * 0.45, height * 0.2, (0, 0, height * 0.8), top_radius=radius * 0.65),
    ]
    if rng.random() < 0.45:
        stalk = Surface("vase", "leaves", (70, 120, 60))
        flower = Surface("vase", "leaves", draw_color(rng, {"red": 1, "yellow": 1, "pink": 1, "white": 1})[1])
        for _ in range(5):
            x, y = rng.uniform(-0.1, 0.1, 2)
            top = height + rng.uniform(0.12, 0.25)
            parts.append(tube(stalk, (0, 0, height), (x, y, top), 0.006))
            parts.append(ball(flower, (0.035, 0.035, 0.03), (x, y, top)))
    return Piece(kind="vase", mesh=merge(parts), color=word)


def bottle(rng: np.random.Generator) -> Piece:
    """Return a bottle of glass or plastic."""
    word, skin = draw_surface("bottle", "plastic", rng, {"green": 0.4, "brown": 0.2, "white": 0.2, "blue": 0.2})
    radius, height = rng.uniform(0.032, 0.045), rng.uniform(0.22, 0.33)
    label = Surface("bottle", "paper", draw_color(rng, BRIGHTS)[1])
    parts = [
        cylinder(skin, radius, height * 0.6, (0, 0, 0)),
        cylinder(label, radius * 1.02, height * 0.25, (0, 0, height * 0.18)),
        cylinder(skin, radius, height * 0.15, (0, 0, height * 0.6), top_radius=radius * 0.35),
        cylinder(skin, radius * 0.35, height * 0.25, (0, 0, height * 0.75)),
    ]
    return Piece(kind="bottle", mesh=merge(parts), color=word)


def cup(rng: np.random.Generator) -> Piece:
    """Return a mug with a handle."""
    word, clay = draw_surface("cup", "ceramic", rng, BRIGHTS)
    radius, height = rng.uniform(0.038, 0.05), rng.uniform(0.08, 0.11)
    coffee = Surface("cup", "ceramic", (52, 34, 22))
    parts = [
        cylinder(clay, radius * 0.9, height, (0, 0, 0), top_radius=radius),
        cylinder(coffee, radius * 0.85, 0.002, (0, 0, height)),
        slab(clay, 0.02, 0.012, height * 0.6, (radius + 0.02, 0, height * 0.2)),
    ]
    return Piece(kind="cup", mesh=merge(parts), color=word)


def bowl(rng: np.random.Generator) -> Piece:
    """Return a bowl, empty or full of fruit."""
    word, clay = draw_surface("bowl", "ceramic", rng, BRIGHTS)
    radius, height = rng.uniform(0.1, 0.16), rng.uniform(0.06, 0.1)
    parts = [cylinder(clay, radius * 0.5, height, (0, 0, 0), top_radius=radius)]
    if rng.random() < 0.6:
        for _ in range(6):
            fruit = Surface("bowl", "skin", tint(("red", "orange", "green", "yellow")[int(rng.integers(4))], rng))
            x, y = rng.uniform(-0.5, 0.5, 2) * radius
            parts.append(ball(fruit, (0.038, 0.038, 0.036), (x, y, height + 0.015)))
    return Piece(kind="bowl", mesh=merge(parts), color=word)


def kettle(rng: np.random.Generator) -> Piece:
    """Return an electric kettle."""
    word, skin = draw_surface("kettle", "metal", rng, APPLIANCES)
    dark = Surface("kettle", "plastic", (34, 34, 36))
    parts = [
        cylinder(dark, 0.085, 0.02, (0, 0, 0)),
        cylinder(skin, 0.085, 0.17, (0, 0, 0.02), top_radius=0.06),
        ball(dark, (0.06, 0.06, 0.025), (0, 0, 0.19)),
        frustum(skin, (0.05, 0.03), (0.03, 0.02), 0.05, (0.075, 0, 0.13), lean=0.03),
        tube(dark, (-0.06, 0, 0.19), (-0.13, 0, 0.15), 0.012),
        tube(dark, (-0.13, 0, 0.15), (-0.1, 0, 0.04), 0.012),
    ]
    return Piece(kind="kettle", mesh=merge(parts), color=word)


def toaster(rng: np.random.Generator) -> Piece:
    """Return a toaster with two slots."""
    word, skin = draw_surface("toaster", "metal", rng, {**APPLIANCES, "red": 0.15})
    dark = Surface("toaster", "plastic", (30, 30, 32))
    parts = [box(skin, (0.17, 0.28, 0.18), (0, 0, 0.01)), box(dark, (0.16, 0.27, 0.012), (0, 0, 0))]
    parts += [box(dark, (0.03, 0.22, 0.004), (x, 0, 0.188)) for x in (-0.035, 0.035)]
    parts.append(box(dark, (0.04, 0.025, 0.02), (0, 0.15, 0.12)))
    return Piece(kind="toaster", mesh=merge(parts), color=word)


def coat_rack(rng: np.random.Generator) -> Piece:
    """Return a stand with hooks, and one or two coats on it."""
    word, wood = draw_surface("coat rack", "wood", rng, WOODS)
    height = rng.uniform(1.65, 1.85)
    parts = [cylinder(wood, 0.025, height, (0, 0, 0)), cylinder(wood, 0.2, 0.03, (0, 0, 0))]
    for angle in np.arange(5) * 2 * math.pi / 5:
        x, y = math.cos(angle), math.sin(angle)
        parts.append(tube(wood, (0, 0, height - 0.12), (0.16 * x, 0.16 * y, height - 0.02), 0.012))
    holds = []
    for number in range(int(rng.integers(0, 3))):
        color, cloth = draw_surface("clothes", "cloth", rng, CLOTHS)
        coat = frustum(cloth, (0.22, 0.4), (0.1, 0.24), rng.uniform(0.6, 0.9), (0.14, 0, 0))
        hung = place(coat, turn(number * 2.5, (0, 0, height - 0.15 - float(coat.vertices[:, 2].max()))))
        holds.append(Piece(kind="clothes", mesh=hung, color=color))
    return Piece(kind="coat rack", mesh=merge(parts), color=word, holds=tuple(holds))


def ironing_board(rng: np.random.Generator) -> Piece:
    """Return an ironing board on crossed legs."""
    word, cloth = draw_surface("ironing board", "cloth", rng, CLOTHS)
    bar, height = metal("ironing board", rng), rng.uniform(0.8, 0.92)
    parts = [
        slab(cloth, 0.36, 0.9, 0.03, (0, 0, height)),
        frustum(cloth, (0.36, 0.36), (0.36, 0.36), 0.03, (0, 0.45, height)),
    ]
    parts += [tube(bar, (x, -0.45, 0), (x, 0.35, height), 0.014) for x in (-0.12, 0.12)]
    parts += [tube(bar, (x, 0.45, 0), (x, -0.35, height), 0.014) for x in (-0.08, 0.08)]
    parts += [tube(bar, (-0.2, y, 0.015), (0.2, y, 0.015), 0.014) for y in (-0.45, 0.45)]
    return Piece(kind="ironing board", mesh=merge(parts), color=word)


def folded_towels(rng: np.random.Generator) -> Piece:
    """Return a small pile of folded towels."""
    word, cloth = draw_surface("towel", "cloth", rng, CLOTHS)
    parts = [slab(cloth, 0.26, 0.36, 0.05, (0, 0, 0.055 * number)) for number in range(int(rng.integers(1, 4)))]
    return Piece(kind="towel", mesh=merge(parts), color=word)
