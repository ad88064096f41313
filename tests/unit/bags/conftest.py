"""One recorded drive for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("rosbags", reason="bags need rosbags")

from bags.recording import recording_of_samples
from bags.writer import write_bag
from tests.unit.bags.tiny_drive import TinyDrive


@pytest.fixture(scope="session")
def tiny_bag(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three sweeps with two cameras and truth, under the default preset."""
    out = tmp_path_factory.mktemp("bags") / "tiny"
    write_bag(recording_of_samples(TinyDrive()), out)
    return out
