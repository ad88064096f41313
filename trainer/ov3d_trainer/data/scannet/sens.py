"""`.sens` files: ScanNet's recording of a depth camera, version 4 (github.com/ScanNet/ScanNet, SensReader).

Little endian. Camera frame: x right, y down, z forward; `camera_to_world` is `scan_from_camera`.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from ov3d_perception.errors import DataError

VERSION = 4
DEPTH_SHIFT = 1000.0
COLOR_RAW, COLOR_PNG, COLOR_JPEG = 0, 1, 2
DEPTH_RAW, DEPTH_ZLIB = 0, 1
_JPEG_QUALITY = 90
_MOST_PIXELS = 64_000_000
_MOST_FRAMES = 10_000_000
_FRAME_HEAD = struct.Struct("<16f4Q")
_SIZES = struct.Struct("<iiIIIIfQ")
_FORMATS = {COLOR_PNG: "PNG", COLOR_JPEG: "JPEG"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SensHeader:
    """What holds for all frames: intrinsics (4, 4) in pixels, extrinsics (4, 4), sizes as (width, height), metres per
    unit of depth as 1 / `depth_shift`."""

    sensor: str
    color_intrinsics: NDArray[np.float32]
    color_extrinsics: NDArray[np.float32]
    depth_intrinsics: NDArray[np.float32]
    depth_extrinsics: NDArray[np.float32]
    color_compression: int
    depth_compression: int
    color_size: tuple[int, int]
    depth_size: tuple[int, int]
    depth_shift: float
    frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SensFrame:
    """One exposure: its number in the file, `scan_from_camera` (4, 4) float64, `color` (H, W, 3) uint8 RGB, `depth_m`
    (h, w) float32 along z with 0 = none, stamps in microseconds of the camera's own clock."""

    index: int
    scan_from_camera: NDArray[np.float64]
    color: NDArray[np.uint8]
    depth_m: NDArray[np.float32]
    color_us: int
    depth_us: int


