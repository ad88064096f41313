"""The moving average of weights, worked by hand."""

import pytest
import torch

from ov3d_trainer.training.optimiser import MovingAverage


def moved(*, statistics: bool, step: int) -> dict[str, float]:
    """The average of a normalisation whose weight and running mean are 0 before, 1 at `step`, keeping 0.9."""
    norm = torch.nn.BatchNorm1d(1)
    with torch.no_grad():
        norm.weight.zero_()
    average = MovingAverage(norm, 0.9, statistics=statistics)
    with torch.no_grad():
        norm.weight.fill_(1.0)
        norm.running_mean.fill_(1.0)
        norm.num_batches_tracked.fill_(7)
    average.update(norm, step)
    return {name: float(value) for name, value in average.state.items()}


def test_weights_move_by_what_is_not_kept_and_statistics_are_the_last() -> None:
    found = moved(statistics=False, step=1000)
    assert found["weight"] == pytest.approx(0.1)
    assert found["running_mean"] == 1.0
    assert found["num_batches_tracked"] == 7


def test_statistics_are_averaged_where_wanted_but_counts_never() -> None:
    found = moved(statistics=True, step=1000)
    assert found["running_mean"] == pytest.approx(0.1)
    assert found["num_batches_tracked"] == 7


def test_early_on_the_average_is_over_few_steps() -> None:
    assert moved(statistics=False, step=0)["weight"] == pytest.approx(1 - 1 / 10)
    assert moved(statistics=False, step=8)["weight"] == pytest.approx(1 - 9 / 18)
