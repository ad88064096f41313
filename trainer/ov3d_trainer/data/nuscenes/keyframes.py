"""nuScenes keyframes as samples, from the official files: sweep, images, mounts, poses, lidarseg labels and boxes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.clouds import read_cloud
from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.geometry import invert_transform, transform_points
from ov3d_perception.types import CameraView, Frame

from ..images import read_image, scaled_intrinsics
from ..sample import UNKNOWN, Box, Rig, Sample, place_of
from .categories import RAW_CATEGORIES, challenge_words, words_of_category
from .read_tables import Row, SensorData, file_inside, read_rows, read_scenes, transform_of
from .splits import scenes_of_split
from .tokens import LIDAR

MOST_SWEEPS = 10
"""The challenge allows half a second of the past: the keyframe and nine sweeps before it."""
_EGO_HALF_M = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Keyframe:
    """One keyframe of a scene: its sweep, the sweeps before it (newest first), and its images."""

    scene: str
    sweep: SensorData
    before: tuple[SensorData, ...]
    images: tuple[SensorData, ...]


class NuScenesKeyframes:
    """A `SampleSource` of the keyframes of a split, scene by scene.

    Samples are named by the token of the sweep's sample_data. Point labels are the 16 classes of the lidarseg
    challenge in words ("traffic cone"), `UNKNOWN` where it ignores the category; None without lidarseg files, as in the
    test split. Boxes carry the class in words, or the raw category where the challenge ignores it.

    `sweeps` above 1 adds the points of that many sweeps less one from before the keyframe, moved to where the lidar
    was at the keyframe (static things come to lie on each other, moving ones do not); their `time_offset_s` is
    negative and their labels are unknown. Returns from the own car (within 1 m in x and y) are left out of them.

    Raises `DataError`, naming table and row or file, where the data set is not as the devkit describes it.
    """

    def __init__(
        self, root: Path, *, version: str, split: str, cameras: bool = True, image_width: int = 0, sweeps: int = 1
    ) -> None:
        if not 1 <= sweeps <= MOST_SWEEPS:
            raise ConfigError(f"data.sweeps: expected 1 to {MOST_SWEEPS}, got {sweeps}.")
        self.root, self.image_width = root, image_width

        def wanted(channel: str, is_key_frame: bool) -> bool:
            if channel == LIDAR:
                return is_key_frame or sweeps > 1
            return cameras and is_key_frame

        scenes = _scenes_here(root / version, split)
        data = read_scenes(root, version, scenes, wanted=wanted)
        self._keyframes = [one for scene, items in data.items() for one in _keyframes_of(scene, items, sweeps)]
        if not self._keyframes:
            raise DataError(f"{root / version}: split '{split}' has no keyframes of {LIDAR}. Unpack the tables again.")
        self._labels = _label_files(root, version, {one.sweep.token for one in self._keyframes})
        self._class_of_raw = _class_of_raw(root / version) if self._labels else np.zeros(0, np.int32)
        self._boxes = _annotations(root / version, {one.sweep.sample_token for one in self._keyframes})

    def __len__(self) -> int:
        return len(self._keyframes)

    def key(self, index: int) -> str:
        """Return the token of the sweep."""
        return self._keyframes[index].sweep.token

    def __getitem__(self, index: int) -> Sample:
        return self._read(self._keyframes[index])

    def without_images(self, index: int) -> Sample:
        """Read the keyframe without its images."""
        return self._read(replace(self._keyframes[index], images=()))

    def _read(self, keyframe: _Keyframe) -> Sample:
        sweep = keyframe.sweep
        lidar_from_global = invert_transform(sweep.global_from_ego @ sweep.ego_from_sensor)
        key_frame = read_cloud(sweep.path, kind="nuscenes")
        labels = self._read_labels(sweep, len(key_frame.points))
        clouds = [(key_frame, 0.0), *(_moved(before, sweep, lidar_from_global) for before in keyframe.before)]
        views = tuple(_view(image, lidar_from_global, self.image_width) for image in keyframe.images)
        frame = _join(clouds, sweep, views)
        if labels is not None:
            labels = np.concatenate([labels, np.full(len(frame.points) - len(labels), UNKNOWN, np.int32)])
        rig = Rig(
            ego_from_lidar=sweep.ego_from_sensor,
            ego_from_camera={image.channel: image.ego_from_sensor for image in keyframe.images},
            global_from_ego={item.stamp_ns: item.global_from_ego for item in (sweep, *keyframe.images)},
        )
        return Sample(
            name=sweep.token,
            frame=frame,
            rig=rig,
            place=place_of(keyframe.scene, rig, sweep.stamp_ns),
            point_labels=labels,
            point_label_names=challenge_words() if labels is not None else (),
            boxes=tuple(_box(row, lidar_from_global) for row in self._boxes.get(sweep.sample_token, ())),
        )

    def _read_labels(self, sweep: SensorData, count: int) -> NDArray[np.int32] | None:
        if not self._labels:
            return None
        path = self._labels.get(sweep.token)
        if path is None or not path.is_file():
            raise DataError(
                f"{path or sweep.token}: no lidarseg labels of this keyframe. Unpack nuScenes-lidarseg again."
            )
        raw = np.fromfile(path, np.uint8)
        if len(raw) != count or raw.max(initial=0) >= len(self._class_of_raw):
            raise DataError(
                f"{path}: expected {count} labels below {len(self._class_of_raw)}, got {len(raw)} up to "
                f"{raw.max(initial=0)}. Do the labels belong to this data set?"
            )
        return self._class_of_raw[raw]


def _scenes_here(folder: Path, split: str) -> list[str] | None:
    """Return the scenes of a split; where the tables hold a part of it only (v1.0-mini), that part."""
    scenes = scenes_of_split(split)
    if scenes is None or split.startswith("scene-"):
        return None if scenes is None else sorted(scenes)
    here = sorted(scenes & {row["name"] for row in read_rows(folder, "scene", ("name",))})
    if not here:
        raise DataError(f"{folder}: holds no scene of split '{split}'. Set data.split or data.version.")
    return here


def _keyframes_of(scene: str, items: Sequence[SensorData], sweeps: int) -> list[_Keyframe]:
    """Group the data of one scene, in the order of its stamps, by keyframe."""
    clouds = [item for item in items if item.channel == LIDAR]
    images: dict[str, list[SensorData]] = {}
    for item in items:
        if item.modality == "camera" and item.is_key_frame:
            images.setdefault(item.sample_token, []).append(item)
    return [
        _Keyframe(
            scene=scene,
            sweep=cloud,
            before=tuple(reversed(clouds[max(0, at - sweeps + 1) : at])),
            images=tuple(sorted(images.get(cloud.sample_token, ()), key=lambda image: image.channel)),
        )
        for at, cloud in enumerate(clouds)
        if cloud.is_key_frame
    ]


def _moved(before: SensorData, sweep: SensorData, lidar_from_global: NDArray[np.float64]) -> tuple[Frame, float]:
    """Return an earlier sweep in the keyframe's lidar frame, and its time before it in seconds (negative)."""
    frame = read_cloud(before.path, kind="nuscenes")
    kept = np.abs(frame.points[:, :2]).max(axis=1, initial=0.0) >= _EGO_HALF_M
    target_from_source = lidar_from_global @ before.global_from_ego @ before.ego_from_sensor
    moved = Frame(
        points=transform_points(target_from_source, frame.points[kept]),
        intensity=frame.intensity[kept],
        ring=None if frame.ring is None else frame.ring[kept],
        stamp_ns=before.stamp_ns,
        frame_id=LIDAR,
    )
    return moved, (before.stamp_ns - sweep.stamp_ns) * 1e-9


