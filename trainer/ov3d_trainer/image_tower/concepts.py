"""What pixels are called: concepts (a kind with colour and state) and the text vectors of concepts and of plain kinds.

A vector is the mean of the concept's captions, so that it lies where people's words for it lie.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.text.encoder import TextEncoder

from ..data.sample import SceneObject
from ..data.simulate.words import captions

SKY_CAPTIONS = ("sky", "the sky", "the blue sky", "clouds in the sky", "the open sky above")


@dataclass(frozen=True, slots=True, kw_only=True)
class Concepts:
    """`things` (K,) differ in kind, colour or state; `text` (K, D) is the unit mean of each one's captions."""

    things: tuple[SceneObject, ...]
    text: NDArray[np.float32]

    def row_of(self) -> dict[SceneObject, int]:
        """Return the row of each concept."""
        return {thing: row for row, thing in enumerate(self.things)}


def concept(kind: str, thing: SceneObject | None = None) -> SceneObject:
    """Return the concept of a surface: its kind, with colour and state where it is the object's own kind.

    A rider's points carry the kind "person" within the object "bicycle", whose colour is not theirs.
    """
    if thing is None or thing.kind != kind:
        return SceneObject(kind=kind)
    return SceneObject(kind=kind, color=thing.color, state=thing.state)


def make_concepts(things: Iterable[SceneObject], encoder: TextEncoder) -> Concepts:
    """Encode the captions of every concept once."""
    listed = tuple(sorted(set(things), key=lambda thing: (thing.kind, thing.color, thing.state)))
    groups = [_levels(thing) for thing in listed]
    texts = list(dict.fromkeys(text for levels in groups for level in levels for text in level))
    vectors = dict(zip(texts, encode(texts, encoder), strict=True))
    rows = [_mean([_mean([vectors[text] for text in level]) for level in levels]) for levels in groups]
    return Concepts(things=listed, text=np.stack(rows).astype(np.float32))


def plain_concepts(things: Iterable[SceneObject]) -> tuple[SceneObject, ...]:
    """Return the kinds of concepts without colour and state, each once, sorted."""
    return tuple(SceneObject(kind=kind) for kind in sorted({thing.kind for thing in things}))


def training_captions(things: Iterable[SceneObject]) -> list[str]:
    """Return every text that supervision with these concepts uses, sorted."""
    return sorted({text for thing in things for level in _levels(thing) for text in level})


def encode(texts: Sequence[str], encoder: TextEncoder, chunk: int = 256) -> NDArray[np.float32]:
    """Return unit vectors (T, D)."""
    parts = [np.asarray(encoder.encode(list(texts[at : at + chunk]))) for at in range(0, len(texts), chunk)]
    return np.concatenate(parts).astype(np.float32)


def _levels(thing: SceneObject) -> list[tuple[str, ...]]:
    """Return captions in groups that count alike: without, and with each of colour and state."""
    if thing.kind == "sky":
        return [SKY_CAPTIONS]
    plain = captions(SceneObject(kind=thing.kind))
    described = [tuple(set(captions(thing)) - set(plain))] if thing.color or thing.state else []
    return [plain, *[tuple(sorted(group)) for group in described]]


def _mean(vectors: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    mean = np.mean(vectors, axis=0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)
