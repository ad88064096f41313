"""What a bundle says about the points of a sample, from each of its three sources: student, image tower, both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.artifact import open_bundle
from ov3d_perception.engine import Engine, SweepFeatures
from ov3d_perception.fusion import camera_features, fuse
from ov3d_perception.image_tower import IMAGE_FILE, ImageTower
from ov3d_perception.queries import make_queries
from ov3d_perception.text.encoder import TextEncoder

from ..data.sample import Sample

STUDENT, TEACHER, ENSEMBLE = "student", "teacher", "ensemble"
SOURCES = (TEACHER, STUDENT, ENSEMBLE)
TEMPLATES = ("{}", "a {}", "a photo of a {}", "the {}", "one {} in the scene")
PROMPTED = "in prompts: "
"""A phrase with this in front is put into every template and its vectors are averaged (a prompt ensemble)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Similarities:
    """Cosines of a sample's points to the phrases asked.

    `of` gives (N, Q) float32 per source; `seen` (N,) bool: a camera sees the point, so that the teacher's rows mean
    something.
    """

    of: dict[str, NDArray[np.float32]]
    seen: NDArray[np.bool_]


class BundleSources:
    """A loaded bundle that is asked a fixed list of phrases."""

    def __init__(self, bundle: Path, phrases: Sequence[str], *, threads: int | None = None) -> None:
        opened = open_bundle(bundle)
        self.encoder: TextEncoder = opened.open_text_encoder(threads=threads)
        self.engine = Engine(opened, providers="cpu", threads=threads)
        image = bundle / IMAGE_FILE
        self.tower = ImageTower(image, providers="cpu", threads=threads) if image.is_file() else None
        self.rows = {phrase: row for row, phrase in enumerate(phrases)}
        self.text = np.stack([encode_phrase(phrase, self.encoder) for phrase in phrases])  # (Q, D), unit length
        # The engine wants words of its own; ours are compared with its features.
        self._queries = make_queries([phrases[0].removeprefix(PROMPTED)], self.encoder)

    def ask(self, sample: Sample) -> Similarities:
        """Run student and image tower on one sample."""
        features = self.engine.encode(sample.frame, self._queries)
        count = len(features.row_of_point)
        found = {STUDENT: self._spread(features)}
        seen = np.zeros(count, bool)
        if self.tower is not None and sample.frame.cameras:
            camera = camera_features(sample.frame, self.tower)
            seen[camera.rows] = True
            taught = np.zeros((count, len(self.rows)), np.float32)
            taught[camera.rows] = camera.feature @ self.text.T
            found[TEACHER] = taught
            found[ENSEMBLE] = self._spread(fuse(features, camera))
        return Similarities(of=found, seen=seen)

    def _spread(self, features: SweepFeatures) -> NDArray[np.float32]:
        """Return cosines (N, Q); -1 where a point has no feature."""
        similarity = features.similarity_to(self.text)
        padded = np.concatenate([similarity, np.full((1, len(self.rows)), -1.0, np.float32)])
        return np.asarray(padded[features.row_of_point], np.float32)


def encode_phrase(phrase: str, encoder: TextEncoder) -> NDArray[np.float32]:
    """Return the unit vector (D,) of a phrase, over all templates where it says so."""
    plain = phrase.removeprefix(PROMPTED)
    templates = ("{}",) if plain == phrase else TEMPLATES
    vector = np.asarray(encoder.encode([template.format(plain) for template in templates])).mean(axis=0)
    return np.asarray(vector / np.linalg.norm(vector), np.float32)