class SensReader:
    """An open `.sens` file; use it in a `with` statement. Reads one frame at a time, raises `DataError`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._stream: BinaryIO = path.open("rb")
        except OSError as error:
            raise DataError(f"{path}: cannot be opened ({error}). Expected a ScanNet .sens file.") from error
        try:
            self._bytes = path.stat().st_size
            self.header = self._read_header()
        except BaseException:
            self._stream.close()
            raise

    def __enter__(self) -> SensReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def frames(self, *, wanted: Iterable[int] | None = None) -> Iterator[SensFrame]:
        """Yield frames in order, those `wanted` only; frames whose pose was lost (NaN, infinite) are left out."""
        chosen = None if wanted is None else set(wanted)
        self._stream.seek(self._first_frame)
        for index in range(self.header.frames):
            head = _FRAME_HEAD.unpack(self._take(_FRAME_HEAD.size, f"frame {index}"))
            pose = np.array(head[:16], dtype=np.float64).reshape(4, 4)
            color_us, depth_us, color_bytes, depth_bytes = head[16:]
            self._check_blob(index, color_bytes + depth_bytes)
            if (chosen is not None and index not in chosen) or not np.isfinite(pose).all():
                self._stream.seek(color_bytes + depth_bytes, io.SEEK_CUR)
                continue
            color = self._take(color_bytes, f"frame {index}")
            depth = self._take(depth_bytes, f"frame {index}")
            yield SensFrame(
                index=index,
                scan_from_camera=pose,
                color=self._decode_color(index, color),
                depth_m=self._decode_depth(index, depth),
                color_us=color_us,
                depth_us=depth_us,
            )

    def poses(self) -> list[tuple[int, NDArray[np.float64]]]:
        """Return number and pose (4, 4) of every frame that has one, without decoding images."""
        found = []
        self._stream.seek(self._first_frame)
        for index in range(self.header.frames):
            head = _FRAME_HEAD.unpack(self._take(_FRAME_HEAD.size, f"frame {index}"))
            self._check_blob(index, head[18] + head[19])
            self._stream.seek(head[18] + head[19], io.SEEK_CUR)
            pose = np.array(head[:16], dtype=np.float64).reshape(4, 4)
            if np.isfinite(pose).all():
                found.append((index, pose))
        return found

    def _read_header(self) -> SensHeader:
        version = self._number("<I", "version")
        if version != VERSION:
            raise DataError(
                f"{self.path}: .sens version {version}, expected {VERSION}. Is it a .sens file of ScanNet v2?"
            )
        length = self._number("<Q", "length of the sensor's name")
        name = self._take(length, "sensor name").decode("utf-8", errors="replace")
        matrices = [np.frombuffer(self._take(64, "camera matrices"), "<f4").reshape(4, 4) for _ in range(4)]
        color, depth, color_w, color_h, depth_w, depth_h, shift, frames = _SIZES.unpack(
            self._take(_SIZES.size, "header")
        )
        self._first_frame = self._stream.tell()
        for what, width, height in (("colour", color_w, color_h), ("depth", depth_w, depth_h)):
            if not 1 <= width * height <= _MOST_PIXELS:
                raise DataError(
                    f"{self.path}: {what} images of {width} x {height}; at most {_MOST_PIXELS} pixels. Damaged?"
                )
        if color not in (COLOR_RAW, COLOR_PNG, COLOR_JPEG) or depth not in (DEPTH_RAW, DEPTH_ZLIB):
            raise DataError(
                f"{self.path}: compression {color} of colour and {depth} of depth; expected 0 raw, 1 png, 2 jpeg "
                "and 0 raw, 1 zlib. Write the file again with one of these."
            )
        if not (np.isfinite(shift) and shift > 0) or frames > min(_MOST_FRAMES, self._bytes // _FRAME_HEAD.size):
            raise DataError(f"{self.path}: depth shift {shift}, {frames} frames in {self._bytes} bytes. Damaged?")
        for what, matrix in (("colour", matrices[0]), ("depth", matrices[2])):
            if not (np.isfinite(matrix).all() and min(matrix[0, 0], matrix[1, 1]) > 0):
                raise DataError(f"{self.path}: intrinsics of {what}: no focal length in {matrix.tolist()}. Damaged?")
        return SensHeader(
            sensor=name,
            color_intrinsics=matrices[0],
            color_extrinsics=matrices[1],
            depth_intrinsics=matrices[2],
            depth_extrinsics=matrices[3],
            color_compression=color,
            depth_compression=depth,
            color_size=(color_w, color_h),
            depth_size=(depth_w, depth_h),
            depth_shift=shift,
            frames=frames,
        )

    def _number(self, kind: str, what: str) -> int:
        return int(struct.unpack(kind, self._take(struct.calcsize(kind), what))[0])

    def _take(self, count: int, what: str) -> bytes:
        left = self._bytes - self._stream.tell()
        taken = self._stream.read(count) if count <= left else b""
        if len(taken) != count:
            raise DataError(f"{self.path}: {what}: expected {count} bytes, {left} are left. Cut short? Copy it again.")
        return taken

    def _check_blob(self, index: int, count: int) -> None:
        left = self._bytes - self._stream.tell()
        if count > left:
            raise DataError(
                f"{self.path}: frame {index}: says {count} bytes, {left} are left. Cut short? Copy it again."
            )

    def _decode_color(self, index: int, blob: bytes) -> NDArray[np.uint8]:
        width, height = self.header.color_size
        if self.header.color_compression == COLOR_RAW:
            if len(blob) != width * height * 3:
                raise DataError(f"{self.path}: frame {index}: {len(blob)} bytes of raw colour for {width} x {height}.")
            return np.frombuffer(blob, np.uint8).reshape(height, width, 3).copy()
        try:
            with Image.open(io.BytesIO(blob), formats=[_FORMATS[self.header.color_compression]]) as image:
                if image.size != (width, height):
                    raise DataError(f"{self.path}: frame {index}: image {image.size}, header says {(width, height)}.")
                return np.asarray(image.convert("RGB"))
        except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise DataError(f"{self.path}: frame {index}: colour image cannot be decoded ({error}).") from error

    def _decode_depth(self, index: int, blob: bytes) -> NDArray[np.float32]:
        width, height = self.header.depth_size
        wanted = width * height * 2
        if self.header.depth_compression == DEPTH_ZLIB:
            inflate = zlib.decompressobj()
            try:
                blob = inflate.decompress(blob, wanted + 1)
            except zlib.error as error:
                raise DataError(f"{self.path}: frame {index}: depth cannot be inflated ({error}).") from error
        if len(blob) != wanted:
            raise DataError(f"{self.path}: frame {index}: {len(blob)} bytes of depth, expected {wanted}.")
        units = np.frombuffer(blob, "<u2").reshape(height, width)
        return units.astype(np.float32) / np.float32(self.header.depth_shift)


def depth_of_color_view(header: SensHeader, depth_m: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the depth (h, w) of what the colour image shows, at the depth image's resolution; 0 beyond its edge.

    Both cameras share one pose, as in the official tools; where their intrinsics are proportional nothing changes.
    """
    color, depth = (matrix[:2, :3].astype(np.float64) for matrix in (header.color_intrinsics, header.depth_intrinsics))
    source, inside = [], []
    for axis, count in enumerate(depth_m.shape[::-1]):  # u, then v
        pixel = (np.arange(count) + 0.5) * header.color_size[axis] / count - 0.5
        ray = (pixel - color[axis, 2]) / color[axis, axis]
        found = np.floor(ray * depth[axis, axis] + depth[axis, 2] + 0.5).astype(np.int64)
        inside.append((found >= 0) & (found < count))
        source.append(np.clip(found, 0, count - 1))
    return np.where(np.outer(inside[1], inside[0]), depth_m[np.ix_(source[1], source[0])], np.float32(0.0))


