"""What is known about one kind of object before any is built."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of object: `name` as people say it.

    `box`: gets an annotated box. `unseen`: stands only in worlds made with `unseen=True`, never in training.
    `nuscenes`: its raw lidarseg category ("vehicle.car"), `scannet`: its raw category there ("office chair"); "" where
    the format has none.
    """

    name: str
    box: bool = False
    unseen: bool = False
    nuscenes: str = ""
    scannet: str = ""
