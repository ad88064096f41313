"""The area under the ROC curve, against its definition."""

import numpy as np
import pytest

from ov3d_trainer.benchmark.ranking import RankingScore


def test_area_is_the_share_of_pairs_in_the_right_order():
    generator = np.random.default_rng(0)
    hits, others = generator.normal(0.3, 0.2, 300), generator.normal(0.1, 0.2, 500)
    score = RankingScore()
    score.add(np.concatenate([hits, others]), np.arange(800) < 300)
    pairs = (hits[:, None] > others[None]).mean()
    assert score.area() == pytest.approx(pairs, abs=2e-3)  # bins are 0.0005 wide


def test_ties_count_half_and_an_empty_side_is_undefined():
    score = RankingScore()
    score.add(np.zeros(6), np.array([True, True, False, False, False, False]))
    assert score.area() == 0.5
    empty = RankingScore()
    empty.add(np.zeros(3), np.zeros(3, bool))
    assert np.isnan(empty.area())
