"""Consolidation over time, by hand: two samples of one drive, one metre apart, and what they say of the same place."""

from __future__ import annotations

import numpy as np
import pytest

from ov3d_perception.errors import DataError
from ov3d_perception.geometry import make_transform
from ov3d_trainer.data.sample import UNKNOWN, Place
from ov3d_trainer.supervision.consolidate import Seen, consolidate
from ov3d_trainer.teacher.base import FeatureSupervision, Supervision

HERE = Place(recording="drive", world_from_lidar=np.eye(4))
ONE_METRE_ON = Place(recording="drive", world_from_lidar=make_transform(np.eye(3), (1.0, 0.0, 0.0)))


def seen(points, place, supervision, factor=1.0):
    return Seen(name="a", points=np.array(points, np.float32), place=place, supervision=supervision, factor=factor)


def features(points, rows, code, group=None):
    rows, code = np.array(rows, np.int64), np.array(code, np.float32)
    if group is None:
        return FeatureSupervision.of_points(points, rows, code)
    return FeatureSupervision.of_groups(points, rows, code, np.array(group))


def test_a_point_gets_the_mean_of_both_and_a_blind_point_gets_what_the_other_saw():
    # the other stands one metre further on: its (4.1, 0.1, 0.1) is (5.1, 0.1, 0.1) here
    own = seen([[5.2, 0.2, 0.2], [9.1, 0.1, 0.1], [20.1, 0.1, 0.1]], HERE, features(3, [0], [[1, 0]]))
    other = seen([[4.1, 0.1, 0.1], [8.2, 0.2, 0.2]], ONE_METRE_ON, features(2, [0, 1], [[0, 1], [0, 1]]), 0.5)
    found = consolidate(own, [other], 0.5)
    assert found.rows.tolist() == [0, 1]  # nobody saw the third
    np.testing.assert_allclose(found.code, [[2 / 3, 1 / 3], [0, 1]], atol=1e-3)
    np.testing.assert_allclose(found.weight, [1.0, 0.5])


def test_points_of_one_superpixel_share_a_vector_afterwards():
    own = seen([[5.2, 0, 0], [5.4, 2.0, 0], [7.2, 0, 0]], HERE, features(3, [0, 1], [[1, 0], [1, 0]], [4, 4]))
    other = seen([[4.2, 0, 0], [6.2, 0, 0]], ONE_METRE_ON, features(2, [0, 1], [[0, 1], [0, 1]], [0, 0]))
    found = consolidate(own, [other], 0.5)
    assert found.vector_of_row.tolist() == [0, 0, 1]
    # the first point's mean is (1/2, 1/2), the second's (1, 0): together (3/4, 1/4)
    np.testing.assert_allclose(found.vectors, [[0.75, 0.25], [0, 1]], atol=1e-3)


def test_several_points_of_a_voxel_count_as_one_look():
    own = seen([[5.2, 0, 0]], HERE, features(1, [0], [[1, 0]]))
    other = seen([[4.1, 0, 0], [4.2, 0, 0], [4.3, 0, 0]], ONE_METRE_ON, features(3, [0, 1, 2], [[0, 1]] * 3))
    np.testing.assert_allclose(consolidate(own, [other], 0.5).code, [[0.5, 0.5]], atol=1e-3)


def test_names_vote_with_their_weights():
    def names(target, weight):
        return Supervision(target=np.array(target), weight=np.array(weight, np.float32), count=3)

    own = seen([[5.2, 0, 0], [9.1, 0, 0], [20, 0, 0]], HERE, names([0, UNKNOWN, UNKNOWN], [0.4, 0, 0]))
    other = seen([[4.2, 0, 0], [8.1, 0, 0]], ONE_METRE_ON, names([2, 1], [0.8, 1.0]))
    nearer = seen([[4.2, 0, 0]], ONE_METRE_ON, names([2], [0.6]), 0.5)
    found = consolidate(own, [other, nearer], 0.5)
    assert found.target.tolist() == [2, 1, UNKNOWN]
    np.testing.assert_allclose(found.weight, [1.1 / 1.5, 1.0, 0.0], rtol=1e-6)  # 0.8 + 0.5 x 0.6 against 0.4


def test_alone_nothing_changes():
    said = features(3, [0, 2], [[1, 0], [0, 1]])
    found = consolidate(seen([[1, 0, 0], [2, 0, 0], [3, 0, 0]], HERE, said), [], 0.3)
    assert (found.rows.tolist(), found.code.tolist()) == ([0, 2], [[1, 0], [0, 1]])
    empty = features(0, [], np.zeros((0, 2)))
    assert len(consolidate(seen(np.zeros((0, 3)), HERE, empty), [], 0.3).rows) == 0


def test_points_that_are_nan_get_nothing_and_disturb_nothing():
    own = seen([[np.nan] * 3, [5.2, 0, 0]], HERE, features(2, [1], [[1, 0]]))
    other = seen([[np.nan] * 3, [4.2, 0, 0]], ONE_METRE_ON, features(2, [0, 1], [[0, 1], [0, 1]]))
    found = consolidate(own, [other], 0.5)
    assert found.rows.tolist() == [1]
    np.testing.assert_allclose(found.code, [[0.5, 0.5]], atol=1e-3)


def test_a_sample_that_nobody_can_place_is_an_error():
    own = seen([[1, 0, 0]], None, features(1, [0], [[1, 0]]))
    with pytest.raises(DataError, match=r"nobody knows where the lidar stood.*teacher\.neighbours=0"):
        consolidate(own, [own], 0.3)
