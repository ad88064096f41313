"""Losses over voxels: all weighted, all differentiable in the embedding."""

from .distillation import DistillationLoss, LossParts, class_weights, text_cross_entropy, weighted_cosine
from .objectives import FeatureObjective, NamedObjective, Objective, make_objective

__all__ = [
    "DistillationLoss",
    "FeatureObjective",
    "LossParts",
    "NamedObjective",
    "Objective",
    "class_weights",
    "make_objective",
    "text_cross_entropy",
    "weighted_cosine",
]
