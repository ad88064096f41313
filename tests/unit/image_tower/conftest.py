"""A small image tower, a text side that invents a vector for any text, and images made of coloured squares."""

import hashlib

import numpy as np
import pytest
import torch

from ov3d_trainer.image_tower.checkpoint import TowerCheckpoint
from ov3d_trainer.image_tower.network import ImageTower, ImageTowerConfig

TINY = ImageTowerConfig(
    embedding_dim=16, channels=(8, 8, 8, 8, 8), blocks=(1, 1, 1, 1), decoder=(8, 8, 8, 8), image_width=64, anchors=2
)


class InventedText:
    """A `TextEncoder` whose vectors are random, but always the same for the same text."""

    supports_templates = True
    space = "test:invented"
    dim = 16

    def encode(self, texts):
        rows = []
        for text in texts:
            seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
            rows.append(np.random.default_rng(seed).normal(size=self.dim))
        vectors = np.array(rows, np.float32).reshape(-1, self.dim)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture
def text():
    return InventedText()


@pytest.fixture
def checkpoint():
    model = ImageTower(TINY, seed=3)
    model.anchors.text.copy_(torch.from_numpy(InventedText().encode(["car", "tree"])))
    return TowerCheckpoint(
        network=TINY,
        text_space="test:invented",
        kinds=("car", "tree"),
        model_state=model.state_dict(),
    )
