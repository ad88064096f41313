"""What goes into a bag, whatever it comes from: sensor mounts and a stream of clouds, images and poses."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.errors import DataError
from ov3d_perception.types import CameraView, FloatArray, Frame
from ov3d_trainer.data.sample import Sample, SampleSource

JPEG_QUALITY = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Cloud:
    """One sweep of the sensor `channel`; `labels` (N,) int32 index into the recording's names, -1 unknown."""

    channel: str
    frame: Frame
    labels: NDArray[np.int32] | None = None

    @property
    def stamp_ns(self) -> int:
        """When it was taken."""
        return self.frame.stamp_ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One rectified image as JPEG bytes; `intrinsics` (3, 3) pixels, `size` (width, height)."""

    channel: str
    stamp_ns: int
    jpeg: bytes
    intrinsics: FloatArray
    size: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """Where the vehicle was: (4, 4) `global_from_ego`."""

    stamp_ns: int
    global_from_ego: FloatArray


Event = Cloud | Picture | Pose


@dataclass(frozen=True, slots=True, kw_only=True)
class Recording:
    """Sensor mounts (channel to (4, 4) `ego_from_sensor`) and events in the order of their stamps, poses first.

    `events` starts a new pass each time it is called. `label_names` name what `Cloud.labels` index; () without truth.
    """

    mounts: Mapping[str, FloatArray]
    events: Callable[[], Iterator[Event]]
    label_names: tuple[str, ...] = ()


def recording_of_samples(
    source: SampleSource,
    *,
    jpeg_of: Callable[[CameraView], bytes] | None = None,
    repeat: int = 1,
    interval_s: float = 0.5,
) -> Recording:
    """Record the samples of a data set one after the other; each needs a rig with the pose at every stamp.

    `jpeg_of` returns a view's original JPEG bytes; without it images are compressed at `JPEG_QUALITY`. All samples
    come `repeat` times, each pass `interval_s` after the end of the one before, standing still where they stood.
    """
    first = source[0]
    mounts = _mounts(first)
    encode = jpeg_of or (lambda view: encode_jpeg(view.image))

    def events() -> Iterator[Event]:
        shift_ns, begin_ns, last_ns = 0, first.frame.stamp_ns, first.frame.stamp_ns
        for _ in range(repeat):
            for index in range(len(source)):
                sample = first if index == 0 else source[index]
                _check_mounts(mounts, sample)
                last_ns = sample.frame.stamp_ns
                yield from _events_of(sample, encode, shift_ns)
            shift_ns += last_ns - begin_ns + round(interval_s * 1e9)

    return Recording(mounts=mounts, events=events, label_names=first.point_label_names)


def encode_jpeg(image: NDArray[np.uint8]) -> bytes:
    """Compress an image (H, W, 3) RGB with Pillow."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="JPEG", quality=JPEG_QUALITY)
    return buffer.getvalue()


def _events_of(sample: Sample, encode: Callable[[CameraView], bytes], shift_ns: int) -> Iterator[Event]:
    assert sample.rig is not None
    stamps_ns = sorted({sample.frame.stamp_ns, *(view.stamp_ns for view in sample.frame.cameras)})
    for stamp_ns in stamps_ns:
        pose = sample.rig.global_from_ego.get(stamp_ns)
        if pose is None:
            raise DataError(f"{sample.name}: no ego pose at {stamp_ns} ns. The reader must give one per stamp.")
        yield Pose(stamp_ns=stamp_ns + shift_ns, global_from_ego=pose)
        for view in sample.frame.cameras:
            if view.stamp_ns == stamp_ns:
                yield Picture(
                    channel=view.name,
                    stamp_ns=stamp_ns + shift_ns,
                    jpeg=encode(view),
                    intrinsics=view.intrinsics,
                    size=(view.image.shape[1], view.image.shape[0]),
                )
        if sample.frame.stamp_ns == stamp_ns:
            frame = replace(sample.frame, stamp_ns=stamp_ns + shift_ns, cameras=())
            yield Cloud(channel=frame.frame_id, frame=frame, labels=sample.point_labels)


def _mounts(sample: Sample) -> dict[str, FloatArray]:
    if sample.rig is None:
        raise DataError(f"{sample.name}: has no rig, so transforms are unknown. Choose a data set with poses.")
    return {sample.frame.frame_id: sample.rig.ego_from_lidar, **sample.rig.ego_from_camera}


def _check_mounts(mounts: Mapping[str, FloatArray], sample: Sample) -> None:
    """One bag has one set of static transforms, so that the mounts must stay the same."""
    for channel, ego_from_sensor in _mounts(sample).items():
        if channel not in mounts or not np.allclose(mounts[channel], ego_from_sensor, atol=1e-9):
            raise DataError(f"{sample.name}: {channel} is mounted otherwise than in the first sample. Split the bag.")
