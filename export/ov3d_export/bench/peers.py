"""The same network in the libraries that ov3d is compared with: same weights, same voxels, same result.

They live in an environment of their own (`make peers`). What is returned here maps a sweep from numpy to numpy on the
CPU, building of coordinate maps included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from ov3d_perception.errors import ConfigError
from ov3d_trainer.network.minkowski_import import to_minkowski
from ov3d_trainer.network.model import UNetConfig

Network = Callable[[NDArray[np.float32], NDArray[np.int32]], NDArray[np.float32]]
"""(V, F) features and (V, 3) unique voxel coordinates to (V, D) unit vectors, rows in the same order."""


def minkowski_network(config: UNetConfig, state: Mapping[str, torch.Tensor]) -> Network:
    """Return the network of a `SparseUNet`'s state dict in MinkowskiEngine; `ConfigError` where that is missing.

    Maps and gathering take `torch.get_num_threads()`; OpenBLAS, which multiplies, takes what OPENBLAS_NUM_THREADS or
    OMP_NUM_THREADS said when it was loaded: measure every number of threads in a process of its own.
    """
    _no_anchors(config)
    try:
        import MinkowskiEngine as ME  # noqa: N817, the name that its users know

        from .minkowski_unet import MinkowskiUNet
    except ImportError as error:
        raise ConfigError(f"minkowski: MinkowskiEngine does not import ({error}). Use `make peers`.") from error
    model = MinkowskiUNet(config).eval()
    model.load_state_dict(to_minkowski(state))

    def network(features: NDArray[np.float32], coords: NDArray[np.int32]) -> NDArray[np.float32]:
        batch = np.zeros((len(coords), 4), dtype=np.int32)
        batch[:, 1:] = coords
        manager = ME.CoordinateManager(D=3, num_threads=torch.get_num_threads())  # else it sets torch's own
        with torch.inference_mode():
            tensor = ME.SparseTensor(torch.from_numpy(features), torch.from_numpy(batch), coordinate_manager=manager)
            return _unit(model(tensor))

    return network


def spconv_network(config: UNetConfig, state: Mapping[str, torch.Tensor]) -> Network:
    """Return the network of a `SparseUNet`'s state dict in spconv; `ConfigError` where that is missing.

    Its CPU code gives wrong results with more than one thread (its OpenMP turns out to be the one that torch brings),
    so the whole network computes with one, whatever `torch.set_num_threads` says.
    """
    _no_anchors(config)
    try:
        import spconv.pytorch as spconv

        from .spconv_unet import SpconvUNet, spconv_state
    except ImportError as error:
        raise ConfigError(f"spconv: does not import ({error}). Use `make peers`.") from error
    model = SpconvUNet(config).eval()
    model.load_state_dict(spconv_state(dict(state)))
    coarsest = 2 ** (config.levels - 1)

    def network(features: NDArray[np.float32], coords: NDArray[np.int32]) -> NDArray[np.float32]:
        low = coords.min(axis=0) // coarsest * coarsest  # whole coarsest voxels, so that halving finds the same parents
        batch = np.zeros((len(coords), 4), dtype=np.int32)
        batch[:, 1:] = coords - low
        shape = (batch[:, 1:].max(axis=0) // coarsest + 1) * coarsest
        with torch.inference_mode(), _one_thread():
            tensor = spconv.SparseConvTensor(torch.from_numpy(features), torch.from_numpy(batch), shape.tolist(), 1)
            return _unit(model(tensor))

    return network


def _unit(rows: torch.Tensor) -> NDArray[np.float32]:
    return torch.nn.functional.normalize(rows, dim=1).numpy()


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _no_anchors(config: UNetConfig) -> None:
    if config.anchors:
        raise ConfigError("peers: compare a network without anchors (anchors=0); these are no convolution.")
