"""Teacher `pixel_text`: the dense features of a pixel-text network, read where lidar points fall into the images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from ov3d_perception.errors import ConfigError
from ov3d_perception.text.encoder import TextEncoder
from ov3d_perception.types import CameraView

from ..data.sample import Sample
from ..image_tower.checkpoint import build_tower, load_tower
from ..image_tower.network import STRIDE, ImageTower
from ..network.head import linear_length
from ..supervision.lift import LiftOptions
from .base import FeatureSupervision, Targets
from .views import mean_over_views


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelTextTeacher:
    """Supervises every point that a camera sees with the mean feature of its pixels, before the anchors.

    `targets` are the kinds of object that the tower was trained with. A feature is kept as `code @ targets.decoder`,
    (C + 1) numbers instead of D: what the tower's last layer reads, and 1 for its bias, divided by the length. Every
    image is read at each of `widths` and, with `flip`, mirrored too; the features are averaged.
    """

    tower: ImageTower
    targets: Targets
    lift: LiftOptions
    widths: tuple[int, ...] = ()
    flip: bool = False

    def supervise(self, sample: Sample) -> FeatureSupervision:
        """Run the tower on the sample's images and read it at the points."""
        return mean_over_views(sample, self.lift, self.tower.config.hidden + 1, self._read)

    def _read(self, view: CameraView, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the code (P, C + 1) at pixels (P, 2) of a view."""
        codes = [
            self._code(hidden_at(self.tower, image, at, width=width))
            for width in self.widths or (self.tower.config.image_width,)
            for image, at in self._mirrored(view.image, pixels)
        ]
        return np.mean(codes, axis=0, dtype=np.float32)  # type: ignore[no-any-return]

    def _mirrored(
        self, image: NDArray[np.uint8], pixels: NDArray[np.float32]
    ) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.float32]]]:
        """Yield the image with its pixels as it is and, with `flip`, left and right exchanged."""
        yield image, pixels
        if self.flip:
            column = np.float32(image.shape[1] - 1) - pixels[:, 0]
            yield np.ascontiguousarray(image[:, ::-1]), np.stack([column, pixels[:, 1]], axis=1)

    def _code(self, hidden: torch.Tensor) -> NDArray[np.float32]:
        length = linear_length(hidden, self.tower.final.weight.T, self.tower.final.bias)
        code = torch.cat([hidden, hidden.new_ones(len(hidden), 1)], dim=1) / length[:, None]
        return np.asarray(code.cpu().numpy(), np.float32)


def hidden_at(
    tower: ImageTower, image: NDArray[np.uint8], pixels: NDArray[np.float32], *, width: int | None = None
) -> torch.Tensor:
    """Return what the last layer reads (P, C) at pixels (P, 2) of an image (H, W, 3), bilinear between cells.

    The image is shrunk to `width`, by default the one that the tower was trained for.
    """
    with torch.no_grad():
        device = tower.final.weight.device
        shown = tower.shrink(torch.from_numpy(image).to(device).permute(2, 0, 1)[None].float() / 255.0, width)
        hidden = tower.hidden(shown)
        ratio = torch.tensor([shown.shape[3] / image.shape[1], shown.shape[2] / image.shape[0]])  # (u, v)
        cells = ((torch.from_numpy(pixels) + 0.5) * ratio - 0.5) / STRIDE
        last = torch.tensor([hidden.shape[3] - 1, hidden.shape[2] - 1])
        grid = (2.0 * cells / last.clamp_min(1) - 1.0).to(device)
        read = F.grid_sample(hidden, grid[None, None], padding_mode="border", align_corners=True)
    return read[0, :, 0].T.contiguous()


def open_pixel_text_teacher(
    path: str,
    encoder: TextEncoder,
    lift: LiftOptions,
    *,
    widths: Sequence[int] = (),
    flip: bool = False,
    device: torch.device | None = None,
) -> PixelTextTeacher:
    """Open a trained image tower as teacher; `ConfigError` where it speaks another text space than `encoder`."""
    if not path:
        raise ConfigError("teacher.path: the image tower's checkpoint is missing. Set teacher.path=FILE.")
    checkpoint = load_tower(Path(path))
    if checkpoint.text_space != encoder.space:
        raise ConfigError(
            f"teacher.path: {path} learnt the text space {checkpoint.text_space!r}, `text` gives {encoder.space!r}. "
            "Give the text side that the tower was trained with."
        )
    tower = build_tower(checkpoint).requires_grad_(False)
    if tower.anchors is None:
        raise ConfigError(f"teacher.path: {path} has no anchors to compare student and teacher by. Train it again.")
    targets = Targets(
        names=checkpoint.kinds,
        text=tower.anchors.text.numpy(),
        not_queryable={},
        decoder=torch.cat([tower.final.weight.T, tower.final.bias[None]]).numpy(),
    )
    return PixelTextTeacher(
        tower=tower.to(device or "cpu"),
        targets=targets,
        lift=lift,
        widths=tuple(widths),
        flip=flip,
    )
