"""Images of a processed scene: `color/`, `depth/`, `pose/` and intrinsics, as OpenScene lays them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.errors import DataError
from ov3d_perception.geometry import invert_transform
from ov3d_perception.types import CameraView

from ..images import read_image, read_values, scaled_intrinsics
from ..poses import nearest_rigid, read_matrix

_MOST_OFF_CENTER = 0.25
"""How far the principal point may lie from the image's middle, as a share of its size."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One image file and where its camera stood, `scene_from_camera` (4, 4)."""

    path: Path
    scene_from_camera: NDArray[np.float64]


def list_pictures(folder: Path) -> list[Picture]:
    """Return the images of a scene's folder in order of their names, short ones first.

    Those whose pose was lost (not finite) are left out. Raises `DataError` where there are none, or where a pose is
    missing.
    """
    paths = [path for path in (folder / "color").glob("*") if path.suffix in (".jpg", ".png")]
    paths.sort(key=lambda path: (len(path.stem), path.stem))  # ScanNet's numbers have no zeros in front
    if not paths:
        raise DataError(f"{folder / 'color'}: no images. Unpack the 2D part, or set data.cameras=false.")
    found = []
    for path in paths:
        place = _beside(folder / "pose", path.stem)
        matrix = _read(place)
        if np.isfinite(matrix).all():
            found.append(Picture(path=path, scene_from_camera=nearest_rigid(str(place), matrix)))
    return found


def choose_pictures(
    pictures: Sequence[Picture], count: int, *, low: NDArray[np.float64], high: NDArray[np.float64]
) -> list[Picture]:
    """Return `count` images spread evenly over those taken from within the box `low`..`high` (x, y, z); where there
    are none, those taken nearest to it."""
    places = np.array([picture.scene_from_camera[:3, 3] for picture in pictures]).reshape(-1, 3)
    outside_m = np.linalg.norm(np.maximum(np.maximum(low - places, places - high), 0.0), axis=1)
    inside = np.flatnonzero(outside_m == 0)
    if not len(inside):
        inside = np.sort(np.argsort(outside_m, kind="stable")[:count])
    count = min(count, len(inside))
    return [pictures[inside[number * len(inside) // count]] for number in range(count)]


def read_picture(
    folder: Path, picture: Picture, scene_from_frame: NDArray[np.float64], *, width: int, depth_units: float
) -> tuple[CameraView, NDArray[np.float32] | None]:
    """Return an image with its intrinsics, and its depth (h, w) in metres, None where there is none.

    `scene_from_frame` (4, 4) leads from the sample's frame to the scene's; images wider than `width` are shrunk.
    """
    image, size = read_image(picture.path, width=width)
    place = _intrinsics_of(folder, picture.path.stem)
    matrix = _read(place)[:3, :3]
    off_center = np.abs((matrix[:2, 2] + 0.5) / size - 0.5)
    if not np.isfinite(matrix).all() or min(matrix[0, 0], matrix[1, 1]) <= 0 or off_center.max() > _MOST_OFF_CENTER:
        raise DataError(f"{place}: {matrix.tolist()} are no intrinsics of images of {size}. Are they of another size?")
    view = CameraView(
        name=picture.path.stem,
        image=image,
        intrinsics=scaled_intrinsics(matrix, size, (image.shape[1], image.shape[0])),
        camera_from_lidar=invert_transform(picture.scene_from_camera) @ scene_from_frame,
        stamp_ns=0,
    )
    path = folder / "depth" / f"{picture.path.stem}.png"
    if not depth_units or not path.is_file():
        return view, None
    return view, read_values(path).astype(np.float32) / np.float32(depth_units)


def _intrinsics_of(folder: Path, stem: str) -> Path:
    """Return the file for one image, for the scene or for the data set."""
    places = (
        folder / "intrinsic" / f"{stem}.txt",
        folder / "K" / f"{stem}.npy",
        folder / "intrinsics.txt",
        folder.parent / "intrinsics.txt",
    )
    for place in places:
        if place.is_file():
            return place
    raise DataError(f"{folder}: no intrinsics of {stem}, looked for {', '.join(map(str, places))}. Unpack it again.")


def _beside(folder: Path, stem: str) -> Path:
    text = folder / f"{stem}.txt"
    binary = folder / f"{stem}.npy"
    return binary if binary.is_file() else text


def _read(path: Path) -> NDArray[np.float64]:
    if path.suffix != ".npy":
        return read_matrix(path)
    try:
        matrix = np.load(path, allow_pickle=False, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path}: expected a matrix ({error}). Copy the file again.") from error
    if matrix.dtype.kind not in "fi" or matrix.shape not in ((3, 3), (3, 4), (4, 4)):
        raise DataError(f"{path}: expected a matrix of 3 or 4 rows, got {matrix.dtype} {matrix.shape}.")
    return np.asarray(matrix, np.float64)
