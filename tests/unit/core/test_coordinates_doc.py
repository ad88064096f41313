"""The worked number of docs/coordinates.md holds, on the real keyframe too."""

from pathlib import Path

import numpy as np
import pytest

from ov3d_perception.projection import project
from ov3d_perception.types import CameraView
from ov3d_perception.voxels import voxelize

POINT = np.array([[2.0, 20.0, -1.0]], dtype=np.float32)


def test_worked_number_from_the_rounded_matrices_of_the_document() -> None:
    view = CameraView(
        name="CAM_FRONT",
        image=np.zeros((900, 1600, 3), dtype=np.uint8),
        intrinsics=np.array([[1266.417, 0, 816.267], [0, 1266.417, 491.507], [0, 0, 1]]),
        # Three rows to four digits are orthonormal to 2e-4; the check wants 1e-4, so the rotation is cleaned up.
        camera_from_lidar=_orthonormal(
            [[1.0000, 0.0034, 0.0069, 0.0169], [0.0069, 0.0196, -0.9998, -0.3290], [-0.0035, 0.9998, 0.0196, -0.4292]]
        ),
        stamp_ns=0,
    )
    projection = project(POINT, view)
    assert projection.depth_m[0] == pytest.approx(19.540, abs=0.005)
    np.testing.assert_allclose(projection.pixels, [[950.9, 561.3]], atol=0.5)


def test_worked_number_on_the_real_keyframe(real_data: Path) -> None:
    from ov3d_trainer.data.keyframe import Keyframe

    frame = Keyframe(real_data / "nuscenes_scene-0061")[0].frame
    view = next(view for view in frame.cameras if view.name == "CAM_FRONT")
    projection = project(POINT, view)
    np.testing.assert_allclose(projection.pixels, [[950.95, 561.26]], atol=0.01)
    assert (frame.stamp_ns - view.stamp_ns) / 1e6 == pytest.approx(35.5, abs=0.1)


def test_voxel_and_level_four_voxel_of_the_worked_point() -> None:
    coords = voxelize(POINT + np.float32(0.001), 0.1).coords
    np.testing.assert_array_equal(coords, [[20, 200, -10]])
    np.testing.assert_array_equal(coords >> 4, [[1, 12, -1]])


def _orthonormal(rows: list[list[float]]) -> np.ndarray:
    transform = np.vstack([np.array(rows), [0, 0, 0, 1]])
    left, _, right = np.linalg.svd(transform[:3, :3])
    transform[:3, :3] = left @ right
    return transform
