"""Simulated rooms as official ScanNet scans: `write_room`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.errors import ConfigError
from ov3d_perception.geometry import invert_transform, transform_points

from ..simulate.mesh import turn
from ..simulate.room.scan import FLOOR_Z_M, RoomScan, scan_room
from ..simulate.room.shading import expose, shade
from ..simulate.scene import Hits
from ..simulate.things import Thing
from ..simulate.words import with_article, words_of
from .categories import all_categories, raw_category
from .label_map import LABEL_MAP_FILE, write_label_map
from .ply import write_ply
from .resample import FineMesh, refine
from .sens import COLOR_JPEG, DEPTH_SHIFT, DEPTH_ZLIB, SensFrame, SensHeader, write_sens

OBJECTS_SUFFIX = "_objects.json"
"""File of ours beside the official ones: kind, colour, synonyms and caption of every object by `objectId`."""
_EDGE_M = 0.065
_REACH_M = 0.04
_SEGMENT_M = 0.5
_FRAME_US = 33_333
_MOST_SCENES = 10_000


def scan_name(scene_number: int, scan_number: int = 0) -> str:
    """Return the official name of a scan: scene0003_00."""
    return f"scene{scene_number:04d}_{scan_number:02d}"


def write_room(
    out: Path,
    seed: int,
    scene_number: int,
    views: int,
    *,
    image_size: tuple[int, int] = (320, 240),
    unseen: bool = False,
) -> Path:
    """Write the room of a seed as the scan `out/scans/scene%04d_00`, and the label map into `out`; return its folder.

    The scan's own frame is turned and moved against the room's, as real ones are; `axisAlignment` leads back to a
    frame with z up from the floor. Raises `ConfigError` for a scene number that the official names have no room for.
    """
    if not 0 <= scene_number < _MOST_SCENES or views < 1:
        raise ConfigError(
            f"write_room: expected a scene number below {_MOST_SCENES} and 1 view or more, got {scene_number}, {views}."
        )
    scan = scan_room(seed, views, image_size=image_size, unseen=unseen)
    name = scan_name(scene_number)
    folder = out / "scans" / name
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([seed, 30])
    floor_from_room = turn(0.0, (0.0, 0.0, -FLOOR_Z_M))
    aligned_from_scan = turn(float(rng.uniform(-np.pi, np.pi)), (*rng.uniform(-3, 3, 2).tolist(), 0.0))
    scan_from_room = invert_transform(aligned_from_scan) @ floor_from_room
    _write_recording(folder / f"{name}.sens", scan, scan_from_room)
    mesh = refine(scan.mesh, _EDGE_M, scan.cloud.points, _REACH_M)
    owner = scan.mesh.instance[mesh.source]
    _write_meshes(folder, name, mesh, scan, scan_from_room, rng)
    segments = _segments(mesh, scan, owner)
    _write_segments(folder, name, segments, owner, scan.things)
    _write_facts(folder / f"{name}.txt", scan, aligned_from_scan)
    _write_json(folder / f"{name}{OBJECTS_SUFFIX}", _describe(scan.things, sorted(set(owner.tolist()) - {-1})))
    write_label_map(out / LABEL_MAP_FILE, all_categories())
    return folder


def write_splits(out: Path, scenes: int) -> dict[str, list[str]]:
    """List the scans in `out/scannetv2_train.txt` and `scannetv2_val.txt`, every fifth in the latter; return both."""
    names = [scan_name(number) for number in range(scenes)]
    splits = {"train": [name for row, name in enumerate(names) if row % 5 != 4], "val": names[4::5]}
    out.mkdir(parents=True, exist_ok=True)
    for split, listed in splits.items():
        (out / f"scannetv2_{split}.txt").write_text("".join(f"{name}\n" for name in listed), encoding="utf-8")
    return splits


def _write_recording(path: Path, scan: RoomScan, scan_from_room: NDArray[np.float64]) -> None:
    first = scan.shots[0]
    height, width = first.depth_m.shape
    matrix = np.eye(4, dtype=np.float32)
    matrix[:3, :3] = first.intrinsics
    eye = np.eye(4, dtype=np.float32)
    header = SensHeader(
        sensor="ov3d simulated depth camera",
        color_intrinsics=matrix,
        color_extrinsics=eye,
        depth_intrinsics=matrix,
        depth_extrinsics=eye,
        color_compression=COLOR_JPEG,
        depth_compression=DEPTH_ZLIB,
        color_size=(width, height),
        depth_size=(width, height),
        depth_shift=DEPTH_SHIFT,
        frames=len(scan.shots),
    )
    frames = (
        SensFrame(
            index=number,
            scan_from_camera=scan_from_room @ shot.room_from_camera,
            color=shot.image,
            depth_m=shot.depth_m,
            color_us=number * _FRAME_US,
            depth_us=number * _FRAME_US,
        )
        for number, shot in enumerate(scan.shots)
        if shot.image is not None
    )
    write_sens(path, header, frames)


def _write_meshes(
    folder: Path,
    name: str,
    mesh: FineMesh,
    scan: RoomScan,
    scan_from_room: NDArray[np.float64],
    rng: np.random.Generator,
) -> None:
    """Write the coloured mesh, and the same one with an NYU40 label per vertex."""
    numbers = np.array([raw_category(thing.kind).nyu40 for thing in scan.things] + [0], np.uint16)
    label = numbers[scan.mesh.instance[mesh.source]]
    color = expose(_light(mesh, scan, rng), scan.cloud.exposure)
    fields = [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1"), ("alpha", "u1")]
    plain = np.empty(len(mesh.vertices), dtype=fields)
    plain["x"], plain["y"], plain["z"] = transform_points(scan_from_room, mesh.vertices).T
    plain["red"], plain["green"], plain["blue"] = color.T
    plain["alpha"] = 255
    labelled = np.empty(len(plain), dtype=[*fields, ("label", "<u2")])
    for field, _ in fields:
        labelled[field] = plain[field]
    labelled["label"] = label
    write_ply(folder / f"{name}_vh_clean_2.ply", plain, mesh.faces)
    write_ply(folder / f"{name}_vh_clean_2.labels.ply", labelled, mesh.faces)


def _light(mesh: FineMesh, scan: RoomScan, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return the colour (V, 3) of every vertex under the room's light."""
    normal = scan.layer.normal[mesh.source]
    inward = np.where((normal * (0.0 - mesh.vertices)).sum(axis=1, keepdims=True) < 0, -normal, normal)
    hits = Hits(
        distance_m=np.zeros(len(normal), np.float32),
        normal=inward.astype(np.float32),
        kind=scan.mesh.kind[mesh.source],
        material=scan.mesh.material[mesh.source],
        color=scan.mesh.color[mesh.source],
        instance=scan.mesh.instance[mesh.source],
    )
    at = mesh.vertices.astype(np.float32)
    return shade(scan.layer, at, -hits.normal, hits, scan.lighting, rng)


