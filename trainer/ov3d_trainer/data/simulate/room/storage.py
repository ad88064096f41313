"""What things are kept in: cabinets, shelves with books, wardrobes, dressers, and beds with what lies on them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from ..mesh import Mesh, Surface, box, frustum, merge, place, shift, turn
from .piece import CLOTHS, WOODS, Piece, Top, draw_surface, fronts, legs, level, metal, moved, slab
from .seats import pillow
from .smalls import book_row


def cabinet(rng: np.random.Generator) -> Piece:
    """Return a low or half-high cabinet with doors, or an office cabinet of metal."""
    office = rng.random() < 0.25
    shares = {"grey": 0.6, "white": 0.2, "black": 0.1, "blue": 0.1} if office else WOODS
    word, body = draw_surface("cabinet", "metal" if office else "wood", rng, shares)
    depth, width = rng.uniform(0.36, 0.5), rng.uniform(0.6, 1.5)
    height = rng.uniform(0.7, 1.0) if rng.random() < 0.6 else rng.uniform(1.2, 1.8)
    return _chest("cabinet", word, body, rng, (depth, width, height), columns=max(int(width / 0.45), 1), rows=1)


def tv_stand(rng: np.random.Generator) -> Piece:
    """Return a long low cabinet for a television."""
    word, body = draw_surface("tv stand", "wood", rng, WOODS)
    size = (rng.uniform(0.36, 0.46), rng.uniform(1.1, 1.9), rng.uniform(0.38, 0.58))
    return _chest("tv stand", word, body, rng, size, columns=int(rng.integers(2, 5)), rows=int(rng.integers(1, 3)))


def dresser(rng: np.random.Generator) -> Piece:
    """Return a chest of three to five rows of drawers."""
    word, body = draw_surface("dresser", "wood", rng, WOODS)
    size = (rng.uniform(0.4, 0.5), rng.uniform(0.75, 1.5), rng.uniform(0.75, 1.25))
    columns = 1 if size[1] < 0.95 else 2
    return _chest("dresser", word, body, rng, size, columns=columns, rows=int(rng.integers(3, 6)))


def wardrobe(rng: np.random.Generator) -> Piece:
    """Return a wardrobe of two to four doors; some doors are darker or mirrored."""
    word, body = draw_surface("wardrobe", "wood", rng, WOODS)
    columns = int(rng.integers(2, 5))
    size = (rng.uniform(0.55, 0.65), columns * rng.uniform(0.45, 0.55), rng.uniform(1.85, 2.25))
    return _chest("wardrobe", word, body, rng, size, columns=columns, rows=1)


def _chest(
    kind: str,
    word: str,
    body: Surface,
    rng: np.random.Generator,
    size: tuple[float, float, float],
    *,
    columns: int,
    rows: int,
) -> Piece:
    depth, width, height = size
    low = rng.uniform(0.04, 0.14)
    tone = Surface(kind, body.material, tuple(int(value * 0.94) for value in body.color))  # type: ignore[arg-type]
    parts = [
        legs(body, depth - 0.02, width - 0.02, low, 0.05),
        slab(body, depth, width, height - low, (0, 0, low)),
        slab(body, depth + 0.03, width + 0.03, 0.025, (0.015, 0, height - 0.02)),
        fronts(tone, metal(kind, rng), depth, width, low, height - 0.02, columns=columns, rows=rows),
    ]
    return Piece(kind=kind, mesh=merge(parts), color=word, tops=(level(height + 0.005, depth, width),))


def bookshelf(rng: np.random.Generator) -> Piece:
    """Return a shelf of three to six boards, most of them with rows of books."""
    depth, width = rng.uniform(0.26, 0.34), rng.uniform(0.6, 1.2)
    boards = int(rng.integers(3, 7))
    word, parts, heights = _open_shelf("bookshelf", rng, depth, width, boards * rng.uniform(0.32, 0.38), boards)
    books = [
        Piece(
            kind="book",
            mesh=book_row(rng, depth - 0.06, (width - 0.08) * rng.uniform(0.5, 1.0), high - low - 0.04, low),
        )
        for low, high in pairwise(heights)
        if rng.random() < 0.85
    ]
    top = level(heights[-1], depth, width)
    return Piece(kind="bookshelf", mesh=parts, color=word, tops=(top,), holds=tuple(books))


def shelf(rng: np.random.Generator) -> Piece:
    """Return an open rack of wood or metal with little in it; other things are put on its boards."""
    depth, width = rng.uniform(0.3, 0.45), rng.uniform(0.7, 1.2)
    boards = int(rng.integers(2, 5))
    word, parts, heights = _open_shelf("shelf", rng, depth, width, boards * rng.uniform(0.36, 0.45), boards, frame=True)
    tops = tuple(level(height, depth, width) for height in heights)
    return Piece(kind="shelf", mesh=parts, color=word, tops=tops)


def wall_shelf(rng: np.random.Generator) -> Piece:
    """Return a board on two brackets; it hangs, its back at x = 0."""
    word, wood = draw_surface("shelf", "wood", rng, WOODS)
    depth, width = rng.uniform(0.18, 0.28), rng.uniform(0.5, 1.1)
    iron = metal("shelf", rng)
    parts = [slab(wood, depth, width, 0.03, (depth / 2, 0, 0))]
    parts += [slab(iron, depth * 0.8, 0.03, 0.03, (depth * 0.4, s * width * 0.35, -0.03)) for s in (-1, 1)]
    parts += [slab(iron, 0.03, 0.03, 0.14, (0.015, s * width * 0.35, -0.14)) for s in (-1, 1)]
    top = Top(0.03, (0.03, -width / 2 + 0.04), (depth - 0.02, width / 2 - 0.04))
    return Piece(kind="shelf", mesh=merge(parts), color=word, tops=(top,))


def _open_shelf(
    kind: str, rng: np.random.Generator, depth: float, width: float, height: float, boards: int, *, frame: bool = False
) -> tuple[str, Mesh, list[float]]:
    """Return colour, mesh and the heights of the boards' upper sides, from the lowest to the top."""
    word, wood = draw_surface(kind, "wood", rng, WOODS)
    heights = [0.1 + (height - 0.1) * number / boards for number in range(boards + 1)]
    parts = [slab(wood, depth, width, 0.025, (0, 0, z - 0.025)) for z in heights]
    if frame and rng.random() < 0.6:
        parts.append(legs(metal(kind, rng), depth, width, height, 0.03))
    else:
        parts += [slab(wood, depth, 0.025, height, (0, s * (width / 2 - 0.012), 0)) for s in (-1, 1)]
        parts.append(slab(wood, 0.01, width, height, (-depth / 2 + 0.005, 0, 0)))
    return word, merge(parts), heights


