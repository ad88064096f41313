"""A drive through a simulated street as a data set: `SimulatedStreet`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.errors import ConfigError
from ov3d_perception.geometry import invert_transform, make_transform
from ov3d_perception.types import CameraView, Frame

from ...sample import Box, LabelImage, Rig, Sample
from ..kinds import KIND_OF, KINDS, VIEW_KINDS
from ..mesh import place
from ..render import Light, render
from ..scene import Layer
from ..things import Thing, assemble, describe_all
from .cameras import CAMERA_NAMES, CAMERAS, CameraMount, ego_from_camera, intrinsics
from .furnish import StaticStreet, build_street
from .lidar import LidarSpec, scan
from .plan import Centreline, StreetPlan, draw_centreline, draw_plan
from .traffic import Lane, draw_lanes, movers
from .vehicles import ego_vehicle

_START_NS = 1_600_000_000_000_000_000
_LIDAR_POSITION = (0.94, 0.0, 1.84)
_VIEW_M = 120.0
_FRAME_ID = "LIDAR_TOP"


@dataclass(frozen=True, slots=True, kw_only=True)
class _World:
    plan: StreetPlan
    line: Centreline
    lanes: tuple[Lane, ...]
    static: StaticStreet
    layer: Layer


class SimulatedStreet:
    """A `SampleSource`: one drive along the street of a seed, frames in driving order, made when asked for.

    A sample depends on the seed, its index and `interval_s` only, and is the same every time; other seeds give other
    streets. `cameras` names those to render, `()` gives lidar-only samples (ten times faster). `image_size` is
    (width, height). Cameras expose up to 43 ms before the sweep; the ego motion between is in `camera_from_lidar`, and
    what moves is where it is at that time. With `ego_returns` the lidar sees its own car's roof, labelled `UNKNOWN`.
    Not simulated: rolling sweep and shutter, weather, night. Raises `ConfigError` for arguments out of range.
    """

    def __init__(
        self,
        seed: int,
        frames: int,
        *,
        image_size: tuple[int, int] = (400, 225),
        interval_s: float = 0.5,
        cameras: tuple[str, ...] = CAMERA_NAMES,
        lidar: LidarSpec | None = None,
        ego_returns: bool = True,
        shadows: bool = True,
    ) -> None:
        _check(seed, frames, image_size, interval_s, cameras)
        self.seed = seed
        self.frames = frames
        self.image_size = image_size
        self.interval_ns = round(interval_s * 1e9)
        self.mounts = tuple(mount for mount in CAMERAS if mount.name in cameras)
        self.lidar = lidar or LidarSpec()
        self.ego_returns = ego_returns
        self.shadows = shadows
        self._built: _World | None = None

    def __len__(self) -> int:
        return self.frames

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_built": None}

    def __getitem__(self, index: int) -> Sample:
        if not -self.frames <= index < self.frames:
            raise IndexError(f"SimulatedStreet {self.seed}: index {index} of {self.frames} frames")
        return self._simulate(index % self.frames)

    def _simulate(self, index: int) -> Sample:
        world = self._world()
        stamp_ns = _START_NS + index * self.interval_ns
        ego_from_lidar = _ego_from_lidar(world.plan)
        global_from_ego = {stamp_ns: _ego_pose(world, stamp_ns)}
        things, moving = _moving(world, stamp_ns, stamp_ns)
        layers = [world.layer, moving]
        if self.ego_returns:
            layers.append(Layer(place(ego_vehicle(), global_from_ego[stamp_ns])))
        global_from_lidar = global_from_ego[stamp_ns] @ ego_from_lidar
        sweep = scan(layers, global_from_lidar, self.lidar, np.random.default_rng([self.seed, 7, index]))
        views, view_labels = [], {}
        for mount in self.mounts:
            view, labels, pose = self._photograph(world, mount, stamp_ns, global_from_lidar)
            views.append(view)
            view_labels[mount.name] = labels
            global_from_ego[view.stamp_ns] = pose
        return Sample(
            name=f"street-{self.seed:04d}/{index:04d}",
            frame=Frame(
                points=sweep.points,
                intensity=sweep.intensity,
                ring=sweep.ring,
                stamp_ns=stamp_ns,
                frame_id=_FRAME_ID,
                cameras=tuple(views),
            ),
            rig=Rig(
                ego_from_lidar=ego_from_lidar,
                ego_from_camera={mount.name: ego_from_camera(mount) for mount in self.mounts},
                global_from_ego=global_from_ego,
            ),
            point_labels=sweep.kind,
            point_label_names=KINDS,
            point_instances=sweep.instance,
            objects=describe_all([*world.static.things, *things]),
            view_labels=view_labels,
            view_label_names=VIEW_KINDS,
            boxes=_boxes([*world.static.things, *things], global_from_lidar, self.lidar.max_range_m),
        )

    def _photograph(
        self, world: _World, mount: CameraMount, sweep_ns: int, global_from_lidar: NDArray[np.float64]
    ) -> tuple[CameraView, LabelImage, NDArray[np.float64]]:
        """Return one camera's view, its labels and the ego pose at its own stamp."""
        stamp_ns = sweep_ns + round(mount.offset_ms * 1e6)
        pose = _ego_pose(world, stamp_ns)
        global_from_camera = pose @ ego_from_camera(mount)
        matrix = intrinsics(mount, self.image_size)
        light = Light(azimuth=world.plan.sun_azimuth, elevation=world.plan.sun_elevation, shadows=self.shadows)
        layers = [world.layer, _moving(world, stamp_ns, sweep_ns)[1]]
        image, labels = render(layers, global_from_camera, matrix, self.image_size, light)
        view = CameraView(
            name=mount.name,
            image=image,
            intrinsics=matrix,
            camera_from_lidar=invert_transform(global_from_camera) @ global_from_lidar,
            stamp_ns=stamp_ns,
        )
        return view, labels, pose

    def _world(self) -> _World:
        """Build the street once, on first use."""
        if self._built is None:
            plan = draw_plan(self.seed)
            end_m = plan.ego_speed_mps * self.frames * self.interval_ns / 1e9 + _VIEW_M
            line = draw_centreline(plan, -2 * _VIEW_M, end_m + _VIEW_M)
            static = build_street(plan, line, -_VIEW_M, end_m)
            self._built = _World(plan=plan, line=line, lanes=draw_lanes(plan), static=static, layer=Layer(static.mesh))
        return self._built


