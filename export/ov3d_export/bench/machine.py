"""What the figures belong to: processor, cores, memory, GPU and versions."""

from __future__ import annotations

import os
import platform
import resource
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

_PACKAGES = (
    "ov3d_perception", "numpy", "numba", "onnx", "onnxruntime", "onnxruntime-gpu", "torch", "MinkowskiEngine", "spconv",
    "spconv_triton", "triton",
)  # fmt: skip
_VECTOR_FLAGS = ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "asimd", "sve")


def describe_machine() -> dict[str, Any]:
    """Return plain JSON types; what cannot be found out is None."""
    return {
        "processor": _processor(),
        "vector_instructions": _vector_instructions(),
        "cores": usable_cores(),
        "memory_gb": _memory_gb(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "gpu": gpu_name(),
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
    }


def usable_cores() -> int:
    """Return how many cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpu_name() -> str | None:
    """Return the name of the first CUDA device, None where torch sees none."""
    try:
        import torch
    except ImportError:
        return None
    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def peak_memory_mb() -> float:
    """Return the most memory that this process has held so far (resident set)."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6


def load_average() -> float:
    """Return how many processes wanted to run over the last minute: more than the cores means noise."""
    return os.getloadavg()[0]


def _processor() -> str:
    return _from_file(Path("/proc/cpuinfo"), "model name") or platform.processor() or platform.machine()


def _vector_instructions() -> list[str]:
    flags = (_from_file(Path("/proc/cpuinfo"), "flags") or _from_file(Path("/proc/cpuinfo"), "Features") or "").split()
    return [flag for flag in _VECTOR_FLAGS if flag in flags]


def _memory_gb() -> float | None:
    found = _from_file(Path("/proc/meminfo"), "MemTotal")
    return round(int(found.split()[0]) * 1024 / 1e9, 1) if found else None


def _from_file(path: Path, key: str) -> str | None:
    if not path.is_file():
        return None
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return None


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
