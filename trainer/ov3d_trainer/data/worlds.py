"""Simulated streets and rooms as data sets of samples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

from .sample import Sample, SampleSource, lidar_only, place_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Streets:
    """Several simulated streets, one after the other."""

    seeds: tuple[int, ...]
    frames: int
    interval_s: float
    cameras: bool
    unseen: bool = False
    varied: bool = False

    def __len__(self) -> int:
        return len(self.seeds) * self.frames

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(index)
        number, frame = divmod(index, self.frames)
        street = _street(self.seeds[number], self.frames, self.interval_s, self.cameras, self.unseen, self.varied)
        sample = street[frame]
        if sample.rig is None:
            return sample
        place = place_of(f"street-{self.seeds[number]:06d}", sample.rig, sample.frame.stamp_ns)
        return replace(sample, place=place)

    def key(self, index: int) -> str:
        """Return seed and frame number."""
        return f"{self.seeds[index // self.frames]:06d}_{index % self.frames:04d}"

    def without_images(self, index: int) -> Sample:
        """Make the sample and drop its images."""
        return lidar_only(self[index])


@dataclass(frozen=True, slots=True, kw_only=True)
class Rooms:
    """Simulated rooms, one sample each."""

    seeds: tuple[int, ...]
    views: int
    unseen: bool = False

    def __len__(self) -> int:
        return len(self.seeds)

    def __getitem__(self, index: int) -> Sample:
        from .simulate import SimulatedRoom

        if not 0 <= index < len(self):
            raise IndexError(index)
        room = SimulatedRoom(self.seeds[index], self.views, unseen=self.unseen)[0]
        return replace(room, from_one_sensor=False)

    def key(self, index: int) -> str:
        """Return the seed."""
        return f"{self.seeds[index]:06d}"

    def without_images(self, index: int) -> Sample:
        """Make the sample and drop its images."""
        return lidar_only(self[index])


@lru_cache(maxsize=2)
def _street(seed: int, frames: int, interval_s: float, cameras: bool, unseen: bool, varied: bool) -> SampleSource:
    """Keep the streets in use: building one takes longer than one sweep of it."""
    from .simulate import CAMERA_NAMES, SimulatedStreet

    names = CAMERA_NAMES if cameras else ()
    return SimulatedStreet(seed, frames, interval_s=interval_s, cameras=names, unseen=unseen, varied=varied)
