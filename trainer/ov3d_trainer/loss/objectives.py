"""What one step minimises: the network's output compared with pooled supervision, one class per kind of supervision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import torch
from torch.nn import functional as F

from ..network.head import linear_length, linear_similarity, text_similarity
from .distillation import DistillationLoss, LossParts, class_weights, weighted_mean

if TYPE_CHECKING:
    from ..config import LossConfig
    from ..network.model import SparseUNet
    from ..teacher import Teacher

_EPSILON = 1e-12


class Objective(Protocol):
    """A loss over voxels, ready for a network's inputs and a batch's pooled supervision."""

    def count(self, targets: torch.Tensor) -> torch.Tensor:
        """Return (K,) float64: how much of the pooled supervision (V, ...) speaks for each text row."""

    def balanced(self, counts: torch.Tensor, config: LossConfig) -> Objective:
        """Return the same loss with weights per text row that follow from how often each occurs."""

    def to(self, device: torch.device) -> Objective:
        """Return the same loss with its tensors on a device."""

    def __call__(
        self, model: SparseUNet, features: torch.Tensor, index: Mapping[str, torch.Tensor], targets: torch.Tensor
    ) -> LossParts:
        """Run the network and compare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedObjective:
    """For teachers that name points: `targets` (V, K) are shares of text rows."""

    loss: DistillationLoss

    def count(self, targets: torch.Tensor) -> torch.Tensor:
        """Return the sum per text row."""
        return targets.double().sum(dim=0)

    def balanced(self, counts: torch.Tensor, config: LossConfig) -> NamedObjective:
        """Weigh text rows by how often they occur."""
        weight = class_weights(counts, config.class_balance, config.max_class_weight)
        return NamedObjective(loss=replace(self.loss, class_weight=weight))

    def to(self, device: torch.device) -> NamedObjective:
        """Return the same loss with its tensors on a device."""
        return NamedObjective(loss=self.loss.to(device))

    def __call__(
        self, model: SparseUNet, features: torch.Tensor, index: Mapping[str, torch.Tensor], targets: torch.Tensor
    ) -> LossParts:
        """Compare similarities to the text rows with the shares."""
        return self.loss(text_similarity(model, features, index, self.loss.text), targets)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureObjective:
    """For teachers with features: `targets` (V, C + 1) are a code, weighted, and its weight.

    The teacher's feature is `code @ decoder`. Two terms: cosine distance to it, and the divergence of the student's
    softmax over the bank `text` (K, D) from the teacher's; the second makes the difference between near words count,
    and keeps features where texts are.
    """

    text: torch.Tensor
    decoder: torch.Tensor
    class_weight: torch.Tensor
    cosine: float = 1.0
    divergence: float = 1.0
    temperature: float = 0.05
    teacher_temperature: float = 0.05

    def count(self, targets: torch.Tensor) -> torch.Tensor:
        """Return how much weight each text row gets as the teacher's nearest."""
        code, weight = self._supervised(targets)[1:]
        nearest = (code @ (self.decoder @ self.text.T)).argmax(dim=1)
        return torch.zeros(len(self.text), dtype=torch.float64).index_add(0, nearest, weight.double())

    def balanced(self, counts: torch.Tensor, config: LossConfig) -> FeatureObjective:
        """Weigh voxels by how often the teacher's nearest text row occurs."""
        return replace(self, class_weight=class_weights(counts, config.class_balance, config.max_class_weight))

    def to(self, device: torch.device) -> FeatureObjective:
        """Return the same loss with its tensors on a device."""
        moved = {name: getattr(self, name).to(device) for name in ("text", "decoder", "class_weight")}
        return replace(self, **moved)

    def __call__(
        self, model: SparseUNet, features: torch.Tensor, index: Mapping[str, torch.Tensor], targets: torch.Tensor
    ) -> LossParts:
        """Compare features and softmaxes."""
        rows, code, weight = self._supervised(targets)
        hidden = model.hidden(features, index)[rows]
        final, bias = model.final.weight, model.final.bias
        length = (code @ (self.decoder @ self.decoder.T) * code).sum(dim=1).clamp_min(_EPSILON).sqrt()
        taught = (code @ (self.decoder @ self.text.T)) / length[:, None]
        similarity = linear_similarity(hidden, final, bias, self.text)
        nearest = taught.argmax(dim=1)
        weight = weight * self.class_weight[nearest]
        divergence = self._divergence(similarity, taught, weight)
        cosine = weighted_mean(1.0 - self._cosine(hidden, final, bias, code) / length, weight)
        agreement = (similarity.detach().argmax(dim=1) == nearest).float().mean().nan_to_num()
        total = self.cosine * cosine + self.divergence * divergence
        return LossParts(
            total=total,
            cosine=cosine.detach(),
            cross_entropy=divergence.detach(),
            agreement=agreement.detach(),
            weight=weight.sum().detach(),
            supervised=len(weight),
        )

    def _divergence(self, similarity: torch.Tensor, taught: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        wanted = F.softmax(taught / self.teacher_temperature, dim=1)
        log_probability = F.log_softmax(similarity / self.temperature, dim=1)
        return weighted_mean(F.kl_div(log_probability, wanted, reduction="none").sum(dim=1), weight)

    def _cosine(
        self, hidden: torch.Tensor, final: torch.Tensor, bias: torch.Tensor, code: torch.Tensor
    ) -> torch.Tensor:
        """Return (S,): unit student feature times `code @ decoder`, without making either."""
        dots = (hidden @ (final @ self.decoder.T) + self.decoder @ bias) * code
        return dots.sum(dim=1) / linear_length(hidden, final, bias)

    def _supervised(self, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return rows (S,), code (S, C) and weight (S,) of the voxels that have a feature."""
        weight = targets[:, -1]
        rows = torch.nonzero(weight > 0)[:, 0]
        weight = weight[rows]
        return rows, targets[rows, :-1] / weight[:, None], weight


def make_objective(config: LossConfig, teacher: Teacher) -> Objective:
    """Return the loss for a teacher's kind of supervision; weights per text row are 1."""
    text = torch.from_numpy(teacher.targets.text)
    even = torch.ones(len(text))
    if teacher.targets.decoder is not None:
        return FeatureObjective(
            text=text,
            decoder=torch.from_numpy(teacher.targets.decoder),
            class_weight=even,
            cosine=config.cosine,
            divergence=config.cross_entropy,
            temperature=config.temperature,
            teacher_temperature=config.teacher_temperature or config.temperature,
        )
    loss = DistillationLoss(
        text=text,
        class_weight=even,
        cosine=config.cosine,
        cross_entropy=config.cross_entropy,
        temperature=config.temperature,
    )
    return NamedObjective(loss=loss)
