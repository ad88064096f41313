"""Losses over voxels: all weighted, all differentiable in the embedding."""

from .distillation import DistillationLoss, LossParts, class_weights, text_cross_entropy, weighted_cosine

__all__ = ["DistillationLoss", "LossParts", "class_weights", "text_cross_entropy", "weighted_cosine"]
