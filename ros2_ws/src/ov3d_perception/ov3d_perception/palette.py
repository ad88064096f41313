"""One palette for RViz, PNG and legend: the same word has the same colour everywhere; unlabelled is grey."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

UNLABELLED_COLOR = (128, 128, 128)

_FAMILIAR: dict[str, tuple[int, int, int]] = {
    # Colours of nuScenes' lidarseg classes (formats: nutonomy/nuscenes-devkit) and of words that mean the same;
    # its bus is brown here, because nobody tells its coral from the truck's red.
    "car": (255, 158, 0),
    "truck": (255, 99, 71),
    "bus": (150, 75, 0),
    "trailer": (255, 140, 0),
    "construction vehicle": (233, 150, 70),
    "motorcycle": (255, 61, 99),
    "bicycle": (220, 20, 60),
    "pedestrian": (0, 0, 230),
    "person": (0, 0, 230),
    "barrier": (112, 128, 144),
    "traffic cone": (47, 79, 79),
    "road": (0, 207, 191),
    "driveable surface": (0, 207, 191),
    "sidewalk": (75, 0, 75),
    "terrain": (112, 180, 60),
    "grass": (112, 180, 60),
    "building": (222, 184, 135),
    "manmade": (222, 184, 135),
    "vegetation": (0, 175, 0),
    "tree": (0, 175, 0),
    "bush": (85, 107, 47),
}
_CANDIDATES = 240
_GOLDEN_RATIO = 0.618033988749895
_MIN_DISTANCE = 60.0  # RGB distance below which two legend entries are hard to tell apart


def colors_for(names: Sequence[str]) -> NDArray[np.uint8]:
    """Return (Q, 3) RGB colours: familiar words keep their usual colour, others take well-spread hues in order.

    The result depends on the list alone. Familiar colours are nuScenes', some of which are close (car and trailer); all
    others keep away from every colour in the list and from grey, for lists of up to about 40 names. Beyond 240 they
    repeat.
    """
    candidates = _candidate_colors()
    free = np.linalg.norm(candidates - UNLABELLED_COLOR, axis=1)  # distance to the nearest taken colour
    chosen = np.zeros((len(names), 3))
    familiar: dict[tuple[int, int, int], int] = {}
    for row, name in enumerate(names):
        color = _FAMILIAR.get(name.strip().lower())
        if color is not None and color not in familiar:
            familiar[color] = row
            chosen[row] = color
            free = np.minimum(free, np.linalg.norm(candidates - color, axis=1))
    for row in sorted(set(range(len(names))) - set(familiar.values())):
        far_enough = np.flatnonzero(free >= _MIN_DISTANCE)
        pick = int(far_enough[0]) if len(far_enough) else int(np.argmax(free)) if free.max() > 0 else row % _CANDIDATES
        chosen[row] = candidates[pick]
        free = np.minimum(free, np.linalg.norm(candidates - candidates[pick], axis=1))
    return chosen.astype(np.uint8)


def label_colors(names: Sequence[str]) -> NDArray[np.uint8]:
    """Return (Q + 1, 3) RGB colours by label id: row 0 is unlabelled grey, row i + 1 belongs to name i."""
    return np.concatenate([np.array([UNLABELLED_COLOR], dtype=np.uint8), colors_for(names)])


def _candidate_colors() -> NDArray[np.float64]:
    """Walk the hue circle in golden-ratio steps, in three alternating tones: (240, 3) RGB in 0..255."""
    tones = ((0.85, 0.95), (0.55, 0.98), (0.9, 0.65))
    hsv = [((0.05 + step * _GOLDEN_RATIO) % 1.0, *tones[step % 3]) for step in range(_CANDIDATES)]
    return np.rint([[255.0 * part for part in colorsys.hsv_to_rgb(*color)] for color in hsv])
