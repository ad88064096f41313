"""Teachers: where supervision comes from, all behind one protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ov3d_perception.errors import ConfigError

from ..config import SourceConfig, TeacherConfig
from ..data.sample import Sample
from ..supervision.lift import LiftOptions
from ..words.vocabulary import WordList
from .base import FeatureSupervision, Supervision, Targets, Teacher, choose_targets
from .features import open_file_teacher
from .labels import LabelTeacher
from .masks import MaskFeatureTeacher, MaskTeacher, open_mask_teacher

if TYPE_CHECKING:
    from ov3d_perception.text.encoder import TextEncoder

WITHOUT_IMAGES = ("nuscenes", "scannet", "kitti", "openscene", "bag", "street", "worlds")
"""Kinds of data that come with images where `cameras` is on."""
TEACHERS = ("masks", "labels", "pixel_text", "open_clip", "features")


def make_teacher(
    config: TeacherConfig, words: WordList, encoder: TextEncoder, sample: Sample, device: torch.device | None = None
) -> Teacher:
    """Make the configured teacher; `sample` is any one of the data set and says which names there are.

    Networks of torch run on `device`, by default the CPU.
    """
    device = device or torch.device("cpu")
    if config.kind == "labels":
        return LabelTeacher(targets=choose_targets(words, sample.point_label_names, encoder), words=words)
    options = LiftOptions(
        min_confidence=config.min_confidence,
        erosion_px=config.erosion_px,
        min_depth_m=config.min_depth_m,
        occlusion_test=config.occlusion_test,
        view_weight=config.view_weight,
        superpixels=config.superpixels,
        depth_tolerance=config.depth_tolerance,
    )
    if config.kind == "pixel_text" and config.path.endswith(".onnx"):
        from .onnx_tower import open_onnx_tower_teacher

        return open_onnx_tower_teacher(config, words, encoder, options)
    if config.kind == "pixel_text":
        from .pixel_text import open_pixel_text_teacher

        return open_pixel_text_teacher(
            config.path, encoder, options, widths=config.widths, flip=config.flip, device=device
        )
    if config.kind == "features":
        return open_file_teacher(config.path, words, encoder)
    if config.kind == "open_clip":
        from .open_clip import open_clip_teacher

        return open_clip_teacher(config, words, encoder, options, device)
    if config.kind == "masks":
        return open_mask_teacher(config, words, encoder, options, sample)
    raise ConfigError(f"teacher.kind: unknown '{config.kind}'. Choose from {', '.join(TEACHERS)}.")


def expect_images(config: TeacherConfig, data: SourceConfig) -> None:
    """Raise `ConfigError` where a teacher looks at images that the data is opened without."""
    looks = config.kind in ("masks", "pixel_text", "open_clip")
    if looks and data.kind in WITHOUT_IMAGES and not data.cameras:
        raise ConfigError(f"teacher.kind={config.kind}: it looks at images, the data has none. Set data.cameras=true.")


__all__ = [
    "TEACHERS",
    "FeatureSupervision",
    "LabelTeacher",
    "MaskFeatureTeacher",
    "MaskTeacher",
    "Supervision",
    "Targets",
    "Teacher",
    "choose_targets",
    "expect_images",
    "make_teacher",
]
