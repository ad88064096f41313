"""SemanticKITTI's sequences as samples: `sequences/NN/{velodyne,labels,image_2,calib.txt,times.txt,poses.txt}`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.clouds import read_cloud
from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.geometry import invert_transform, make_transform
from ov3d_perception.types import CameraView, Frame

from ..images import read_image, scaled_intrinsics
from ..poses import nearest_rigid
from ..sample import Rig, Sample, place_of
from .categories import CLASSES, SEQUENCES, class_of_raw

CAMERA = "image_2"
LIDAR = "velodyne"
INTENSITY_SCALE = 255.0
"""Remission is 0..1 in the files; samples hold 0..255, as those of nuScenes do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scan:
    """One scan: its sequence's folder, its number as in the file's name, and the sequence's calibration and pose."""

    folder: Path
    number: str
    stamp_ns: int
    calibration: _Calibration
    global_from_camera: NDArray[np.float64] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Calibration:
    """Intrinsics (3, 3) of the left colour camera, and where it and the first grey camera are, as (4, 4)."""

    intrinsics: NDArray[np.float64]
    camera_from_lidar: NDArray[np.float64]
    grey_from_lidar: NDArray[np.float64]


class KittiSequences:
    """A `SampleSource` of the scans of a split, sequence by sequence.

    `split` is train, val or test, or sequences with commas between ("00, 08"). Point labels are the 19 classes of the
    benchmark, None where the sequence has no labels. The one image was taken with the scan: no ego motion lies between.
    With poses.txt the rig says where the car was (the first camera's first pose is the global frame).

    Raises `DataError`, naming the file, where the data set is not as published.
    """

    def __init__(self, root: Path, *, split: str, cameras: bool = True, image_width: int = 0) -> None:
        self.cameras, self.image_width = cameras, image_width
        self._scans: list[_Scan] = []
        for name in _sequences(split):
            self._scans += _scans_of(root / "sequences" / name)
        self._class_of_raw = class_of_raw()

    def __len__(self) -> int:
        return len(self._scans)

    def key(self, index: int) -> str:
        """Return sequence and number of the scan."""
        scan = self._scans[index]
        return f"{scan.folder.name}_{scan.number}"

    def __getitem__(self, index: int) -> Sample:
        return self._read(index, images=self.cameras)

    def without_images(self, index: int) -> Sample:
        """Read the scan without its image."""
        return self._read(index, images=False)

    def _read(self, index: int, *, images: bool) -> Sample:
        scan = self._scans[index]
        cloud = read_cloud(scan.folder / "velodyne" / f"{scan.number}.bin", kind="kitti")
        labels = self._labels(scan, len(cloud.points))
        rig = _rig(scan)
        return Sample(
            name=self.key(index),
            frame=Frame(
                points=cloud.points,
                intensity=cloud.intensity * np.float32(INTENSITY_SCALE),
                stamp_ns=scan.stamp_ns,
                frame_id=LIDAR,
                cameras=(self._view(scan),) if images else (),
            ),
            rig=rig,
            place=None if rig is None else place_of(scan.folder.name, rig, scan.stamp_ns),
            point_labels=labels,
            point_label_names=CLASSES if labels is not None else (),
        )

    def _labels(self, scan: _Scan, count: int) -> NDArray[np.int32] | None:
        if not (scan.folder / "labels").is_dir():
            return None
        path = scan.folder / "labels" / f"{scan.number}.label"
        if not path.is_file():
            raise DataError(f"{path}: no such file, though others of the sequence have labels. Unpack it again.")
        raw = np.fromfile(path, "<u4")
        if len(raw) != count:
            raise DataError(f"{path}: {len(raw)} labels, the scan has {count} points. Copy both again.")
        return self._class_of_raw[raw & 0xFFFF]

    def _view(self, scan: _Scan) -> CameraView:
        image, size = read_image(scan.folder / CAMERA / f"{scan.number}.png", width=self.image_width)
        return CameraView(
            name=CAMERA,
            image=image,
            intrinsics=scaled_intrinsics(scan.calibration.intrinsics, size, (image.shape[1], image.shape[0])),
            camera_from_lidar=scan.calibration.camera_from_lidar,
            stamp_ns=scan.stamp_ns,
        )


