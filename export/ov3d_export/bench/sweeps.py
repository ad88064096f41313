"""Sweeps to measure with: real ones, simulated ones, the same a little different each time, and large ones."""

from __future__ import annotations

import importlib
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.clouds import read_cloud
from ov3d_perception.errors import ConfigError
from ov3d_perception.types import Frame

_REAL = {
    "nuScenes": ("nuscenes_scene-0061/LIDAR_TOP.pcd.bin", "nuscenes"),
    "SemanticKITTI": ("semantickitti/seq08_000000.bin", "kitti"),
    "KITTI object": ("kitti_object/velodyne_000001.bin", "kitti"),
}
STREET, ROOM = "simulated street", "simulated room"
_SEED = 0
MAX_YAW_RAD = 0.1
DROPPED = 0.05
_GAP_M = 10.0
_REACH_M = 60.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """A sweep and what to call it."""

    name: str
    frame: Frame


def sweep_names(data: Path | None) -> list[str]:
    """Return what `load_sweep` can load: the real sweeps that `data` holds, nuScenes' first, then simulated ones.

    Raises `ConfigError` where there are none: without data and without what the simulator needs.
    """
    names = _real_names(data)
    try:
        for needed in ("trimesh", "embreex", "ov3d_trainer.data.simulate"):
            importlib.import_module(needed)
    except ImportError as error:
        logger.warning("no simulated sweeps (%s)", error)
    else:
        names += [STREET, ROOM]
    if not names:
        raise ConfigError("no sweep to measure with: give --data, or install what the simulator needs (trimesh).")
    return names


def load_sweep(data: Path | None, name: str | None = None) -> Sweep:
    """Return one of `sweep_names`, the first by default; `DataError` for a file that cannot be read.

    The simulator is imported only where its sweeps are asked for: memory peaks are none of its business.
    """
    real = _real_names(data)
    name = name or next(iter(real), STREET)
    if name in real and data is not None:
        path, kind = _REAL[name]
        return Sweep(name=name, frame=read_cloud(data / path, kind=kind))
    if name not in sweep_names(data):
        raise ConfigError(f"sweep {name}: not here. There are {', '.join(sweep_names(data))}.")
    from ov3d_trainer.data.simulate import SimulatedRoom, SimulatedStreet

    source = SimulatedStreet(seed=_SEED, frames=1, cameras=()) if name == STREET else SimulatedRoom(_SEED, views=1)
    return Sweep(name=name, frame=source[0].frame)


def _real_names(data: Path | None) -> list[str]:
    return [name for name, (path, _) in _REAL.items() if data is not None and (data / path).is_file()]


def varied(frame: Frame, generator: np.random.Generator) -> Iterator[Frame]:
    """Yield the sweep for ever, each time turned by up to 0.1 rad and without a random 5 % of its points."""
    while True:
        kept = generator.random(len(frame.points)) >= DROPPED
        yield turned(rows_of(frame, np.flatnonzero(kept)), generator.uniform(-MAX_YAW_RAD, MAX_YAW_RAD))


def turned(frame: Frame, yaw_rad: float) -> Frame:
    """Return the sweep turned about z."""
    cosine, sine = math.cos(yaw_rad), math.sin(yaw_rad)
    rotation = np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]], dtype=np.float32)
    return replace(frame, points=frame.points @ rotation.T, cameras=())


def rows_of(frame: Frame, rows: NDArray[np.intp]) -> Frame:
    """Return the sweep with these points alone."""
    optional: dict[str, Any] = {}
    for name in ("colors", "ring", "time_offset_s"):
        value = getattr(frame, name)
        optional[name] = None if value is None else value[rows]
    return replace(frame, points=frame.points[rows], intensity=frame.intensity[rows], cameras=(), **optional)


def of_size(frame: Frame, points: int, generator: np.random.Generator) -> Frame:
    """Return a cloud of exactly this many points, as dense as the sweep.

    Fewer points are a sector of it, up to whatever azimuth; more are copies side by side, each turned by any angle.
    """
    inside = np.linalg.norm(frame.points[:, :2], axis=1) <= _REACH_M  # False for NaN
    near = rows_of(frame, np.flatnonzero(inside))
    copies = math.ceil(points / max(len(near.points), 1))
    side = math.ceil(math.sqrt(copies))
    step_m = 2 * _REACH_M + _GAP_M
    parts = []
    for number in range(copies):
        left = points - number * len(near.points)
        place = np.array([number % side - side // 2, number // side - side // 2, 0], dtype=np.float32) * step_m
        copy = _sector(near, left) if left < len(near.points) else near
        yaw_rad = generator.uniform(-math.pi, math.pi) if number else 0.0
        copy = turned(copy, yaw_rad)
        parts.append((copy.points + place, copy.intensity))
    return Frame(
        points=np.concatenate([part for part, _ in parts]).astype(np.float32),
        intensity=np.concatenate([part for _, part in parts]),
        stamp_ns=frame.stamp_ns,
        frame_id=frame.frame_id,
    )


def _sector(frame: Frame, points: int) -> Frame:
    azimuth = np.arctan2(frame.points[:, 1], frame.points[:, 0])
    return rows_of(frame, np.sort(np.argsort(azimuth, kind="stable")[:points]))
