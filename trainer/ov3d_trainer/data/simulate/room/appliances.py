"""Electrical things: screens, computers, lamps, fans, and those of the kitchen and the laundry."""

from __future__ import annotations

import math

import numpy as np

from ..colors import draw_color, vary
from ..mesh import Mesh, Surface, ball, cylinder, frustum, merge, place, shift, tube
from .piece import APPLIANCES, CLOTHS, Piece, Top, draw_surface, fronts, level, metal, rod_x, slab, tilt_forward

_DARK = (32, 33, 36)


def _screen(kind: str, rng: np.random.Generator, width: float, height: float, *, thick: float = 0.04) -> Mesh:
    """Return a flat screen standing on z = 0 and facing x, dark or showing something."""
    case = Surface(kind, "plastic", _DARK if rng.random() < 0.8 else (196, 198, 200))
    parts = [slab(case, thick, width, height, (0, 0, 0))]
    lit = rng.random() < 0.5
    back = vary((70, 110, 170) if rng.random() < 0.6 else (200, 204, 208), rng, 24) if lit else (16, 18, 22)
    parts.append(slab(Surface(kind, "screen", back), 0.006, width - 0.03, height - 0.03, (thick / 2, 0, 0.015)))
    if lit:
        for _ in range(4):
            patch = Surface(kind, "screen", vary(draw_color(rng, CLOTHS)[1], rng, 30))
            wide, tall = rng.uniform(0.1, 0.4) * width, rng.uniform(0.1, 0.3) * height
            y, z = rng.uniform(-0.28, 0.28) * width, rng.uniform(0.1, 0.6) * height
            parts.append(slab(patch, 0.008, wide, tall, (thick / 2 + 0.001, y, z)))
    return merge(parts)


def tv(rng: np.random.Generator, *, hung: bool = False) -> Piece:
    """Return a television on feet; `hung` has its back at x = 0 and no feet."""
    width = rng.uniform(0.9, 1.5)
    height = width * 0.57
    screen = _screen("tv", rng, width, height, thick=0.05)
    if hung:
        return Piece(kind="tv", mesh=shift(screen, (0.06, 0, 0)), color="black")
    foot = Surface("tv", "plastic", _DARK)
    parts = [shift(screen, (0, 0, 0.07))]
    parts += [slab(foot, 0.24, 0.03, 0.02, (0, s * width * 0.3, 0)) for s in (-1, 1)]
    parts += [slab(foot, 0.03, 0.03, 0.08, (0, s * width * 0.3, 0)) for s in (-1, 1)]
    return Piece(kind="tv", mesh=merge(parts), color="black")


def monitor(rng: np.random.Generator) -> Piece:
    """Return a computer monitor on its foot."""
    width, height = rng.uniform(0.45, 0.72), rng.uniform(0.28, 0.38)
    foot = Surface("monitor", "plastic", _DARK)
    parts = [
        shift(_screen("monitor", rng, width, height), (0.02, 0, 0.12)),
        slab(foot, 0.2, 0.24, 0.015, (-0.02, 0, 0)),
        slab(foot, 0.03, 0.06, 0.3, (-0.03, 0, 0)),
    ]
    return Piece(kind="monitor", mesh=merge(parts), color="")


