"""What a teacher said comes back from its file, and takes as little room as promised."""

import numpy as np
import pytest

from ov3d_perception.errors import DataError
from ov3d_trainer.data.sample import UNKNOWN
from ov3d_trainer.supervision.files import read_supervision, write_supervision
from ov3d_trainer.teacher.base import FeatureSupervision, Supervision


def test_names_come_back(tmp_path):
    wanted = Supervision(target=np.array([3, UNKNOWN, 0]), weight=np.array([1.0, 0.0, 0.2], np.float32), count=4)
    write_supervision(tmp_path / "deep" / "a.npz", wanted)
    found = read_supervision(tmp_path / "deep" / "a.npz")
    assert found.target.tolist() == [3, UNKNOWN, 0]
    np.testing.assert_allclose(found.weight, [1.0, 0.0, 0.2], atol=1e-6)  # 0.2 is 51 of 255
    assert found.count == 4


def test_features_come_back(tmp_path):
    generator = np.random.default_rng(0)
    wanted = FeatureSupervision(
        points=11,
        rows=np.array([2, 3, 10]),
        vectors=generator.normal(size=(2, 5)).astype(np.float16),
        vector_of_row=np.array([1, 0, 1], np.int32),
        weight=np.array([1.0, 0.4, 1.0], np.float32),
    )
    write_supervision(tmp_path / "a.npz", wanted)
    found = read_supervision(tmp_path / "a.npz")
    assert found.rows.tolist() == [2, 3, 10]
    np.testing.assert_array_equal(found.code, wanted.code)
    np.testing.assert_allclose(found.weight, wanted.weight, atol=1e-6)
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]  # nothing temporary is left


def test_keyframe_with_superpixels_takes_less_than_a_megabyte(tmp_path):
    generator = np.random.default_rng(0)
    rows = np.flatnonzero(generator.random(34_688) < 0.6)
    supervision = FeatureSupervision(
        points=34_688,
        rows=rows,
        vectors=generator.normal(size=(600, 512)).astype(np.float16),
        vector_of_row=generator.integers(0, 600, len(rows)).astype(np.int32),
        weight=np.ones(len(rows), np.float32),
    )
    write_supervision(tmp_path / "a.npz", supervision)
    assert (tmp_path / "a.npz").stat().st_size < 1_000_000


def test_damaged_files_are_named(tmp_path):
    path = tmp_path / "a.npz"
    write_supervision(path, FeatureSupervision.of_points(3, np.array([1]), np.ones((1, 2))))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"a\.npz: damaged"):
        read_supervision(path)
    np.savez(path, points=3, rows=np.packbits([0, 1, 1]), vectors=np.ones((1, 2)), vector_of_row=[0], weight=[255])
    with pytest.raises(DataError, match="2 rows"):
        read_supervision(path)
