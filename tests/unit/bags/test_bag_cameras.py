"""Cameras of a bag: image encodings, and CameraInfo that is missing something or means something else."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ov3d_perception.bag_frames import CAMERA_INFO_TYPE, TRANSFORM_TYPE, decode_image, read_bag_frames
from ov3d_perception.bag_io import copy_connections, create_bag, make_typestore, open_bag
from ov3d_perception.errors import DataError, FrameError
from tests.unit.bags.tiny_drive import TinyDrive

RED_THEN_BLUE = np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)  # (1, 2, 3) RGB


def image(encoding: str, pixels: np.ndarray, *, padding: int = 0) -> Any:
    height, width = pixels.shape[:2]
    rows = pixels.reshape(height, -1)
    padded = np.hstack([rows, np.full((height, padding), 77, np.uint8)])
    return SimpleNamespace(encoding=encoding, height=height, width=width, step=padded.shape[1], data=padded.tobytes())


def changed(source: Path, out: Path, message_type: str, change: Callable[[Any], Any]) -> Path:
    """Copy a bag, passing the messages of one type through `change`; None leaves a message out."""
    typestore = make_typestore()
    with open_bag(source) as reader, create_bag(out) as writer:
        copies = copy_connections(reader, writer, typestore)
        for connection, time_ns, raw in reader.messages():
            if connection.msgtype == message_type:
                message = change(typestore.deserialize_cdr(raw, message_type))
                if message is None:
                    continue
                raw = typestore.serialize_cdr(message, message_type)
            writer.write(copies[connection.id], time_ns, raw)
    return out


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(("encoding", "channels"), [("rgb8", 3), ("bgr8", 3), ("rgba8", 4), ("bgra8", 4)])
def test_colour_encodings_become_rgb(encoding: str, channels: int, padding: int) -> None:
    pixels = RED_THEN_BLUE[..., ::-1] if encoding.startswith("bgr") else RED_THEN_BLUE
    if channels == 4:
        pixels = np.concatenate([pixels, np.full((1, 2, 1), 9, np.uint8)], axis=2)
    decoded = decode_image(image(encoding, np.ascontiguousarray(pixels), padding=padding), where="test")
    np.testing.assert_array_equal(decoded, RED_THEN_BLUE)


def test_grey_becomes_three_equal_channels() -> None:
    decoded = decode_image(image("mono8", np.array([[[7], [200]]], np.uint8)), where="test")
    np.testing.assert_array_equal(decoded, [[[7, 7, 7], [200, 200, 200]]])


def test_compressed_png_is_exact() -> None:
    buffer = io.BytesIO()
    Image.fromarray(RED_THEN_BLUE).save(buffer, format="PNG")
    message = SimpleNamespace(format="png", data=np.frombuffer(buffer.getvalue(), np.uint8))
    np.testing.assert_array_equal(decode_image(message, where="test"), RED_THEN_BLUE)


def test_damaged_images_are_refused() -> None:
    with pytest.raises(DataError, match="16UC1"):
        decode_image(image("16UC1", RED_THEN_BLUE), where="test")
    cut = image("rgb8", RED_THEN_BLUE)
    cut.data = cut.data[:-1]
    with pytest.raises(DataError, match="truncated"):
        decode_image(cut, where="test")
    with pytest.raises(DataError, match="/CAM: cannot decode 7 bytes"):
        decode_image(SimpleNamespace(format="jpeg", data=b"no jpeg"), where="/CAM")


def test_second_camera_of_a_stereo_pair_is_shifted_by_its_baseline(tiny_bag: Path, tmp_path: Path) -> None:
    def shift(info: Any) -> Any:
        info.p = info.p.copy()
        info.p[3] = -25.0 * 0.5  # -focal length * baseline, as CameraInfo defines it
        return info

    frame = next(read_bag_frames(changed(tiny_bag, tmp_path / "stereo", CAMERA_INFO_TYPE, shift)))
    originals = {view.name: view for view in TinyDrive()[0].frame.cameras}
    for view in frame.cameras:
        expected = originals[view.name].camera_from_lidar.copy()
        expected[0, 3] -= 0.5  # the camera stands half a metre to the right, so points move left
        np.testing.assert_allclose(view.camera_from_lidar, expected, atol=1e-9)


def test_image_of_another_size_than_its_info_is_refused(tiny_bag: Path, tmp_path: Path) -> None:
    def double(info: Any) -> Any:
        info.width *= 2
        return info

    with pytest.raises(FrameError, match="image is 32 x 24, its CameraInfo says 64 x 24"):
        next(read_bag_frames(changed(tiny_bag, tmp_path / "sized", CAMERA_INFO_TYPE, double)))


def test_missing_info_is_refused(tiny_bag: Path, tmp_path: Path) -> None:
    without = changed(tiny_bag, tmp_path / "blind", CAMERA_INFO_TYPE, lambda info: None)
    with pytest.raises(FrameError, match="no CameraInfo for frame"):
        next(read_bag_frames(without))


def test_missing_transforms_name_frames_and_stamp(tiny_bag: Path, tmp_path: Path) -> None:
    without = changed(tiny_bag, tmp_path / "lost", TRANSFORM_TYPE, lambda message: None)
    with pytest.raises(FrameError, match=r"no transform CAM_\w+ <- map at \d+ ns"):
        next(read_bag_frames(without))


def test_pose_that_ends_before_the_image_is_not_extrapolated(tiny_bag: Path, tmp_path: Path) -> None:
    first = TinyDrive()[0].frame
    last_ns = max(view.stamp_ns for view in first.cameras)

    def early(message: Any) -> Any:
        stamp = message.transforms[0].header.stamp
        return message if stamp.sec * 10**9 + stamp.nanosec < last_ns else None

    with pytest.raises(FrameError, match=f"map <- base_link at {last_ns} ns would be extrapolated"):
        next(read_bag_frames(changed(tiny_bag, tmp_path / "short", TRANSFORM_TYPE, early)))


def test_pose_between_two_samples_is_interpolated(tiny_bag: Path, tmp_path: Path) -> None:
    """Without the poses at image stamps: 20 ms of a gentle curve, interpolated over 100 ms."""
    sweeps = {TinyDrive()[index].frame.stamp_ns for index in range(3)}

    def only_sweeps(message: Any) -> Any:
        stamp = message.transforms[0].header.stamp
        mounts = len(message.transforms) > 1
        return message if mounts or stamp.sec * 10**9 + stamp.nanosec in sweeps else None

    bag = changed(tiny_bag, tmp_path / "sparse", TRANSFORM_TYPE, only_sweeps)
    topic = "/CAM_BACK/image_rect_compressed"  # 15 ms after each sweep, so the last would be extrapolated
    frames = read_bag_frames(bag, cameras=[topic])
    for index in range(2):
        (view,) = next(frames).cameras
        original = next(item for item in TinyDrive()[index].frame.cameras if item.name == "CAM_BACK")
        np.testing.assert_allclose(view.camera_from_lidar, original.camera_from_lidar, atol=1e-9)
    with pytest.raises(FrameError, match="would be extrapolated"):
        next(frames)
