"""Simulated streets as a nuScenes data root, version v1.0-mini, that the official devkit opens."""

from __future__ import annotations

import json
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from ov3d_perception.errors import ConfigError, DataError

from ..simulate import CAMERA_NAMES
from .recording import Drive, KeyframeRecord, record_keyframes
from .tables import MAP_FILE, TABLES, Tables, object_rows, scene_tables, shared_tables
from .tokens import LIDAR, VERSION

VALIDATION_SCENES = ("scene-0103", "scene-0916")
TRAINING_SCENES = (
    "scene-0061",
    "scene-0553",
    "scene-0655",
    "scene-0757",
    "scene-0796",
    "scene-1077",
    "scene-1094",
    "scene-1100",
)
FURTHER_SCENES_FROM = 2001
"""Scenes beyond those of v1.0-mini are called scene-2001 and so on; no official split has such names."""
OBJECTS_FILE = "objects.json"
_FOLDERS = ("samples", "sweeps", "lidarseg", "maps", VERSION)
_CHUNK = 5
"""Keyframes that one process makes in a row: each builds the street anew."""
_MAP_PIXELS = 64


def scene_names(count: int) -> tuple[str, ...]:
    """Return the names of the first scenes: those of mini_val, of mini_train, then others.

    The official evaluation of a split needs all of its scenes, so mini_val comes first.
    """
    further = (f"scene-{number}" for number in range(FURTHER_SCENES_FROM, FURTHER_SCENES_FROM + count))
    return (*VALIDATION_SCENES, *TRAINING_SCENES, *further)[:count]


def write_streets(
    root: Path,
    *,
    scenes: int,
    seed: int = 0,
    keyframes: int = 20,
    image_size: tuple[int, int] = (400, 225),
    jobs: int = 1,
    unseen: bool = False,
    overwrite: bool = False,
) -> tuple[Drive, ...]:
    """Write `scenes` drives as a data root: scene number i (from 0) shows street `seed + i`. Returns the drives.

    Keyframes every 0.5 s with six images of `image_size` (width, height), lidar sweeps every 0.05 s between. Beside
    the official tables stands `objects.json`: kind, colour, state, synonyms and a caption per object. Everything
    depends on the arguments only, not on `jobs`, the number of processes. `unseen` lets the kinds appear that are kept
    from training. Raises `ConfigError` for arguments out of range and for a folder that holds something already,
    `DataError` where it cannot be written to.
    """
    if scenes < 1 or keyframes < 1 or jobs < 1 or seed < 0:
        raise ConfigError(
            "simulate street: expected scenes, keyframes and jobs >= 1 and seed >= 0, "
            f"got scenes={scenes}, keyframes={keyframes}, jobs={jobs}, seed={seed}."
        )
    drives = tuple(
        Drive(name=name, seed=seed + number, keyframes=keyframes, image_size=image_size, unseen=unseen)
        for number, name in enumerate(scene_names(scenes))
    )
    drives[0].open()  # refuses what a street cannot be made with, before anything is written
    prepare_folder(root, overwrite=overwrite)
    try:
        for folder in ("maps", VERSION, f"lidarseg/{VERSION}"):
            (root / folder).mkdir(parents=True)
        Image.new("L", (_MAP_PIXELS, _MAP_PIXELS)).save(root / MAP_FILE)  # first: it marks the folder as ours
        _write_tables(root, drives, _record(drives, root, jobs))
    except OSError as error:
        raise DataError(f"{root}: cannot be written to ({error}). Free some space, then say --overwrite.") from error
    return drives


def prepare_folder(root: Path, *, overwrite: bool) -> None:
    """Make the folder, empty of what an earlier run wrote.

    Raises `ConfigError` where it holds something, unless `overwrite` is True and an earlier run wrote it: a recorded
    data set is never removed.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        if not any(root.iterdir()):
            return
    except OSError as error:
        raise DataError(f"{root}: expected a folder to write into: {error.strerror}. Choose another.") from error
    if not overwrite:
        raise ConfigError(f"{root}: expected a new or empty folder, it has files. Choose another or give --overwrite.")
    if not (root / MAP_FILE).is_file():
        raise ConfigError(f"{root}: expected what `simulate street` wrote, found no {MAP_FILE}. Choose another folder.")
    for name in _FOLDERS:
        shutil.rmtree(root / name, ignore_errors=True)


def _record(drives: Sequence[Drive], root: Path, jobs: int) -> dict[str, list[KeyframeRecord]]:
    """Write the files of all drives; return the keyframes of each scene, by name and in order."""
    chunks = [
        (drive, range(start, min(start + _CHUNK, drive.keyframes)))
        for drive in drives
        for start in range(0, drive.keyframes, _CHUNK)
    ]
    records: dict[str, list[KeyframeRecord]] = defaultdict(list)
    with tqdm(total=sum(drive.keyframes for drive in drives), unit="keyframe", disable=not sys.stderr.isatty()) as bar:
        for (drive, _), written in zip(chunks, _recorded(chunks, root, jobs), strict=True):
            records[drive.name] += written
            bar.set_description(drive.name)
            bar.update(len(written))
    return records


def _recorded(chunks: Sequence[tuple[Drive, range]], root: Path, jobs: int) -> Iterable[list[KeyframeRecord]]:
    """Yield the records of every chunk, in order."""
    if jobs == 1:
        yield from (record_keyframes(drive, indices, root) for drive, indices in chunks)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        drives, indices = zip(*chunks, strict=True)
        yield from pool.map(record_keyframes, drives, indices, [root] * len(chunks))


def _write_tables(root: Path, drives: Sequence[Drive], records: dict[str, list[KeyframeRecord]]) -> None:
    channels = {LIDAR: "lidar", **dict.fromkeys(CAMERA_NAMES, "camera")}
    tables: Tables = {name: [] for name in TABLES}
    parts = [shared_tables(drives, channels), *(scene_tables(drive, records[drive.name]) for drive in drives)]
    for part in parts:
        for name, rows in part.items():
            tables[name] += rows
    for name, rows in tables.items():
        _write_json(root / VERSION / f"{name}.json", rows)
    _write_json(root / VERSION / OBJECTS_FILE, [row for d in drives for row in object_rows(d, records[d.name])])
    validation = [drive.name for drive in drives if drive.name in VALIDATION_SCENES]
    training = [drive.name for drive in drives if drive.name not in VALIDATION_SCENES]
    _write_json(root / VERSION / "splits.json", {"simulated_train": training, "simulated_val": validation})


def _write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
