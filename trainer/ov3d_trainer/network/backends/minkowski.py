"""Sparse convolution by MinkowskiEngine, which has to be built (`make peers`): to compare with, not to be fast.

It works on coordinates and finds neighbours itself, so an index must carry them (`COORDS`), as the batches of training
do; ours go unused. Each forward pass inserts the voxels of every level into a coordinate manager once, in the order of
our tables, so that rows need no sorting afterwards. Computes in float32, or float64 where features are.
"""

from __future__ import annotations

from typing import Any

import torch

from ov3d_perception.errors import ConfigError

from .base import COORDS, ChildTable, PairTable, Places

_DIMENSION = 3


class Minkowski:
    """MinkowskiEngine's convolutions on our levels; `ConfigError` where it does not import."""

    name = "minkowski"

    def __init__(self) -> None:
        try:
            import MinkowskiEngine
            from MinkowskiEngineBackend._C import ConvolutionMode
        except ImportError as error:
            raise ConfigError(
                f"backend minkowski: MinkowskiEngine does not import ({error}). Set network.backend=torch, or build "
                "it: docs/peers.md."
            ) from error
        self._engine = MinkowskiEngine
        self._mode = ConvolutionMode.DEFAULT

    def submanifold(self, features: torch.Tensor, weight: torch.Tensor, pairs: PairTable) -> torch.Tensor:
        """See `SparseConvBackend`."""
        function = self._engine.MinkowskiConvolutionFunction
        return self._apply(function, features, weight, pairs.places, (pairs.level, pairs.level), stride=1)

    def strided(self, features: torch.Tensor, weight: torch.Tensor, children: ChildTable) -> torch.Tensor:
        """See `SparseConvBackend`."""
        function = self._engine.MinkowskiConvolutionFunction
        levels = (children.level, children.level + 1)
        return self._apply(function, features, weight, children.places, levels, stride=2)

    def transposed(self, features: torch.Tensor, weight: torch.Tensor, children: ChildTable) -> torch.Tensor:
        """See `SparseConvBackend`."""
        function = self._engine.MinkowskiConvolutionTransposeFunction
        levels = (children.level + 1, children.level)
        return self._apply(function, features, weight, children.places, levels, stride=2)

    def _apply(
        self,
        function: Any,
        features: torch.Tensor,
        weight: torch.Tensor,
        places: Places | None,
        levels: tuple[int, int],
        *,
        stride: int,
    ) -> torch.Tensor:
        if places is None:
            raise ConfigError(f"backend minkowski: the index lacks the voxels ({COORDS}). Use the backend torch here.")
        dtype = torch.float64 if features.dtype == torch.float64 else torch.float32
        if not len(features):
            return (features @ weight.sum(dim=0)).to(dtype)
        if "minkowski" not in places.kept:
            places.kept["minkowski"] = self._insert(places)
        manager, keys = places.kept["minkowski"]
        edge = round(len(weight) ** (1 / 3))
        generator = self._engine.KernelGenerator(kernel_size=edge, stride=stride, dimension=_DIMENSION)
        with torch.autocast(features.device.type, enabled=False):
            return function.apply(
                features.to(dtype),
                _x_fastest(weight.to(dtype), edge),
                generator,
                self._mode,
                keys[levels[0]],
                keys[levels[1]],
                manager,
            )

    def _insert(self, places: Places) -> tuple[Any, list[Any]]:
        """Return a coordinate manager that knows every level, and the levels' keys."""
        manager = self._engine.CoordinateManager(
            D=_DIMENSION, coordinate_map_type=self._engine.CoordinateMapType.CPU, num_threads=torch.get_num_threads()
        )
        keys = []
        for level, coords in enumerate(places.coords):
            batched = torch.zeros((len(coords), 1 + _DIMENSION), dtype=torch.int32)
            batched[:, 1:] = coords << level
            key, _ = manager.insert_and_map(batched, tensor_stride=2**level)
            keys.append(key)
        return manager, keys


def _x_fastest(weight: torch.Tensor, edge: int) -> torch.Tensor:
    grid = weight.reshape(edge, edge, edge, *weight.shape[1:])
    return grid.permute(2, 1, 0, 3, 4).reshape(weight.shape).contiguous()
