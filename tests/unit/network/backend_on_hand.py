"""Where a backend can compute here: on which device, or the reason why it cannot."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch

from ov3d_perception.errors import ConfigError
from ov3d_trainer.network.backends import SparseConvBackend, open_backend


def open_or_skip(name: str, monkeypatch: pytest.MonkeyPatch) -> tuple[SparseConvBackend, str]:
    """Return the backend and the device that its tensors belong on; skip, with the reason, where it cannot run.

    `spconv_triton` needs a GPU, or triton's interpreter: TRITON_INTERPRET=1 with triton and spconv-triton installed.
    """
    if name == "torch":
        return open_backend(name), "cuda" if torch.cuda.is_available() else "cpu"
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    if not interpreted and not torch.cuda.is_available():
        pytest.skip(f"{name}: no GPU here, and TRITON_INTERPRET is not 1")
    try:
        backend = open_backend(name)
    except ConfigError as error:
        pytest.skip(str(error))
    if interpreted:
        _interpret(monkeypatch)
    return backend, "cpu" if interpreted else "cuda"


def skip_if_interpreted(dtype: torch.dtype | None, device: str, name: str) -> None:
    """Skip what triton's interpreter cannot do: it multiplies the bits of bfloat16 numbers as integers."""
    if name == "spconv_triton" and device == "cpu" and dtype == torch.bfloat16:
        pytest.skip("triton's interpreter has no bfloat16 products")


def _interpret(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the kernels run in the interpreter: they insist on GPU tensors, and try out block sizes on the GPU."""
    from spconv_triton.pytorch._impl import gemm

    def one(kernel: Any) -> None:
        small = [config for config in kernel.configs if 16 in config.kwargs.values()]
        monkeypatch.setattr(kernel, "configs", small[:1])

    one(gemm._gather_gemm_kernel)
    one(gemm._dweight_masked_kernel)
    monkeypatch.setattr(gemm, "_multiprocessor_count", lambda device: 16)
    monkeypatch.setattr(torch.Tensor, "is_cuda", True, raising=False)
