"""Distillation losses: pull each voxel's embedding to its target's text vector and away from the other words.

The cosine term alone separates close words poorly ("car" and "truck" share most of their text vector), so a
cross-entropy over the vocabulary's rows, with a temperature as in CLIP (Radford et al. 2021, section 2.3), stands
beside it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch.nn import functional as F

_EPSILON = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class LossParts:
    """One step's loss: `total` is what is minimised, the others are unscaled; all are scalars.

    `total`, `cosine` and `cross_entropy` are means over voxels whose weights sum to `weight`. `agreement` is the share
    of the `supervised` voxels whose nearest text row is the wanted one.
    """

    total: torch.Tensor
    cosine: torch.Tensor
    cross_entropy: torch.Tensor
    agreement: torch.Tensor
    weight: torch.Tensor
    supervised: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DistillationLoss:
    """Weighted sum of cosine loss and text cross-entropy.

    `text` (K, D), unit rows. `class_weight` (K,) multiplies each target's weight.
    """

    text: torch.Tensor
    class_weight: torch.Tensor
    cosine: float = 1.0
    cross_entropy: float = 1.0
    temperature: float = 0.07

    def to(self, device: torch.device) -> DistillationLoss:
        """Return the same loss with its tensors on a device."""
        return replace(self, text=self.text.to(device), class_weight=self.class_weight.to(device))

    def __call__(self, similarity: torch.Tensor, targets: torch.Tensor) -> LossParts:
        """Compare cosine similarities to the text rows (V, K) with pooled targets (V, K) of `lift.voxel_targets`.

        A voxel weighs as much as its row sums to; rows of zeros count nothing. The cosine term is against the unit
        mean of the voxel's text rows. Without any target the loss is 0, with zero gradients.
        """
        rows = targets.sum(dim=1) > 0
        wanted = targets[rows].argmax(dim=1)
        similarity, share = similarity[rows], targets[rows] * self.class_weight
        weight = share.sum(dim=1)
        share = share / weight.clamp_min(_EPSILON)[:, None]
        length = (share @ (self.text @ self.text.T) * share).sum(dim=1).clamp_min(_EPSILON).sqrt()
        cosine = weighted_cosine((similarity * share).sum(dim=1) / length, weight)
        entropy = text_cross_entropy(similarity, share, weight, self.temperature)
        total = self.cosine * cosine + self.cross_entropy * entropy
        agreement = (similarity.argmax(dim=1) == wanted).float().mean().nan_to_num()
        return LossParts(
            total=total,
            cosine=cosine.detach(),
            cross_entropy=entropy.detach(),
            agreement=agreement.detach(),
            weight=weight.sum().detach(),
            supervised=len(weight),
        )


def weighted_cosine(cosine: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return sum(w (1 - cos)) / sum(w) for cosines and weights (V,); 0 where all weights are 0."""
    return weighted_mean(1.0 - cosine, weight)


def text_cross_entropy(
    similarity: torch.Tensor, share: torch.Tensor, weight: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Return the weighted mean of -sum_k share_k log softmax(similarity / temperature)_k.

    `similarity` (V, K) are cosines, rows of `share` (V, K) sum to 1, `weight` is (V,).
    """
    log_probability = F.log_softmax(similarity / temperature, dim=1)
    return weighted_mean(-(share * log_probability).sum(dim=1), weight)


def class_weights(counts: torch.Tensor, power: float, largest: float) -> torch.Tensor:
    """Return (K,) weights proportional to counts^-power, at most `largest`, with mean 1 over all counted points.

    `power` 0 weighs points alike, 1 weighs classes alike. Classes that never occur get weight 1. The limit holds
    relative to the most frequent class, before scaling to mean 1.
    """
    occurring = counts > 0
    relative = torch.ones(len(counts), dtype=torch.float64)
    relative[occurring] = (counts.max() / counts[occurring].double()).pow(power).clamp_max(largest)
    scale = counts.sum() / (relative * counts).sum().clamp_min(_EPSILON) if bool(occurring.any()) else 1.0
    return torch.where(occurring, relative * scale, torch.ones_like(relative)).float()


def weighted_mean(values: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """Return sum(w x) / sum(w) for values and weights (V,); 0 where all weights are 0."""
    return (values * weight).sum() / weight.sum().clamp_min(_EPSILON)
