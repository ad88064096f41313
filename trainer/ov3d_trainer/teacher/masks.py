"""Teacher `masks`: any external segmenter's label images or masks with features, lifted to the points."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.text.encoder import TextEncoder

from ..config import TeacherConfig
from ..data.masks import Masks, read_label_image, read_listing, read_masks, read_vectors
from ..data.names import plain_name
from ..data.sample import UNKNOWN, LabelImage, Sample
from ..supervision.lift import LiftOptions, lift_view_labels
from ..words.vocabulary import WordList
from .base import FeatureSupervision, Supervision, Targets, choose_targets, feature_targets, target_of_name


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskTeacher:
    """Supervises the points that a camera sees with the text row of the pixel's label, weighted by its confidence.

    Labels are merged over cameras before names without a text row are dropped: a confident "road" is not overruled by
    a doubtful "car" merely because "road" cannot be asked for. With a `folder` the label images are read from
    `folder/SAMPLE/`, otherwise they are the sample's own.
    """

    targets: Targets
    words: WordList
    lift: LiftOptions
    folder: Path | None = None

    def supervise(self, sample: Sample) -> Supervision:
        """Lift the sample's label images; `DataError` where the folder has none of them."""
        if self.folder is not None:
            sample = _with_label_images(self.folder, sample)
        lifted = lift_view_labels(sample, self.lift)
        target = target_of_name(self.words, sample.view_label_names, self.targets)[lifted.label]
        weight = np.where(target == UNKNOWN, np.float32(0.0), lifted.confidence).astype(np.float32)
        return Supervision(target=target, weight=weight, count=len(self.targets.names))


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskFeatureTeacher:
    """Supervises the points that a camera sees with the feature of the mask they fall on, as AFOV (arXiv 2405.15286).

    Where several cameras see a point, it gets the mean of the masks' unit features, and the mean of their confidences
    as weight; points of the same masks share a vector. Masks whose name the vocabulary ignores supervise nothing.
    `targets` are the vocabulary's words.
    """

    folder: Path
    targets: Targets
    words: WordList
    lift: LiftOptions

    def supervise(self, sample: Sample) -> FeatureSupervision:
        """Read and lift the sample's masks; `DataError` where the folder has none of them, or they do not fit."""
        folder, dim = _folder_of(self.folder, sample), self.targets.text.shape[1]
        masks, confidences, vectors = [], [], [np.zeros((0, dim), np.float32)]
        first = 0
        for view in sample.frame.cameras:
            found = read_masks(folder, view.name)
            if found is None:
                continue
            read = read_vectors(folder, view.name, len(found.names), dim).astype(np.float32)
            length = np.linalg.norm(read, axis=1)
            image = self._usable(found, length > 0)
            alone = replace(sample, frame=replace(sample.frame, cameras=(view,)), view_labels={view.name: image})
            lifted = lift_view_labels(alone, self.lift)
            masks.append(np.where(lifted.label == UNKNOWN, UNKNOWN, lifted.label + first))
            confidences.append(lifted.confidence)
            vectors.append(read / np.maximum(length, 1e-12)[:, None])
            first += len(read)
        if not masks:
            raise _nothing_there(folder, sample, ".json")
        of_point, confidence = np.stack(masks, axis=1), np.stack(confidences, axis=1)
        return _mean_of_masks(of_point, confidence, np.concatenate(vectors))

    def _usable(self, masks: Masks, has_feature: NDArray[np.bool_]) -> LabelImage:
        rows = [
            row if has_feature[row] and not self.words.ignores(name) else UNKNOWN
            for row, name in enumerate(masks.names)
        ]
        labels = np.array([*rows, UNKNOWN], np.int32)[masks.mask]
        return LabelImage(labels=labels, confidence=masks.pixel_confidence())


def open_mask_teacher(
    config: TeacherConfig, words: WordList, encoder: TextEncoder, lift: LiftOptions, sample: Sample
) -> MaskTeacher | MaskFeatureTeacher:
    """Open the folder of masks that `config.path` names, or use the masks that samples have; `ConfigError`."""
    folder = Path(config.path) if config.path else None
    if folder is not None and not folder.is_dir():
        raise ConfigError(f"teacher.path: {folder} is no folder of masks. Set teacher.path=FOLDER.")
    if config.mask_features:
        if folder is None:
            raise ConfigError("teacher.mask_features: the folder of masks is missing. Set teacher.path=FOLDER.")
        return MaskFeatureTeacher(folder=folder, targets=feature_targets(words, encoder), words=words, lift=lift)
    names = sample.view_label_names if folder is None else read_listing(folder).names
    if not names:
        raise ConfigError(
            f"teacher.kind=masks: sample {sample.name} has no label images. "
            "Set teacher.path to a folder of masks, use a data source with masks, or teacher.kind=labels."
        )
    return MaskTeacher(targets=choose_targets(words, names, encoder), words=words, lift=lift, folder=folder)


def _with_label_images(root: Path, sample: Sample) -> Sample:
    listing, folder = read_listing(root), _folder_of(root, sample)
    found = {view.name: read_label_image(folder, view.name, listing) for view in sample.frame.cameras}
    images = {camera: image for camera, image in found.items() if image is not None}
    if not images:
        raise _nothing_there(folder, sample, ".png")
    return replace(sample, view_labels=images, view_label_names=listing.names)


def _folder_of(root: Path, sample: Sample) -> Path:
    return root / plain_name(sample.name, f"{root}: sample")


def _nothing_there(folder: Path, sample: Sample, suffix: str) -> DataError:
    cameras = ", ".join(view.name for view in sample.frame.cameras[:8])
    if not cameras:
        return DataError(f"{folder}: sample {sample.name} has no images to lift masks from. Set data.cameras=true.")
    return DataError(f"{folder}: no CAMERA{suffix} of the cameras {cameras}. Are these masks of this data set?")


def _mean_of_masks(
    masks: NDArray[np.int32], confidence: NDArray[np.float32], vectors: NDArray[np.float32]
) -> FeatureSupervision:
    """Average per point over the cameras: masks and confidence (N, cameras), vectors (M, D) of unit length."""
    known = masks != UNKNOWN
    rows = np.flatnonzero(known.any(axis=1))
    seen, known = masks[rows], known[rows]
    together, vector_of_row = np.unique(seen, axis=0, return_inverse=True)
    parts = together != UNKNOWN
    mean = np.zeros((len(together), vectors.shape[1]), np.float32)
    for camera in range(together.shape[1]):
        here = parts[:, camera]
        mean[here] += vectors[together[here, camera]]
    weight = (confidence[rows] * known).sum(axis=1) / known.sum(axis=1)
    return FeatureSupervision(
        points=len(masks),
        rows=rows,
        vectors=(mean / np.maximum(parts.sum(axis=1), 1)[:, None]).astype(np.float16),
        vector_of_row=vector_of_row.reshape(-1).astype(np.int32),
        weight=weight.astype(np.float32),
    )
