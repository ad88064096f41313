"""A recording as training data: its frames by number are those that are read in one pass."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ov3d_perception.bags import BagFrames, read_bag_frames
from ov3d_perception.errors import DataError
from ov3d_perception.types import Frame
from ov3d_trainer.config import SourceConfig
from ov3d_trainer.data.dataset import open_source


def assert_equal_frames(found: Frame, wanted: Frame) -> None:
    assert (found.stamp_ns, found.frame_id) == (wanted.stamp_ns, wanted.frame_id)
    np.testing.assert_array_equal(found.points, wanted.points)
    assert [view.name for view in found.cameras] == [view.name for view in wanted.cameras]
    for one, other in zip(found.cameras, wanted.cameras, strict=True):
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.camera_from_lidar, other.camera_from_lidar)


def test_frames_by_number_equal_those_of_one_pass(tiny_bag: Path) -> None:
    in_one_pass = list(read_bag_frames(tiny_bag))
    with BagFrames(tiny_bag) as frames:
        assert len(frames) == len(in_one_pass) == 3
        for index in (2, 0, 1):
            assert_equal_frames(frames[index], in_one_pass[index])
            assert frames.camera_count(index) == 2
        with pytest.raises(IndexError):
            frames[3]


def test_bag_is_a_data_set_of_its_clouds(tiny_bag: Path) -> None:
    source = open_source(SourceConfig(kind="bag", path=str(tiny_bag), every=2, cameras=True))
    assert len(source) == 2
    sample = source[1]
    assert sample.name == f"{tiny_bag.name}_000002"
    assert_equal_frames(sample.frame, list(read_bag_frames(tiny_bag))[2])
    assert sample.point_labels is None


def test_clouds_that_no_camera_accompanies_are_left_out(tiny_bag: Path) -> None:
    with pytest.raises(DataError, match=r"data\.max_skew_s"):
        open_source(SourceConfig(kind="bag", path=str(tiny_bag), max_skew_s=0.001, cameras=True))
    alone = open_source(SourceConfig(kind="bag", path=str(tiny_bag), max_skew_s=0.001, cameras=False))
    assert len(alone) == 3
    assert alone[0].frame.cameras == ()
