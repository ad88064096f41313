"""Fixtures of the training tests."""

from pathlib import Path

import numpy as np
import pytest

from ov3d_perception.text.bank import BankEncoder


@pytest.fixture
def bank():
    """Four words on the axes of a four-dimensional text space."""
    return BankEncoder(("tree", "car", "person", "building"), np.eye(4, dtype=np.float32), "test:axes")


@pytest.fixture
def configs(repository) -> Path:
    return repository / "trainer" / "configs"
