"""Teacher `open_clip`: dense features of a CLIP image tower, read where lidar points fall into the images."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from ov3d_perception.errors import ConfigError
from ov3d_perception.text.encoder import TextEncoder
from ov3d_perception.types import CameraView

from ..clip_dense.windows import DenseClip, dense_options
from ..config import TeacherConfig
from ..data.sample import Sample
from ..open_clip_loading import load_model, text_space
from ..supervision.lift import LiftOptions
from ..words.vocabulary import WordList
from .base import FeatureSupervision, Targets, feature_targets
from .views import mean_over_views

_TINY = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenClipTeacher:
    """Supervises every point that a camera sees with the mean feature of its pixels, at each of several image sizes.

    `targets` are the words of the vocabulary, whose decoder is the identity: codes are features.
    """

    dense: tuple[DenseClip, ...]
    targets: Targets
    lift: LiftOptions

    def supervise(self, sample: Sample) -> FeatureSupervision:
        """Run the tower on the sample's images and read it at the points."""

        def read(view: CameraView, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
            found = [features_at(dense.features(view.image), view.image.shape, pixels) for dense in self.dense]
            mean = np.mean(found, axis=0, dtype=np.float32)
            return np.asarray(mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), _TINY), np.float32)

        return mean_over_views(sample, self.lift, self.targets.text.shape[1], read)


def features_at(features: torch.Tensor, shape: tuple[int, ...], pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return unit features (P, D) at pixels (P, 2) of an image of `shape` (H, W, ...) from a grid (D, h, w) over it."""
    size = torch.tensor([shape[1], shape[0]])
    grid = (torch.from_numpy(pixels) + 0.5) / size * 2.0 - 1.0
    read = F.grid_sample(features[None], grid[None, None].float(), padding_mode="border", align_corners=False)
    return np.asarray(F.normalize(read[0, :, 0].T, dim=1).numpy(), np.float32)


def open_clip_teacher(
    config: TeacherConfig, words: WordList, encoder: TextEncoder, lift: LiftOptions, device: torch.device
) -> OpenClipTeacher:
    """Load the model onto a device; `ConfigError` where it speaks another text space than `encoder`."""
    visual = load_visual(config, encoder).to(device)
    options = dense_options(config)
    sides = [round(config.short_side * scale) for scale in config.scales]
    dense = tuple(DenseClip(visual, replace(options, short_side=side)) for side in sides)
    return OpenClipTeacher(dense=dense, targets=feature_targets(words, encoder), lift=lift)


def load_visual(config: TeacherConfig, encoder: TextEncoder) -> torch.nn.Module:
    """Load the image tower; `ConfigError` where it speaks another text space than `encoder`."""
    pretrained = config.pretrained or None
    space = text_space(config.model, pretrained)
    if encoder.space != space:
        raise ConfigError(
            f"teacher: {config.model} with weights '{config.pretrained}' gives features in {space!r}, `text` is in "
            f"{encoder.space!r}. Export the text tower of the same model (python -m ov3d_export text-tower)."
        )
    visual = load_model(config.model, pretrained).visual
    assert isinstance(visual, torch.nn.Module)
    return visual
