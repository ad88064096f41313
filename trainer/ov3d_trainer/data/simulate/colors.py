"""Colours by the words people use: each word with RGB values that look like it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .mesh import Color

COLORS: Mapping[str, tuple[Color, ...]] = {
    "white": ((236, 236, 232), (226, 226, 222), (240, 238, 228)),
    "silver": ((192, 196, 200), (180, 186, 190), (202, 204, 206)),
    "grey": ((128, 130, 134), (106, 108, 112), (146, 148, 148)),
    "black": ((28, 29, 32), (36, 37, 42), (22, 22, 22)),
    "red": ((178, 28, 30), (206, 38, 36), (140, 22, 30)),
    "blue": ((34, 64, 138), (52, 104, 184), (30, 46, 96)),
    "green": ((44, 96, 56), (66, 140, 70), (36, 72, 48)),
    "yellow": ((232, 196, 46), (244, 212, 60), (222, 180, 34)),
    "orange": ((232, 116, 30), (222, 98, 24), (240, 136, 44)),
    "brown": ((106, 72, 46), (88, 58, 40), (126, 88, 58)),
    "beige": ((206, 188, 154), (216, 202, 172), (194, 176, 140)),
    "purple": ((104, 54, 132), (126, 76, 152), (84, 44, 104)),
    "pink": ((232, 136, 168), (222, 108, 150), (240, 166, 188)),
}
"""Typical RGB values of every colour that an object may be called after."""


def vary(color: Color, rng: np.random.Generator, amount: int = 14) -> Color:
    """Return the colour with some random change in brightness and hue."""
    change = rng.integers(-amount, amount + 1) + rng.integers(-amount // 3, amount // 3 + 1, 3)
    red, green, blue = np.clip(np.array(color) + change, 0, 255)
    return int(red), int(green), int(blue)


def tint(word: str, rng: np.random.Generator) -> Color:
    """Return an RGB that people call by this word, another one each time."""
    shades = COLORS[word]
    return vary(shades[int(rng.integers(len(shades)))], rng, 9)


def draw_color(rng: np.random.Generator, shares: Mapping[str, float]) -> tuple[str, Color]:
    """Draw a colour word by its share, and an RGB for it."""
    words = list(shares)
    weights = np.array(list(shares.values()), dtype=np.float64)
    word = words[int(rng.choice(len(words), p=weights / weights.sum()))]
    return word, tint(word, rng)
