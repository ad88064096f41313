"""Samples as files: one .npz each, images as JPEG and label images as PNG inside; no pickle."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.errors import DataError
from ov3d_perception.types import CameraView, Frame

from ..whole_files import written_whole
from .sample import Box, LabelImage, Place, Sample, SceneObject

SAMPLE_FORMAT = 2
JPEG_QUALITY = 92
_OPTIONAL = ("ring", "colors", "time_offset_s")


def write_sample(path: Path, sample: Sample) -> None:
    """Write a sample as .npz, atomically: coordinates stay float32, images become JPEG; the rig is not kept."""
    frame = sample.frame
    arrays: dict[str, Any] = {"points": frame.points, "intensity": frame.intensity}
    for name in _OPTIONAL:
        if getattr(frame, name) is not None:
            arrays[name] = getattr(frame, name)
    if sample.point_labels is not None:
        arrays["point_labels"] = sample.point_labels.astype(np.int16)
    if sample.point_instances is not None:
        arrays["point_instances"] = sample.point_instances
    for view in frame.cameras:
        arrays.update(_pack_view(view, sample.view_labels.get(view.name)))
    facts = {
        "name": sample.name,
        "stamp_ns": frame.stamp_ns,
        "frame_id": frame.frame_id,
        "point_label_names": list(sample.point_label_names),
        "view_label_names": list(sample.view_label_names),
        "cameras": [{"name": view.name, "stamp_ns": view.stamp_ns} for view in frame.cameras],
        "objects": [asdict(thing) for thing in sample.objects],
        "boxes": [_pack_box(box) for box in sample.boxes],
        "place": None if sample.place is None else _pack_place(sample.place),
        "from_one_sensor": sample.from_one_sensor,
    }
    with written_whole(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, facts=np.array(json.dumps(facts)), **arrays)


def read_sample(path: Path, *, cameras: bool = True) -> Sample:
    """Read what `write_sample` wrote, without the images where `cameras` is False; `DataError` for anything else."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            facts = json.loads(str(archive["facts"]))
            return _unpack(archive, facts, facts["cameras"] if cameras else [])
    except (OSError, EOFError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"cached sample {path}: cannot be read ({error}). Delete it; it is made again.") from error
    except Exception as error:  # zipfile, zlib and Pillow raise their own
        raise DataError(f"cached sample {path}: damaged ({error}). Delete it; it is made again.") from error


def _unpack(archive: Mapping[str, NDArray[Any]], facts: dict[str, Any], cameras: list[dict[str, Any]]) -> Sample:
    views = [_unpack_view(archive, entry) for entry in cameras]
    optional = {name: archive[name] for name in _OPTIONAL if name in archive}
    return Sample(
        name=facts["name"],
        frame=Frame(
            points=archive["points"],
            intensity=archive["intensity"],
            stamp_ns=int(facts["stamp_ns"]),
            frame_id=facts["frame_id"],
            cameras=tuple(view for view, _ in views),
            **optional,
        ),
        point_labels=archive["point_labels"].astype(np.int32) if "point_labels" in archive else None,
        point_label_names=tuple(facts["point_label_names"]),
        point_instances=archive.get("point_instances"),
        view_labels={view.name: labels for view, labels in views if labels is not None},
        view_label_names=tuple(facts["view_label_names"]),
        objects=tuple(SceneObject(**entry) for entry in facts["objects"]),
        boxes=tuple(_unpack_box(box) for box in facts["boxes"]),
        place=_unpack_place(facts["place"]) if facts.get("place") else None,
        from_one_sensor=bool(facts.get("from_one_sensor", facts["frame_id"] != "room")),  # older files lack it
    )


def _pack_view(view: CameraView, labels: LabelImage | None) -> dict[str, NDArray[Any]]:
    """Return the arrays of one view under names that start with the camera's; labels are stored plus one."""
    arrays: dict[str, NDArray[Any]] = {
        f"{view.name}/image": _encode(view.image, "JPEG", quality=JPEG_QUALITY),
        f"{view.name}/intrinsics": np.asarray(view.intrinsics, np.float64),
        f"{view.name}/camera_from_lidar": np.asarray(view.camera_from_lidar, np.float64),
    }
    if labels is not None:
        arrays[f"{view.name}/labels"] = _encode((labels.labels + 1).astype(np.uint16), "PNG")
        if labels.instances is not None:
            arrays[f"{view.name}/instances"] = _encode((labels.instances + 1).astype(np.uint16), "PNG")
        if labels.confidence is not None:
            arrays[f"{view.name}/confidence"] = labels.confidence
    return arrays


def _unpack_view(archive: Mapping[str, NDArray[Any]], entry: dict[str, Any]) -> tuple[CameraView, LabelImage | None]:
    name = entry["name"]
    view = CameraView(
        name=name,
        image=_decode(archive[f"{name}/image"]),
        intrinsics=archive[f"{name}/intrinsics"],
        camera_from_lidar=archive[f"{name}/camera_from_lidar"],
        stamp_ns=int(entry["stamp_ns"]),
    )
    if f"{name}/labels" not in archive:
        return view, None
    instances = archive.get(f"{name}/instances")
    return view, LabelImage(
        labels=_decode(archive[f"{name}/labels"]).astype(np.int32) - 1,
        instances=None if instances is None else _decode(instances).astype(np.int32) - 1,
        confidence=archive.get(f"{name}/confidence"),
    )


def _encode(values: NDArray[Any], kind: str, **options: Any) -> NDArray[np.uint8]:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(values).save(stream, kind, **options)
    return np.frombuffer(stream.getvalue(), np.uint8)


def _decode(content: NDArray[np.uint8]) -> NDArray[Any]:
    from PIL import Image

    with Image.open(io.BytesIO(content.tobytes())) as image:
        return np.array(image)


def _pack_place(place: Place) -> dict[str, Any]:
    return {"recording": place.recording, "world_from_lidar": np.asarray(place.world_from_lidar).tolist()}


def _unpack_place(place: dict[str, Any]) -> Place:
    matrix = np.array(place["world_from_lidar"], dtype=np.float64).reshape(4, 4)
    return Place(recording=str(place["recording"]), world_from_lidar=matrix)


def _pack_box(box: Box) -> dict[str, Any]:
    return {
        "category": box.category,
        "center_m": [float(value) for value in box.center_m],
        "size_lwh_m": [float(value) for value in box.size_lwh_m],
        "yaw_rad": float(box.yaw_rad),
        "key": box.key,
    }


def _unpack_box(box: dict[str, Any]) -> Box:
    return Box(
        category=box["category"],
        center_m=np.array(box["center_m"], dtype=np.float64),
        size_lwh_m=np.array(box["size_lwh_m"], dtype=np.float64),
        yaw_rad=float(box["yaw_rad"]),
        key=box["key"],
    )
