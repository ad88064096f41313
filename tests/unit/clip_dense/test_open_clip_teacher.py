"""The open_clip teacher: patch features on points, in the text space of the model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ov3d_perception.errors import ConfigError
from ov3d_perception.projection import project
from ov3d_trainer.config import TeacherConfig
from ov3d_trainer.open_clip_loading import text_space
from ov3d_trainer.teacher import make_teacher
from ov3d_trainer.teacher.open_clip import features_at
from ov3d_trainer.words.vocabulary import parse_vocabulary
from tests.unit.training.hand_made import make_sample, make_view

WORDS = parse_vocabulary({"labels": ["car", "tree"]})
CONFIG = TeacherConfig(
    kind="open_clip", model="ViT-B-32", pretrained="", edit="clearclip", short_side=64, window=0, flip=False
)


class Text:
    """Random unit vectors in the space of a model with random weights."""

    supports_templates = True
    dim = 512

    def __init__(self, space: str = "clip:ViT-B-32/random-0") -> None:
        self.space = space

    def encode(self, texts):
        rows = np.random.default_rng(len(texts[0])).normal(size=(len(texts), self.dim)).astype(np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def sample():
    generator = np.random.default_rng(5)
    views = [
        replace(make_view(name, width=96, height=64), image=generator.integers(0, 256, (64, 96, 3), dtype=np.uint8))
        for name in ("front", "again")
    ]
    return make_sample([[0, 4, 0], [-1, 4, 0.5], [0, -4, 0]], views=views)


def test_points_get_the_mean_feature_of_their_pixels(sample):
    teacher = make_teacher(CONFIG, WORDS, Text(), sample)
    supervision = teacher.supervise(sample)
    assert supervision.rows.tolist() == [0, 1]  # the third is behind both cameras
    assert teacher.targets.names == ("car", "tree")
    read = []
    for view in sample.frame.cameras:
        grid = teacher.dense[0].features(view.image)
        assert grid.shape == (512, 2, 3)  # 64 x 96 pixels, patches of 32
        pixels = project(sample.frame.points[:1], view, min_depth_m=1.0).pixels
        read.append(features_at(grid, view.image.shape, pixels)[0])
    found = supervision.code[0] @ teacher.targets.decoder
    np.testing.assert_allclose(found, np.mean(read, axis=0), atol=1e-3)  # float16
    assert not np.allclose(read[0], read[1], atol=0.01)


def test_features_of_several_image_sizes_are_averaged(sample):
    sizes = [make_teacher(replace(CONFIG, short_side=side), WORDS, Text(), sample) for side in (64, 96)]
    alone = [teacher.supervise(replace(sample, frame=one_view(sample))).code for teacher in sizes]
    both = make_teacher(replace(CONFIG, scales=[1.0, 1.5]), WORDS, Text(), sample)
    assert [dense.features(sample.frame.cameras[0].image).shape for dense in both.dense] == [(512, 2, 3), (512, 3, 4)]
    mean = (alone[0] + alone[1]) / 2
    wanted = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    found = both.supervise(replace(sample, frame=one_view(sample))).code
    np.testing.assert_allclose(found, wanted, atol=2e-3)  # float16


def one_view(sample):
    return replace(sample.frame, cameras=sample.frame.cameras[:1])


def test_features_are_read_between_the_middles_of_cells():
    grid = torch.zeros(2, 1, 2)
    grid[0, 0, 0] = grid[1, 0, 1] = 1.0
    # Cells of 4 pixels: their middles lie at u = 1.5 and 5.5, so that 3.5 is half way.
    pixels = np.array([[1.5, 1.0], [3.5, 1.0], [-0.5, 1.0], [5.5, 1.0]], np.float32)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(features_at(grid, (4, 8, 3), pixels), [[1, 0], [half, half], [1, 0], [0, 1]], atol=1e-6)


def test_text_of_another_model_is_refused(sample):
    with pytest.raises(ConfigError, match="ViT-B-32/openai"):
        make_teacher(CONFIG, WORDS, Text("clip:ViT-B-32/openai"), sample)


def test_space_names_model_and_weights():
    assert text_space("ViT-B-32-quickgelu", "openai") == "clip:ViT-B-32/openai"
    assert text_space("ViT-L-14", "/weights/my_clip.safetensors") == "clip:ViT-L-14/my_clip"
    assert text_space("RN50", None, seed=3) == "clip:RN50/random-3"
