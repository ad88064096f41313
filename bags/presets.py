"""Topic and frame names under which recordings of driving data are known; `foxglove_upper` is ours by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """Names as templates of the sensor's `{channel}` (LIDAR_TOP) and `{name}`, its usual name in that convention.

    `aliases` gives `{name}` by channel, the lower-case channel where there is none. `camera_info_topic` None: the
    convention has no CameraInfo. `compressed`: CompressedImage (JPEG) rather than raw Image. `frames` are the vehicle's
    frames from the world down; the pose moves the last, those between stand still on their parent.
    """

    cloud_topic: str
    image_topic: str
    camera_info_topic: str | None
    sensor_frame: str
    frames: tuple[str, ...]
    compressed: bool
    aliases: Mapping[str, str] = field(default_factory=dict)

    def of(self, template: str, channel: str) -> str:
        """Fill in a template for one sensor."""
        return template.format(channel=channel, name=self.aliases.get(channel, channel.lower()))


PRESETS: Mapping[str, Preset] = {
    "foxglove_upper": Preset(
        cloud_topic="/{channel}",
        image_topic="/{channel}/image_rect_compressed",
        camera_info_topic="/{channel}/camera_info",
        sensor_frame="{channel}",
        frames=("map", "base_link"),
        compressed=True,
    ),
    "foxglove_lower": Preset(
        cloud_topic="/{name}",
        image_topic="/{name}/image_rect_compressed",
        camera_info_topic="/{name}/camera_info",
        sensor_frame="{name}",
        frames=("map", "base_link"),
        compressed=True,
    ),
    "nuscenes2bag": Preset(
        cloud_topic="/{name}",
        image_topic="/{name}/raw",
        camera_info_topic=None,
        sensor_frame="{name}",
        frames=("map", "odom", "base_link"),
        compressed=False,
    ),
    "kitti": Preset(
        cloud_topic="/kitti/{name}/pointcloud",
        image_topic="/kitti/{name}/image_raw",
        camera_info_topic="/kitti/{name}/camera_info",
        sensor_frame="{name}_link",
        frames=("world", "imu_link"),
        compressed=False,
        aliases={"LIDAR_TOP": "velo", "CAM_FRONT": "camera_color_left"},
    ),
}
"""Presets by name; the conventions of public converters (foxglove nuscenes2mcap, nuscenes2bag, kitti2bag)."""

DEFAULT_PRESET = "foxglove_upper"
TRUTH_CLOUD_TOPIC = "/ground_truth/segmentation"
TRUTH_LABELS_TOPIC = "/ground_truth/labels"