def write_sens(path: Path, header: SensHeader, frames: Iterable[SensFrame]) -> None:
    """Write a file with JPEG colour and zlib depth, whatever compression `header` names; `header.frames` must be right.

    Raises `DataError` where the number of frames is another one.
    """
    with path.open("wb") as stream:
        name = header.sensor.encode()
        stream.write(struct.pack("<IQ", VERSION, len(name)) + name)
        for matrix in (
            header.color_intrinsics, header.color_extrinsics, header.depth_intrinsics, header.depth_extrinsics
        ):  # fmt: skip
            stream.write(np.ascontiguousarray(matrix, dtype="<f4").tobytes())
        sizes = (*header.color_size, *header.depth_size)
        stream.write(_SIZES.pack(COLOR_JPEG, DEPTH_ZLIB, *sizes, header.depth_shift, header.frames))
        count = 0
        for frame in frames:
            stream.write(_pack_frame(frame, header.depth_shift))
            count += 1
        stream.write(struct.pack("<Q", 0))  # no inertial measurements
    if count != header.frames:
        raise DataError(f"{path}: {count} frames written, the header says {header.frames}.")


def _pack_frame(frame: SensFrame, depth_shift: float) -> bytes:
    color = io.BytesIO()
    Image.fromarray(frame.color).save(color, "JPEG", quality=_JPEG_QUALITY)
    units = np.clip(np.rint(frame.depth_m * depth_shift), 0, 65535).astype("<u2")
    depth = zlib.compress(units.tobytes(), 6)
    pose = frame.scan_from_camera.astype(np.float32).ravel().tolist()
    head = _FRAME_HEAD.pack(*pose, frame.color_us, frame.depth_us, color.tell(), len(depth))
    return head + color.getvalue() + depth