def _check(seed: int, frames: int, image_size: tuple[int, int], interval_s: float, cameras: tuple[str, ...]) -> None:
    unknown = sorted(set(cameras) - set(CAMERA_NAMES))
    if unknown:
        raise ConfigError(f"SimulatedStreet: unknown cameras {unknown}; choose from {list(CAMERA_NAMES)} or none.")
    if seed < 0 or frames < 1 or not 1e-3 <= interval_s <= 60 or min(image_size) < 8:
        raise ConfigError(
            "SimulatedStreet: expected seed >= 0, frames >= 1, interval_s in [0.001, 60] and an image of at "
            f"least 8 x 8, got seed={seed}, frames={frames}, interval_s={interval_s}, image_size={image_size}."
        )


def _ego_pose(world: _World, stamp_ns: int) -> NDArray[np.float64]:
    """Return `global_from_ego` (4, 4) at a time: along its lane with some weaving, pitch of the road, a little sway."""
    plan, line = world.plan, world.line
    time_s = (stamp_ns - _START_NS) / 1e9
    s = plan.ego_speed_mps * time_s
    phase = 2 * math.pi * s / 60.0 + plan.seed
    d = plan.lane_center(-1, plan.ego_lane) + 0.2 * math.sin(phase)
    weave = 0.2 * 2 * math.pi / 60.0 * math.cos(phase)
    yaw = float(line.heading(s)) + math.atan(weave)
    pitch = -math.atan(line.slope(s)) + 0.004 * math.sin(1.9 * time_s + plan.seed)
    roll = 0.005 * math.sin(1.3 * time_s + 2.0 * plan.seed)
    return make_transform(_rotation(yaw, pitch, roll), line.to_global(s, d))


def _ego_from_lidar(plan: StreetPlan) -> NDArray[np.float64]:
    """Return (4, 4): x right, y forward, z up on the roof, tilted a little, differently for each seed."""
    pitch, roll = plan.lidar_tilt
    right_forward_up = np.array([[0.0, 1.0, 0.0], [-1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    return make_transform(_rotation(0.0, pitch, roll) @ right_forward_up, _LIDAR_POSITION)


def _rotation(yaw: float, pitch: float, roll: float) -> NDArray[np.float64]:
    """Return Rz(yaw) Ry(pitch) Rx(roll); positive pitch points the nose down."""
    about_z = [[math.cos(yaw), -math.sin(yaw), 0], [math.sin(yaw), math.cos(yaw), 0], [0, 0, 1]]
    about_y = [[math.cos(pitch), 0, math.sin(pitch)], [0, 1, 0], [-math.sin(pitch), 0, math.cos(pitch)]]
    about_x = [[1, 0, 0], [0, math.cos(roll), -math.sin(roll)], [0, math.sin(roll), math.cos(roll)]]
    return np.array(about_z) @ np.array(about_y) @ np.array(about_x)


def _moving(world: _World, stamp_ns: int, sweep_ns: int) -> tuple[list[Thing], Layer]:
    """Return those near the ego vehicle at the sweep, where they are at `stamp_ns`."""
    time_s, listed_s = ((stamp - _START_NS) / 1e9 for stamp in (stamp_ns, sweep_ns))
    things = movers(world.plan, world.line, world.lanes, time_s, listed_s=listed_s)
    mesh, objects = assemble(things, first=len(world.static.things))
    return objects, Layer(mesh)


def _boxes(things: list[Thing], global_from_lidar: NDArray[np.float64], reach_m: float) -> tuple[Box, ...]:
    lidar_from_global = invert_transform(global_from_lidar)
    boxes = []
    for thing in things:
        if not KIND_OF[thing.kind].box:
            continue
        lidar_from_object = lidar_from_global @ thing.global_from_object
        if np.linalg.norm(lidar_from_object[:3, 3]) > reach_m:
            continue
        low, high = thing.mesh.vertices.min(axis=0), thing.mesh.vertices.max(axis=0)
        center = lidar_from_object[:3, :3] @ ((low + high) / 2) + lidar_from_object[:3, 3]
        yaw = math.atan2(lidar_from_object[1, 0], lidar_from_object[0, 0])
        boxes.append(Box(category=thing.kind, center_m=center, size_lwh_m=high - low, yaw_rad=yaw))
    return tuple(boxes)
