"""A drive through a simulated street as a data set: `SimulatedStreet`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.errors import ConfigError
from ov3d_perception.geometry import invert_transform
from ov3d_perception.types import CameraView, Frame

from ...sample import Box, LabelImage, Rig, Sample
from ..kinds import KIND_OF, KINDS, VIEW_KINDS
from ..mesh import place
from ..render import render
from ..scene import Layer
from ..things import Thing, assemble, describe_all
from .cameras import CAMERA_NAMES, CAMERAS, CameraMount, ego_from_camera, intrinsics
from .cars import ego_vehicle
from .furnish import StaticStreet, build_street
from .lidar import Finish, LidarSpec, World, draw_finish, scan, share_of_revolution
from .motion import START_NS, ego_pose, lidar_mount, seconds
from .plan import Centreline, StreetPlan, draw_centreline, draw_plan
from .traffic import Lane, draw_lanes, movers

_VIEW_M = 130.0
_FRAME_ID = "LIDAR_TOP"
_MOVING_SHARES = 3
"""In how many steps things move during one revolution of the lidar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Built:
    plan: StreetPlan
    line: Centreline
    lanes: tuple[Lane, ...]
    static: StaticStreet
    layer: Layer
    own: Layer | None
    finish: Finish


class SimulatedStreet:
    """A `SampleSource`: one drive along the street of a seed, frames in driving order, made when asked for.

    A sample depends on the seed and its stamp only, and is the same every time; other seeds give other streets.
    `cameras` names those to render, `()` gives lidar-only samples (ten times faster). `image_size` is (width, height).
    The lidar takes 50 ms for a revolution that ends at the stamp; cameras expose up to 43 ms before it. What moves is
    where it is at each sensor's own time, and the ego motion between is in `camera_from_lidar`. With `ego_returns` the
    lidar sees its own car's roof, labelled `UNKNOWN`. With `unseen` kinds stand about that no other world has;
    in a `varied` street many vehicles are of rare kinds.
    Not simulated: rolling shutter, weather, night. Raises `ConfigError` for arguments out of range.
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
        unseen: bool = False,
        varied: bool = False,
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
        self.unseen = unseen
        self.varied = varied
        self._world: _Built | None = None

    def __len__(self) -> int:
        return self.frames

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_world": None}

    def __getitem__(self, index: int) -> Sample:
        if not -self.frames <= index < self.frames:
            raise IndexError(f"SimulatedStreet {self.seed}: index {index} of {self.frames} frames")
        index %= self.frames
        sample = self.sweep_at(self.stamp_ns(index))
        return replace(self._photograph_all(sample), name=f"street-{self.seed:04d}/{index:04d}")

    def stamp_ns(self, index: int) -> int:
        """Return when the sweep of a frame ends."""
        return START_NS + index * self.interval_ns

    def global_from_ego(self, stamp_ns: int) -> NDArray[np.float64]:
        """Return the pose (4, 4) of the ego vehicle at any time."""
        world = self._built()
        return ego_pose(world.plan, world.line, stamp_ns)

    @property
    def ego_from_lidar(self) -> NDArray[np.float64]:
        """Where the lidar sits, (4, 4)."""
        return lidar_mount(self._built().plan)

    def sweep_at(self, stamp_ns: int) -> Sample:
        """Return the sweep that ends at a time, with its truth and without images."""
        world, mount = self._built(), self.ego_from_lidar
        pose = self.global_from_ego(stamp_ns)
        begin = self.global_from_ego(stamp_ns - round(self.lidar.revolution_s * 1e9))
        things, moving = self._moving(stamp_ns, invert_transform(pose @ mount))
        surroundings = World(static=[world.layer], moving=moving, own=world.own, finish=world.finish)
        rng = np.random.default_rng([self.seed, 7, abs(stamp_ns - START_NS) // 1000, int(stamp_ns < START_NS)])
        sweep = scan(surroundings, pose @ mount, self.lidar, rng, begin=begin @ mount)
        everything = [*world.static.things, *things]
        return Sample(
            name=f"street-{self.seed:04d}/{stamp_ns}",
            frame=Frame(
                points=sweep.points,
                intensity=sweep.intensity,
                ring=sweep.ring,
                time_offset_s=sweep.time_offset_s,
                stamp_ns=stamp_ns,
                frame_id=_FRAME_ID,
                cameras=(),
            ),
            rig=Rig(ego_from_lidar=mount, ego_from_camera={}, global_from_ego={stamp_ns: pose}),
            point_labels=sweep.kind,
            point_label_names=KINDS,
            point_instances=sweep.instance,
            objects=describe_all(everything),
            view_label_names=VIEW_KINDS,
            boxes=_boxes(everything, pose @ mount, self.lidar.max_range_m),
        )

    def _photograph_all(self, sample: Sample) -> Sample:
        """Return the sample with the images that belong to its sweep."""
        stamp_ns = sample.frame.stamp_ns
        poses = {stamp_ns: self.global_from_ego(stamp_ns)}
        views, labels = [], {}
        for mount in self.mounts:
            view, labels[mount.name] = self._photograph(mount, stamp_ns, poses[stamp_ns] @ self.ego_from_lidar)
            views.append(view)
            poses[view.stamp_ns] = self.global_from_ego(view.stamp_ns)
        rig = Rig(
            ego_from_lidar=self.ego_from_lidar,
            ego_from_camera={mount.name: ego_from_camera(mount) for mount in self.mounts},
            global_from_ego=poses,
        )
        return replace(sample, frame=replace(sample.frame, cameras=tuple(views)), rig=rig, view_labels=labels)

    def _photograph(
        self, mount: CameraMount, sweep_ns: int, global_from_lidar: NDArray[np.float64]
    ) -> tuple[CameraView, LabelImage]:
        """Return one camera's view and its labels."""
        world = self._built()
        stamp_ns = sweep_ns + round(mount.offset_ms * 1e6)
        global_from_camera = self.global_from_ego(stamp_ns) @ ego_from_camera(mount)
        matrix = intrinsics(mount, self.image_size)
        light = replace(world.plan.light, shadows=self.shadows)
        layers = [world.layer, self._layer_of_movers(stamp_ns, sweep_ns)[1]]
        image, labels = render(layers, global_from_camera, matrix, self.image_size, light)
        view = CameraView(
            name=mount.name,
            image=image,
            intrinsics=matrix,
            camera_from_lidar=invert_transform(global_from_camera) @ global_from_lidar,
            stamp_ns=stamp_ns,
        )
        return view, labels

    def _moving(self, stamp_ns: int, lidar_from_global: NDArray[np.float64]) -> tuple[list[Thing], list[Layer]]:
        """Return who moves, each where it is when the lidar looks at it, and the layers that a revolution meets."""
        step_ns = round(self.lidar.revolution_s * 1e9 / _MOVING_SHARES)
        middles = [stamp_ns - round((_MOVING_SHARES - number - 0.5) * step_ns) for number in range(_MOVING_SHARES)]
        lists, layers = zip(*(self._layer_of_movers(middle, stamp_ns) for middle in middles), strict=True)
        met = []
        for same in zip(*lists, strict=True):
            x, y, _ = (lidar_from_global @ same[-1].global_from_object)[:3, 3]
            met.append(same[int(share_of_revolution(float(x), float(y)) * _MOVING_SHARES)])
        return met, list(layers)

    def _layer_of_movers(self, stamp_ns: int, sweep_ns: int) -> tuple[list[Thing], Layer]:
        """Return those near the ego vehicle at the sweep, where they are at `stamp_ns`."""
        world = self._built()
        things = movers(world.plan, world.line, world.lanes, seconds(stamp_ns), listed_s=seconds(sweep_ns))
        mesh, objects = assemble(things, first=len(world.static.things))
        return objects, Layer(mesh)

    def _built(self) -> _Built:
        """Build the street once, on first use."""
        if self._world is None:
            plan = draw_plan(self.seed, varied=self.varied)
            end_m = plan.ego_speed_mps * self.frames * self.interval_ns / 1e9 + _VIEW_M
            line = draw_centreline(plan, -2 * _VIEW_M, end_m + _VIEW_M)
            static = build_street(plan, line, -_VIEW_M, end_m, unseen=self.unseen)
            rng = np.random.default_rng([self.seed, 10])
            finish = draw_finish(rng)
            own = Layer(place(ego_vehicle(rng), invert_transform(lidar_mount(plan)))) if self.ego_returns else None
            self._world = _Built(
                plan=plan,
                line=line,
                lanes=draw_lanes(plan),
                static=static,
                layer=Layer(static.mesh),
                own=own,
                finish=finish,
            )
        return self._world


