"""Sparse convolution backends by name; all take the same tables and the same canonical weights."""

from __future__ import annotations

from collections.abc import Callable

from ov3d_perception.errors import ConfigError

from .base import ChildTable, LevelTables, PairTable, SparseConvBackend, index_tensors, read_tables, stays_on_cpu
from .torch_pairs import TorchPairs

BACKENDS: dict[str, Callable[[], SparseConvBackend]] = {"torch": TorchPairs}


def open_backend(name: str) -> SparseConvBackend:
    """Return the backend called `name`; `ConfigError` names the ones there are."""
    if name not in BACKENDS:
        raise ConfigError(f"backend: unknown '{name}'. Choose from {', '.join(sorted(BACKENDS))}.")
    return BACKENDS[name]()


__all__ = [
    "BACKENDS",
    "ChildTable",
    "LevelTables",
    "PairTable",
    "SparseConvBackend",
    "index_tensors",
    "open_backend",
    "read_tables",
    "stays_on_cpu",
]
