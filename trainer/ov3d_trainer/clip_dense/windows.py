"""Dense features of whole images: resized, seen through overlapping windows and mirrored, averaged patch by patch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from ..config import TeacherConfig
from .edits import check_visual, features_of_edits, patch_size

_WINDOWS_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseOptions:
    """How an image is looked at: `short_side` pixels after resizing; windows of `window` pixels, `stride` apart, 0 for
    the whole image at once; `flip`: mirrored too. Lengths are rounded to whole patches."""

    edit: str = "naclip"
    short_side: int = 448
    window: int = 336
    stride: int = 224
    flip: bool = True


def dense_options(teacher: TeacherConfig) -> DenseOptions:
    """Return how a teacher looks at images, at its own `short_side`."""
    return DenseOptions(
        edit=teacher.edit,
        short_side=teacher.short_side,
        window=teacher.window,
        stride=teacher.stride,
        flip=teacher.flip,
    )


class DenseClip:
    """An image tower of open_clip that gives features of patches; `visual` is `model.visual`."""

    def __init__(self, visual: Any, options: DenseOptions) -> None:
        check_visual(visual, options.edit)
        self.visual, self.options, self.patch = visual, options, patch_size(visual)
        mean, std = (getattr(visual, name, None) for name in ("image_mean", "image_std"))
        self._device = next(visual.parameters()).device
        self._mean = torch.tensor(mean or (0.0, 0.0, 0.0), device=self._device).view(1, 3, 1, 1)
        self._std = torch.tensor(std or (1.0, 1.0, 1.0), device=self._device).view(1, 3, 1, 1)

    def features(self, image: NDArray[np.uint8]) -> torch.Tensor:
        """Return unit features (D, h, w), on the CPU, of an image (H, W, 3), RGB; the cells divide it evenly."""
        return self.features_of_edits(image, (self.options.edit,))[0]

    def features_of_edits(self, image: NDArray[np.uint8], edits: Sequence[str]) -> list[torch.Tensor]:
        """Return `features` for each of several edits."""
        shown = self._show(image, self._size(image.shape))
        with torch.inference_mode():
            found = self._through_windows(shown, edits)
            if self.options.flip:
                mirrored = self._through_windows(shown.flip(3), edits)
                found = [one + other.flip(2) for one, other in zip(found, mirrored, strict=True)]
        return [F.normalize(total, dim=0).float().cpu() for total in found]

    def global_feature(self, image: NDArray[np.uint8]) -> torch.Tensor:
        """Return the tower's own unit vector (D,) of an image (H, W, 3), squeezed to the size it was trained with."""
        size = self.visual.image_size  # a ResNet has one number
        rows, columns = size if isinstance(size, tuple) else (size, size)
        with torch.inference_mode():
            return F.normalize(self.visual(self._show(image, (rows, columns)))[0], dim=0).float().cpu()

    def _show(self, image: NDArray[np.uint8], size: tuple[int, int]) -> torch.Tensor:
        """Return (1, 3, rows, columns) as the tower wants it."""
        shown = torch.from_numpy(np.ascontiguousarray(image)).to(self._device).permute(2, 0, 1)[None].float() / 255.0
        shown = F.interpolate(shown, size, mode="bicubic", align_corners=False, antialias=True)
        return (shown.clamp(0.0, 1.0) - self._mean) / self._std

    def _size(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Return rows and columns after resizing, multiples of the patch."""
        scale = self.options.short_side / min(shape[:2])
        rows, columns = (max(1, round(length * scale / self.patch)) * self.patch for length in shape[:2])
        return rows, columns

    def _through_windows(self, shown: torch.Tensor, edits: Sequence[str]) -> list[torch.Tensor]:
        """Return, per edit, the unit mean (D, h, w) of unit features over all windows that see a patch."""
        rows, columns = shown.shape[2] // self.patch, shown.shape[3] // self.patch
        windows = self._windows(rows, columns)
        totals: list[torch.Tensor] = []
        for at in range(0, len(windows), _WINDOWS_AT_ONCE):
            places = windows[at : at + _WINDOWS_AT_ONCE]
            parts = torch.cat([_part(shown, place, self.patch) for place in places])
            found = features_of_edits(self.visual, parts, edits)
            totals = totals or [feature.new_zeros(feature.shape[1], rows, columns) for feature in found]
            for total, features in zip(totals, found, strict=True):
                for place, feature in zip(places, features, strict=True):
                    _part(total[None], place, 1)[0].add_(feature)
        return [F.normalize(total, dim=0) for total in totals]

    def _windows(self, rows: int, columns: int) -> list[tuple[int, int, int, int]]:
        """Return top, left, height and width in patches; the last of a row or column ends with the image."""
        size = self.options.window // self.patch or max(rows, columns)
        step = min(max(1, self.options.stride // self.patch), size)
        height, width = min(size, rows), min(size, columns)
        return [
            (top, left, height, width) for top in _starts(rows, height, step) for left in _starts(columns, width, step)
        ]


def _part(array: torch.Tensor, place: tuple[int, int, int, int], edge: int) -> torch.Tensor:
    """Return the view of (B, C, H, W) that a window in patches of `edge` pixels sees."""
    top, left, height, width = (value * edge for value in place)
    return array[:, :, top : top + height, left : left + width]


def _starts(length: int, window: int, step: int) -> list[int]:
    starts = list(range(0, length - window, step))
    return [*starts, length - window]
