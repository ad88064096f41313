"""Names that come from data and become parts of paths."""

from __future__ import annotations

import pytest

from ov3d_perception.errors import DataError
from ov3d_trainer.data.names import plain_name


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "/etc/passwd", "robot/cam", "a\\b", "a\0b"])
def test_what_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(DataError, match=r"camera .* cannot be the name of a file"):
        plain_name(name, "camera")


@pytest.mark.parametrize("name", ["CAM_FRONT", "scene0000_00", "..hidden", "n015-2018-07-24", "köln 1"])
def test_ordinary_names_stay(name: str) -> None:
    assert plain_name(name, "camera") == name
