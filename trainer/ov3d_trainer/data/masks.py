"""Masks of external segmenters as files: an image of numbers per camera, what the numbers mean, and perhaps features.

`labels.json` lists every name under "labels". Per camera, `CAMERA.png` is a greyscale image of the camera's view, at
any size, and `CAMERA_confidence.png`, if there, the confidence x 255 per pixel. Its numbers are

* rows of the list, for a segmenter with a label per pixel; or,
* where `CAMERA.json` is beside it, masks: 0 is none, mask i is entry i - 1 of that list, a name or
  {"label": name, "score": 0..1}. `CAMERA.npy`, if there, holds the masks' features (M, D) in the same order.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.errors import DataError

from .images import read_values
from .names import plain_name
from .sample import UNKNOWN, LabelImage

VOID_NAMES = ("unlabeled", "unlabelled", "ignore", "void")
LISTING_FILE = "labels.json"
_MOST_BYTES = 100_000_000
_MOST_MASKS = 65_535


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A segmenter's names: `listed` as in the file, `names` without those that mean nothing, and `row` (L,) int32 of
    `names` per listed name, `UNKNOWN` where it means nothing."""

    path: Path
    listed: tuple[str, ...]
    names: tuple[str, ...]
    row: NDArray[np.int32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Masks:
    """The masks of one image: `mask` (h, w) int32, row of `names`, `UNKNOWN` where none; `score` (M,) float32, 0..1;
    `confidence` (h, w) float32 per pixel, or None."""

    mask: NDArray[np.int32]
    names: tuple[str, ...]
    score: NDArray[np.float32]
    confidence: NDArray[np.float32] | None

    def pixel_confidence(self) -> NDArray[np.float32]:
        """Return (h, w): the mask's score, times the pixel's own confidence; 0 outside of masks."""
        score = np.append(self.score, np.float32(0.0))[self.mask]
        return score if self.confidence is None else score * self.confidence


def read_listing(folder: Path) -> Listing:
    """Read `labels.json` of a folder; `DataError` names what is wrong."""
    path = folder / LISTING_FILE
    content = _read_json(path)
    listed = content.get("labels") if isinstance(content, dict) else None
    if not isinstance(listed, list) or not listed or not all(isinstance(name, str) for name in listed):
        raise DataError(f"{path}: expected a list of names under 'labels', got {listed!r:.80}. Write it again.")
    names = tuple(name for name in dict.fromkeys(listed) if name not in VOID_NAMES)
    row = np.array([UNKNOWN if name in VOID_NAMES else names.index(name) for name in listed], np.int32)
    return Listing(path=path, listed=tuple(listed), names=names, row=row)


def read_label_image(folder: Path, camera: str, listing: Listing) -> LabelImage | None:
    """Return the label per pixel as rows of `listing.names`; None where the camera has no file."""
    masks = read_masks(folder, camera)
    if masks is not None:
        missing = [name for name in masks.names if name not in listing.listed]
        if missing:
            raise DataError(f"{folder / camera}.json: '{missing[0]}' is not in {listing.path}. Add it to that list.")
        row = [listing.row[listing.listed.index(name)] for name in masks.names]
        labels = np.array([*row, UNKNOWN], np.int32)[masks.mask]
        return LabelImage(labels=labels, confidence=masks.pixel_confidence())
    path = folder / f"{camera}.png"
    if not path.is_file():
        return None
    values = read_values(path)
    if values.max(initial=0) >= len(listing.listed) or values.min(initial=0) < 0:
        raise DataError(
            f"{path}: label {int(values.max())} has no name; {LISTING_FILE} lists {len(listing.listed)}. "
            "Image and list belong to different segmenters; write both again."
        )
    return LabelImage(labels=listing.row[values], confidence=_read_confidence(folder, camera, values.shape))


def read_masks(folder: Path, camera: str) -> Masks | None:
    """Return the masks of a camera; None where it has no `CAMERA.json`."""
    path = folder / f"{plain_name(camera, f'{folder}: camera')}.json"
    if not path.is_file():
        return None
    entries = _read_json(path)
    if not isinstance(entries, list) or len(entries) > _MOST_MASKS:
        raise DataError(f"{path}: expected a list of up to {_MOST_MASKS} masks, got {type(entries).__name__}.")
    named = [_read_entry(path, number, entry) for number, entry in enumerate(entries)]
    values = read_values(folder / f"{camera}.png")
    if values.max(initial=0) > len(entries) or values.min(initial=0) < 0:
        raise DataError(
            f"{folder / camera}.png: mask {int(values.max())}, but {path.name} has {len(entries)}. Write both again."
        )
    return Masks(
        mask=values.astype(np.int32) - 1,
        names=tuple(name for name, _ in named),
        score=np.array([score for _, score in named], np.float32),
        confidence=_read_confidence(folder, camera, values.shape),
    )


def read_vectors(folder: Path, camera: str, masks: int, dim: int) -> NDArray[np.float16]:
    """Return the features (M, D) of a camera's masks; `DataError` for another number of masks or another space."""
    path = folder / f"{camera}.npy"
    try:
        vectors = np.load(path, allow_pickle=False, mmap_mode="r")
    except FileNotFoundError:
        raise DataError(f"{path}: no such file, though {camera}.json has masks. Write both again.") from None
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: expected an array of features ({error}). Save it again with numpy.save.") from error
    if vectors.dtype.kind != "f" or vectors.shape != (masks, dim):
        raise DataError(
            f"{path}: {vectors.dtype} {vectors.shape}, expected {masks} masks of {dim} numbers, as `text` has. "
            "Is `text` of the same model?"
        )
    found = np.asarray(vectors, np.float16)
    if not np.isfinite(found).all():
        raise DataError(f"{path}: holds NaN, infinity or numbers beyond float16. Write the features again.")
    return found


def _read_entry(path: Path, number: int, entry: Any) -> tuple[str, float]:
    name, score = (entry.get("label"), entry.get("score", 1.0)) if isinstance(entry, dict) else (entry, 1.0)
    if (
        not isinstance(name, str)
        or isinstance(score, bool)
        or not isinstance(score, int | float)
        or not 0 <= score <= 1
    ):
        raise DataError(f"{path}: mask {number + 1}: expected a name, or label and score 0..1, got {entry!r:.80}.")
    return name, float(score)


def _read_confidence(folder: Path, camera: str, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    path = folder / f"{camera}_confidence.png"
    if not path.is_file():
        return None
    values = read_values(path)
    if values.shape != shape or values.dtype != np.uint8:
        raise DataError(
            f"{path}: expected 8 bits and shape {shape} as {camera}.png, got {values.dtype} {values.shape}. "
            "Write both again."
        )
    return values.astype(np.float32) / np.float32(255)


def _read_json(path: Path) -> Any:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path}: larger than {_MOST_BYTES} bytes. Is it the right file?")
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. It says what the numbers in the label images mean.") from None
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: expected JSON, but it cannot be read ({error}). Write it again.") from error
