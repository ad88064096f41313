"""Teacher `open_clip`: dense features of a CLIP image tower, read where lidar points fall into the images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from ov3d_perception.errors import ConfigError
from ov3d_perception.text.encoder import TextEncoder

from ..clip_dense.windows import DenseClip, DenseOptions
from ..config import TeacherConfig
from ..data.sample import Sample
from ..lift import LiftOptions, visible_pixels
from ..open_clip_loading import load_open_clip, text_space
from ..vocabulary import WordList
from .base import FeatureSupervision, Targets, choose_targets


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenClipTeacher:
    """Supervises every point that a camera sees with the mean feature of its pixels.

    `targets` are the words of the vocabulary, whose decoder is the identity: codes are features.
    """

    dense: DenseClip
    targets: Targets
    lift: LiftOptions

    def supervise(self, sample: Sample) -> FeatureSupervision:
        """Run the tower on the sample's images and read it at the points."""
        points = sample.frame.points
        total = np.zeros((len(points), self.targets.text.shape[1]), np.float32)
        views = np.zeros(len(points), np.int64)
        for view in sample.frame.cameras:
            rows, pixels = visible_pixels(points, view, self.lift)
            total[rows] += features_at(self.dense.features(view.image), view.image.shape, pixels)
            views[rows] += 1
        seen = np.flatnonzero(views)
        mean: NDArray[np.float16] = np.asarray(total[seen] / views[seen, None], dtype=np.float16)
        return FeatureSupervision(rows=seen, code=mean, weight=np.ones(len(seen), np.float32))


def features_at(features: torch.Tensor, shape: tuple[int, ...], pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return unit features (P, D) at pixels (P, 2) of an image of `shape` (H, W, ...) from a grid (D, h, w) over it."""
    size = torch.tensor([shape[1], shape[0]])
    grid = (torch.from_numpy(pixels) + 0.5) / size * 2.0 - 1.0
    read = F.grid_sample(features[None], grid[None, None].float(), padding_mode="border", align_corners=False)
    return np.asarray(F.normalize(read[0, :, 0].T, dim=1).numpy(), np.float32)


def open_clip_teacher(
    config: TeacherConfig, words: WordList, encoder: TextEncoder, lift: LiftOptions
) -> OpenClipTeacher:
    """Load the model; `ConfigError` where it speaks another text space than `encoder`."""
    pretrained = config.pretrained or None
    space = text_space(config.model, pretrained)
    if encoder.space != space:
        raise ConfigError(
            f"teacher: {config.model} with weights '{config.pretrained}' gives features in {space!r}, `text` is in "
            f"{encoder.space!r}. Export the text tower of the same model (python -m ov3d_export text-tower)."
        )
    model, _ = load_open_clip(config.model, pretrained)
    options = DenseOptions(
        edit=config.edit, short_side=config.short_side, window=config.window, stride=config.stride, flip=config.flip
    )
    chosen = choose_targets(words, (), encoder)
    dim = chosen.text.shape[1]
    return OpenClipTeacher(
        dense=DenseClip(model.visual, options),
        targets=Targets(
            names=chosen.names,
            text=chosen.text,
            not_queryable=chosen.not_queryable,
            decoder=np.eye(dim, dtype=np.float32),
        ),
        lift=lift,
    )
