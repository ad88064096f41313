"""Camera images from files, optionally smaller than they were taken, with the intrinsics that belong to them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ov3d_perception.errors import DataError
from ov3d_perception.types import CameraView

_UNREADABLE = (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError)


def read_image(path: Path, *, width: int = 0) -> tuple[NDArray[np.uint8], tuple[int, int]]:
    """Return an image file as (H, W, 3) uint8 RGB and its size (width, height) in the file.

    Images wider than `width` are shrunk to it, 0 leaves them alone. Raises `DataError` for a file that is missing,
    damaged or no image.
    """
    try:
        with Image.open(path) as image:
            size = image.size
            if width and size[0] > width:
                height = max(1, round(size[1] * width / size[0]))
                return np.array(image.convert("RGB").resize((width, height), Image.Resampling.BOX)), size
            return np.array(image.convert("RGB")), size
    except FileNotFoundError:
        raise DataError(f"{path}: no such image. Unpack the archive that holds it.") from None
    except _UNREADABLE as error:
        raise DataError(f"{path}: expected an image, but it cannot be read ({error}). Copy the file again.") from error


def read_values(path: Path) -> NDArray[np.integer[Any]]:
    """Return a greyscale or palette image as whole numbers (H, W): uint8, or int32 where a pixel has more bits.

    Raises `DataError` for a file that is missing, damaged or has other pixels.
    """
    try:
        with Image.open(path) as image:
            if image.mode in ("L", "P"):
                return np.array(image)
            if image.mode in ("I", "I;16"):
                return np.array(image).astype(np.int32)
            mode = image.mode
    except FileNotFoundError:
        raise DataError(f"{path}: no such image. Unpack the archive that holds it.") from None
    except _UNREADABLE as error:
        raise DataError(f"{path}: expected an image, but it cannot be read ({error}). Copy the file again.") from error
    raise DataError(f"{path}: expected one value per pixel, got mode {mode}. Save it as a greyscale PNG.")


def shrink_view(view: CameraView, width: int) -> CameraView:
    """Return a view whose image is at most `width` pixels wide; its intrinsics follow."""
    height, before = view.image.shape[:2]
    if before <= width:
        return view
    size = (width, max(1, round(height * width / before)))
    return replace(
        view,
        image=np.array(Image.fromarray(view.image).resize(size, Image.Resampling.BOX)),
        intrinsics=scaled_intrinsics(np.asarray(view.intrinsics, np.float64), (before, height), size),
    )


def scaled_intrinsics(
    intrinsics: NDArray[np.float64], before: tuple[int, int], after: tuple[int, int]
) -> NDArray[np.float64]:
    """Return the (3, 3) intrinsics of an image that was resized from `before` to `after`, both (width, height).

    Pixel centres lie at integers, so that u becomes (u + 0.5) s - 0.5.
    """
    scale = np.array([after[0] / before[0], after[1] / before[1]])
    result = np.array(intrinsics, dtype=np.float64)
    result[:2] *= scale[:, None]
    result[:2, 2] += 0.5 * scale - 0.5
    return result