def _check(seed: int, frames: int, image_size: tuple[int, int], interval_s: float, cameras: tuple[str, ...]) -> None:
    unknown = sorted(set(cameras) - set(CAMERA_NAMES))
    if unknown:
        raise ConfigError(f"SimulatedStreet: unknown cameras {unknown}; choose from {list(CAMERA_NAMES)} or none.")
    if seed < 0 or frames < 1 or not 1e-3 <= interval_s <= 60 or min(image_size) < 8:
        raise ConfigError(
            "SimulatedStreet: expected seed >= 0, frames >= 1, interval_s in [0.001, 60] and an image of at "
            f"least 8 x 8, got seed={seed}, frames={frames}, interval_s={interval_s}, image_size={image_size}."
        )


def _boxes(things: list[Thing], global_from_lidar: NDArray[np.float64], reach_m: float) -> tuple[Box, ...]:
    lidar_from_global = invert_transform(global_from_lidar)
    boxes = []
    for thing in things:
        if not KIND_OF[thing.kind].box:
            continue
        lidar_from_object = lidar_from_global @ thing.global_from_object
        if np.linalg.norm(lidar_from_object[:3, 3]) > reach_m:
            continue
        low, high = thing.extent()
        center = lidar_from_object[:3, :3] @ ((low + high) / 2) + lidar_from_object[:3, 3]
        yaw = math.atan2(lidar_from_object[1, 0], lidar_from_object[0, 0])
        boxes.append(Box(category=thing.kind, center_m=center, size_lwh_m=high - low, yaw_rad=yaw, key=thing.key))
    return tuple(boxes)
