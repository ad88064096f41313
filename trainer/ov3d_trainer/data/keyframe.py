"""Reads one keyframe from a folder: `frame.json`, the sweep, the images, optional label images and boxes.

`frame.json` holds `lidar` (`file`, `ego_from_lidar`), `global_from_ego` at the lidar's stamp, `timestamp_s`, per camera
`image`, `timestamp_s`, `intrinsics`, `ego_from_camera`, `camera_from_lidar`, and `boxes_lidar_frame`. Points are rows
of five float32: x, y, z in the lidar frame (m), intensity 0..255, ring. `masks/`, if there, is as `masks.py` describes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.errors import DataError, GeometryError
from ov3d_perception.geometry import check_transform, invert_transform
from ov3d_perception.types import CameraView, Frame

from .images import read_image
from .masks import read_label_image, read_listing
from .sample import Box, LabelImage, Rig, Sample

_POINT_FIELDS = 5


class Keyframe:
    """A `SampleSource` of one recorded keyframe.

    Raises `DataError`, naming file, expectation and remedy, when the folder is not what its format promises: for
    `frame.json` at once, for the files that it names when the sample is read.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self._record = _Record(self.folder / "frame.json")

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Sample:
        return self._read(index, images=True)

    def key(self, index: int) -> str:
        """Return the folder's name."""
        return self.folder.name

    def without_images(self, index: int) -> Sample:
        """Read the keyframe without images, masks and rig."""
        return self._read(index, images=False)

    def _read(self, index: int, *, images: bool) -> Sample:
        if index not in (0, -1):
            raise IndexError(f"Keyframe {self.folder.name}: index {index} of 1 frame")
        record = self._record
        stamp_ns = record.stamp_ns()
        lidar = record.child("lidar")
        points = _read_points(self.folder / lidar.text("file"))
        names = record.child("cameras").names() if images else ()
        cameras = {name: record.child("cameras").child(name) for name in names}
        views = tuple(_read_view(self.folder, name, camera) for name, camera in cameras.items())
        labels, label_names = _read_masks(self.folder / "masks", tuple(cameras)) if images else ({}, ())
        return Sample(
            name=str(record.value.get("sample_token", self.folder.name)),
            frame=Frame(
                points=np.ascontiguousarray(points[:, :3]),
                intensity=np.ascontiguousarray(points[:, 3]),
                ring=points[:, 4].astype(np.uint16),
                stamp_ns=stamp_ns,
                frame_id="LIDAR_TOP",
                cameras=views,
            ),
            rig=_rig(record, stamp_ns, cameras, views),
            view_labels=labels,
            view_label_names=label_names,
            boxes=tuple(_box(entry, record.path) for entry in record.value.get("boxes_lidar_frame", [])),
        )


class _Record:
    """A JSON object that knows its file, so that a missing or wrong entry is reported with its place."""

    def __init__(self, path: Path, value: Mapping[str, Any] | None = None, place: str = "") -> None:
        self.path = path
        self.place = place
        self.value = _read_json(path) if value is None else value

    def names(self) -> tuple[str, ...]:
        return tuple(self.value)

    def child(self, key: str) -> _Record:
        value = self._get(key)
        if not isinstance(value, dict):
            raise self._wrong(key, "an object", value)
        return _Record(self.path, value, f"{self.place}{key}.")

    def text(self, key: str) -> str:
        value = self._get(key)
        if not isinstance(value, str):
            raise self._wrong(key, "a text", value)
        return value

    def stamp_ns(self) -> int:
        """Return `timestamp_s` in nanoseconds; double seconds since 1970 resolve 0.24 us, so microseconds count."""
        value = self._get("timestamp_s")
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise self._wrong("timestamp_s", "a number of seconds", value)
        return round(value * 1e6) * 1000

    def matrix(self, key: str, size: int) -> NDArray[np.float64]:
        value = self._get(key)
        try:
            matrix = np.array(value, dtype=np.float64)
        except (TypeError, ValueError):
            raise self._wrong(key, f"a {size} x {size} matrix", value) from None
        if matrix.shape != (size, size):
            raise self._wrong(key, f"a {size} x {size} matrix", value)
        return matrix

    def transform(self, key: str) -> NDArray[np.float64]:
        matrix = self.matrix(key, 4)
        try:
            check_transform(f"{self.place}{key}", matrix)
        except GeometryError as error:
            raise DataError(f"{self.path}: {error} Export the keyframe again.") from error
        return matrix

    def _get(self, key: str) -> Any:
        if key not in self.value:
            raise DataError(
                f"{self.path}: entry {self.place}{key} is missing, found {sorted(self.value)}. "
                "Export the keyframe again, or see the format in ov3d_trainer/data/keyframe.py."
            )
        return self.value[key]

    def _wrong(self, key: str, expected: str, value: object) -> DataError:
        return DataError(
            f"{self.path}: {self.place}{key}: expected {expected}, got {str(value)[:80]}. Correct the file."
        )


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such file. Expected a keyframe folder that holds {path.name}; check the folder's name."
        ) from None
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected JSON, got an unreadable file ({error}). Copy it again.") from error
    if not isinstance(value, dict):
        raise DataError(f"{path}: expected a JSON object, got {type(value).__name__}. Copy the file again.")
    return value


