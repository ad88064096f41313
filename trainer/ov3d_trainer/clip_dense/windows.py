"""Dense features of whole images: resized, seen through overlapping windows and mirrored, averaged patch by patch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from .edits import check_visual, dense_features, patch_size


@dataclass(frozen=True, slots=True, kw_only=True)
class DenseOptions:
    """How an image is looked at: `short_side` pixels after resizing; windows of `window` pixels, `stride` apart, 0 for
    the whole image at once; `flip`: mirrored too. Lengths are rounded to whole patches."""

    edit: str = "naclip"
    short_side: int = 448
    window: int = 336
    stride: int = 224
    flip: bool = True


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
        shown = torch.from_numpy(np.ascontiguousarray(image)).to(self._device).permute(2, 0, 1)[None].float() / 255.0
        shown = F.interpolate(shown, self._size(image.shape), mode="bicubic", align_corners=False, antialias=True)
        shown = (shown.clamp(0.0, 1.0) - self._mean) / self._std
        with torch.no_grad():
            total = self._through_windows(shown)
            if self.options.flip:
                total = total + self._through_windows(shown.flip(3)).flip(2)
        return F.normalize(total, dim=0).float().cpu()

    def _size(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Return rows and columns after resizing, multiples of the patch."""
        scale = self.options.short_side / min(shape[:2])
        rows, columns = (max(1, round(length * scale / self.patch)) * self.patch for length in shape[:2])
        return rows, columns

    def _through_windows(self, shown: torch.Tensor) -> torch.Tensor:
        """Return the sum of unit features (D, h, w) over all windows that see a patch."""
        rows, columns = shown.shape[2] // self.patch, shown.shape[3] // self.patch
        total: torch.Tensor | None = None
        for top, left, height, width in self._windows(rows, columns):
            edge = self.patch
            part = shown[:, :, top * edge : (top + height) * edge, left * edge : (left + width) * edge]
            feature = dense_features(self.visual, part, self.options.edit)[0]
            if total is None:
                total = feature.new_zeros(len(feature), rows, columns)
            total[:, top : top + height, left : left + width] += feature
        assert total is not None  # there is at least one window
        return F.normalize(total, dim=0)

    def _windows(self, rows: int, columns: int) -> Iterator[tuple[int, int, int, int]]:
        """Yield top, left, height and width in patches; the last of a row or column ends with the image."""
        size = self.options.window // self.patch or max(rows, columns)
        step = max(1, self.options.stride // self.patch)
        height, width = min(size, rows), min(size, columns)
        for top in _starts(rows, height, step):
            for left in _starts(columns, width, step):
                yield top, left, height, width


def _starts(length: int, window: int, step: int) -> list[int]:
    starts = list(range(0, length - window, step))
    return [*starts, length - window]
