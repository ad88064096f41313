"""Whole frames from a bag: each cloud with the nearest image of every camera and where that camera stood.

The robot's door to the same `Frame` that a data set reader makes: cloud, Image or CompressedImage, CameraInfo and the
chain of /tf and /tf_static, with the ego motion between the stamps.
"""

from __future__ import annotations

import bisect
import io
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .bag_io import deserialize, find_cloud_topic, header_stamp_ns, make_typestore, open_bag
from .errors import ConfigError, DataError, FrameError
from .geometry import make_transform, rotation_from_quaternion
from .pointcloud2 import decode_pointcloud2, stamp_ns_of
from .transform_buffer import TransformBuffer
from .types import CameraView, Frame

IMAGE_TYPE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE_TYPE = "sensor_msgs/msg/CompressedImage"
CAMERA_INFO_TYPE = "sensor_msgs/msg/CameraInfo"
TRANSFORM_TYPE = "tf2_msgs/msg/TFMessage"
STATIC_TOPIC = "/tf_static"

DEFAULT_MAX_SKEW_S = 0.1
_CHANNELS = {"rgb8": (0, 1, 2), "bgr8": (2, 1, 0), "rgba8": (0, 1, 2), "bgra8": (2, 1, 0), "mono8": (0, 0, 0)}
_BYTES_PER_PIXEL = {"rgb8": 3, "bgr8": 3, "rgba8": 4, "bgra8": 4, "mono8": 1}


class BagFrames:
    """The clouds of a bag with their cameras, by number, in recording order; close it, or use it with `with`.

    `topic`: the clouds, None where the bag has one cloud topic. `cameras`: image topics to use, None for all. For each
    camera the image nearest in time to the cloud is taken if it is within `max_skew_s`, else the frame goes without
    it. `CameraView.name` is the camera's frame; its transform runs through `fixed_frame`, so that ego motion between
    the stamps is in it. `rigid_frames` declares sensor mounts that the recording repeats on /tf (see
    `TransformBuffer`).

    Geometry is never guessed: a camera without CameraInfo or with an unrectified image, a missing transform or one
    that would have to be extrapolated raises `FrameError` with frames and stamps. Raises `DataError` for a bag or
    message that cannot be read.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        topic: str | None = None,
        cameras: Sequence[str] | None = None,
        fixed_frame: str = "map",
        max_skew_s: float = DEFAULT_MAX_SKEW_S,
        rigid_frames: Collection[str] = (),
    ) -> None:
        self._path, self._fixed_frame, self._max_skew_s = path, fixed_frame, max_skew_s
        self._open = ExitStack()
        self._typestore = make_typestore()
        self._reader = self._open.enter_context(open_bag(path))
        try:
            self._clouds = find_cloud_topic(self._reader, topic, path)
            self._transforms = _read_transforms(self._reader, self._typestore, rigid_frames)
            self._tracks = _index_images(self._reader, self._typestore, cameras, path)
        except BaseException:
            self._open.close()
            raise
        self._times: list[tuple[int, int]] | None = None

    def __enter__(self) -> BagFrames:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files."""
        self._open.close()

    def __len__(self) -> int:
        return len(self._cloud_times())

    def __getitem__(self, index: int) -> Frame:
        return self._with_cameras(self.cloud(index))

    def cloud(self, index: int) -> Frame:
        """Return a frame without its cameras."""
        time_ns, stamp_ns = self._cloud_times()[index]
        for connection, _, raw in self._reader.messages(connections=self._clouds, start=time_ns, stop=time_ns + 1):
            if header_stamp_ns(raw) == stamp_ns:
                return self._decode(connection, raw)
        raise DataError(f"{self._path}: cloud at {time_ns} ns vanished while reading. Is the bag still written?")

    def fixed_from_lidar(self, frame: Frame) -> NDArray[np.float64]:
        """Return where a cloud's lidar stood at its stamp, (4, 4) into the fixed frame; `FrameError` where unknown."""
        stamp_ns = frame.stamp_ns
        return self._transforms.lookup(
            self._fixed_frame, stamp_ns, frame.frame_id, stamp_ns, fixed_frame=self._fixed_frame
        )

    def __iter__(self) -> Iterator[Frame]:
        """Yield all frames in one pass through the bag, which is faster than by number."""
        for connection, _, raw in self._reader.messages(connections=self._clouds):
            yield self._with_cameras(self._decode(connection, raw))

    def camera_count(self, index: int) -> int:
        """Return how many cameras have an image near enough to a cloud."""
        stamp_ns = self._cloud_times()[index][1]
        return sum(_image_near(track, stamp_ns, self._max_skew_s) is not None for track in self._tracks)

    def _cloud_times(self) -> list[tuple[int, int]]:
        """Recording time and header stamp of every cloud; one pass through the bag when first asked for."""
        if self._times is None:
            messages = self._reader.messages(connections=self._clouds)
            self._times = [(time_ns, header_stamp_ns(raw)) for _, time_ns, raw in messages]
        return self._times

    def _decode(self, connection: Any, raw: bytes) -> Frame:
        message = deserialize(self._typestore, raw, connection.msgtype, f"{self._path}: {connection.topic}")
        return decode_pointcloud2(message)

    def _with_cameras(self, frame: Frame) -> Frame:
        views = []
        for track in self._tracks:
            nearest = _image_near(track, frame.stamp_ns, self._max_skew_s)
            if nearest is not None:
                views.append(
                    _view(self._reader, self._typestore, track, nearest, frame, self._transforms, self._fixed_frame)
                )
        return replace(frame, cameras=tuple(views))


