"""Regions of images, an object or a stretch of one surface, and square crops round them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..data.sample import UNKNOWN, SampleSource, SceneObject
from ..image_tower.pixels import views_with_concepts

SMALLEST_PIXELS = 60
"""A region with fewer pixels is not shown."""
SMALLEST_EDGE = 16
LARGEST_SHARE = 0.7
"""Of the image's shorter side: a region whose box is larger is shown in pieces."""
FILLED = 0.35
"""A piece shows at least this share of its region."""
_TRIES = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Regions:
    """All regions of a data set.

    `images` (H, W, 3) uint8 and `concepts` (H, W) int16, rows of `things`, per view. Per region: `image` (R,), `box`
    (R, 4) top, left, bottom, right in pixels, end excluded, `concept` (R,). `share`: how much of all pixels a kind has.
    """

    images: list[NDArray[np.uint8]]
    concepts: list[NDArray[np.int16]]
    things: tuple[SceneObject, ...]
    image: NDArray[np.int64]
    box: NDArray[np.int64]
    concept: NDArray[np.int64]
    share: dict[str, float]

    def by_kind(self) -> dict[str, NDArray[np.int64]]:
        """Return the rows of each kind's regions, kinds sorted."""
        kinds = np.array([thing.kind for thing in self.things])[self.concept]
        return {str(kind): np.flatnonzero(kinds == kind) for kind in np.unique(kinds)}


def load_regions(source: SampleSource) -> Regions:
    """Read all images of a source whose samples have label images."""
    rows: dict[SceneObject, int] = {}
    images: list[NDArray[np.uint8]] = []
    maps: list[NDArray[np.int16]] = []
    found: list[NDArray[np.int64]] = []
    counts: dict[str, int] = {}
    for view, labels, concepts in views_with_concepts(source, rows):
        table = regions_of(concepts, labels.instances)
        found.append(np.column_stack([np.full(len(table), len(images)), table[:, :5]]))
        for kind_row, pixels in table[:, 4:]:
            kind = list(rows)[kind_row].kind
            counts[kind] = counts.get(kind, 0) + int(pixels)
        images.append(view.image)
        maps.append(concepts)
    joined = np.concatenate(found) if found else np.zeros((0, 6), np.int64)
    total = max(sum(counts.values()), 1)
    return Regions(
        images=images,
        concepts=maps,
        things=tuple(rows),
        image=joined[:, 0],
        box=joined[:, 1:5],
        concept=joined[:, 5],
        share={kind: count / total for kind, count in counts.items()},
    )


def regions_of(concepts: NDArray[np.int16], instances: NDArray[np.int32] | None) -> NDArray[np.int64]:
    """Return (R, 6): top, left, bottom, right (end excluded), concept and pixels of every region of an image."""
    instances = np.full(concepts.shape, UNKNOWN, np.int32) if instances is None else instances
    pairs = concepts.astype(np.int64) * (1 << 20) + instances + 1
    _, first, inverse, pixels = np.unique(pairs, return_index=True, return_inverse=True, return_counts=True)
    inverse = inverse.ravel()
    high, low = np.zeros((len(first), 2), np.int64), np.full((len(first), 2), max(concepts.shape), np.int64)
    for axis, place in enumerate(np.indices(concepts.shape)):
        np.maximum.at(high[:, axis], inverse, place.ravel() + 1)
        np.minimum.at(low[:, axis], inverse, place.ravel())
    concept = concepts.ravel()[first].astype(np.int64)
    shown = (concept != UNKNOWN) & (pixels >= SMALLEST_PIXELS)
    return np.column_stack([low, high, concept, pixels])[shown]


def draw_crops(
    regions: Regions,
    by_kind: dict[str, NDArray[np.int64]],
    count: int,
    size: int,
    balance: float,
    generator: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Draw crops (count, size, size, 3) and the concept (count,) that each is centred on.

    Kinds are drawn with the power 1 - `balance` of their share, regions of a kind alike. Mirrored at random.
    """
    kinds = list(by_kind)
    odds = np.array([regions.share[kind] for kind in kinds]) ** (1.0 - balance)
    chosen = generator.choice(len(kinds), count, p=odds / odds.sum())
    rows = np.array([generator.choice(by_kind[kinds[kind]]) for kind in chosen])
    crops = np.stack([_crop(regions, int(row), size, generator) for row in rows])
    return crops, regions.concept[rows]


def _crop(regions: Regions, row: int, size: int, generator: np.random.Generator) -> NDArray[np.uint8]:
    from PIL import Image

    image = regions.images[regions.image[row]]
    top, left, edge = _square(regions, row, generator)
    part = Image.fromarray(image[top : top + edge, left : left + edge])
    smooth = Image.Resampling.BOX if edge > size else Image.Resampling.BILINEAR
    picture = np.array(part.resize((size, size), smooth))
    return picture[:, ::-1] if generator.random() < 0.5 else picture


def _square(regions: Regions, row: int, generator: np.random.Generator) -> tuple[int, int, int]:
    """Return top, left and edge of a square within the image: round a whole object, or somewhere in a large region."""
    top, left, bottom, right = (int(value) for value in regions.box[row])
    concepts = regions.concepts[regions.image[row]]
    short = min(concepts.shape)
    if max(bottom - top, right - left) <= LARGEST_SHARE * short:
        edge = max(bottom - top, right - left) * generator.uniform(1.0, 1.5)
        return _inside(concepts.shape, (top + bottom) / 2, (left + right) / 2, edge)
    at = np.argwhere(concepts[top:bottom, left:right] == regions.concept[row]) + np.array([top, left])
    edge = short * float(np.exp(generator.uniform(np.log(0.12), np.log(0.8))))
    for _ in range(_TRIES):
        center = at[int(generator.integers(len(at)))]
        square = _inside(concepts.shape, float(center[0]), float(center[1]), edge)
        seen = concepts[square[0] : square[0] + square[2], square[1] : square[1] + square[2]]
        if np.mean(seen == regions.concept[row]) >= FILLED:
            break
        edge *= 0.8
    return square


def _inside(shape: tuple[int, ...], row: float, column: float, edge: float) -> tuple[int, int, int]:
    length = int(np.clip(round(edge), SMALLEST_EDGE, min(shape[:2])))
    top = int(np.clip(round(row - length / 2), 0, shape[0] - length))
    left = int(np.clip(round(column - length / 2), 0, shape[1] - length))
    return top, left, length
