"""ScanNet scans as official files: mesh, labels, objects and pose of a scan, and scans as a data set of samples."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.geometry import invert_transform, make_transform, transform_points
from ov3d_perception.types import CameraView, Frame

from ..indoor import luminance, scene_origin
from ..poses import nearest_rigid
from ..sample import UNKNOWN, Sample, SceneObject
from .label_map import LABEL_MAP_FILE, NYU40, RawCategory, read_label_map
from .label_sets import check_label_set, check_scannet200_table, labels_of_scan
from .ply import read_ply
from .sens import SensFrame, SensReader, depth_of_color_view

_MOST_BYTES = 500_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanObject:
    """One annotated object: `objectId`, what the annotator called it, and the label map's entry, None where none."""

    id: int
    raw_category: str
    category: RawCategory | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanNetScan:
    """One scan in its own frame (z up, metres).

    `vertices` (V, 3) float32, `colors` (V, 3) uint8, `faces` (F, 3) int32; `nyu40` (V,) int32 and `object_rows` (V,)
    int32, rows of `objects` or `UNKNOWN`, both None for scans without annotation. `aligned_from_scan` (4, 4) turns
    walls parallel to the axes. `sens` is the recording's file, None where it is not there.
    """

    name: str
    vertices: NDArray[np.float32]
    colors: NDArray[np.uint8]
    faces: NDArray[np.int32]
    nyu40: NDArray[np.int32] | None
    object_rows: NDArray[np.int32] | None
    objects: tuple[ScanObject, ...]
    aligned_from_scan: NDArray[np.float64]
    sens: Path | None


def read_scan(folder: Path, label_map: Path | None = None) -> ScanNetScan:
    """Read the scan whose files lie in `folder`, which has the scan's name.

    `label_map` is the .tsv file; without it objects have no category. Raises `DataError` for what is not as described
    by ScanNet; annotation may be missing (hidden test scans), the mesh may not.
    """
    name = folder.name
    mesh = read_ply(folder / f"{name}_vh_clean_2.ply", ("x", "y", "z", "red", "green", "blue"))
    count = len(mesh.vertices["x"])
    if count == 0:
        raise DataError(f"{folder / name}_vh_clean_2.ply: no vertices. Copy the file again.")
    labelled = folder / f"{name}_vh_clean_2.labels.ply"
    nyu40 = _read_labels(labelled, count) if labelled.is_file() else None
    table = read_label_map(label_map) if label_map is not None else {}
    objects: tuple[ScanObject, ...] = ()
    rows = None
    aggregation = folder / f"{name}.aggregation.json"
    if aggregation.is_file():
        segments = _read_segments(folder / f"{name}_vh_clean_2.0.010000.segs.json", count)
        objects, rows = _read_objects(aggregation, segments, table)
    sens = folder / f"{name}.sens"
    return ScanNetScan(
        name=name,
        vertices=np.stack([mesh.vertices[axis] for axis in "xyz"], axis=1).astype(np.float32),
        colors=np.stack([mesh.vertices[color] for color in ("red", "green", "blue")], axis=1).astype(np.uint8),
        faces=mesh.faces,
        nyu40=nyu40,
        object_rows=rows,
        objects=objects,
        aligned_from_scan=_read_alignment(folder / f"{name}.txt"),
        sens=sens if sens.is_file() else None,
    )


def names_of_split(root: Path, split: str) -> tuple[str, ...] | None:
    """Return the scans of a split: those listed in `scannetv2_<split>.txt` below `root`, None for `all`.

    These lists come with ScanNet (Tasks/Benchmark); `split` may also be the path of such a list. Raises `DataError`
    where there is none.
    """
    if split == "all":
        return None
    listing = root / f"scannetv2_{split}.txt"
    path = listing if listing.is_file() else Path(split)
    try:
        names = tuple(path.read_text(encoding="utf-8").split())
    except OSError:
        raise DataError(f"{listing}: no such file. Copy ScanNet's list there, or set data.split=all.") from None
    if not names or not all(name.startswith("scene") for name in names):
        raise DataError(f"{path}: expected names such as scene0000_00, one a line.")
    return names