def read_bag_frames(path: Path | str, **choices: Any) -> Iterator[Frame]:
    """Yield every cloud of a bag with its cameras, in recording order; for `choices` see `BagFrames`."""
    with BagFrames(path, **choices) as frames:
        yield from frames


@dataclass(frozen=True, slots=True, kw_only=True)
class _ImageTrack:
    """One camera of the recording: when it saw something and how it sees."""

    connection: Any
    frame_id: str
    stamps_ns: list[int]
    times_ns: list[int]
    intrinsics: NDArray[np.float64]
    shape: tuple[int, int]
    baseline_m: NDArray[np.float64]


def _read_transforms(reader: Any, typestore: Any, rigid_frames: Collection[str]) -> TransformBuffer:
    buffer = TransformBuffer(rigid_frames=rigid_frames)
    connections = [connection for connection in reader.connections if connection.msgtype == TRANSFORM_TYPE]
    if not connections:
        return buffer
    for connection, _, raw in reader.messages(connections=connections):
        message = deserialize(typestore, raw, connection.msgtype, connection.topic)
        for item in message.transforms:
            rotation, translation = item.transform.rotation, item.transform.translation
            parent_from_child = make_transform(
                rotation_from_quaternion((rotation.x, rotation.y, rotation.z, rotation.w)),
                (translation.x, translation.y, translation.z),
            )
            if connection.topic.endswith(STATIC_TOPIC):
                buffer.set_static(item.header.frame_id, item.child_frame_id, parent_from_child)
            else:
                buffer.add(item.header.frame_id, item.child_frame_id, stamp_ns_of(item.header), parent_from_child)
    return buffer


def _index_images(reader: Any, typestore: Any, cameras: Sequence[str] | None, path: Path | str) -> list[_ImageTrack]:
    """Note when every image was taken, and join cameras with their CameraInfo by frame."""
    images = [item for item in reader.connections if item.msgtype in (IMAGE_TYPE, COMPRESSED_IMAGE_TYPE)]
    if cameras is not None:
        unknown = set(cameras) - {connection.topic for connection in images}
        if unknown:
            known = ", ".join(connection.topic for connection in images) or "none"
            raise DataError(f"{path}: no image topic {', '.join(sorted(unknown))}. The bag has {known}.")
        images = [connection for connection in images if connection.topic in cameras]
    if not images:
        return []
    infos = _read_camera_infos(reader, typestore)
    times: dict[int, list[tuple[int, int]]] = {connection.id: [] for connection in images}
    frame_ids: dict[int, str] = {}
    for connection, time_ns, raw in reader.messages(connections=images):
        times[connection.id].append((header_stamp_ns(raw), time_ns))
        if connection.id not in frame_ids:
            message = deserialize(typestore, raw, connection.msgtype, f"{path}: {connection.topic}")
            frame_ids[connection.id] = message.header.frame_id
    return [
        _track(connection, frame_ids[connection.id], sorted(times[connection.id]), infos)
        for connection in images
        if times[connection.id]
    ]


def _read_camera_infos(reader: Any, typestore: Any) -> dict[str, Any]:
    """Return the last CameraInfo of every camera frame."""
    connections = [connection for connection in reader.connections if connection.msgtype == CAMERA_INFO_TYPE]
    infos: dict[str, Any] = {}
    if connections:
        for connection, _, raw in reader.messages(connections=connections):
            message = deserialize(typestore, raw, connection.msgtype, connection.topic)
            infos[message.header.frame_id] = message
    return infos


