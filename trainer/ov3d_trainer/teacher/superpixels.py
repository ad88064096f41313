"""Superpixels: patches of an image of one colour, over which a teacher's features are averaged."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ov3d_perception.errors import ConfigError

from ..supervision.lift import pixels_in_label_image

_WIDTH = 480
"""Images are shrunk to this many columns first: borders get coarser, and work falls with the square."""
_COMPACTNESS = 10.0


def superpixels(image: NDArray[np.uint8], count: int) -> NDArray[np.int32]:
    """Return which of about `count` superpixels each pixel of an image (H, W, 3) belongs to: (h, w), from 0.

    SLIC (Achanta et al. 2012) on the image shrunk to at most 480 columns, as scikit-image has it; `ConfigError`
    without that package.
    """
    try:
        from skimage.segmentation import slic
    except ImportError as error:
        raise ConfigError("teacher.superpixels needs scikit-image: pip install 'ov3d_trainer[superpixels]'") from error
    height, width = image.shape[:2]
    if width > _WIDTH:
        size = (_WIDTH, max(1, round(height * _WIDTH / width)))
        image = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))
    found = slic(image, n_segments=count, compactness=_COMPACTNESS, start_label=0)
    return np.asarray(found, dtype=np.int32)


def superpixel_at(image: NDArray[np.uint8], pixels: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Return the superpixel (P,) at each of the pixels (P, 2) of an image."""
    segments = superpixels(image, count)
    row, column = pixels_in_label_image(pixels, image.shape[:2], segments.shape[:2])
    return segments[row, column].astype(np.int64)
