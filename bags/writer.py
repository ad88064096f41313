"""`write_bag`: a recording becomes a rosbag2 folder with sensor_msgs under one preset's names."""

from __future__ import annotations

import io
import itertools
from pathlib import Path
from typing import Any

import numpy as np

from ov3d_perception.bag_io import LABEL_TABLE_TYPE, POINTCLOUD2_TYPE, create_bag, make_typestore, qos_profile
from ov3d_perception.bags import cloud_message, header_message, label_table_message
from ov3d_perception.errors import ConfigError
from ov3d_perception.geometry import quaternion_from_rotation
from ov3d_perception.pointcloud2 import encode_cloud
from ov3d_perception.queries import LabelSpec
from ov3d_perception.types import FloatArray, Frame

from .presets import DEFAULT_PRESET, PRESETS, TRUTH_CLOUD_TOPIC, TRUTH_LABELS_TOPIC, Preset
from .recording import Cloud, Event, Picture, Recording

_QOS = {  # by kind: depth, reliable, latched. Reliable publishers meet every subscriber; best effort loses large clouds
    "sensor": (10, True, False),
    "tf": (100, True, False),
    "latched": (1, True, True),
}


def write_bag(
    recording: Recording, out: Path, *, preset: str = DEFAULT_PRESET, storage: str = "mcap", images: bool = True
) -> dict[str, int]:
    """Write a recording to the new folder `out` and return the number of messages by topic.

    Clouds have x, y, z, intensity, ring as float32 (20 bytes a point), CameraInfo comes with every image, /tf holds
    the pose at every stamp and /tf_static the mounts. Recording time is the stamp. With truth, `TRUTH_CLOUD_TOPIC`
    repeats the clouds with a field `label` (uint16, 0 unknown), and `TRUTH_LABELS_TOPIC` names the labels.
    Raises `ConfigError` for an existing folder or unknown preset or storage.
    """
    if preset not in PRESETS:
        raise ConfigError(f"preset: got {preset!r}. Choose from {', '.join(PRESETS)}.")
    with create_bag(out, storage=storage) as writer:
        bag = _Bag(writer, recording, PRESETS[preset])
        started = False
        for event in recording.events():
            if not started:
                bag.write_latched(event.stamp_ns, images)
                started = True
            bag.write(event, images)
        return bag.counts