def keyboard(rng: np.random.Generator) -> Piece:
    """Return a keyboard, its front towards x."""
    word, case = draw_surface("keyboard", "plastic", rng, {"black": 0.6, "white": 0.25, "grey": 0.15})
    keys = Surface("keyboard", "plastic", tuple(255 - value // 2 if value < 80 else value - 40 for value in case.color))  # type: ignore[arg-type]
    width = rng.uniform(0.32, 0.45)
    parts = [slab(case, 0.15, width, 0.02, (0, 0, 0))]
    parts += [slab(keys, 0.02, width - 0.03, 0.008, (x, 0, 0.018)) for x in (-0.05, -0.022, 0.006, 0.034, 0.06)]
    return Piece(kind="keyboard", mesh=merge(parts), color=word)


def laptop(rng: np.random.Generator) -> Piece:
    """Return an open laptop, its keys towards x."""
    word, case = draw_surface("laptop", "metal", rng, {"silver": 0.45, "grey": 0.2, "black": 0.35})
    keys = Surface("laptop", "plastic", (44, 45, 48))
    lid = place(_screen("laptop", rng, 0.34, 0.23, thick=0.01), tilt_forward(-0.25, (-0.12, 0, 0.015)))
    parts = [slab(case, 0.24, 0.34, 0.018, (0, 0, 0)), slab(keys, 0.1, 0.3, 0.003, (-0.04, 0, 0.018)), lid]
    return Piece(kind="laptop", mesh=merge(parts), color=word)


def computer_tower(rng: np.random.Generator) -> Piece:
    """Return the case of a desktop computer."""
    word, case = draw_surface("computer tower", "metal", rng, {"black": 0.65, "silver": 0.15, "white": 0.2})
    trim = Surface("computer tower", "plastic", (70, 72, 76))
    depth, width, height = rng.uniform(0.38, 0.48), rng.uniform(0.17, 0.22), rng.uniform(0.36, 0.48)
    parts = [slab(case, depth, width, height, (0, 0, 0.01))]
    parts += [slab(trim, 0.01, width * 0.8, 0.03, (depth / 2, 0, height * share)) for share in (0.62, 0.74, 0.86)]
    return Piece(kind="computer tower", mesh=merge(parts), color=word)


def printer(rng: np.random.Generator) -> Piece:
    """Return a printer with its paper tray."""
    word, case = draw_surface("printer", "plastic", rng, {"white": 0.4, "grey": 0.25, "black": 0.35})
    trim = Surface("printer", "plastic", (58, 60, 64))
    height = rng.uniform(0.2, 0.38)
    parts = [
        slab(case, 0.38, 0.44, height, (0, 0, 0)),
        slab(trim, 0.1, 0.34, 0.06, (0.17, 0, height * 0.45)),
        slab(Surface("printer", "paper", (240, 240, 238)), 0.16, 0.22, 0.015, (0.24, 0, height * 0.4)),
        place(slab(case, 0.02, 0.3, 0.2, (0, 0, 0)), tilt_forward(-0.4, (-0.14, 0, height - 0.02))),
    ]
    return Piece(kind="printer", mesh=merge(parts), color=word)


def speaker(rng: np.random.Generator, *, tall: bool = False) -> Piece:
    """Return a loudspeaker with two round membranes; `tall` stands on the floor."""
    word, case = draw_surface("speaker", "wood", rng, {"black": 0.6, "brown": 0.25, "white": 0.15})
    depth, width = rng.uniform(0.18, 0.28), rng.uniform(0.16, 0.24)
    height = rng.uniform(0.8, 1.05) if tall else rng.uniform(0.25, 0.38)
    cone = Surface("speaker", "plastic", (70, 70, 74) if word == "black" else (30, 30, 32))
    parts = [slab(case, depth, width, height, (0, 0, 0))]
    for share, radius in ((0.35, 0.4), (0.75, 0.26)):
        parts.append(rod_x(cone, radius * width, 0.012, (depth / 2, 0, height * share)))
    return Piece(kind="speaker", mesh=merge(parts), color=word)


def telephone(rng: np.random.Generator) -> Piece:
    """Return a desk telephone with its receiver."""
    word, case = draw_surface("telephone", "plastic", rng, {"black": 0.6, "grey": 0.15, "white": 0.15, "red": 0.1})
    parts = [
        frustum(case, (0.2, 0.18), (0.12, 0.17), 0.06, (0, 0, 0), lean=-0.03),
        tube(case, (-0.02, -0.05, 0.085), (-0.02, 0.13, 0.085), 0.022),
        ball(case, (0.03, 0.03, 0.025), (-0.02, -0.06, 0.075)),
        ball(case, (0.03, 0.03, 0.025), (-0.02, 0.13, 0.075)),
    ]
    return Piece(kind="telephone", mesh=merge(parts), color=word)


def lamp(rng: np.random.Generator, *, tall: bool = False) -> Piece:
    """Return a lamp with a shade for a table, or for the floor where `tall`; some table lamps have a bent arm."""
    height = rng.uniform(1.35, 1.75) if tall else rng.uniform(0.38, 0.6)
    stand = metal("lamp", rng)
    if not tall and rng.random() < 0.35:
        word, skin = draw_surface("lamp", "metal", rng, CLOTHS)
        parts = [cylinder(skin, 0.08, 0.025, (0, 0, 0)), tube(skin, (0, 0, 0.02), (-0.12, 0, height * 0.6), 0.01)]
        parts.append(tube(skin, (-0.12, 0, height * 0.6), (0.1, 0, height), 0.01))
        head = frustum(skin, (0.14, 0.14), (0.05, 0.05), 0.12, (0, 0, 0))
        return Piece(
            kind="lamp", mesh=merge([*parts, place(head, tilt_forward(-0.4, (0.13, 0, height - 0.1)))]), color=word
        )
    word, shade = draw_surface(
        "lamp", "lampshade", rng, {"white": 0.45, "beige": 0.3, "red": 0.08, "yellow": 0.1, "green": 0.07}
    )
    radius = rng.uniform(0.16, 0.24) if tall else rng.uniform(0.1, 0.17)
    cloth_height = radius * rng.uniform(0.9, 1.5)
    parts = [
        cylinder(stand, radius * 0.65, 0.025, (0, 0, 0)),
        cylinder(stand, 0.015, height - cloth_height, (0, 0, 0.02)),
        cylinder(
            shade, radius, cloth_height, (0, 0, height - cloth_height), top_radius=radius * rng.uniform(0.55, 0.95)
        ),
    ]
    if not tall and rng.random() < 0.5:
        parts.append(ball(Surface("lamp", "ceramic", draw_color(rng, CLOTHS)[1]), (0.07, 0.07, 0.1), (0, 0, 0.12)))
    return Piece(kind="lamp", mesh=merge(parts), color=word)


def fan(rng: np.random.Generator) -> Piece:
    """Return a standing fan."""
    word, skin = draw_surface("fan", "plastic", rng, {"white": 0.5, "black": 0.3, "blue": 0.1, "silver": 0.1})
    height, radius = rng.uniform(0.9, 1.2), rng.uniform(0.17, 0.22)
    parts = [cylinder(skin, 0.2, 0.03, (0, 0, 0)), cylinder(skin, 0.02, height, (0, 0, 0))]
    parts.append(rod_x(skin, 0.06, 0.14, (-0.12, 0, height)))
    for angle in np.arange(8) * math.pi / 4:
        y, z = radius * math.cos(angle), radius * math.sin(angle)
        y2, z2 = radius * math.cos(angle + math.pi / 4), radius * math.sin(angle + math.pi / 4)
        parts.append(tube(skin, (0.06, y, height + z), (0.06, y2, height + z2), 0.012))
        parts.append(tube(skin, (0.07, 0, height), (0.06, y, height + z), 0.005))
    blade = Surface("fan", "plastic", (150, 180, 200))
    parts.append(rod_x(blade, radius * 0.85, 0.01, (0.03, 0, height)))
    return Piece(kind="fan", mesh=merge(parts), color=word)


def refrigerator(rng: np.random.Generator) -> Piece:
    """Return a refrigerator: one door above another, or a low one."""
    word, skin = draw_surface("refrigerator", "paint", rng, APPLIANCES)
    depth, width = rng.uniform(0.58, 0.68), rng.uniform(0.55, 0.8)
    height = rng.uniform(1.5, 1.95) if rng.random() < 0.8 else rng.uniform(0.82, 1.1)
    split = height * (rng.uniform(0.55, 0.7) if rng.random() < 0.6 else rng.uniform(0.3, 0.42))
    grip = metal("refrigerator", rng)
    gap = Surface("refrigerator", "rubber", (70, 70, 72))
    parts = [slab(skin, depth, width, height, (0, 0, 0)), slab(gap, depth, width + 0.002, 0.012, (0.003, 0, split))]
    side = width / 2 - 0.06
    for low, high in ((0.03, split), (split + 0.01, height)):
        parts.append(slab(skin, 0.03, width - 0.01, high - low - 0.01, (depth / 2 + 0.015, 0, low)))
        parts.append(slab(grip, 0.03, 0.025, (high - low) * 0.4, (depth / 2 + 0.05, side, low + (high - low) * 0.3)))
    return Piece(kind="refrigerator", mesh=merge(parts), color=word, tops=(level(height, depth, width),))


def stove(rng: np.random.Generator, height: float) -> Piece:
    """Return a stove with four plates, knobs and an oven door with a window."""
    word, skin = draw_surface("stove", "paint", rng, APPLIANCES)
    dark, grip = Surface("stove", "screen", (26, 26, 28)), metal("stove", rng)
    parts = [slab(skin, 0.6, 0.6, height - 0.01, (0, 0, 0)), slab(dark, 0.58, 0.58, 0.012, (0, 0, height - 0.01))]
    for x in (-0.13, 0.14):
        parts += [cylinder(grip, 0.085, 0.012, (x, y, height)) for y in (-0.14, 0.14)]
    parts.append(slab(dark, 0.012, 0.44, 0.3, (0.305, 0, height * 0.3)))
    parts.append(slab(grip, 0.03, 0.48, 0.02, (0.33, 0, height * 0.73)))
    parts += [rod_x(grip, 0.02, 0.03, (0.3, y, height - 0.08)) for y in (-0.2, -0.1, 0.0, 0.1, 0.2)]
    pot = []
    if rng.random() < 0.4:
        pan = Surface("stove", "metal", draw_color(rng, {"silver": 1, "black": 1, "red": 1})[1])
        pot.append(cylinder(pan, 0.1, 0.13, (0.14, 0.14, height + 0.012)))
    return Piece(kind="stove", mesh=merge([*parts, *pot]), color=word)


def range_hood(rng: np.random.Generator) -> Piece:
    """Return an extractor hood with its pipe; it hangs, its back at x = 0."""
    word, skin = draw_surface("range hood", "metal", rng, {"silver": 0.7, "black": 0.15, "white": 0.15})
    parts = [
        frustum(skin, (0.48, 0.6), (0.24, 0.26), 0.22, (0.24, 0, 0.05), lean=-0.1),
        slab(skin, 0.48, 0.6, 0.05, (0.24, 0, 0)),
    ]
    parts.append(slab(skin, 0.22, 0.24, 0.6, (0.13, 0, 0.27)))
    return Piece(kind="range hood", mesh=merge(parts), color=word)


def microwave(rng: np.random.Generator) -> Piece:
    """Return a microwave oven with a dark window and buttons."""
    word, skin = draw_surface("microwave", "paint", rng, APPLIANCES)
    dark = Surface("microwave", "screen", (28, 28, 30))
    parts = [
        slab(skin, 0.36, 0.48, 0.28, (0, 0, 0)),
        slab(dark, 0.01, 0.3, 0.2, (0.182, 0.06, 0.04)),
        slab(Surface("microwave", "plastic", (150, 152, 156)), 0.012, 0.08, 0.2, (0.182, -0.17, 0.04)),
    ]
    return Piece(kind="microwave", mesh=merge(parts), color=word)


def dishwasher(rng: np.random.Generator, height: float) -> Piece:
    """Return a dishwasher: a plain door with a long handle and a panel above."""
    word, skin = draw_surface("dishwasher", "paint", rng, APPLIANCES)
    grip = metal("dishwasher", rng)
    panel = Surface("dishwasher", "plastic", (70, 72, 76))
    parts = [slab(skin, 0.58, 0.6, height - 0.1, (0, 0, 0.1)), slab(panel, 0.012, 0.58, 0.09, (0.29, 0, height - 0.11))]
    parts += [
        slab(skin, 0.02, 0.58, height - 0.24, (0.295, 0, 0.12)),
        slab(grip, 0.035, 0.46, 0.02, (0.32, 0, height - 0.17)),
    ]
    return Piece(kind="dishwasher", mesh=merge(parts), color=word)


def washing_machine(rng: np.random.Generator) -> Piece:
    """Return a washing machine with its round glass door."""
    word, skin = draw_surface("washing machine", "paint", rng, {"white": 0.75, "silver": 0.15, "black": 0.1})
    ring, dark = (
        Surface("washing machine", "metal", (150, 152, 156)),
        Surface("washing machine", "screen", (40, 48, 56)),
    )
    parts = [
        slab(skin, 0.58, 0.6, 0.85, (0, 0, 0)),
        rod_x(ring, 0.2, 0.03, (0.29, 0, 0.42)),
        rod_x(dark, 0.15, 0.02, (0.31, 0, 0.42)),
        slab(Surface("washing machine", "plastic", (190, 192, 196)), 0.01, 0.56, 0.1, (0.292, 0, 0.73)),
        rod_x(ring, 0.03, 0.03, (0.29, 0.12, 0.78)),
    ]
    return Piece(kind="washing machine", mesh=merge(parts), color=word, tops=(level(0.85, 0.58, 0.6),))


def kitchen_cabinet(rng: np.random.Generator, width: float, height: float, front: Surface) -> Piece:
    """Return a cabinet below a counter, `height` metres high, its doors or drawers of `front`."""
    drawers = rng.random() < 0.35
    knob = metal("kitchen cabinet", rng)
    parts = [slab(Surface("kitchen cabinet", "wood", (80, 78, 76)), 0.52, width, 0.1, (-0.02, 0, 0))]
    parts.append(slab(front, 0.56, width, height - 0.1, (0, 0, 0.1)))
    columns, rows = (1, 3) if drawers else (max(round(width / 0.5), 1), 1)
    parts.append(fronts(front, knob, 0.56, width, 0.1, height - 0.01, columns=columns, rows=rows))
    return Piece(kind="kitchen cabinet", mesh=merge(parts))


def wall_cabinet(rng: np.random.Generator, width: float, front: Surface) -> Piece:
    """Return a kitchen cabinet that hangs, its back at x = 0."""
    knob = metal("kitchen cabinet", rng)
    body = merge(
        [
            slab(front, 0.33, width, 0.65, (0, 0, 0)),
            fronts(front, knob, 0.33, width, 0, 0.65, columns=max(round(width / 0.45), 1), rows=1),
        ]
    )
    return Piece(kind="kitchen cabinet", mesh=shift(body, (0.165, 0, 0)))


def piano(rng: np.random.Generator) -> Piece:
    """Return an upright piano with its keys."""
    word, wood = draw_surface("piano", "lacquer", rng, {"black": 0.6, "brown": 0.3, "white": 0.1})
    width, height = rng.uniform(1.4, 1.52), rng.uniform(1.1, 1.3)
    white, black = Surface("piano", "plastic", (238, 236, 228)), Surface("piano", "plastic", (24, 24, 24))
    parts = [slab(wood, 0.32, width, height, (-0.14, 0, 0)), slab(wood, 0.34, width, 0.1, (0.12, 0, 0.6))]
    parts += [slab(wood, 0.06, 0.08, 0.6, (0.24, s * (width / 2 - 0.05), 0)) for s in (-1, 1)]
    parts.append(slab(white, 0.14, width - 0.14, 0.025, (0.2, 0, 0.7)))
    for y in np.arange(-width / 2 + 0.12, width / 2 - 0.1, 0.047):
        if rng.random() < 0.75:
            parts.append(slab(black, 0.09, 0.014, 0.015, (0.17, float(y), 0.724)))
    parts.append(slab(wood, 0.02, width * 0.5, 0.25, (0.03, 0, 0.85)))
    top = Top(height, (-0.26, -width / 2 + 0.1), (-0.02, width / 2 - 0.1))
    return Piece(kind="piano", mesh=merge(parts), color=word, tops=(top,))
