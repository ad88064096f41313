"""The kinds of object in a simulated street."""

from __future__ import annotations

from ..kind import Kind

STREET_KINDS: tuple[Kind, ...] = (
    Kind(name="road", nuscenes="flat.driveable_surface"),
    Kind(name="sidewalk", nuscenes="flat.sidewalk"),
    Kind(name="grass", nuscenes="flat.terrain"),
    Kind(name="building", nuscenes="static.manmade"),
    Kind(name="wall", nuscenes="static.manmade"),
    Kind(name="fence", nuscenes="static.manmade"),
    Kind(name="barrier", nuscenes="movable_object.barrier", box=True),
    Kind(name="traffic cone", nuscenes="movable_object.trafficcone", box=True),
    Kind(name="pole", nuscenes="static.manmade"),
    Kind(name="traffic sign", nuscenes="static.manmade"),
    Kind(name="tree", nuscenes="static.vegetation"),
    Kind(name="bush", nuscenes="static.vegetation"),
    Kind(name="car", nuscenes="vehicle.car", box=True),
    Kind(name="truck", nuscenes="vehicle.truck", box=True),
    Kind(name="bus", nuscenes="vehicle.bus.rigid", box=True),
    Kind(name="motorcycle", nuscenes="vehicle.motorcycle", box=True),
    Kind(name="bicycle", nuscenes="vehicle.bicycle", box=True),
    Kind(name="person", nuscenes="human.pedestrian.adult", box=True),
)