def bed(rng: np.random.Generator) -> Piece:
    """Return a single or double bed with its pillows and a blanket."""
    double = rng.random() < 0.6
    width = rng.uniform(1.4, 1.8) if double else rng.uniform(0.9, 1.1)
    length, top = rng.uniform(1.98, 2.1), rng.uniform(0.42, 0.58)
    padded = rng.random() < 0.35
    word, frame = draw_surface("bed", "cloth" if padded else "wood", rng, CLOTHS if padded else WOODS)
    mattress = Surface("bed", "cloth", (228, 226, 220))
    parts = [
        legs(frame, length, width, top - 0.2, 0.07),
        slab(frame, length, width, 0.18, (0, 0, top - 0.3)),
        slab(mattress, length - 0.06, width - 0.06, 0.2, (0, 0, top - 0.2)),
        slab(frame, 0.06, width + 0.04, rng.uniform(0.75, 1.15), (-length / 2 - 0.02, 0, 0)),
    ]
    if rng.random() < 0.35:
        parts.append(slab(frame, 0.05, width + 0.04, top + rng.uniform(0.0, 0.2), (length / 2 + 0.02, 0, 0)))
    holds = [_cover(rng, length, width, top)]
    for y in (-0.25 * width, 0.25 * width) if double else (0.0,):
        holds.append(moved(pillow(rng), turn(rng.uniform(-0.1, 0.1), (-length / 2 + 0.28, y, top))))
    place_for_things = Top(top + 0.06, (-0.2, -width * 0.35), (length / 2 - 0.2, width * 0.35))
    return Piece(kind="bed", mesh=merge(parts), color=word, tops=(place_for_things,), holds=tuple(holds))