class ScanNetScans:
    """A `SampleSource` of scans: a folder of scan folders, one sample each, in order of their names.

    A sample's points are the mesh's vertices in the aligned frame, its origin 1.5 m above the floor in the middle of
    the scan; `views` images are spread evenly over the recording, with their depth. Point labels are those of
    `label_set` (see `label_sets.labels_of_scan`); `objects` are called by their raw category.

    Raises `ConfigError` for an unknown label set, and `DataError`, naming the file, where something is missing.
    """

    def __init__(
        self, root: Path, views: int = 10, *, names: Sequence[str] | None = None, label_set: str = "nyu40"
    ) -> None:
        check_label_set(label_set)
        folders = sorted(path for path in (root / "scans").glob("scene*_*") if path.is_dir())
        self.folders = tuple(path for path in folders if names is None or path.name in set(names))
        missing = sorted(set(names or ()) - {path.name for path in self.folders})
        if not self.folders or missing:
            raise DataError(
                f"ScanNet {root}: no scan folder scans/{missing[0] if missing else 'scene*'}. Name another."
            )
        if views < 0:
            raise ConfigError(f"ScanNet {root}: expected views >= 0, got {views}.")
        self.views = views
        path = root / LABEL_MAP_FILE
        self.label_map, self.label_set = path if path.is_file() else None, label_set
        if label_set == "scannet200":
            check_scannet200_table(path, read_label_map(path))

    def __len__(self) -> int:
        return len(self.folders)

    def __getitem__(self, index: int) -> Sample:
        return sample_of(read_scan(self.folders[index], self.label_map), self.views, self.label_set)

    def key(self, index: int) -> str:
        """Return the scan's name."""
        return self.folders[index].name

    def without_images(self, index: int) -> Sample:
        """Read the scan without its recording."""
        return sample_of(read_scan(self.folders[index], self.label_map), 0, self.label_set)


def sample_of(scan: ScanNetScan, views: int, label_set: str = "nyu40") -> Sample:
    """Return a scan as a sample with `views` images spread evenly over its recording."""
    aligned = transform_points(scan.aligned_from_scan, scan.vertices.astype(np.float64))
    room_from_aligned = make_transform(np.eye(3), -scene_origin(aligned))
    room_from_scan = room_from_aligned @ scan.aligned_from_scan
    pictures = _views(scan, invert_transform(room_from_scan), views) if views else []
    cameras = tuple(view for view, _ in pictures)
    labels, label_names = labels_of_scan(scan, label_set)
    return Sample(
        name=scan.name,
        frame=Frame(
            points=transform_points(room_from_aligned, aligned).astype(np.float32),
            intensity=luminance(scan.colors, len(scan.vertices)),
            colors=scan.colors,
            stamp_ns=cameras[0].stamp_ns if cameras else 0,
            frame_id="room",
            cameras=cameras,
        ),
        point_labels=labels,
        point_label_names=label_names,
        view_depths={view.name: depth_m for view, depth_m in pictures},
        point_instances=scan.object_rows,
        objects=tuple(SceneObject(kind=thing.raw_category, key=str(thing.id)) for thing in scan.objects),
        from_one_sensor=False,
    )


