"""Every topic, message type and frame in the RViz configuration is one that the node and a bag player publish."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from bags.presets import DEFAULT_PRESET, PRESETS
from ov3d_perception.ros import names

ROOT = Path(__file__).resolve().parents[2]
PRESET = PRESETS[DEFAULT_PRESET]
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"

# Message types that RViz' displays subscribe to; Image takes compressed images below .../compressed.
DISPLAY_TYPES = {
    "rviz_default_plugins/PointCloud2": "sensor_msgs/msg/PointCloud2",
    "rviz_default_plugins/MarkerArray": "visualization_msgs/msg/MarkerArray",
    "rviz_default_plugins/Image": COMPRESSED_IMAGE,
}
DISPLAYS_WITHOUT_TOPIC = {"rviz_default_plugins/Grid", "rviz_default_plugins/TF"}


def cameras() -> tuple[str, ...]:
    """Camera channels that launch/demo.launch.py remaps for RViz, read without importing launch."""
    for node in ast.parse((ROOT / "launch" / "demo.launch.py").read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "CAMERAS":
            return tuple(ast.literal_eval(node.value))
    pytest.fail("launch/demo.launch.py has no CAMERAS")


def published() -> dict[str, str]:
    """Topics of node and player with their types, as RViz sees them."""
    topics = {names.resolve(name): kind for name, kind in names.PUBLISHED.items()}
    topics[PRESET.of(PRESET.cloud_topic, "LIDAR_TOP")] = "sensor_msgs/msg/PointCloud2"
    for channel in cameras():
        topics[names.rviz_image_topic(PRESET.of(PRESET.image_topic, channel))] = COMPRESSED_IMAGE
    return topics


@pytest.fixture(scope="module")
def manager() -> dict[str, Any]:
    document = yaml.safe_load((ROOT / "rviz" / "ov3d.rviz").read_text())
    loaded: dict[str, Any] = document["Visualization Manager"]
    return loaded


def displays(manager: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {display["Name"]: display for display in manager["Displays"]}


def test_every_display_shows_a_published_topic_of_its_type(manager: dict[str, Any]) -> None:
    shown = set()
    for name, display in displays(manager).items():
        if display["Class"] in DISPLAYS_WITHOUT_TOPIC:
            continue
        topic = display["Topic"]["Value"]
        assert published().get(topic) == DISPLAY_TYPES[display["Class"]], f"display {name}: {topic}"
        shown.add(topic)
    for name in (names.OUTPUT_CLOUD, names.OUTPUT_LEGEND):
        assert names.resolve(name) in shown


def test_every_frame_is_one_of_the_bags(manager: dict[str, Any]) -> None:
    frames = {manager["Global Options"]["Fixed Frame"], manager["Views"]["Current"]["Target Frame"]}
    frames |= {display["Reference Frame"] for display in manager["Displays"] if "Reference Frame" in display}
    assert frames <= set(PRESET.frames)
    assert manager["Global Options"]["Fixed Frame"] == PRESET.frames[0]


def test_labels_are_shown_in_their_own_colours_and_the_legend_is_latched(manager: dict[str, Any]) -> None:
    assert displays(manager)["Labels"]["Color Transformer"] == "RGB8"
    assert displays(manager)["Legend"]["Topic"]["Durability Policy"] == "Transient Local"


def test_every_camera_of_the_demo_has_a_display_whose_remapping_leads_to_the_bag(manager: dict[str, Any]) -> None:
    shown = {display["Topic"]["Value"] for display in manager["Displays"] if display["Class"].endswith("/Image")}
    assert shown == {names.rviz_image_topic(PRESET.of(PRESET.image_topic, channel)) for channel in cameras()}
    assert names.rviz_image_topic("/CAM_FRONT/image_rect_compressed") == "/CAM_FRONT/image_rect/compressed"


def test_the_time_panel_follows_a_display_that_exists(manager: dict[str, Any]) -> None:
    document = yaml.safe_load((ROOT / "rviz" / "ov3d.rviz").read_text())
    sources = [panel["SyncSource"] for panel in document["Panels"] if "SyncSource" in panel]
    assert sources == ["Labels"]
    assert "Labels" in displays(manager)
