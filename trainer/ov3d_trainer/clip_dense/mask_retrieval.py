"""Features pooled over masks against those of the masks' own crops: what a dense edit keeps of a global CLIP."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.errors import DataError

from ..config import TeacherConfig
from ..open_clip_loading import load_model
from .edits import check_visual
from .pooling import pool_over_masks
from .windows import DenseClip, dense_options


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskRetrieval:
    """Of M masks: mean `cosine` between a mask's pooled feature and its crop's, `between` others' crops, and how many
    masks have their own crop as the nearest (`found`)."""

    cosine: float
    between: float
    found: int
    masks: int


def compare_with_crops(pooled: NDArray[np.floating[Any]], crops: NDArray[np.floating[Any]]) -> MaskRetrieval:
    """Compare features (M, D) of at least two masks with those of their crops; lengths do not count."""
    one, other = (
        vectors.astype(np.float64) / np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
        for vectors in (pooled, crops)
    )
    cosine, own = one @ other.T, np.eye(len(one), dtype=bool)
    return MaskRetrieval(
        cosine=float(cosine[own].mean()),
        between=float(cosine[~own].mean()),
        found=int((cosine.argmax(axis=1) == np.arange(len(one))).sum()),
        masks=len(one),
    )


def measure_masks(teacher: TeacherConfig, path: Path, edits: Sequence[str]) -> dict[str, MaskRetrieval]:
    """Pool the tower's dense features over the masks of a file and compare them with its class token for their boxes.

    The file (.npz) has `img` (H, W, 3) uint8, `masks` (M, H, W) bool and `bboxes` (M, 4) left, top, right, bottom, end
    excluded. Size, windows and flip are the teacher's. Raises `DataError` for other files.
    """
    file = _read(path)
    visual: Any = load_model(teacher.model, teacher.pretrained or None).visual
    for edit in edits:
        check_visual(visual, edit)
    dense = DenseClip(visual, replace(dense_options(teacher), edit=edits[0]))
    crops = np.stack([dense.global_feature(_cut(file["img"], box)).numpy() for box in file["bboxes"]])
    grids = dense.features_of_edits(file["img"], edits)
    return {
        edit: compare_with_crops(pool_over_masks(grid.numpy(), file["masks"]), crops)
        for edit, grid in zip(edits, grids, strict=True)
    }


def mask_row(edit: str, found: MaskRetrieval) -> list[str]:
    """Return one row of a table: edit, both cosines, and how many masks find their own crop."""
    return [edit, f"{found.cosine:.3f}", f"{found.between:.3f}", f"{found.found} of {found.masks}"]


def _cut(image: NDArray[np.uint8], box: NDArray[np.integer[Any]]) -> NDArray[np.uint8]:
    left, top, right, bottom = (int(value) for value in box)
    return image[top:bottom, left:right]


def _read(path: Path) -> Mapping[str, NDArray[Any]]:
    try:
        with np.load(path) as archive:
            file = {name: archive[name] for name in ("img", "masks", "bboxes")}
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(f"masks {path}: expected an .npz file with img, masks and bboxes ({error}).") from error
    image, masks, boxes = file["img"], file["masks"], file["bboxes"]
    size = image.shape[:2]
    fits = masks.ndim == 3 and masks.dtype == bool and masks.shape[1:] == size and len(masks) > 1
    if image.dtype != np.uint8 or image.shape[2:] != (3,) or not fits or boxes.shape != (len(masks), 4):
        raise DataError(
            f"masks {path}: img {image.shape} {image.dtype}, masks {masks.shape} {masks.dtype} and bboxes "
            f"{boxes.shape} do not fit together. Expected (H, W, 3) uint8, (M, H, W) bool with two masks or more, "
            "and (M, 4)."
        )
    left, top, right, bottom = boxes.T
    if not (
        (left >= 0) & (top >= 0) & (left < right) & (top < bottom) & (right <= size[1]) & (bottom <= size[0])
    ).all():
        raise DataError(f"masks {path}: a box is empty or outside the image of {size[0]} rows, {size[1]} columns.")
    return file
