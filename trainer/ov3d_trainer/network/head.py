"""The student's similarity to K words without its (V, D) embedding: what a loss over text rows needs, much cheaper.

The embedding is z / |z| with z = h W + b, so z.t = h (W t) + b.t and |z|^2 = h W W' h' + 2 h W b + b.b: products with
(C, K) and (C, C) matrices instead of (V, D) arrays, which for D = 384 or 512 take up to half of a step on a CPU.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from .model import SparseUNet

_EPSILON = 1e-12


def text_similarity(
    model: SparseUNet, features: torch.Tensor, index: Mapping[str, torch.Tensor], text: torch.Tensor
) -> torch.Tensor:
    """Return `model(features, index) @ text.T` (V, K) for unit rows `text` (K, D), with the same gradients.

    Anchors take no part: losses compare what the network says before these.
    """
    return linear_similarity(model.hidden(features, index), model.final.weight, model.final.bias, text)


def linear_similarity(
    hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, text: torch.Tensor
) -> torch.Tensor:
    """Return cosines (V, K) of `hidden @ weight + bias` to unit rows `text` (K, D), for `weight` (C, D)."""
    dots = hidden @ (weight @ text.T) + text @ bias
    return dots / linear_length(hidden, weight, bias)[:, None]


def linear_length(hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Return the lengths (V,) of `hidden @ weight + bias`, at least 1e-6."""
    squared = (hidden @ (weight @ weight.T) * hidden).sum(dim=1) + 2.0 * (hidden @ (weight @ bias)) + bias @ bias
    return squared.clamp_min(_EPSILON).sqrt()