def _cover(rng: np.random.Generator, length: float, width: float, top: float) -> Piece:
    """Return the blanket of a bed: over most of it, or folded at its foot; it hangs over the sides."""
    word, cloth = draw_surface("blanket", "cloth", rng, CLOTHS)
    share = rng.uniform(0.55, 0.75) if rng.random() < 0.75 else rng.uniform(0.2, 0.3)
    reach, middle = share * length, length / 2 - share * length / 2
    parts = [slab(cloth, reach, width + 0.04, 0.055, (middle, 0, top))]
    hang = rng.uniform(0.1, 0.25)
    parts += [slab(cloth, reach, 0.02, hang, (middle, s * (width / 2 + 0.02), top + 0.05 - hang)) for s in (-1, 1)]
    if share > 0.5:
        fold = Surface("blanket", "cloth", tuple(int(min(v * 1.12 + 8, 255)) for v in cloth.color))  # type: ignore[arg-type]
        parts.append(slab(fold, 0.22, width + 0.04, 0.03, (middle - reach / 2 + 0.11, 0, top + 0.05)))
    for _ in range(4):
        at = (middle + rng.uniform(-0.3, 0.3) * reach, rng.uniform(-0.3, 0.3) * width, top + 0.05)
        wrinkle = frustum(cloth, (rng.uniform(0.1, 0.3), 0.5), (0.04, 0.3), 0.02, (0, 0, 0))
        parts.append(place(wrinkle, turn(rng.uniform(0, 3.1), at)))
    return Piece(kind="blanket", mesh=merge(parts), color=word)


def laundry_basket(rng: np.random.Generator) -> Piece:
    """Return a tall basket, round or square, open or with a lid."""
    word, weave = draw_surface("laundry basket", "wood", rng, {"brown": 0.35, "beige": 0.35, "white": 0.2, "grey": 0.1})
    side, height = rng.uniform(0.34, 0.46), rng.uniform(0.45, 0.65)
    parts = [frustum(weave, (side * 0.85, side * 0.85), (side, side), height, (0, 0, 0))]
    parts += [slab(weave, side * 1.04, side * 1.04, 0.03, (0, 0, z)) for z in (height * 0.45, height - 0.03)]
    linen = draw_surface("laundry basket", "cloth", rng, CLOTHS)[1]
    if rng.random() < 0.5:
        parts.append(frustum(linen, (side * 0.9, side * 0.9), (side * 0.4, side * 0.5), 0.1, (0, 0, height)))
    return Piece(kind="laundry basket", mesh=merge(parts), color=word)


def box_piece(rng: np.random.Generator) -> Piece:
    """Return a cardboard box, closed or with open flaps, or a coloured storage box."""
    cardboard = rng.random() < 0.7
    shares = {"brown": 1.0} if cardboard else {"white": 0.3, "blue": 0.2, "grey": 0.2, "green": 0.1, "pink": 0.1}
    word, card = draw_surface("box", "cardboard" if cardboard else "plastic", rng, shares)
    if cardboard:
        card = Surface("box", "cardboard", (int(rng.integers(160, 186)), int(rng.integers(122, 140)), 88))
    depth, width, height = rng.uniform(0.22, 0.5), rng.uniform(0.25, 0.6), rng.uniform(0.15, 0.42)
    parts = [slab(card, depth, width, height, (0, 0, 0))]
    if cardboard and rng.random() < 0.5:
        parts.append(slab(Surface("box", "plastic", (196, 170, 120)), depth + 0.004, 0.05, height + 0.003, (0, 0, 0)))
    elif cardboard:
        for side in (-1, 1):
            flap = box(card, (depth * 0.5, width, 0.006), (side * (depth * 0.72), 0, height - 0.03))
            parts.append(flap)
    else:
        parts.append(slab(card, depth + 0.02, width + 0.02, 0.03, (0, 0, height)))
    mesh = shift(merge(parts), (0, 0, 0.001))
    return Piece(kind="box", mesh=mesh, color=word, tops=(level(height, depth, width, 0.06),) if width > 0.4 else ())
