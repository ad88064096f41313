"""Scenes that OpenScene has processed (ScanNet, Matterport3D, Replica, nuScenes) as samples.

`ROOT/SPLIT/SCENE.pth` holds points (N, 3) in metres with z up, colours (N, 3) in -1..1 or the number 0, and labels (N,)
with 255 for none. Beside ROOT, `ROOT_2d/SCENE/` (for `scannet_3d`: `scannet_2d/SCENE/`) holds the images.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.geometry import make_transform, transform_points
from ov3d_perception.types import CameraView, Frame

from ..indoor import luminance, scene_origin
from ..sample import UNKNOWN, Sample
from .images import choose_pictures, list_pictures, read_picture
from .label_sets import label_set_of

_NO_LABEL = (255, -100)
_SCANNET_SUFFIX = "_vh_clean_2"


class OpenSceneScenes:
    """A `SampleSource` of the scenes of a split, in order of their names; `split` all takes the files of ROOT itself.

    Samples are named by the scene, as the files of fused features are. Point labels are those of `label_set`, None for
    sets without names. With `cameras`, up to `views` images of the scene are read: of a Matterport3D building those
    taken from within the region, or the nearest. Depth images come along where there are any.

    Raises `ConfigError` for an unknown label set, and `DataError`, naming the file, where it is not as described.
    """

    def __init__(
        self, root: Path, *, split: str, label_set: str, cameras: bool = True, views: int = 10, image_width: int = 0
    ) -> None:
        if views < 1:
            raise ConfigError(f"data.views: expected 1 or more, got {views}. Set data.cameras=false for none.")
        self.label_set = label_set_of(label_set)
        self.views, self.image_width = views if cameras else 0, image_width
        folder = root if split == "all" else root / split
        self._paths = sorted(folder.glob("*.pth"))
        if not self._paths:
            splits = sorted({path.parent.name for path in root.glob("*/*.pth")})
            here = f"There are the splits {', '.join(splits)}." if splits else "Give the folder that holds the splits."
            raise DataError(f"{folder}: no scenes (.pth). {here}")
        name = root.name[:-3] if root.name.endswith("_3d") else root.name
        self._images = root.with_name(f"{name}_2d")

    def __len__(self) -> int:
        return len(self._paths)

    def key(self, index: int) -> str:
        """Return the scene's name."""
        return self._paths[index].stem.removesuffix(_SCANNET_SUFFIX)

    def __getitem__(self, index: int) -> Sample:
        return self._read(index, views=self.views)

    def without_images(self, index: int) -> Sample:
        """Read the scene without its images."""
        return self._read(index, views=0)

    def _read(self, index: int, *, views: int) -> Sample:
        path = self._paths[index]
        points, colors, numbers = _read_scene(path)
        origin = scene_origin(points)
        low, high = points.min(axis=0), points.max(axis=0)
        pictures = self._pictures(index, make_transform(np.eye(3), origin), low, high) if views else []
        return Sample(
            name=self.key(index),
            frame=Frame(
                points=transform_points(make_transform(np.eye(3), -origin), points).astype(np.float32),
                intensity=luminance(colors, len(points)),
                colors=colors,
                stamp_ns=0,
                frame_id="scene",
                cameras=tuple(view for view, _ in pictures),
            ),
            point_labels=_labels(path, numbers, self.label_set.names) if self.label_set.names else None,
            point_label_names=self.label_set.names,
            view_depths={view.name: depth_m for view, depth_m in pictures if depth_m is not None},
            from_one_sensor=False,
        )

    def _pictures(
        self, index: int, scene_from_frame: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
    ) -> list[tuple[CameraView, NDArray[np.float32] | None]]:
        name = self.key(index)
        folder = self._images / name
        if not folder.is_dir():  # a region of a Matterport3D building
            folder = self._images / name.partition("_region")[0]
        whole = folder.name == name
        bounds = (np.full(3, -np.inf), np.full(3, np.inf)) if whole else (low, high)
        chosen = choose_pictures(list_pictures(folder), self.views, low=bounds[0], high=bounds[1])
        units = self.label_set.depth_units
        return [
            read_picture(folder, picture, scene_from_frame, width=self.image_width, depth_units=units)
            for picture in chosen
        ]


def _read_scene(path: Path) -> tuple[NDArray[np.float64], NDArray[np.uint8] | None, NDArray[np.int64]]:
    """Return points (N, 3), colours (N, 3), None where the file has none, and labels (N,) as in the file."""
    from ...torch_files import load_arrays

    content = load_arrays(path)
    if not isinstance(content, tuple | list) or len(content) != 3:
        raise DataError(f"{path}: expected points, colours and labels, got {type(content).__name__}. {_REMEDY}")
    points, colors, labels = (np.asarray(part) for part in content)
    count = len(points) if points.ndim else 0
    if not _is_numbers(points, (count, 3)) or not count or not np.isfinite(points).all():
        raise DataError(f"{path}: expected finite points (N, 3), got {points.dtype} {points.shape}. {_REMEDY}")
    if not _is_numbers(labels, (count,)) or not np.isfinite(labels).all():
        raise DataError(f"{path}: expected {count} labels, got {labels.dtype} {labels.shape}. {_REMEDY}")
    if not _is_numbers(colors, (count, 3)) and not (_is_numbers(colors, ()) and colors == 0):
        raise DataError(f"{path}: expected {count} colours or 0, got {colors.dtype} {colors.shape}. {_REMEDY}")
    if not colors.ndim:
        return points.astype(np.float64), None, labels.astype(np.int64)
    if not (np.abs(colors) <= 1.0 + 1e-6).all():
        raise DataError(f"{path}: expected colours from -1 to 1, got up to {np.abs(colors).max()}. {_REMEDY}")
    rgb = np.rint((colors.astype(np.float64) + 1.0) * 127.5).astype(np.uint8)
    return points.astype(np.float64), rgb, labels.astype(np.int64)


_REMEDY = "Is it a file of OpenScene's 3D data?"


def _is_numbers(array: NDArray[Any], shape: tuple[int, ...]) -> bool:
    return array.dtype.kind in "fiu" and array.shape == shape


def _labels(path: Path, numbers: NDArray[np.int64], names: tuple[str, ...]) -> NDArray[np.int32]:
    known = ~np.isin(numbers, _NO_LABEL)
    wrong = known & ((numbers < 0) | (numbers >= len(names)))
    if wrong.any():
        raise DataError(f"{path}: label {numbers[wrong][0]}, the label set has {len(names)}. Set data.label_set.")
    return np.where(known, numbers, UNKNOWN).astype(np.int32)
