"""Anchors: known texts that a feature is drawn to by how much it resembles each.

A network that is in doubt, or sees something new, gives features that lie off the places where texts are. Adding the
mean of known texts, weighted by the softmax of their cosines, brings them back: a convex combination of semantic
embeddings (ConSE, Norouzi et al. 2014). Losses compare the feature before this step.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class TextAnchors(nn.Module):
    """`text` (K, D), unit rows, is part of the state; a low `temperature` draws to the nearest text alone."""

    text: torch.Tensor

    def __init__(self, count: int, dim: int, temperature: float) -> None:
        super().__init__()
        self.register_buffer("text", torch.zeros(count, dim))
        self.temperature = temperature

    def forward(self, feature: torch.Tensor) -> torch.Tensor:
        """Map unit features (..., D) to unit features (..., D)."""
        likeness = F.softmax(feature @ self.text.T / self.temperature, dim=-1)
        return F.normalize(feature + likeness @ self.text, dim=-1)
