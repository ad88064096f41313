"""What one keyframe of a simulated drive leaves behind: files on the disk, and a record for the tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ov3d_perception.errors import DataError
from ov3d_perception.geometry import transform_points
from ov3d_perception.types import FloatArray, Frame

from ..boxes import points_in_box
from ..sample import UNKNOWN, Box, Rig, Sample, SceneObject
from ..simulate import SimulatedStreet
from .categories import EGO_VEHICLE, NOISE, RAW_CATEGORIES, raw_labels
from .tokens import LIDAR, lidarseg_file, token
from .visibility import visible_shares

KEYFRAME_INTERVAL_S = 0.5
SWEEP_INTERVAL_NS = 50_000_000
SWEEPS_PER_KEYFRAME = 10
BOX_MARGIN_M = 0.05
"""Added to a box on its four sides and above: the lidar's noise puts points in front of the surface that it hits."""
_JPEG_QUALITY = 92
_EGO_REACH_M = 3.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Drive:
    """One scene to be written: `name` as in the tables, and the street it shows; picklable."""

    name: str
    seed: int
    keyframes: int
    image_size: tuple[int, int]
    unseen: bool = False

    @property
    def logfile(self) -> str:
        """Name of the log, which file names begin with."""
        return f"simulated-street-{self.seed:04d}"

    def token(self, *parts: object) -> str:
        """Return the token of a row of this scene."""
        return token(self.logfile, self.name, *parts)

    def open(self) -> SimulatedStreet:
        """Return the street; it is built at its first sample."""
        return SimulatedStreet(
            self.seed,
            self.keyframes,
            image_size=self.image_size,
            interval_s=KEYFRAME_INTERVAL_S,
            unseen=self.unseen,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SensorFile:
    """A file of one sensor: `filename` below the root, ego pose (4, 4) at its stamp, `size` (width, height) px of an
    image, (0, 0) of a sweep."""

    channel: str
    filename: str
    stamp_ns: int
    global_from_ego: FloatArray
    is_key_frame: bool
    size: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """An object in one keyframe: its box, here in the global frame, how many lidar points lie in it, and the share of
    it in [0, 1] that the images show."""

    thing: SceneObject
    box: Box
    lidar_points: int
    visible_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyframeRecord:
    """Everything that the tables say about one keyframe; `files` in the order of their stamps, the sweeps that led to
    it before its own. `seen`: all objects with a point or a pixel, annotated or not."""

    index: int
    stamp_ns: int
    rig: Rig
    intrinsics: dict[str, NDArray[np.float64]]
    files: tuple[SensorFile, ...]
    annotations: tuple[Annotation, ...]
    seen: tuple[SceneObject, ...]


def record_keyframes(drive: Drive, indices: Iterable[int], root: Path) -> list[KeyframeRecord]:
    """Simulate keyframes of a drive, each with the sweeps since the one before, and write their files below `root`."""
    street = drive.open()
    records = []
    for index in indices:
        before = range(SWEEPS_PER_KEYFRAME - 1, 0, -1) if index > 0 else ()
        stamps = [street.stamp_ns(index) - step * SWEEP_INTERVAL_NS for step in before]
        sweeps = [_record_sweep(drive, street.sweep_at(stamp_ns), root) for stamp_ns in stamps]
        records.append(_record_keyframe(drive, street[index], index, sweeps, root))
    return records


def _record_sweep(drive: Drive, sample: Sample, root: Path) -> SensorFile:
    if sample.rig is None:
        raise DataError(f"{sample.name}: expected ego poses of a simulated sample, got none.")
    return _write_cloud(drive, sample.frame, sample.rig, root, is_key_frame=False)


def _record_keyframe(drive: Drive, sample: Sample, index: int, sweeps: list[SensorFile], root: Path) -> KeyframeRecord:
    if sample.rig is None or sample.point_labels is None or sample.point_instances is None:
        raise DataError(f"{sample.name}: expected mounts, labels and instances of a simulated sample, got none.")
    frame, poses = sample.frame, sample.rig.global_from_ego
    cloud = _write_cloud(drive, frame, sample.rig, root, is_key_frame=True)
    near = np.linalg.norm(frame.points, axis=1) < _EGO_REACH_M
    unknown = np.where(near, RAW_CATEGORIES.index(EGO_VEHICLE), RAW_CATEGORIES.index(NOISE)).astype(np.uint8)
    labels = raw_labels(sample.point_labels, sample.point_label_names, unknown)
    labels.tofile(root / lidarseg_file(drive.token(cloud.channel, cloud.stamp_ns)))
    images = [
        SensorFile(
            channel=view.name,
            filename=_filename(drive, "samples", view.name, view.stamp_ns, "jpg"),
            stamp_ns=view.stamp_ns,
            global_from_ego=poses[view.stamp_ns],
            is_key_frame=True,
            size=(view.image.shape[1], view.image.shape[0]),
        )
        for view in frame.cameras
    ]
    for view, image in zip(frame.cameras, images, strict=True):
        Image.fromarray(view.image).save(_open_place(root / image.filename), quality=_JPEG_QUALITY)
    return KeyframeRecord(
        index=index,
        stamp_ns=frame.stamp_ns,
        rig=sample.rig,
        intrinsics={view.name: np.asarray(view.intrinsics, dtype=np.float64) for view in frame.cameras},
        files=tuple(sorted([*sweeps, cloud, *images], key=lambda file: (file.stamp_ns, file.channel))),
        annotations=_annotate(sample, poses[frame.stamp_ns] @ sample.rig.ego_from_lidar),
        seen=_seen(sample),
    )


def _annotate(sample: Sample, global_from_lidar: FloatArray) -> tuple[Annotation, ...]:
    """Return an annotation per box that a lidar point or a pixel of its object shows."""
    things = {thing.key: thing for thing in sample.objects}
    shares = visible_shares(sample)
    points_global = transform_points(global_from_lidar, sample.frame.points.astype(np.float64))
    annotations = []
    for box in sample.boxes:
        if box.key not in things:
            raise DataError(f"{sample.name}: expected the key of a box to name an object, got {box.key!r}.")
        upright = _upright(box, global_from_lidar)
        count = int(points_in_box(points_global, upright).sum())
        if count == 0 and box.key not in shares:
            continue
        share = shares.get(box.key, 0.0)
        annotations.append(Annotation(thing=things[box.key], box=upright, lidar_points=count, visible_share=share))
    return tuple(annotations)


def _upright(box: Box, global_from_lidar: FloatArray) -> Box:
    """Return a box as annotators draw it: upright in the global frame, a little wider and higher than the object."""
    forward = global_from_lidar[:3, :2] @ [np.cos(box.yaw_rad), np.sin(box.yaw_rad)]
    center_m = global_from_lidar[:3, :3] @ box.center_m + global_from_lidar[:3, 3]
    return replace(
        box,
        center_m=center_m + np.array([0.0, 0.0, BOX_MARGIN_M / 2]),
        size_lwh_m=box.size_lwh_m + np.array([2 * BOX_MARGIN_M, 2 * BOX_MARGIN_M, BOX_MARGIN_M]),
        yaw_rad=float(np.arctan2(forward[1], forward[0])),
    )


def _seen(sample: Sample) -> tuple[SceneObject, ...]:
    """Return the objects that have a point or a pixel."""
    images = [view.instances for view in sample.view_labels.values()]
    rows = {
        int(row) for numbers in (sample.point_instances, *images) if numbers is not None for row in np.unique(numbers)
    }
    return tuple(sample.objects[row] for row in sorted(rows - {UNKNOWN}))


def _write_cloud(drive: Drive, frame: Frame, rig: Rig, root: Path, *, is_key_frame: bool) -> SensorFile:
    """Write a sweep as rows of five float32: x, y, z, intensity, ring."""
    ring = np.zeros(len(frame.points)) if frame.ring is None else frame.ring
    rows = np.column_stack([frame.points, frame.intensity, ring]).astype("<f4")
    filename = _filename(drive, "samples" if is_key_frame else "sweeps", LIDAR, frame.stamp_ns, "pcd.bin")
    rows.tofile(_open_place(root / filename))
    return SensorFile(
        channel=LIDAR,
        filename=filename,
        stamp_ns=frame.stamp_ns,
        global_from_ego=rig.global_from_ego[frame.stamp_ns],
        is_key_frame=is_key_frame,
    )


def _filename(drive: Drive, folder: str, channel: str, stamp_ns: int, ending: str) -> str:
    return f"{folder}/{channel}/{drive.logfile}__{channel}__{stamp_ns // 1000}.{ending}"


def _open_place(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