def _views(
    scan: ScanNetScan, scan_from_room: NDArray[np.float64], count: int
) -> list[tuple[CameraView, NDArray[np.float32]]]:
    """Return images, each with the depth (h, w) of its view."""
    if scan.sens is None:
        raise DataError(f"ScanNet {scan.name}: no {scan.name}.sens, but {count} views are wanted. Ask for 0 views.")
    with SensReader(scan.sens) as recording:
        numbers = [number for number, _ in recording.poses()]
        wanted = [numbers[i * len(numbers) // count] for i in range(count)] if numbers else []
        matrix = recording.header.color_intrinsics[:3, :3].astype(np.float64)
        return [
            (_view(frame, matrix, scan_from_room), depth_of_color_view(recording.header, frame.depth_m))
            for frame in recording.frames(wanted=wanted)
        ]


def _view(frame: SensFrame, matrix: NDArray[np.float64], scan_from_room: NDArray[np.float64]) -> CameraView:
    """Return a frame as a view; colour and depth share one pose, as in the official tools."""
    scan_from_camera = nearest_rigid(f"frame {frame.index}: camera_to_world", frame.scan_from_camera)
    return CameraView(
        name=f"VIEW_{frame.index:06d}",
        image=frame.color,
        intrinsics=matrix,
        camera_from_lidar=invert_transform(scan_from_camera) @ scan_from_room,
        stamp_ns=frame.color_us * 1_000,
    )


def _read_labels(path: Path, count: int) -> NDArray[np.int32]:
    label = read_ply(path, ("label",)).vertices["label"].astype(np.int32)
    if len(label) != count:
        raise DataError(f"{path}: {len(label)} vertices, the coloured mesh has {count}. Files of two scans?")
    return np.where((label > 0) & (label < len(NYU40)), label, 0).astype(np.int32)


def _read_json(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path}: larger than {_MOST_BYTES} bytes. Is it the right file?")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON ({error}). Copy it again.") from error
    if not isinstance(content, dict):
        raise DataError(f"{path}: expected a JSON object, got {type(content).__name__}.")
    return content


def _read_segments(path: Path, count: int) -> NDArray[np.int64]:
    listed = _read_json(path).get("segIndices")
    if not isinstance(listed, list) or not all(type(number) is int for number in listed):
        raise DataError(f"{path}: segIndices: expected a list of whole numbers.")
    if len(listed) != count:
        raise DataError(f"{path}: {len(listed)} segIndices, the mesh has {count} vertices. Files of two scans?")
    if any(abs(number) > 2**62 for number in listed):
        raise DataError(f"{path}: segIndices: numbers beyond 62 bits. Copy it again.")
    return np.array(listed, dtype=np.int64)


def _read_objects(
    path: Path, segments: NDArray[np.int64], table: Mapping[str, RawCategory]
) -> tuple[tuple[ScanObject, ...], NDArray[np.int32]]:
    groups = _read_json(path).get("segGroups")
    if not isinstance(groups, list):
        raise DataError(f"{path}: expected a list segGroups.")
    numbers, of_vertex = np.unique(segments, return_inverse=True)
    row_of_segment = np.full(len(numbers), UNKNOWN, np.int32)
    objects = []
    for row, group in enumerate(groups):
        try:
            label, number = str(group["label"]), int(group["objectId"])
            parts = np.array(group["segments"], dtype=np.int64).reshape(-1)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{path}: segGroups[{row}]: expected label, objectId and segments ({error!r}).") from error
        row_of_segment[np.isin(numbers, parts)] = row
        objects.append(ScanObject(id=number, raw_category=label, category=table.get(label)))
    return tuple(objects), row_of_segment[of_vertex.reshape(-1)]


def _read_alignment(path: Path) -> NDArray[np.float64]:
    """Return `axisAlignment` of a scan's facts; the identity where file or line are missing, as in test scans."""
    if not path.is_file():
        return np.eye(4)
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        key, _, value = line.partition("=")
        if key.strip() != "axisAlignment":
            continue
        try:
            matrix = np.array([float(part) for part in value.split()], dtype=np.float64).reshape(4, 4)
        except ValueError as error:
            raise DataError(f"{path}: axisAlignment: expected 16 numbers, got {value.strip()!r:.80}.") from error
        return nearest_rigid(f"{path}: axisAlignment", matrix)
    return np.eye(4)
