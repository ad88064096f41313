"""What dense features say without any training: patches compared with words, pixel by pixel, against label images."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from tqdm import tqdm

from ov3d_perception.errors import DataError
from ov3d_perception.queries import BACKGROUND, QuerySet, make_queries

from ..config import TrainConfig, evaluation_source
from ..data.dataset import open_source
from ..data.sample import UNKNOWN, Sample
from ..report import table
from ..scores import Confusion, add_confusions, count_confusion, percentage
from ..teacher.open_clip import load_visual
from ..teacher.superpixels import superpixels
from ..whole_files import write_whole
from ..words.text import open_text
from ..words.vocabulary import WordList, read_vocabulary
from .edits import check_visual
from .pooling import pool_over_segments
from .windows import DenseClip, dense_options

WHOLE, WINDOWS, MIRRORED = ("whole image", "windows", "windows, mirrored")
SUPERPIXELS = "windows, mirrored, superpixels"
"""How an image is looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ZeroShot:
    """`figures`: pixels by truth and prediction for each (edit, way). `left_out`: names that no label stands for."""

    figures: dict[tuple[str, str], Confusion]
    images: int
    left_out: tuple[str, ...]


def measure_zero_shot(config: TrainConfig, edits: Sequence[str]) -> ZeroShot:
    """Label every pixel of the `evaluation` data (`data` where there is none) by the nearest phrase of the vocabulary.

    Model, weights, size, windows and superpixels are the `teacher`'s. Cosines, not labels, are brought to the size of
    the label images. Pixels whose name the vocabulary ignores or does not know are left out.
    """
    if config.threads:
        torch.set_num_threads(config.threads)
    words, encoder = read_vocabulary(config.vocabulary), open_text(config.text)
    queries = make_queries(words.labels, encoder, templates=words.templates, background=words.background)
    visual = load_visual(config.teacher, encoder)
    for edit in edits:
        check_visual(visual, edit)
    windows = DenseClip(visual, replace(dense_options(config.teacher), edit=edits[0], flip=False))
    whole = DenseClip(visual, replace(windows.options, window=0))
    source = open_source(evaluation_source(config), config.cache or None)
    found: dict[tuple[str, str], Confusion] = {}
    images, left_out = 0, set()
    for index in tqdm(range(len(source)), desc="zero-shot", disable=not sys.stderr.isatty()):
        sample = source[index]
        row_of, unknown = _rows(words, sample)
        for view in sample.frame.cameras:
            labels = sample.view_labels.get(view.name)
            if labels is None:
                continue
            images += 1
            left_out |= {unknown[label] for label in np.unique(labels.labels).tolist() if label in unknown}
            truth, count = row_of[labels.labels], config.teacher.superpixels
            segments = superpixels(view.image, count) if count else None
            for way, grids in _looks(whole, windows, view.image, edits).items():
                for edit, features in zip(edits, grids, strict=True):
                    _count(found, (edit, way), queries, truth, label_pixels(features, queries, truth.shape))
                    if way == MIRRORED and segments is not None:
                        labelled = label_segments(features, queries, segments, truth.shape)
                        _count(found, (edit, SUPERPIXELS), queries, truth, labelled)
    if not images:
        raise DataError("dense-zero-shot: the data has no label images. Set evaluation.cameras=true, or other data.")
    return ZeroShot(figures=found, images=images, left_out=tuple(sorted(left_out)))


def label_pixels(features: torch.Tensor, queries: QuerySet, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the label (H, W) of the nearest phrase for features (D, h, w): 0..Q-1, or Q for a background word.

    Each label's best cosine is brought to (H, W) before labels compete.
    """
    best = torch.from_numpy(_best_cosines(features.flatten(1).T.numpy(), queries).T)
    best = best.reshape(1, -1, *features.shape[1:])
    found = F.interpolate(best, shape, mode="bilinear", align_corners=False)[0].argmax(dim=0)
    return np.asarray(found.numpy(), np.int64)


def label_segments(
    features: torch.Tensor, queries: QuerySet, segments: NDArray[np.integer[Any]], shape: tuple[int, ...]
) -> NDArray[np.int64]:
    """Return labels (H, W) where all pixels of a segment share the mean of their features; `segments` (h, w)."""
    inverse = np.unique(segments, return_inverse=True)[1].reshape(segments.shape)  # numbers without a gap
    label = _best_cosines(pool_over_segments(features.numpy(), inverse), queries).argmax(axis=1)
    row, column = ((np.arange(size) + 0.5) * own / size for size, own in zip(shape, segments.shape, strict=True))
    return np.asarray(label[inverse[row.astype(int)[:, None], column.astype(int)]], np.int64)


def _best_cosines(vectors: NDArray[np.float32], queries: QuerySet) -> NDArray[np.float32]:
    """Return (V, Q + 1): the best cosine of each label's phrases, and of the background words, -1 without any."""
    cosines = vectors @ queries.text.T
    columns = [cosines[:, queries.label_of_phrase == label] for label in (*range(len(queries.names)), BACKGROUND)]
    return np.stack([column.max(axis=1, initial=-1.0) for column in columns], axis=1)


def zero_shot_table(result: ZeroShot) -> str:
    """Lay out mean IoU and pixel accuracy in percent: a row per edit, two columns per way."""
    ways = list(dict.fromkeys(way for _, way in result.figures))
    rows = []
    for edit in dict.fromkeys(edit for edit, _ in result.figures):
        confusions = [result.figures[edit, way] for way in ways]
        rows.append([edit, *(v for c in confusions for v in (percentage(c.mean_iou()), percentage(c.accuracy())))])
    return table(["edit", *(f"{way}: {what}" for way in ways for what in ("mIoU", "accuracy"))], rows)


def save_zero_shot(path: Path, result: ZeroShot) -> None:
    """Write everything, confusion matrices included, as JSON."""
    figures: dict[str, Any] = {}
    for (edit, way), confusion in result.figures.items():
        figures.setdefault(edit, {})[way] = confusion.to_dict()
    content = {"images": result.images, "left_out": list(result.left_out), "edits": figures}
    write_whole(path, json.dumps(content, indent=1) + "\n")


def _looks(
    whole: DenseClip, windows: DenseClip, image: NDArray[np.uint8], edits: Sequence[str]
) -> dict[str, list[torch.Tensor]]:
    """Return the features of every edit in each way; `DenseOptions.flip` would look through all windows once more."""
    seen = windows.features_of_edits(image, edits)
    mirrored = windows.features_of_edits(image[:, ::-1], edits)
    both = [F.normalize(one + other.flip(2), dim=0) for one, other in zip(seen, mirrored, strict=True)]
    return {WHOLE: whole.features_of_edits(image, edits), WINDOWS: seen, MIRRORED: both}


def _rows(words: WordList, sample: Sample) -> tuple[NDArray[np.int64], dict[int, str]]:
    """Return the label per name of the sample's label images, `UNKNOWN` last and where there is none, and those."""
    names = sample.view_label_names
    labels = [None if words.ignores(name) else words.label_of(name) for name in names]
    rows = [UNKNOWN if label is None else words.names.index(label) for label in labels]
    return np.array([*rows, UNKNOWN], np.int64), {row: names[row] for row, label in enumerate(labels) if label is None}


def _count(
    found: dict[tuple[str, str], Confusion],
    key: tuple[str, str],
    queries: QuerySet,
    truth: NDArray[np.int64],
    predicted: NDArray[np.int64],
) -> None:
    known = truth != UNKNOWN
    counted = count_confusion(queries.names, truth[known], predicted[known])
    found[key] = add_confusions([found[key], counted]) if key in found else counted
