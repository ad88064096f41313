"""Fixtures for all tests."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The repository's root folder."""
    return ROOT


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real recordings; the test skips, saying why, on a machine without them.

    OV3D_TEST_DATA names the folder; without it, `shared/data` beside the repository.
    """
    stated = os.environ.get("OV3D_TEST_DATA")
    folder = Path(stated) if stated else ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        reason = f"no real data: {folder} does not exist"
        print(reason)
        pytest.skip(f"{reason}; set OV3D_TEST_DATA to the folder that holds it")
    return folder.resolve()