def _track(connection: Any, frame_id: str, times: list[tuple[int, int]], infos: dict[str, Any]) -> _ImageTrack:
    info = infos.get(frame_id)
    if info is None:
        raise FrameError(
            f"{connection.topic}: no CameraInfo for frame '{frame_id}' (there are {', '.join(infos) or 'none'}), so "
            "its intrinsics are unknown. Record camera_info, or leave the camera out with cameras=[...]."
        )
    rectified = re.search(r"(^|[/_])rect(ified)?([/_]|$)", connection.topic) is not None
    if np.any(np.asarray(info.d)) and not rectified:
        raise FrameError(
            f"{connection.topic}: the images of '{frame_id}' are distorted (D = {np.asarray(info.d).tolist()}). "
            "Record rectified images (image_proc), or leave the camera out with cameras=[...]."
        )
    projection = np.asarray(info.p, dtype=np.float64).reshape(3, 4)
    intrinsics = np.asarray(info.k, dtype=np.float64).reshape(3, 3)
    baseline_m = np.zeros(3)
    if rectified and projection[0, 0] > 0:  # P is for rectified images, K for raw ones
        intrinsics = projection[:, :3]
        baseline_m[:2] = projection[:2, 3] / projection[(0, 1), (0, 1)]  # second camera of a stereo pair
    return _ImageTrack(
        connection=connection,
        frame_id=frame_id,
        stamps_ns=[stamp_ns for stamp_ns, _ in times],
        times_ns=[time_ns for _, time_ns in times],
        intrinsics=intrinsics,
        shape=(int(info.height), int(info.width)),
        baseline_m=baseline_m,
    )


def _view(
    reader: Any,
    typestore: Any,
    track: _ImageTrack,
    number: int,
    frame: Frame,
    transforms: TransformBuffer,
    fixed_frame: str,
) -> CameraView:
    stamp_ns = track.stamps_ns[number]
    camera_from_lidar = transforms.lookup(
        track.frame_id, stamp_ns, frame.frame_id, frame.stamp_ns, fixed_frame=fixed_frame
    )
    image = _read_image(reader, typestore, track, number)
    if image.shape[:2] != track.shape:
        raise FrameError(
            f"{track.connection.topic}: image is {image.shape[1]} x {image.shape[0]}, its CameraInfo says "
            f"{track.shape[1]} x {track.shape[0]}. Record the info that belongs to this image size."
        )
    return CameraView(
        name=track.frame_id,
        image=image,
        intrinsics=track.intrinsics,
        camera_from_lidar=make_transform(np.eye(3), track.baseline_m) @ camera_from_lidar,
        stamp_ns=stamp_ns,
    )


def _image_near(track: _ImageTrack, stamp_ns: int, max_skew_s: float) -> int | None:
    """Return the number of the image nearest in time, None where it is too far."""
    after = bisect.bisect_left(track.stamps_ns, stamp_ns)
    around = [number for number in (after - 1, after) if 0 <= number < len(track.stamps_ns)]
    nearest = min(around, key=lambda number: abs(track.stamps_ns[number] - stamp_ns))
    return nearest if abs(track.stamps_ns[nearest] - stamp_ns) <= max_skew_s * 1e9 else None


def _read_image(reader: Any, typestore: Any, track: _ImageTrack, index: int) -> NDArray[np.uint8]:
    time_ns, connection = track.times_ns[index], track.connection
    for _, _, raw in reader.messages(connections=[connection], start=time_ns, stop=time_ns + 1):
        if header_stamp_ns(raw) == track.stamps_ns[index]:
            message = deserialize(typestore, raw, connection.msgtype, connection.topic)
            return decode_image(message, where=f"{connection.topic} at {track.stamps_ns[index]} ns")
    raise DataError(f"{connection.topic}: image at {time_ns} ns vanished while reading. Is the bag still written?")


def decode_image(message: Any, *, where: str) -> NDArray[np.uint8]:
    """Return a sensor_msgs Image or CompressedImage as (H, W, 3) uint8 RGB; duck-typed, as clouds are.

    Compressed images need Pillow. Raises `DataError` for damaged data or an encoding that is no 8-bit colour or grey.
    """
    if hasattr(message, "format"):
        return _decode_compressed(bytes(message.data), where)
    encoding = str(message.encoding)
    if encoding not in _CHANNELS:
        raise DataError(f"{where}: image encoding {encoding!r}, expected {', '.join(_CHANNELS)}.")
    height, width, step, size = int(message.height), int(message.width), int(message.step), _BYTES_PER_PIXEL[encoding]
    data = np.frombuffer(message.data, dtype=np.uint8)
    if step < width * size or len(data) < height * step:
        raise DataError(
            f"{where}: truncated image: expected {height} rows of {max(step, width * size)} bytes, got {len(data)}."
        )
    pixels = data[: height * step].reshape(height, step)[:, : width * size].reshape(height, width, size)
    return np.ascontiguousarray(pixels[..., _CHANNELS[encoding]])


def _decode_compressed(data: bytes, where: str) -> NDArray[np.uint8]:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise ConfigError(f"{where}: compressed images need Pillow. Run: pip install pillow") from error
    try:
        with Image.open(io.BytesIO(data)) as image:
            return np.array(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{where}: cannot decode {len(data)} bytes of image: {error}") from error
