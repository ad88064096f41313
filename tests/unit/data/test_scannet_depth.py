"""Depth images of a ScanNet recording: which points of the mesh an image shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ov3d_trainer.data.scannet.reader import ScanNetScans
from ov3d_trainer.data.scannet.sens import COLOR_JPEG, DEPTH_ZLIB, SensHeader, depth_of_color_view
from ov3d_trainer.data.scannet.writer import write_room
from ov3d_trainer.supervision.lift import LiftOptions, visible_pixels


def header(color: list[float], depth: list[float], *, color_size: tuple[int, int] = (8, 4)) -> SensHeader:
    """Intrinsics are given as f, cx, cy."""

    def matrix(values: list[float]) -> np.ndarray:
        found = np.eye(4, dtype=np.float32)
        found[0, 0] = found[1, 1] = values[0]
        found[:2, 2] = values[1:]
        return found

    eye = np.eye(4, dtype=np.float32)
    return SensHeader(
        sensor="test",
        color_intrinsics=matrix(color),
        color_extrinsics=eye,
        depth_intrinsics=matrix(depth),
        depth_extrinsics=eye,
        color_compression=COLOR_JPEG,
        depth_compression=DEPTH_ZLIB,
        color_size=color_size,
        depth_size=(4, 2),
        depth_shift=1000.0,
        frames=1,
    )


DEPTH = np.arange(1, 9, dtype=np.float32).reshape(2, 4)


def test_proportional_intrinsics_leave_the_depth_image_alone() -> None:
    # half the size: f 8 -> 4, c 3.5 -> (3.5 + 0.5) / 2 - 0.5 = 1.5 and 1.5 -> 0.5
    np.testing.assert_array_equal(depth_of_color_view(header([8, 3.5, 1.5], [4, 1.5, 0.5]), DEPTH), DEPTH)


def test_depth_camera_that_looks_further_right_is_shifted() -> None:
    # cx 0.5 instead of 1.5: what colour column 0 shows lies left of the depth image, column 1 shows depth column 0
    found = depth_of_color_view(header([8, 3.5, 1.5], [4, 0.5, 0.5]), DEPTH)
    np.testing.assert_array_equal(found, [[0, 1, 2, 3], [0, 5, 6, 7]])


def test_simulated_scan_comes_with_depth_that_fits_its_mesh(tmp_path: Path) -> None:
    write_room(tmp_path, 5, 0, 3, image_size=(64, 48))
    source = ScanNetScans(tmp_path, views=2)
    sample = source[0]
    assert source.without_images(0).view_depths == {}
    assert set(sample.view_depths) == {view.name for view in sample.frame.cameras}
    view = sample.frame.cameras[0]
    depth = sample.view_depths[view.name]
    assert depth.shape == (48, 64)
    points = sample.frame.points
    inside, _, _ = visible_pixels(points, view, LiftOptions(occlusion_test=False, min_depth_m=0.1))
    seen, _, _ = visible_pixels(points, view, LiftOptions(min_depth_m=0.1), depth)
    assert 0.2 * len(inside) < len(seen) < len(inside)
    # the same image over a wall 1 cm before the camera hides everything
    wall = np.full_like(depth, 0.01)
    assert not len(visible_pixels(points, view, LiftOptions(min_depth_m=0.1), wall)[0])