class _Bag:
    """Writes events; owns the connections, which are added when their first message comes."""

    def __init__(self, writer: Any, recording: Recording, preset: Preset) -> None:
        self.counts: dict[str, int] = {}
        self._writer = writer
        self._recording = recording
        self._preset = preset
        self._typestore = make_typestore()
        self._types = self._typestore.types
        self._connections: dict[str, Any] = {}

    def write_latched(self, stamp_ns: int, images: bool) -> None:
        """Write the static transforms and the names of the labels."""
        frames, preset = self._preset.frames, self._preset
        transforms = [
            self._transform(stamp_ns, parent, child, np.eye(4)) for parent, child in itertools.pairwise(frames[:-1])
        ]
        for channel, ego_from_sensor in self._recording.mounts.items():
            child = preset.of(preset.sensor_frame, channel)
            transforms.append(self._transform(stamp_ns, frames[-1], child, ego_from_sensor))
        message = self._types["tf2_msgs/msg/TFMessage"](transforms=transforms)
        self._put("/tf_static", "tf2_msgs/msg/TFMessage", stamp_ns, message, "latched")
        if self._recording.label_names:
            labels = [LabelSpec(name=name) for name in self._recording.label_names]
            table = label_table_message(self._typestore, labels, stamp_ns=stamp_ns)
            self._put(TRUTH_LABELS_TOPIC, LABEL_TABLE_TYPE, stamp_ns, table, "latched")

    def write(self, event: Event, images: bool) -> None:
        """Write the messages of one event."""
        if isinstance(event, Cloud):
            self._write_cloud(event)
        elif isinstance(event, Picture):
            if images:
                self._write_picture(event)
        else:
            frames = self._preset.frames
            transform = self._transform(event.stamp_ns, frames[-2], frames[-1], event.global_from_ego)
            message = self._types["tf2_msgs/msg/TFMessage"](transforms=[transform])
            self._put("/tf", "tf2_msgs/msg/TFMessage", event.stamp_ns, message, "tf")

    def _write_cloud(self, cloud: Cloud) -> None:
        preset, frame = self._preset, cloud.frame
        header = header_message(self._typestore, cloud.stamp_ns, preset.of(preset.sensor_frame, cloud.channel))
        columns = _columns(frame)
        message = cloud_message(self._typestore, encode_cloud(columns), header)
        topic = preset.of(preset.cloud_topic, cloud.channel)
        self._put(topic, POINTCLOUD2_TYPE, cloud.stamp_ns, message, "sensor")
        if cloud.labels is not None and self._recording.label_names:
            columns["label"] = (cloud.labels + 1).astype(np.uint16)  # unknown, -1, becomes 0
            message = cloud_message(self._typestore, encode_cloud(columns), header)
            self._put(TRUTH_CLOUD_TOPIC, POINTCLOUD2_TYPE, cloud.stamp_ns, message, "sensor")

    def _write_picture(self, picture: Picture) -> None:
        preset = self._preset
        header = header_message(self._typestore, picture.stamp_ns, preset.of(preset.sensor_frame, picture.channel))
        if preset.camera_info_topic is not None:
            info = self._camera_info(header, picture)
            topic = preset.of(preset.camera_info_topic, picture.channel)
            self._put(topic, "sensor_msgs/msg/CameraInfo", picture.stamp_ns, info, "sensor")
        topic = preset.of(preset.image_topic, picture.channel)
        if preset.compressed:
            data = np.frombuffer(picture.jpeg, dtype=np.uint8)
            image = self._types["sensor_msgs/msg/CompressedImage"](header=header, format="jpeg", data=data)
            self._put(topic, "sensor_msgs/msg/CompressedImage", picture.stamp_ns, image, "sensor")
        else:
            self._put(topic, "sensor_msgs/msg/Image", picture.stamp_ns, self._raw_image(header, picture), "sensor")

    def _raw_image(self, header: Any, picture: Picture) -> Any:
        from PIL import Image

        pixels = np.array(Image.open(io.BytesIO(picture.jpeg)).convert("RGB"))
        return self._types["sensor_msgs/msg/Image"](
            header=header,
            height=pixels.shape[0],
            width=pixels.shape[1],
            encoding="rgb8",
            is_bigendian=0,
            step=3 * pixels.shape[1],
            data=pixels.reshape(-1),
        )

    def _camera_info(self, header: Any, picture: Picture) -> Any:
        matrix = picture.intrinsics.astype(np.float64)
        region = self._types["sensor_msgs/msg/RegionOfInterest"]
        return self._types["sensor_msgs/msg/CameraInfo"](
            header=header,
            height=picture.size[1],
            width=picture.size[0],
            distortion_model="",  # rectified: no distortion model, as in nuScenes
            d=np.zeros(0),
            k=matrix.reshape(-1),
            r=np.eye(3).reshape(-1),
            p=np.hstack([matrix, np.zeros((3, 1))]).reshape(-1),
            binning_x=0,
            binning_y=0,
            roi=region(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False),
        )

    def _transform(self, stamp_ns: int, parent: str, child: str, parent_from_child: FloatArray) -> Any:
        x, y, z, w = (float(value) for value in quaternion_from_rotation(parent_from_child[:3, :3]))
        translation = [float(value) for value in parent_from_child[:3, 3]]
        return self._types["geometry_msgs/msg/TransformStamped"](
            header=header_message(self._typestore, stamp_ns, parent),
            child_frame_id=child,
            transform=self._types["geometry_msgs/msg/Transform"](
                translation=self._types["geometry_msgs/msg/Vector3"](*translation),
                rotation=self._types["geometry_msgs/msg/Quaternion"](x=x, y=y, z=z, w=w),
            ),
        )

    def _put(self, topic: str, message_type: str, stamp_ns: int, message: Any, kind: str) -> None:
        if topic not in self._connections:
            depth, reliable, latched = _QOS[kind]
            qos = [qos_profile(depth=depth, reliable=reliable, latched=latched)]
            self._connections[topic] = self._writer.add_connection(
                topic, message_type, typestore=self._typestore, offered_qos_profiles=qos
            )
        self._writer.write(self._connections[topic], stamp_ns, self._typestore.serialize_cdr(message, message_type))
        self.counts[topic] = self.counts.get(topic, 0) + 1


def _columns(frame: Frame) -> dict[str, Any]:
    ring = np.zeros(len(frame.points)) if frame.ring is None else frame.ring
    columns = {name: frame.points[:, axis] for axis, name in enumerate("xyz")}
    return {**columns, "intensity": frame.intensity.astype(np.float32), "ring": ring.astype(np.float32)}
