"""Trainings and cache writers that are killed (SIGKILL) end like undisturbed ones; all of it is in kill_check.py."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.kill_check import check_cache, check_training


@pytest.mark.timeout(240)
def test_killed_training_ends_with_the_same_weights(tmp_path: Path) -> None:
    assert len(check_training(tmp_path, 2, 0, ["steps=60", "checkpoint_every=4"])) == 2


@pytest.mark.timeout(240)
def test_killed_cache_writer_ends_with_the_same_files(tmp_path: Path) -> None:
    assert len(check_cache(tmp_path, 2, 0, 2, ["data.seeds=0-1", "data.frames=4"])) == 2


@pytest.mark.long
@pytest.mark.timeout(1200)
def test_training_killed_ten_times_ends_with_the_same_weights(tmp_path: Path) -> None:
    assert len(check_training(tmp_path, 10, 1, ["steps=400", "checkpoint_every=5"])) == 10


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("jobs", [1, 2])
def test_cache_writer_killed_ten_times_ends_with_the_same_files(tmp_path: Path, jobs: int) -> None:
    assert len(check_cache(tmp_path, 10, jobs, jobs, ["data.seeds=0-5", "data.frames=4"])) == 10