def _sequences(split: str) -> tuple[str, ...]:
    if split in SEQUENCES:
        return SEQUENCES[split]
    parts = (part.strip() for part in split.split(","))
    names = tuple(part.zfill(2) for part in parts if part)  # YAML reads 07 as 7
    if names and all(len(name) == 2 and name.isdigit() for name in names):
        return names
    raise ConfigError(
        f"data.split: unknown '{split}'. Choose from {', '.join(SEQUENCES)}, or name sequences: '00, 08'."
    )


def _scans_of(folder: Path) -> list[_Scan]:
    files = sorted((folder / "velodyne").glob("*.bin"))
    if not files:
        raise DataError(f"{folder / 'velodyne'}: no scans. Give the folder that holds sequences/.")
    matrices = _read_calibration(folder / "calib.txt")
    calibration = _calibrate(folder / "calib.txt", matrices)
    stamps = _read_numbers(folder / "times.txt", 1) if (folder / "times.txt").is_file() else None
    poses = _read_numbers(folder / "poses.txt", 12) if (folder / "poses.txt").is_file() else None
    scans = []
    for path in files:
        row = int(path.stem)
        for name, table in (("times.txt", stamps), ("poses.txt", poses)):
            if table is not None and row >= len(table):
                raise DataError(f"{folder / name}: {len(table)} lines, but there is a scan {path.name}. Copy it again.")
        scans.append(
            _Scan(
                folder=folder,
                number=path.stem,
                stamp_ns=0 if stamps is None else round(float(stamps[row, 0]) * 1e9),
                calibration=calibration,
                global_from_camera=None if poses is None else _pose(folder / "poses.txt", poses, row),
            )
        )
    return scans


def _pose(path: Path, poses: NDArray[np.float64], row: int) -> NDArray[np.float64]:
    return nearest_rigid(f"{path}: line {row + 1}", poses[row].reshape(3, 4))


def _rig(scan: _Scan) -> Rig | None:
    """Return the rig with the lidar as the car's own frame; None without poses."""
    if scan.global_from_camera is None:
        return None
    calibration = scan.calibration
    return Rig(
        ego_from_lidar=np.eye(4),
        ego_from_camera={CAMERA: invert_transform(calibration.camera_from_lidar)},
        global_from_ego={scan.stamp_ns: scan.global_from_camera @ calibration.grey_from_lidar},
    )


def _read_calibration(path: Path) -> Mapping[str, NDArray[np.float64]]:
    """Return the 3 x 4 matrices of calib.txt by name."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{path}: the calibration cannot be read ({error.strerror}). Copy it again.") from error
    found = {}
    for line in lines:
        name, colon, values = line.partition(":")
        try:
            if colon:
                found[name.strip()] = np.array(values.split(), dtype=np.float64).reshape(3, 4)
        except ValueError:
            continue  # lines with other numbers are of no use here
    missing = [name for name in ("P2", "Tr") if name not in found]
    if missing:
        raise DataError(f"{path}: {' and '.join(missing)} missing, expected 12 numbers each. Copy the file again.")
    return found


def _calibrate(path: Path, matrices: Mapping[str, NDArray[np.float64]]) -> _Calibration:
    """Take the projection P2 = K [I | t] apart; the camera stands beside the first one, turned the same way."""
    projection = matrices["P2"]
    intrinsics = projection[:, :3]
    grey_from_lidar = nearest_rigid(f"{path}: Tr", matrices["Tr"])
    try:
        offset = np.linalg.solve(intrinsics, projection[:, 3])
    except np.linalg.LinAlgError as error:
        raise DataError(f"{path}: P2: no projection of a camera ({error}). Copy it again.") from error
    camera_from_grey = make_transform(np.eye(3), offset)
    return _Calibration(
        intrinsics=intrinsics,
        camera_from_lidar=camera_from_grey @ grey_from_lidar,
        grey_from_lidar=grey_from_lidar,
    )


def _read_numbers(path: Path, columns: int) -> NDArray[np.float64]:
    try:
        return np.loadtxt(path, dtype=np.float64, ndmin=2).reshape(-1, columns)
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: expected {columns} numbers a line ({error}). Copy it again.") from error
