"""Images and what is in them, held in memory, and the crops that training draws from them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ov3d_perception.types import CameraView

from ..data.sample import UNKNOWN, LabelImage, Sample, SampleSource, SceneObject
from .concepts import concept

_POSITIONS_KEPT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelData:
    """All images of a data set.

    `images` (H, W, 3) uint8 and `concepts` (H, W) int16 (row of `things`, `UNKNOWN` where nothing is known) per view.
    `share` is how much of all pixels each kind has; `places` lists where each can be found: image, row, column.
    """

    images: list[NDArray[np.uint8]]
    concepts: list[NDArray[np.int16]]
    things: tuple[SceneObject, ...]
    share: dict[str, float]
    places: dict[str, NDArray[np.int64]]


def load_pixels(source: SampleSource, seed: int = 0) -> PixelData:
    """Read all images of a source whose samples have label images."""
    rows: dict[SceneObject, int] = {}
    images, maps, places = [], [], {}  # type: ignore[var-annotated]
    generator = np.random.default_rng([seed, 11])
    for view, _, concepts in views_with_concepts(source, rows):
        _note_places(places, concepts, list(rows), len(images), generator)
        images.append(view.image)
        maps.append(concepts)
    counts = np.zeros(len(rows) + 1)
    for concepts in maps:
        counts += np.bincount(concepts.ravel() + 1, minlength=len(rows) + 1)
    share: dict[str, float] = dict.fromkeys(places, 0.0)
    for thing, count in zip(rows, counts[1:], strict=True):
        share[thing.kind] = share.get(thing.kind, 0.0) + float(count) / max(counts[1:].sum(), 1.0)
    found = {kind: np.concatenate(parts) for kind, parts in places.items()}
    return PixelData(images=images, concepts=maps, things=tuple(rows), share=share, places=found)


def views_with_concepts(
    source: SampleSource, rows: dict[SceneObject, int]
) -> Iterator[tuple[CameraView, LabelImage, NDArray[np.int16]]]:
    """Yield every view that has a label image, with that and its concepts; those that are new are added to `rows`."""
    for index in tqdm(range(len(source)), desc="images", disable=not sys.stderr.isatty()):
        sample = source[index]
        for view in sample.frame.cameras:
            labels = sample.view_labels.get(view.name)
            if labels is not None:
                yield view, labels, concept_image(sample, labels, rows)


def concept_image(sample: Sample, labels: LabelImage, rows: dict[SceneObject, int]) -> NDArray[np.int16]:
    """Return the concept (h, w) of every pixel; concepts that are new are appended to `rows`."""
    instances = np.full(labels.labels.shape, UNKNOWN) if labels.instances is None else labels.instances
    width = len(sample.objects) + 1
    pairs = (labels.labels.astype(np.int64) + 1) * width + instances + 1
    unique, inverse = np.unique(pairs, return_inverse=True)
    found = np.empty(len(unique), np.int16)
    for at, pair in enumerate(unique):
        kind, instance = int(pair) // width - 1, int(pair) % width - 1
        if kind == UNKNOWN:
            found[at] = UNKNOWN
            continue
        thing = sample.objects[instance] if instance != UNKNOWN else None
        key = concept(sample.view_label_names[kind], thing)
        found[at] = rows.setdefault(key, len(rows))
    return found[inverse].reshape(labels.labels.shape)


def _note_places(
    places: dict[str, list[NDArray[np.int64]]],
    concepts: NDArray[np.int16],
    things: list[SceneObject],
    image: int,
    generator: np.random.Generator,
) -> None:
    """Remember a few pixels of every kind in the image."""
    flat = concepts.ravel()
    for row in np.unique(flat[flat != UNKNOWN]):
        at = generator.choice(np.flatnonzero(flat == row), _POSITIONS_KEPT)
        position = np.stack([np.full(len(at), image), at // concepts.shape[1], at % concepts.shape[1]], axis=1)
        places.setdefault(things[row].kind, []).append(position)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crops:
    """A batch: `images` (B, h, w, 3) uint8, `concepts` (B, h, w) int16 with `UNKNOWN` where nothing is known."""

    images: NDArray[np.uint8]
    concepts: NDArray[np.int16]


def draw_crops(
    data: PixelData,
    count: int,
    size: tuple[int, int],
    balance: float,
    generator: np.random.Generator,
    *,
    image_width: int,
) -> Crops:
    """Draw `count` crops of (width, height), each round a pixel of a random kind.

    Kinds are drawn with the power 1 - `balance` of their share: 0 follows the pixels, 1 treats kinds alike. A crop
    shows 0.6 to 1.6 times what it would show of an image shrunk to `image_width`, and is mirrored at random.
    """
    names = list(data.places)
    odds = np.array([data.share[name] for name in names]) ** (1.0 - balance)
    images, concepts = [], []
    for _ in range(count):
        kind = names[int(generator.choice(len(names), p=odds / odds.sum()))]
        image, row, column = data.places[kind][int(generator.integers(len(data.places[kind])))]
        zoom = max(1.0, data.images[image].shape[1] / image_width)
        picked = _cut(data.images[image], data.concepts[image], (int(row), int(column)), size, zoom, generator)
        images.append(picked[0])
        concepts.append(picked[1])
    return Crops(images=np.stack(images), concepts=np.stack(concepts))


def _cut(
    image: NDArray[np.uint8],
    concepts: NDArray[np.int16],
    center: tuple[int, int],
    size: tuple[int, int],
    zoom: float,
    generator: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.int16]]:
    from PIL import Image

    height, width = concepts.shape
    drawn = zoom * float(np.exp(generator.uniform(np.log(0.6), np.log(1.6))))
    scale = min(drawn, width / size[0], height / size[1])
    across, down = int(size[0] * scale), int(size[1] * scale)
    left = int(np.clip(center[1] - generator.integers(across), 0, width - across))
    top = int(np.clip(center[0] - generator.integers(down), 0, height - down))
    part = image[top : top + down, left : left + across]
    smooth = Image.Resampling.BOX if scale > 1.0 else Image.Resampling.BILINEAR  # as `ImageTower.shrink`
    picture = np.array(Image.fromarray(part).resize(size, smooth))
    rows = np.minimum((np.arange(size[1]) + 0.5) * down / size[1], down - 1).astype(int) + top
    columns = np.minimum((np.arange(size[0]) + 0.5) * across / size[0], across - 1).astype(int) + left
    found = concepts[rows[:, None], columns[None, :]]
    if generator.random() < 0.5:
        picture, found = picture[:, ::-1], found[:, ::-1]
    return np.ascontiguousarray(picture), np.ascontiguousarray(found)
