"""`build_inputs`: the only definition of what the network sees, used by the trainer and on the robot alike."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ConfigError, DataError
from .sparse_index import PAIR_KERNEL, build_sparse_index
from .types import Frame, NetworkInputs, Voxels
from .voxels import mean_per_voxel, voxelize


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """How a sweep becomes network inputs; part of the model card, so that robot and trainer cannot disagree.

    `features` names the input columns, in order (see `FEATURES`). `intensity_scale` divides the sensor's intensity to
    reach 0..1: 255 for nuScenes, 1 for KITTI. `levels` and `stem_kernel` shape the index tables.
    """

    voxel_size_m: float = 0.1
    features: tuple[str, ...] = ("one", "intensity", "z")
    intensity_scale: float = 255.0
    max_range_m: float = 80.0
    levels: int = 5
    stem_kernel: int = PAIR_KERNEL

    def __post_init__(self) -> None:
        unknown = [name for name in self.features if name not in FEATURES]
        if unknown or not self.features:
            raise ConfigError(f"inputs.features: unknown {unknown or 'empty list'}. Choose from {', '.join(FEATURES)}.")
        for name in ("voxel_size_m", "intensity_scale", "max_range_m"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > 0):
                raise ConfigError(f"inputs.{name}: expected a positive number, got {value}.")
        if not 1 <= self.levels <= 8:
            raise ConfigError(f"inputs.levels: expected 1 to 8, got {self.levels}.")
        if self.stem_kernel not in (3, 5):
            raise ConfigError(f"inputs.stem_kernel: expected 3 or 5, got {self.stem_kernel}.")

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        return {**asdict(self), "features": list(self.features)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> InputSpec:
        """Make a spec from `to_dict`'s form; `ConfigError` names unknown and missing keys and wrong types."""
        expected: dict[str, type | tuple[type, ...]] = {
            "voxel_size_m": (int, float),
            "features": (list, tuple),
            "intensity_scale": (int, float),
            "max_range_m": (int, float),
            "levels": int,
            "stem_kernel": int,
        }
        if set(values) != set(expected):
            raise ConfigError(
                f"inputs: expected the keys {', '.join(expected)}; "
                f"missing {sorted(set(expected) - set(values))}, unknown {sorted(set(values) - set(expected))}."
            )
        for name, kind in expected.items():
            if not isinstance(values[name], kind) or isinstance(values[name], bool):
                raise ConfigError(f"inputs.{name}: got {values[name]!r} of type {type(values[name]).__name__}.")
        return cls(**{**values, "features": tuple(str(name) for name in values["features"])})


def build_inputs(frame: Frame, spec: InputSpec, *, compiled: bool | None = None) -> NetworkInputs:
    """Voxelise a sweep and make the features (V, F) and index tables that the network takes.

    For `compiled` see `acceleration`. Raises `DataError` when a feature needs what the frame lacks (colours).
    """
    voxels = voxelize(frame.points, spec.voxel_size_m, max_range_m=spec.max_range_m, compiled=compiled)
    mean = functools.partial(mean_per_voxel, voxels=voxels, compiled=compiled)
    features = np.empty((len(voxels.coords), len(spec.features)), dtype=np.float32)
    for column, name in enumerate(spec.features):
        features[:, column] = FEATURES[name](frame, spec, voxels, mean)
    index = build_sparse_index(voxels.coords, spec.levels, spec.stem_kernel, compiled=compiled)
    return NetworkInputs(features=features, index=index, voxels=voxels)


def warm_up(spec: InputSpec) -> NetworkInputs:
    """Prepare a sweep of one point, so that the first real one does not wait for kernels to compile."""
    one_point = Frame(
        points=np.zeros((1, 3), dtype=np.float32),
        intensity=np.zeros(1, dtype=np.float32),
        colors=np.zeros((1, 3), dtype=np.uint8),
        stamp_ns=0,
        frame_id="",
    )
    return build_inputs(one_point, spec)


Mean = Callable[[NDArray[Any]], NDArray[np.float32]]
"""Values (N,) of the points to their means (V,) over the voxels."""
Column = Callable[[Frame, InputSpec, Voxels, Mean], NDArray[np.float32]]


def _one(frame: Frame, spec: InputSpec, voxels: Voxels, mean: Mean) -> NDArray[np.float32]:
    return np.ones(len(voxels.coords), dtype=np.float32)


def _intensity(frame: Frame, spec: InputSpec, voxels: Voxels, mean: Mean) -> NDArray[np.float32]:
    scaled = frame.intensity.astype(np.float32) / np.float32(spec.intensity_scale)
    return mean(np.fmin(np.fmax(scaled, 0.0), 1.0))  # fmax: NaN becomes 0


def _range(frame: Frame, spec: InputSpec, voxels: Voxels, mean: Mean) -> NDArray[np.float32]:
    return mean(np.linalg.norm(frame.points, axis=1)) / np.float32(spec.max_range_m)


def _position(axis: int) -> Column:
    def column(frame: Frame, spec: InputSpec, voxels: Voxels, mean: Mean) -> NDArray[np.float32]:
        return mean(frame.points[:, axis])

    return column


def _offset(axis: int) -> Column:
    def column(frame: Frame, spec: InputSpec, voxels: Voxels, mean: Mean) -> NDArray[np.float32]:
        centre_m = (voxels.coords[:, axis] + 0.5) * spec.voxel_size_m
        return (mean(frame.points[:, axis]) - centre_m.astype(np.float32)) / np.float32(spec.voxel_size_m)

    return column


def _color(channel: int) -> Column:
    def column(frame: Frame, spec: InputSpec, voxels: Voxels, mean: Mean) -> NDArray[np.float32]:
        if frame.colors is None:
            raise DataError(
                "build_inputs: the model takes colours, but this cloud has none. "
                "Publish an XYZRGB cloud or choose a bundle trained without red, green, blue."
            )
        return mean(frame.colors[:, channel]) / np.float32(255.0)

    return column


FEATURES: dict[str, Column] = {
    "one": _one,
    "intensity": _intensity,
    "range": _range,
    "x": _position(0),
    "y": _position(1),
    "z": _position(2),
    "offset_x": _offset(0),
    "offset_y": _offset(1),
    "offset_z": _offset(2),
    "red": _color(0),
    "green": _color(1),
    "blue": _color(2),
}
"""Input columns by name: x, y, z mean position in metres (lidar frame), `range` in units of max_range_m, offsets of the
mean from the voxel's centre in voxel edges (-0.5..0.5), intensity and colours in 0..1."""
