"""Your own recordings as samples: a rosbag2 folder with clouds, rectified images, CameraInfo and TF; no labels."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ov3d_perception.bags import BagFrames
from ov3d_perception.errors import DataError, FrameError
from ov3d_perception.types import Frame

from .sample import Place, Sample


@dataclass(slots=True, kw_only=True)
class BagSamples:
    """A `SampleSource` of every `every`-th cloud of a bag, of those that a camera accompanies, in recording order.

    The frames are those that the node makes of the same messages; see `ov3d_perception.bags.BagFrames`, also for the
    errors. With `cameras` False all clouds count, and images are not read.
    """

    path: Path
    topic: str | None = None
    fixed_frame: str = "map"
    max_skew_s: float = 0.1
    every: int = 1
    cameras: bool = True
    _frames: BagFrames = field(init=False, repr=False)
    _numbers: list[int] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._frames = BagFrames(
            self.path,
            topic=self.topic,
            fixed_frame=self.fixed_frame,
            max_skew_s=self.max_skew_s,
            cameras=None if self.cameras else (),
        )
        seen = [row for row in range(len(self._frames)) if not self.cameras or self._frames.camera_count(row)]
        self._numbers = seen[:: self.every]
        if not self._numbers:
            raise DataError(f"{self.path}: no cloud has an image within {self.max_skew_s} s. Raise data.max_skew_s.")

    def __len__(self) -> int:
        return len(self._numbers)

    def key(self, index: int) -> str:
        """Return the bag's name and the cloud's number in it."""
        return f"{self.path.name}_{self._numbers[index]:06d}"

    def __getitem__(self, index: int) -> Sample:
        return self._sample(index, self._frames[self._numbers[index]])

    def without_images(self, index: int) -> Sample:
        """Read the cloud alone."""
        return self._sample(index, self._frames.cloud(self._numbers[index]))

    def _sample(self, index: int, frame: Frame) -> Sample:
        try:
            place = Place(recording=self.path.name, world_from_lidar=self._frames.fixed_from_lidar(frame))
        except FrameError:  # a bag without a fixed frame has no ego motion to tell
            place = None
        return Sample(name=self.key(index), frame=frame, place=place)
