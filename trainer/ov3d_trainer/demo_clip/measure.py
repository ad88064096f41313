"""How often the demo CLIP's one vector per crop is nearest to the right kind, on worlds that it never saw."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ov3d_perception.errors import DataError

from ..data.dataset import open_source
from ..image_tower.concepts import make_concepts, plain_concepts
from ..open_clip_loading import load_model
from ..words.text import open_text
from .config import DemoClipTraining
from .regions import draw_crops, load_regions
from .training import features_of_crops

_BATCH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class CropAccuracy:
    """Share of `crops` whose nearest of `kinds` kinds is their own; kinds are shown alike often."""

    accuracy: float
    crops: int
    kinds: int


def measure_demo_clip(config: DemoClipTraining, weights: Path, crops: int = 1024) -> CropAccuracy:
    """Draw crops from `config.evaluation` and compare each with the kinds that occur there."""
    if config.threads:
        torch.set_num_threads(config.threads)
    regions = load_regions(open_source(config.evaluation, config.cache or None))
    if not len(regions.image):
        raise DataError("demo CLIP: the evaluation data has no images with labels. Set evaluation.cameras=true.")
    visual: Any = load_model(config.model, weights).visual
    plain = make_concepts(plain_concepts(regions.things), open_text(config.text))
    row_of = {thing.kind: row for row, thing in enumerate(plain.things)}
    kind = np.array([row_of[thing.kind] for thing in regions.things])
    by_kind, size = regions.by_kind(), int(visual.image_size[0])
    right = 0
    for number, at in enumerate(range(0, crops, _BATCH)):
        generator = np.random.default_rng([config.seed, 22, number])
        images, concepts = draw_crops(regions, by_kind, min(_BATCH, crops - at), size, 1.0, generator)
        with torch.inference_mode():
            feature = features_of_crops(visual, torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255.0)
        right += int((np.asarray(feature.numpy() @ plain.text.T).argmax(axis=1) == kind[concepts]).sum())
    return CropAccuracy(accuracy=right / crops, crops=crops, kinds=len(by_kind))
