"""A codebook by hand: forty points of eight features, five points each with a little noise."""

from __future__ import annotations

import numpy as np

from ov3d_perception.voxels import mean_per_voxel, voxelize
from ov3d_trainer.supervision.codebook import with_codebook
from ov3d_trainer.teacher.base import FeatureSupervision


def noisy(rng):
    features = np.repeat(np.eye(8, dtype=np.float32), 5, axis=0)
    return features + rng.normal(0, 0.01, features.shape).astype(np.float32)


def test_points_of_a_cluster_get_the_mean_of_their_features():
    code = np.array([[0.0, 1.0], [0.2, 1.0], [5.0, 0.0], [5.4, 0.0], [9.0, 9.0], [9.2, 9.0], [4.6, 0.0]])
    found = with_codebook(FeatureSupervision.of_points(10, np.arange(2, 9), code), 3)
    assert len(found.vectors) <= 3
    for vector in range(len(found.vectors)):
        members = code[found.vector_of_row == vector]
        np.testing.assert_allclose(found.vectors[vector], members.mean(axis=0), atol=5e-3)
    assert (found.points, found.rows.tolist()) == (10, list(range(2, 9)))


def test_many_vectors_become_few_with_little_loss():
    code = noisy(np.random.default_rng(1))
    supervision = FeatureSupervision.of_points(40, np.arange(40), code)
    found = with_codebook(supervision, 16)
    assert 8 <= len(found.vectors) <= 16
    cosine = (found.code * code).sum(axis=1) / np.linalg.norm(found.code, axis=1) / np.linalg.norm(code, axis=1)
    assert cosine.mean() > 0.9
    again = with_codebook(supervision, 16)
    np.testing.assert_array_equal(found.vector_of_row, again.vector_of_row)


def test_what_is_small_enough_stays_as_it_is():
    supervision = FeatureSupervision.of_points(3, np.arange(3), np.eye(3))
    assert with_codebook(supervision, 3) is supervision


def test_weights_of_points_stay_and_count():
    supervision = FeatureSupervision.of_groups(
        3, np.arange(3), np.array([[0.0], [1.0], [50.0]]), np.arange(3), np.array([1.0, 3.0, 1.0], np.float32)
    )
    found = with_codebook(supervision, 2)
    np.testing.assert_allclose(found.code[:, 0], [0.75, 0.75, 50.0], atol=1e-2)
    assert found.weight.tolist() == [1.0, 3.0, 1.0]


def test_pooling_shared_vectors_equals_pooling_every_point():
    generator = np.random.default_rng(3)
    points = generator.uniform(-4, 4, (300, 3)).astype(np.float32)
    points[:5] = np.nan
    rows = np.sort(generator.choice(300, 200, replace=False))
    weight = generator.uniform(0.1, 1.0, 200).astype(np.float32)
    supervision = FeatureSupervision.of_groups(
        300, rows, generator.normal(size=(200, 6)), generator.integers(0, 9, 200), weight
    )
    voxels = voxelize(points, 1.5)
    table = np.zeros((300, 7), np.float32)
    table[rows, :6], table[rows, 6] = supervision.code * weight[:, None], weight
    np.testing.assert_allclose(supervision.pool(voxels), mean_per_voxel(table, voxels), atol=1e-6)
    nothing = FeatureSupervision.of_points(300, np.zeros(0, np.int64), np.zeros((0, 6)))
    assert nothing.pool(voxels).shape == (len(voxels.coords), 7)
    assert not nothing.pool(voxels).any()