def _segments(mesh: FineMesh, scan: RoomScan, owner: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return a segment (V,) per vertex: the part of one object that faces one way within a cell of half a metre."""
    normal = scan.layer.normal[mesh.source]
    facing = np.argmax(np.abs(normal), axis=1)
    cells = np.floor(mesh.vertices / _SEGMENT_M).astype(np.int64)
    _, segment = np.unique(np.column_stack([cells, facing, owner]), axis=0, return_inverse=True)
    return np.asarray(segment.ravel(), dtype=np.int64)


def _write_segments(
    folder: Path, name: str, segments: NDArray[np.int64], owner: NDArray[np.int32], things: tuple[Thing, ...]
) -> None:
    """Write the over-segmentation and which segments make up which object."""
    segment_file = f"{name}_vh_clean_2.0.010000.segs.json"
    parameters = {"kThresh": "0.0100000", "segMinVerts": "20", "minPoints": "750", "maxPoints": "30000"}
    facts = {"params": parameters, "sceneId": name, "segIndices": segments.tolist()}
    _write_json(folder / segment_file, facts)
    groups = []
    for row in sorted(set(owner.tolist()) - {-1}):
        parts = np.unique(segments[owner == row]).tolist()
        label = raw_category(things[row].kind).name
        groups.append({"id": row, "objectId": row, "segments": parts, "label": label})
    aggregation = {
        "sceneId": f"scannet.{name}",
        "appId": "Aggregator.v2",
        "segGroups": groups,
        "segmentsFile": f"scannet.{segment_file}",
    }
    _write_json(folder / f"{name}.aggregation.json", aggregation)


def _write_facts(path: Path, scan: RoomScan, aligned_from_scan: NDArray[np.float64]) -> None:
    """Write the `key = value` file of a scan."""
    height, width = scan.shots[0].depth_m.shape
    matrix, count = scan.shots[0].intrinsics, len(scan.shots)
    facts: dict[str, Any] = {"axisAlignment": " ".join(f"{value:.6f}" for value in aligned_from_scan.ravel())}
    for sensor in ("color", "depth"):
        facts[f"{sensor}Height"], facts[f"{sensor}Width"] = height, width
        facts[f"fx_{sensor}"], facts[f"fy_{sensor}"] = f"{matrix[0, 0]:.6f}", f"{matrix[1, 1]:.6f}"
        facts[f"mx_{sensor}"], facts[f"my_{sensor}"] = f"{matrix[0, 2]:.6f}", f"{matrix[1, 2]:.6f}"
    facts["colorToDepthExtrinsics"] = " ".join(f"{value:.6f}" for value in np.eye(4).ravel())
    facts |= {
        "numColorFrames": count,
        "numDepthFrames": count,
        "numIMUmeasurements": 0,
        "sceneType": scan.layout.title(),
    }
    path.write_text("".join(f"{key} = {value}\n" for key, value in sorted(facts.items())), encoding="utf-8")


def _describe(things: tuple[Thing, ...], rows: list[int]) -> list[dict[str, Any]]:
    described = []
    for row in rows:
        thing = things[row].describe()
        words = words_of(thing.kind)
        described.append(
            {
                "objectId": row,
                "name": thing.kind,
                "color": thing.color,
                "synonyms": list(words.synonyms),
                "caption": with_article(f"{thing.color} {thing.kind}".strip()),
            }
        )
    return described


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
