"""Where transforms come from on a robot: the place that camera fusion will use; the lidar-only node needs none.

Labels are computed in the cloud's own frame and published under the cloud's own header, so that the node runs without
TF. Sources behind this protocol (tf2_ros, a small /tf buffer, a calibration file) come with camera fusion.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray


class TransformSource(Protocol):
    """Answers where a camera was, at its image's stamp, relative to the lidar, at the cloud's stamp."""

    def camera_from_lidar(
        self, camera_frame: str, image_ns: int, lidar_frame: str, cloud_ns: int
    ) -> NDArray[np.floating[Any]]:
        """Return the (4, 4) transform that maps points in `lidar_frame` at `cloud_ns` to `camera_frame` at `image_ns`.

        Ego motion between the two stamps is part of it. Stamps are integer nanoseconds. Raises `FrameError` when a
        transform is missing or would have to be extrapolated; never answers with the identity instead.
        """
        ...