def _join(clouds: Sequence[tuple[Frame, float]], sweep: SensorData, views: tuple[CameraView, ...]) -> Frame:
    frames = [frame for frame, _ in clouds]
    rings = [frame.ring for frame in frames if frame.ring is not None]
    offsets = [np.full(len(frame.points), seconds, np.float32) for frame, seconds in clouds]
    return Frame(
        points=np.concatenate([frame.points for frame in frames]),
        intensity=np.concatenate([frame.intensity for frame in frames]),
        ring=np.concatenate(rings) if len(rings) == len(frames) else None,
        time_offset_s=np.concatenate(offsets) if len(frames) > 1 else None,
        stamp_ns=sweep.stamp_ns,
        frame_id=LIDAR,
        cameras=views,
    )


def _view(image: SensorData, lidar_from_global: NDArray[np.float64], width: int) -> CameraView:
    """Return an image with the transform from the sweep's stamp to its own: the ego motion between is in it."""
    pixels, size = read_image(image.path, width=width)
    if size != image.size:
        raise DataError(f"{image.path}: is {size[0]} x {size[1]} pixels, its row says {image.size}. Unpack it again.")
    assert image.intrinsics is not None  # cameras have them
    global_from_camera = image.global_from_ego @ image.ego_from_sensor
    return CameraView(
        name=image.channel,
        image=pixels,
        intrinsics=scaled_intrinsics(image.intrinsics, size, (pixels.shape[1], pixels.shape[0])),
        camera_from_lidar=invert_transform(global_from_camera) @ invert_transform(lidar_from_global),
        stamp_ns=image.stamp_ns,
    )


