"""Sparse convolution backends by name; all take the same tables and the same canonical weights."""

from __future__ import annotations

from collections.abc import Callable

from ov3d_perception.errors import ConfigError

from .base import (
    COORDS,
    ChildTable,
    LevelTables,
    PairTable,
    SparseConvBackend,
    index_tensors,
    read_tables,
    stays_on_cpu,
)
from .minkowski import Minkowski
from .spconv_triton import SpconvTriton
from .torch_pairs import TorchPairs

BACKENDS: dict[str, Callable[[], SparseConvBackend]] = {
    "torch": TorchPairs,
    "spconv_triton": SpconvTriton,
    "minkowski": Minkowski,
}


def open_backend(name: str) -> SparseConvBackend:
    """Return the backend called `name`; `ConfigError` names the ones there are, or what has to be installed for it."""
    if name not in BACKENDS:
        raise ConfigError(f"backend: unknown '{name}'. Choose from {', '.join(sorted(BACKENDS))}.")
    return BACKENDS[name]()


__all__ = [
    "BACKENDS",
    "COORDS",
    "ChildTable",
    "LevelTables",
    "PairTable",
    "SparseConvBackend",
    "index_tensors",
    "open_backend",
    "read_tables",
    "stays_on_cpu",
]
