"""Memory: how much a run took, and what to say when it did not suffice."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ov3d_perception.errors import ConfigError

_WANT_OF_MEMORY = (
    "not enough memory", "can't allocate memory", "CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED"
)  # fmt: skip
"""What torch's allocator for the CPU, CUDA's driver and cuBLAS say, each in a plain RuntimeError."""


def peak_memory_mb(device: torch.device) -> float:
    """Return the most memory (MB) that tensors took so far on a GPU, or that this process took on the CPU."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return size / 1e6 if sys.platform == "darwin" else size * 1024 / 1e6  # bytes there, KiB elsewhere


@contextmanager
def memory_errors(where: str, *, sweeps: int, voxels: int | None = None) -> Iterator[None]:
    """Raise a `ConfigError` that says what to lower when the block runs out of memory on a batch."""
    try:
        yield
    except (torch.cuda.OutOfMemoryError, MemoryError, RuntimeError) as error:
        own = isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError))
        if not own and not any(words in str(error) for words in _WANT_OF_MEMORY):
            raise
        size = f"{sweeps} sweeps" + ("" if voxels is None else f", {voxels:,} voxels")
        reason = " ".join(str(error).split())[:160] or type(error).__name__
        raise ConfigError(
            f"{where}: not enough memory for a batch of {size} ({reason}). Lower batch and raise accumulate, or "
            "set precision=bf16 (on a GPU), and continue with --resume from the last checkpoint; or start anew with a "
            "larger inputs.voxel_size_m or a smaller inputs.max_range_m."
        ) from error
