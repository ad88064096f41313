"""One scene through both doors: the data set reader that training uses, and a bag with TF as on the robot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ov3d_perception.inputs import InputSpec, build_inputs
from ov3d_perception.projection import project
from ov3d_perception.types import Frame

pytest.importorskip("rosbags", reason="bags need rosbags")

from bags.make_bag import recording_of_keyframe
from bags.recording import Recording, recording_of_samples
from bags.writer import write_bag
from ov3d_perception.bags import read_bag_frames

SPEC = InputSpec(features=("one", "intensity", "z", "range"))
TRANSFORM_TOLERANCE = 1e-6  # the keyframe's poses are float32 matrices, orthonormal to 1e-7
PIXEL_TOLERANCE = 0.01


def through_the_bag(recording: Recording, folder: Path) -> list[Frame]:
    write_bag(recording, folder / "bag")
    return list(read_bag_frames(folder / "bag"))


def check_same(original: Frame, from_bag: Frame) -> None:
    """Equal points, equal network inputs, equal projections."""
    np.testing.assert_array_equal(from_bag.points, original.points)
    np.testing.assert_array_equal(from_bag.intensity, original.intensity)
    np.testing.assert_array_equal(from_bag.ring, original.ring)
    assert (from_bag.stamp_ns, from_bag.frame_id) == (original.stamp_ns, original.frame_id)

    expected, actual = build_inputs(original, SPEC), build_inputs(from_bag, SPEC)
    np.testing.assert_array_equal(actual.features, expected.features)
    np.testing.assert_array_equal(actual.voxels.voxel_of_point, expected.voxels.voxel_of_point)
    assert set(actual.index) == set(expected.index)
    for name, table in expected.index.items():
        np.testing.assert_array_equal(actual.index[name], table)

    views = {view.name: view for view in from_bag.cameras}
    assert set(views) == {view.name for view in original.cameras}
    for view in original.cameras:
        other = views[view.name]
        assert other.stamp_ns == view.stamp_ns
        assert other.image.shape == view.image.shape
        np.testing.assert_array_equal(other.intrinsics, view.intrinsics)
        np.testing.assert_allclose(other.camera_from_lidar, view.camera_from_lidar, atol=TRANSFORM_TOLERANCE)
        first, second = project(original.points, view), project(from_bag.points, other)
        both = first.visible & second.visible
        assert both.sum() > 0
        assert (first.visible != second.visible).mean() < 1e-3  # points on the very border of an image may differ
        np.testing.assert_allclose(second.pixels[both], first.pixels[both], atol=PIXEL_TOLERANCE)


def test_real_keyframe_is_the_same_through_both_doors(real_data: Path, tmp_path: Path) -> None:
    from ov3d_trainer.data.keyframe import Keyframe

    folder = real_data / "nuscenes_scene-0061"
    original = Keyframe(folder)[0].frame
    (from_bag,) = through_the_bag(recording_of_keyframe(folder), tmp_path)
    assert len(from_bag.points) == 34_688
    assert len(from_bag.cameras) == 6
    check_same(original, from_bag)
    for view in original.cameras:  # the JPEG files travel unchanged
        np.testing.assert_array_equal(
            next(other.image for other in from_bag.cameras if other.name == view.name), view.image
        )


def test_simulated_drive_is_the_same_through_both_doors(tmp_path: Path) -> None:
    pytest.importorskip("embreex", reason="the simulator needs embreex")
    from ov3d_trainer.data.simulate import SimulatedStreet

    source = SimulatedStreet(3, 2, image_size=(64, 36), cameras=("CAM_FRONT", "CAM_BACK_LEFT"), shadows=False)
    frames = through_the_bag(recording_of_samples(source), tmp_path)
    assert len(frames) == len(source)
    for index, frame in enumerate(frames):
        check_same(source[index].frame, frame)
