"""Every parameter stands once, in `NodeConfig`; the YAML file and the documentation must agree with it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ov3d_perception.config import PARAMETERS, NodeConfig, node_config
from ov3d_perception.errors import ConfigError
from ov3d_perception.ros import names

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "ros2_ws" / "src" / "ov3d_perception"


def test_the_parameter_file_holds_every_parameter_at_its_default() -> None:
    values = yaml.safe_load((PACKAGE / "config" / "segment.yaml").read_text())["/**"]["ros__parameters"]
    assert list(values) == [parameter.name for parameter in PARAMETERS]
    assert node_config(values) == NodeConfig()


def test_the_documentation_lists_every_parameter_with_default_and_range() -> None:
    table = (ROOT / "docs" / "deployment.md").read_text().replace("\\|", "|")
    for parameter in PARAMETERS:
        row = next((line for line in table.splitlines() if line.startswith(f"| `{parameter.name}`")), "")
        assert row, f"{parameter.name} has no row in docs/deployment.md"
        assert parameter.range_text in row
        assert parameter.description.rstrip(".") in row


@pytest.mark.parametrize("name", [*names.SUBSCRIBED, *names.PUBLISHED, *names.SERVICES])
def test_the_documentation_names_every_topic_and_service_with_its_type(name: str) -> None:
    kind = {**names.SUBSCRIBED, **names.PUBLISHED, **names.SERVICES}[name]
    text = (ROOT / "docs" / "deployment.md").read_text()
    assert f"`{name}`" in text
    assert kind.replace("/msg/", "/").replace("/srv/", "/") in text


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"device": "tpu"}, "auto, cpu, cuda"),
        ({"threads": -1}, "threads: got -1, expected 0 to 256"),
        ({"threads": True}, "threads: got True"),
        ({"threads": 2.0}, "expected int"),
        ({"threshold": float("nan")}, "threshold: got nan"),
        ({"threshold": -1.5}, "-2 for the bundle's"),
        ({"stats_period_s": 0}, "expected 0.1 to 60.0"),
        ({"queries": "car"}, "expected tuple"),
        ({"queries": [3]}, "expected words only"),
        ({"bundl": "x"}, "Did you mean bundle"),
        ({"background": ["sky"], "no_background": True}, "Set only one"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused(values: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        node_config(values)


def test_lists_of_one_empty_word_are_empty_as_ros_cannot_pass_empty_lists() -> None:
    assert node_config({"queries": [""], "threshold": 1}).queries == ()