def _label_files(root: Path, version: str, tokens: set[str]) -> dict[str, Path]:
    """Return the label file per sweep; nothing where nuScenes-lidarseg was not unpacked."""
    folder = root / version
    if not (folder / "lidarseg.json").is_file():
        return {}
    rows = read_rows(
        folder, "lidarseg", ("sample_data_token", "filename"), lambda row: row["sample_data_token"] in tokens
    )
    return {row["sample_data_token"]: file_inside(root, row["filename"]) for row in rows}


def _class_of_raw(folder: Path) -> NDArray[np.int32]:
    """Return the challenge's class per raw index, as category.json numbers the categories."""
    rows = read_rows(folder, "category", ("name",))
    numbers = {row["name"]: int(row["index"]) for row in rows if "index" in row}
    numbers = numbers or {name: number for number, name in enumerate(RAW_CATEGORIES)}
    words = challenge_words()
    table = np.full(max(numbers.values()) + 1, UNKNOWN, np.int32)
    for name, number in numbers.items():
        word = words_of_category(name)
        if word:
            table[number] = words.index(word)
    return table


def _annotations(folder: Path, samples: set[str]) -> dict[str, list[Row]]:
    """Return the rows of sample_annotation per sample, each with its `category`; nothing in a split without them."""
    category = {row["token"]: row["name"] for row in read_rows(folder, "category", ("token", "name"))}
    instances = read_rows(folder, "instance", ("token", "category_token"))
    category_of = {row["token"]: category.get(row["category_token"], "") for row in instances}
    fields = ("sample_token", "instance_token", "translation", "size", "rotation")
    found: dict[str, list[Row]] = {}
    for row in read_rows(folder, "sample_annotation", fields, lambda row: row["sample_token"] in samples):
        found.setdefault(row["sample_token"], []).append(
            {**row, "category": category_of.get(row["instance_token"], "")}
        )
    return found


def _box(row: Mapping[str, object], lidar_from_global: NDArray[np.float64]) -> Box:
    lidar_from_box = lidar_from_global @ transform_of(row)
    width, length, height = np.asarray(row["size"], dtype=np.float64)
    category = str(row["category"])
    return Box(
        category=words_of_category(category) or category,
        center_m=lidar_from_box[:3, 3],
        size_lwh_m=np.array([length, width, height]),
        yaw_rad=float(np.arctan2(lidar_from_box[1, 0], lidar_from_box[0, 0])),
        key=str(row["instance_token"]),
    )
