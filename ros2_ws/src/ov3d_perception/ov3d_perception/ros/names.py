"""Names and types of everything the node sends and takes: one place for node, launch files, RViz test and documents."""

from __future__ import annotations

NODE_NAME = "ov3d_segmentation"

INPUT_CLOUD = "~/input/pointcloud"
OUTPUT_CLOUD = "~/output/segmentation"
OUTPUT_LEGEND = "~/output/legend"
LABELS = "~/labels"
DIAGNOSTICS = "/diagnostics"
SET_QUERIES = "~/set_queries"

SUBSCRIBED = {INPUT_CLOUD: "sensor_msgs/msg/PointCloud2"}
PUBLISHED = {
    OUTPUT_CLOUD: "sensor_msgs/msg/PointCloud2",
    LABELS: "ov3d_msgs/msg/LabelTable",
    OUTPUT_LEGEND: "visualization_msgs/msg/MarkerArray",
    DIAGNOSTICS: "diagnostic_msgs/msg/DiagnosticArray",
}
SERVICES = {SET_QUERIES: "ov3d_msgs/srv/SetQueries"}


def resolve(name: str, *, namespace: str = "/", node_name: str = NODE_NAME) -> str:
    """Return the full name of a private ("~/...") or absolute name for a node that was not remapped."""
    return name if name.startswith("/") else f"{namespace.rstrip('/')}/{node_name}{name.removeprefix('~')}"


def rviz_image_topic(topic: str) -> str:
    """Return the name under which RViz must look for a compressed image: it only finds BASE/compressed.

    `/CAM_FRONT/image_rect_compressed` becomes `/CAM_FRONT/image_rect/compressed`; a remapping leads back.
    """
    return topic if topic.endswith("/compressed") else f"{topic.removesuffix('_compressed')}/compressed"
