"""Sparse convolution by the kernels of spconv-triton (PyPI, Apache-2.0), on GPUs.

It replaces spconv with kernels in Triton. Of its layers, hash tables and weights nothing is used: its function
`ops.implicit_gemm` takes gather tables, and these are made of ours, once for all convolutions of a pass that share
them. One kernel does all offsets; sums are float32 and in a fixed order, without atomics.
"""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import torch
from torch.autograd.function import once_differentiable

from ov3d_perception.errors import ConfigError

from .base import ChildTable, PairTable, check_kernel, in_autocast_dtype
from .gather_tables import GatherTable, GatherTables, strided_tables, submanifold_tables

_DTYPES = (torch.float32, torch.float16, torch.bfloat16)
_ONE_PART = [np.array([0xFFFFFFFF], dtype=np.uint32)]
"""The masks are not split: one part with all bits."""

_log = logging.getLogger(__name__)


class SpconvTriton:
    """The backend for training on GPUs; float32, float16 and bfloat16."""

    name = "spconv_triton"

    def __init__(self) -> None:
        """Import the package; `ConfigError` says what to install."""
        try:
            from spconv_triton.pytorch import ops
        except ImportError as error:
            raise ConfigError(
                f"backend spconv_triton: it cannot be imported ({error}). pip install 'ov3d_trainer[spconv]', with a "
                "torch built for the GPU, which brings triton; or set network.backend=torch."
            ) from error
        self._ops = ops
        _log.info(
            "backend spconv_triton: the first step on a machine compiles kernels for long; TRITON_CACHE_DIR keeps them"
        )

    def submanifold(self, features: torch.Tensor, weight: torch.Tensor, pairs: PairTable) -> torch.Tensor:
        """See `SparseConvBackend`."""
        check_kernel(weight, 2 * len(pairs.counts) + 1)
        if "gather" not in pairs.derived:
            pairs.derived["gather"] = submanifold_tables(pairs, len(features))
        return self._convolve(features, weight, pairs.derived["gather"])

    def strided(self, features: torch.Tensor, weight: torch.Tensor, children: ChildTable) -> torch.Tensor:
        """See `SparseConvBackend`."""
        return self._convolve(features, weight, _between_levels(weight, children))

    def transposed(self, features: torch.Tensor, weight: torch.Tensor, children: ChildTable) -> torch.Tensor:
        """See `SparseConvBackend`."""
        return self._convolve(features, weight, _between_levels(weight, children).transposed())

    def _convolve(self, features: torch.Tensor, weight: torch.Tensor, tables: GatherTables) -> torch.Tensor:
        features, weight = in_autocast_dtype(features, weight)
        if not features.is_cuda or features.dtype not in _DTYPES:
            raise ConfigError(
                f"backend spconv_triton: it computes in float32, float16 or bfloat16 on a GPU, and got "
                f"{features.dtype} on {features.device}. Set device=cuda, or network.backend=torch."
            )
        return _ImplicitGemm.apply(features, weight, self._ops, tables)


class _ImplicitGemm(torch.autograd.Function):
    """One call of the package's kernels each way; it wants weights as (Cout, K, Cin)."""

    @staticmethod
    def forward(ctx: Any, features: torch.Tensor, weight: torch.Tensor, ops: Any, tables: GatherTables) -> torch.Tensor:
        filters = weight.permute(2, 0, 1).contiguous()
        ctx.save_for_backward(features, filters)
        ctx.ops, ctx.tables = ops, tables
        table = tables.forward
        out, _, _ = ops.implicit_gemm(
            features,
            filters,
            table.rows,
            *_mask_and_order(table),
            table.rows.shape[1],
            _ONE_PART,
            is_train=True,
            is_subm=False,
            fp32_accum=True,
        )
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        features, filters = ctx.saved_tensors
        there, back = ctx.tables.forward, ctx.tables.backward
        (mask, order), (back_mask, back_order) = _mask_and_order(there), _mask_and_order(back)
        features_gradient, filters_gradient = ctx.ops.implicit_gemm_backward(
            features,
            filters,
            gradient.contiguous(),
            there.rows,
            back.rows,
            mask,
            back_mask,
            order,
            back_order,
            mask_output_fwd=None,
            masks=_ONE_PART,
            mask_width=-1,
            is_subm=False,
            fp32_accum=True,
        )
        return features_gradient, filters_gradient.permute(1, 2, 0).contiguous(), None, None


def _between_levels(weight: torch.Tensor, children: ChildTable) -> GatherTables:
    check_kernel(weight, len(children.counts))
    if "gather" not in children.derived:
        children.derived["gather"] = strided_tables(children)
    tables: GatherTables = children.derived["gather"]
    return tables


def _mask_and_order(table: GatherTable) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Return them as lists of parts, as the package takes them; none where there are too many offsets."""
    if table.mask is None or table.order is None:
        return [], []
    return [table.mask], [table.order]
