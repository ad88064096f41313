"""How much of every annotated object the images show, estimated from their label images."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from ov3d_perception.geometry import transform_points
from ov3d_perception.types import CameraView

from ..sample import Box, Sample

_FILLED = 0.65
"""Share of its box's outline that an object nothing hides fills, roughly: vehicles 0.6 to 0.8, persons 0.5."""
_NEAREST_M = 0.1
_FINER = 4
"""Outlines are drawn this many times finer than the label image: a far object is a few pixels wide."""
_CORNERS = np.array([[x, y, z] for x in (-0.5, 0.5) for y in (-0.5, 0.5) for z in (-0.5, 0.5)])
_FACES = ((0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5))


def visible_shares(sample: Sample) -> dict[str, float]:
    """Return the share in [0, 1] of each boxed object that is to be seen, by the object's key; none without a pixel.

    The pixels of the object in all images over those inside the outline of its box, corrected for what a box has more
    than its object. An object right beside a camera, part of its box behind the camera, counts as shown in full.
    """
    row_of = {thing.key: row for row, thing in enumerate(sample.objects)}
    boxes = {box.key: box for box in sample.boxes if box.key in row_of}
    shown = dict.fromkeys(boxes, 0)
    outlined = dict.fromkeys(boxes, 0.0)
    for view in sample.frame.cameras:
        labels = sample.view_labels.get(view.name)
        if labels is None or labels.instances is None:
            continue
        pixels = np.bincount(labels.instances[labels.instances >= 0], minlength=len(sample.objects))
        for key, box in boxes.items():
            count = int(pixels[row_of[key]])
            shown[key] += count
            area = _outlined_pixels(box, view, labels.instances.shape)
            outlined[key] += count if area is None else area
    return {key: min(1.0, shown[key] / (_FILLED * max(outlined[key], 1.0))) for key in boxes if shown[key]}


def _outlined_pixels(box: Box, view: CameraView, shape: tuple[int, ...]) -> float | None:
    """Return how many pixels of a label image (h, w) a box covers; None where the camera is beside or in the box."""
    cosine, sine = np.cos(box.yaw_rad), np.sin(box.yaw_rad)
    turn = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
    corners = transform_points(view.camera_from_lidar, (_CORNERS * box.size_lwh_m) @ turn.T + box.center_m)
    ahead = corners[:, 2] > _NEAREST_M
    if not ahead.any():
        return 0.0
    if not ahead.all():
        return None
    height, width = shape
    pixels = corners @ np.asarray(view.intrinsics, dtype=np.float64).T
    pixels = pixels[:, :2] / pixels[:, 2:] * (width / view.image.shape[1])
    low = np.clip(np.floor(pixels.min(axis=0)), 0, [width, height])
    high = np.clip(np.ceil(pixels.max(axis=0)), 0, [width, height])
    if (high <= low).any():
        return 0.0
    columns, rows = ((high - low) * _FINER).astype(int).tolist()
    mask = Image.new("1", (columns, rows))
    draw = ImageDraw.Draw(mask)
    for face in _FACES:
        draw.polygon([(float(u), float(v)) for u, v in (pixels[list(face)] - low) * _FINER], fill=1)
    return float(np.asarray(mask).sum()) / _FINER**2
