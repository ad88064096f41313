"""Poses that were written with few digits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ov3d_perception.errors import DataError
from ov3d_trainer.data.poses import nearest_rigid, read_matrix


def test_rounded_rotation_becomes_an_exact_one() -> None:
    angle = np.radians(30)
    rounded = np.array([[0.866, -0.5, 0, 1], [0.5, 0.866, 0, 2], [0, 0, 1, 3]])
    found = nearest_rigid("poses.txt: line 1", rounded)
    np.testing.assert_allclose(found[:3, :3] @ found[:3, :3].T, np.eye(3), atol=1e-12)
    assert found[0, 0] == pytest.approx(np.cos(angle), abs=1e-4)
    np.testing.assert_array_equal(found[:, 3], [1, 2, 3, 1])


@pytest.mark.parametrize(
    "matrix",
    [np.diag([1.0, 1, -1, 1]), np.diag([2.0, 2, 2, 1]), np.full((3, 4), np.nan), np.eye(3)],
    ids=["reflection", "scale", "NaN", "shape"],
)
def test_what_is_no_rigid_transform_is_refused_by_name(matrix: np.ndarray) -> None:
    with pytest.raises(DataError, match=r"poses\.txt: line 7: expected a rotation"):
        nearest_rigid("poses.txt: line 7", matrix)


def test_matrix_is_read_from_text(tmp_path: Path) -> None:
    path = tmp_path / "pose.txt"
    path.write_text("1 0 0 4\n0 1 0 5\n0 0 1 6\n0 0 0 1\n")
    np.testing.assert_array_equal(read_matrix(path)[:3, 3], [4, 5, 6])
    for content, reason in (("1 0 a", "as text"), ("1 2 3", "of 3 or 4 rows")):
        path.write_text(content)
        with pytest.raises(DataError, match=rf"pose\.txt: .*{reason}"):
            read_matrix(path)
    with pytest.raises(DataError, match=r"none\.txt: no such file"):
        read_matrix(tmp_path / "none.txt")