def _read_points(path: Path) -> NDArray[np.float32]:
    """Return (N, 5) float32: x, y, z, intensity, ring."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: the sweep cannot be read ({error.strerror}). Copy the file again.") from error
    row = 4 * _POINT_FIELDS
    if len(raw) == 0 or len(raw) % row:
        raise DataError(
            f"{path}: expected rows of {_POINT_FIELDS} float32 ({row} bytes), got {len(raw)} bytes. "
            "The file is cut off or of another format; copy it again."
        )
    return np.frombuffer(raw, dtype="<f4").reshape(-1, _POINT_FIELDS).astype(np.float32)


def _read_view(folder: Path, name: str, camera: _Record) -> CameraView:
    return CameraView(
        name=name,
        image=read_image(folder / camera.text("image"))[0],
        intrinsics=camera.matrix("intrinsics", 3),
        camera_from_lidar=camera.transform("camera_from_lidar"),
        stamp_ns=camera.stamp_ns(),
    )


def _rig(record: _Record, stamp_ns: int, cameras: Mapping[str, _Record], views: tuple[CameraView, ...]) -> Rig:
    """Return mounts and poses; the ego pose at each image follows from `camera_from_lidar`.

    camera_from_lidar = camera_from_ego @ ego(image)_from_global @ global_from_ego(sweep) @ ego_from_lidar, solved for
    the ego pose at the image's stamp.
    """
    ego_from_lidar = record.child("lidar").transform("ego_from_lidar")
    ego_from_camera = {name: camera.transform("ego_from_camera") for name, camera in cameras.items()}
    poses = {stamp_ns: record.transform("global_from_ego")}
    global_from_lidar = poses[stamp_ns] @ ego_from_lidar
    for view in views:
        if view.stamp_ns in poses:
            raise DataError(
                f"{record.path}: cameras.{view.name}.timestamp_s: another sensor has the same stamp "
                f"{view.stamp_ns} ns, so its ego pose is ambiguous. Correct the stamps."
            )
        camera_from_ego = invert_transform(ego_from_camera[view.name])
        poses[view.stamp_ns] = global_from_lidar @ np.linalg.inv(view.camera_from_lidar) @ camera_from_ego
    return Rig(ego_from_lidar=ego_from_lidar, ego_from_camera=ego_from_camera, global_from_ego=poses)


def _read_masks(folder: Path, cameras: tuple[str, ...]) -> tuple[dict[str, LabelImage], tuple[str, ...]]:
    """Return label images per camera and their names; nothing without a masks folder. Void names become `UNKNOWN`."""
    if not folder.is_dir():
        return {}, ()
    listing = read_listing(folder)
    found = {camera: read_label_image(folder, camera, listing) for camera in cameras}
    return {camera: image for camera, image in found.items() if image is not None}, listing.names


def _box(entry: Any, path: Path) -> Box:
    try:
        center, size = (np.array(entry[key], dtype=np.float64) for key in ("center_m", "size_lwh_m"))
        box = Box(category=str(entry["category"]), center_m=center, size_lwh_m=size, yaw_rad=float(entry["yaw_rad"]))
    except (KeyError, TypeError, ValueError):
        box = None
    if box is None or box.center_m.shape != (3,) or box.size_lwh_m.shape != (3,):
        raise DataError(
            f"{path}: boxes_lidar_frame: expected category, center_m (3), size_lwh_m (3) and yaw_rad, "
            f"got {str(entry)[:120]}. Export the keyframe again."
        )
    return box
