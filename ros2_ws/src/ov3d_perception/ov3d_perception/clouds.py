"""Point-cloud files to `Frame`: nuScenes and KITTI `.bin`, `.pcd`, `.ply` and `.npy`.

`.pcd` needs pypcd4 and `.ply` needs plyfile; both are imported when such a file is read. Nothing is ever unpickled.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ConfigError, DataError
from .pointcloud2 import MAX_POINTS
from .types import Frame

KINDS = ("auto", "nuscenes", "kitti", "pcd", "ply", "npy")
"""Values of `kind` of `read_cloud`."""

_MAX_FILE_BYTES = 4_000_000_000
_HEADER_BYTES = 65536
_SUFFIXES = {".pcd": "pcd", ".ply": "ply", ".npy": "npy"}
_COLUMNS_OF_BIN = {"nuscenes": 5, "kitti": 4}
_FRAME_IDS = {"nuscenes": "LIDAR_TOP", "kitti": "velo_link"}
_OTHER_FRAME_ID = "lidar"
_NUSCENES_NAME = re.compile(r"__(?P<channel>[A-Z_]+)__(?P<stamp_us>\d{16})\.pcd\.bin$")
_MAX_RANGE_M = 1000.0
_MAX_RINGS = 512
_NAMES = ("x", "y", "z", "intensity")


def read_cloud(path: Path | str, *, kind: str = "auto", max_points: int = MAX_POINTS) -> Frame:
    """Read one point-cloud file; every point in order, NaN points included, points in the file's own frame.

    `kind` "auto" goes by the suffix: `.pcd.bin` is nuScenes (5 x float32), `.pcd`, `.ply` and `.npy` are themselves. A
    plain `.bin` may be KITTI (4 x float32: x, y, z, intensity 0..1) or nuScenes (x, y, z, intensity 0..255, ring): it
    is read as the one layout that its size divides into and its values make sense in; otherwise `kind` must be given.
    `.npy` holds (N, 3), (N, 4) with intensity, (N, 5) with intensity and ring, or a structured array with named
    fields. Without an intensity, zeros. `stamp_ns` comes from nuScenes file names and is 0 elsewhere.

    Raises `DataError` for a file that is missing, empty of bytes, truncated, ambiguous, larger than `max_points` or
    without x, y, z, and `ConfigError` for an unknown `kind` or a reader that is not installed.
    """
    path = Path(path)
    if kind not in KINDS:
        raise ConfigError(f"kind: got {kind!r}. Choose from {', '.join(KINDS)}.")
    size = _checked_size(path)
    if kind == "auto":
        kind = _detect(path, size)
    if kind in _COLUMNS_OF_BIN:
        columns = _read_bin(path, size, kind, max_points)
    else:
        columns = {"pcd": _read_pcd, "ply": _read_ply, "npy": _read_npy}[kind](path, max_points)
    frame_id, stamp_ns = _FRAME_IDS.get(kind, _OTHER_FRAME_ID), 0
    named = _NUSCENES_NAME.search(path.name)
    if kind == "nuscenes" and named:
        frame_id, stamp_ns = named["channel"], int(named["stamp_us"]) * 1000
    return _frame_of(path, columns, frame_id=frame_id, stamp_ns=stamp_ns)


def _checked_size(path: Path) -> int:
    if not path.is_file():
        raise DataError(f"{path}: no such file. Give a point-cloud file ({', '.join(('.bin', *_SUFFIXES))}).")
    size = path.stat().st_size
    if size == 0:
        raise DataError(f"{path}: the file is empty (0 bytes). Was the download or copy interrupted?")
    if size > _MAX_FILE_BYTES:
        raise DataError(f"{path}: {size:,} bytes, expected at most {_MAX_FILE_BYTES:,}. Cut the cloud into parts.")
    return size


def _detect(path: Path, size: int) -> str:
    name = path.name.lower()
    if name.endswith(".pcd.bin"):
        return "nuscenes"
    if path.suffix.lower() in _SUFFIXES:
        return _SUFFIXES[path.suffix.lower()]
    if path.suffix.lower() != ".bin":
        raise DataError(f"{path}: unknown suffix {path.suffix!r}. Use {', '.join(('.bin', *_SUFFIXES))} or give kind.")
    divisible = [kind for kind, columns in _COLUMNS_OF_BIN.items() if size % (4 * columns) == 0]
    if not divisible:
        raise DataError(
            f"{path}: {size:,} bytes are neither whole nuScenes (20 bytes) nor whole KITTI points (16 bytes). "
            "The file is truncated or of another kind."
        )
    values = np.fromfile(path, dtype="<f4", count=20 * _DETECTED_POINTS)  # whole points of either kind
    plausible = [kind for kind in divisible if _is_plausible(values.reshape(-1, _COLUMNS_OF_BIN[kind]), kind)]
    if len(plausible) != 1:
        found = "both nuScenes' and KITTI's layout fit" if plausible else "the values fit neither nuScenes nor KITTI"
        raise DataError(f"{path}: {found}. Say which it is: kind='nuscenes' or kind='kitti'.")
    return plausible[0]


_DETECTED_POINTS = 100_000


def _is_plausible(rows: NDArray[np.float32], kind: str) -> bool:
    """Judge by value ranges: positions within 1 km, intensity as the sensor gives it, whole beam numbers."""
    rows = rows[np.isfinite(rows).all(axis=1)]
    if not len(rows) or np.abs(rows[:, :3]).max() > _MAX_RANGE_M or rows[:, 3].min() < 0:
        return False
    if kind == "kitti":
        return float(rows[:, 3].max()) <= 1.0
    return float(rows[:, 3].max()) <= 255.0 and _is_ring(rows[:, 4])


def _is_ring(values: NDArray[Any]) -> bool:
    known = values[np.isfinite(values)]
    return bool(((known >= 0) & (known < _MAX_RINGS) & (known == np.rint(known))).all())


def _read_bin(path: Path, size: int, kind: str, max_points: int) -> dict[str, NDArray[Any]]:
    step = 4 * _COLUMNS_OF_BIN[kind]
    if size % step:
        raise DataError(
            f"{path}: {size:,} bytes are not a multiple of {step} ({kind}: {step // 4} x float32 a point); "
            f"{size % step} bytes are left over. The file is truncated or of another kind."
        )
    _check_count(path, size // step, max_points)
    rows = np.fromfile(path, dtype="<f4").reshape(-1, step // 4)
    return _columns_of_rows(path, rows)


def _read_npy(path: Path, max_points: int) -> dict[str, NDArray[Any]]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise DataError(f"{path}: is not a readable .npy array: {error}. Save it anew with np.save.") from error
    if not isinstance(array, np.ndarray) or array.ndim not in (1, 2):
        raise DataError(f"{path}: expected (N, 3), (N, 4), (N, 5) or a structured array, got another shape.")
    _check_count(path, len(array), max_points)
    if array.dtype.names:
        return {name: np.array(array[name]).reshape(-1) for name in array.dtype.names if array[name].size == array.size}
    if array.ndim != 2 or array.dtype.kind not in "fiu":
        raise DataError(f"{path}: expected numbers of shape (N, 3), (N, 4) or (N, 5), got {array.dtype} {array.shape}.")
    return _columns_of_rows(path, np.asarray(array))


def _columns_of_rows(path: Path, rows: NDArray[Any]) -> dict[str, NDArray[Any]]:
    if not 3 <= rows.shape[1] <= 5:
        raise DataError(
            f"{path}: {rows.shape[1]} columns, expected x, y, z[, intensity[, ring]]. "
            "Save a structured array with named fields instead."
        )
    columns = {name: rows[:, column] for column, name in enumerate(_NAMES[: rows.shape[1]])}
    if rows.shape[1] == 5 and _is_ring(rows[:, 4]):  # some files keep a time lag there
        columns["ring"] = rows[:, 4]
    return columns


def _read_pcd(path: Path, max_points: int) -> dict[str, NDArray[Any]]:
    try:
        from pypcd4 import PointCloud
    except ImportError as error:
        raise ConfigError(f"{path}: reading .pcd needs pypcd4. Run: pip install pypcd4") from error
    _check_count(path, _count_in_header(path, rb"^POINTS\s+(\d+)"), max_points)
    try:
        array = PointCloud.from_path(path).pc_data
    except Exception as error:  # the parser raises whatever its parts raise
        raise DataError(f"{path}: is not a readable PCD file: {error}. Is it complete?") from error
    return {name: np.asarray(array[name]) for name in array.dtype.names or ()}


def _read_ply(path: Path, max_points: int) -> dict[str, NDArray[Any]]:
    try:
        from plyfile import PlyData
    except ImportError as error:
        raise ConfigError(f"{path}: reading .ply needs plyfile. Run: pip install plyfile") from error
    _check_count(path, _count_in_header(path, rb"^element\s+vertex\s+(\d+)"), max_points)
    try:
        vertices = PlyData.read(str(path))["vertex"]
    except Exception as error:  # the parser raises whatever its parts raise
        raise DataError(f"{path}: is not a readable PLY file: {error}. Is it complete?") from error
    scalars = [item.name for item in vertices.properties if not hasattr(item, "len_dtype")]
    return {name: np.asarray(vertices[name]) for name in scalars}


def _count_in_header(path: Path, pattern: bytes) -> int:
    with path.open("rb") as file:
        found = re.search(pattern, file.read(_HEADER_BYTES), flags=re.MULTILINE)
    if not found:
        raise DataError(f"{path}: no number of points in the header. The file is damaged or of another kind.")
    return int(found[1])


def _check_count(path: Path, count: int, max_points: int) -> None:
    if count > max_points:
        raise DataError(f"{path}: {count:,} points, expected at most {max_points:,}. Raise max_points if this is real.")


def _frame_of(path: Path, columns: Mapping[str, NDArray[Any]], *, frame_id: str, stamp_ns: int) -> Frame:
    named = {name.lower().removeprefix("scalar_"): column for name, column in columns.items()}  # CloudCompare prefixes
    missing = [name for name in "xyz" if name not in named]
    if missing:
        raise DataError(f"{path}: no {', '.join(missing)}; the file has {', '.join(columns)}. Is it a point cloud?")
    text = [
        name
        for name in (*"xyz", "intensity", "ring", "channel")
        if name in named and named[name].dtype.kind not in "fiu"
    ]
    if text:
        raise DataError(f"{path}: {', '.join(text)} must be numbers, got {named[text[0]].dtype}. Is it a point cloud?")
    with np.errstate(over="ignore", invalid="ignore"):
        points = np.stack([named[name].astype(np.float32) for name in "xyz"], axis=1)
        intensity = named["intensity"].astype(np.float32) if "intensity" in named else np.zeros(len(points), np.float32)
    ring = named.get("ring", named.get("channel"))
    ring = np.nan_to_num(ring).astype(np.uint16) if ring is not None and _is_ring(ring) else None
    return Frame(
        points=points, intensity=intensity, stamp_ns=stamp_ns, frame_id=frame_id, ring=ring, colors=_colors_of(named)
    )


def _colors_of(named: Mapping[str, NDArray[Any]]) -> NDArray[np.uint8] | None:
    channels = [named[name] for name in ("red", "green", "blue") if name in named]
    if len(channels) == 3 and all(channel.dtype == np.uint8 for channel in channels):
        return np.stack(channels, axis=1)
    packed = named.get("rgb", named.get("rgba"))
    if packed is not None and packed.dtype.itemsize == 4:
        bits = packed.astype(packed.dtype.newbyteorder("=")).view(np.uint32)
        return np.stack([(bits >> shift) & 0xFF for shift in (16, 8, 0)], axis=1).astype(np.uint8)
    return None
