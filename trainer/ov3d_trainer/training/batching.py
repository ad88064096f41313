"""From samples to batches: supervision per point, augmentation, network inputs, joint index of several sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from ov3d_perception.inputs import InputSpec, build_inputs
from ov3d_perception.sparse_index import IndexTables, build_sparse_index
from ov3d_perception.types import Frame, NetworkInputs

from ..network.backends import COORDS, index_tensors, stays_on_cpu
from ..supervision.prepared import Prepared
from .augment import augment
from .augmentation import AugmentationConfig
from .mixing import mix_pairs

_REACH = 1.5
"""Points farther than this many times the network's range are left out before a sweep is changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What one step needs: `features` (V, F), `index` tables, `targets` (V, ...) as `Supervision.pool` makes them."""

    features: torch.Tensor
    index: dict[str, torch.Tensor]
    targets: torch.Tensor

    def to(self, device: torch.device) -> Batch:
        """Return the batch on a device; counts and sizes stay on the CPU, see `index_tensors`."""
        return Batch(
            features=self.features.to(device),
            index={name: table if stays_on_cpu(name) else table.to(device) for name, table in self.index.items()},
            targets=self.targets.to(device),
        )


def rows_of_step(step: int, batch: int, count: int, seed: int) -> list[int]:
    """Return the samples of one step: a new random order in every epoch, all from `seed`, so that resuming is exact."""
    rows = []
    for position in range(step * batch, (step + 1) * batch):
        epoch, place = divmod(position, count)
        rows.append(int(np.random.default_rng([seed, 1, epoch]).permutation(count)[place]))
    return rows


def make_batch(
    samples: Sequence[Prepared],
    spec: InputSpec,
    augmentation: AugmentationConfig,
    generators: Sequence[np.random.Generator],
) -> Batch:
    """Augment sweeps, each from a generator of its own, and join them into one set of voxels; no two touch.

    With `augmentation.mix` some are laid over each other, and count as one from there on.
    """
    changed = [
        replace(sample, frame=augment(sample.frame, augmentation, generator, reach_m=_REACH * spec.max_range_m))
        for sample, generator in zip(samples, generators, strict=True)
    ]
    if augmentation.mix:
        changed = mix_pairs(changed, augmentation.mix, generators)
    inputs, tables = joint_inputs([sample.frame for sample in changed], spec)
    rows = [sample.supervision.pool(one.voxels) for sample, one in zip(changed, inputs, strict=True)]
    return Batch(
        features=torch.from_numpy(np.concatenate([one.features for one in inputs])),
        index=index_tensors(tables),
        targets=torch.from_numpy(np.concatenate(rows)),
    )


def joint_inputs(frames: Sequence[Frame], spec: InputSpec) -> tuple[list[NetworkInputs], IndexTables]:
    """Return what the network sees of every frame, and one index of all their voxels, one frame after the other.

    The index carries the voxels, too, for backends that want them.
    """
    if len(frames) == 1:
        inputs = build_inputs(frames[0], spec)
        return [inputs], {**inputs.index, COORDS: inputs.voxels.coords.astype(np.int64)}
    one_level = replace(spec, levels=1, stem_kernel=3)  # the joint index is built below
    several = [build_inputs(frame, one_level) for frame in frames]
    coords = set_apart([inputs.voxels.coords for inputs in several], spec.levels)
    index = build_sparse_index(coords, spec.levels, spec.stem_kernel)
    return several, {**index, COORDS: coords.astype(np.int64)}


def set_apart(coords: Sequence[NDArray[np.int32]], levels: int) -> NDArray[np.int32]:
    """Join the voxels of several sweeps (each sorted) into one sorted array, shifted along x so that none touch.

    Shifts are multiples of the coarsest level's voxel, so that every sweep keeps its own octants; two coarsest voxels
    stay empty in between.
    """
    unit = 2**levels
    shifted = []
    start = 0
    for one in coords:
        if not len(one):
            continue
        shift = -(one[:, 0].min() // unit) * unit + start
        moved = one + np.array([shift, 0, 0], dtype=np.int32)
        shifted.append(moved)
        start = (int(moved[:, 0].max()) // unit + 3) * unit
    return np.concatenate(shifted) if shifted else np.zeros((0, 3), dtype=np.int32)
