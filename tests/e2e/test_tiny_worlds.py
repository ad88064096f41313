"""World -> demo CLIP -> student -> bundle -> figures, as small as it can be and still learn something.

The text side is made up: kinds of one family (ground, plants, structures, vehicles) have vectors near each other, so
that a few steps are enough to tell families apart. Everything else is what the shipped bundle is made with.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from ov3d_export.image_tower import export_image_tower
from ov3d_export.student import export_student
from ov3d_perception.text.bank import write_bank
from ov3d_trainer.benchmark.measure import ALL, SEEN, measure, phrases_of
from ov3d_trainer.benchmark.questions import ClassQuestion
from ov3d_trainer.benchmark.sources import STUDENT, TEACHER, BundleSources
from ov3d_trainer.config import load_config
from ov3d_trainer.data.dataset import open_source
from ov3d_trainer.data.simulate.kinds import KIND_OF
from ov3d_trainer.image_tower.concepts import training_captions
from ov3d_trainer.image_tower.config import load_tower_config
from ov3d_trainer.image_tower.pixels import load_pixels
from ov3d_trainer.image_tower.training import train_image_tower
from ov3d_trainer.training.train import train

FAMILIES = {
    "ground": ("flat.",),
    "plant": ("static.vegetation",),
    "structure": ("static.manmade", "static.other", "movable_object", "static_object"),
    "vehicle": ("vehicle.",),
}
MARGIN = 0.15
"""How much more mean IoU than from calling everything by the commonest family."""
DIM = 24


def family(kind: str) -> str:
    """Return the family of a kind, by its nuScenes category; "" where it has none."""
    category = KIND_OF[kind].nuscenes if kind in KIND_OF else ""
    return next((name for name, starts in FAMILIES.items() if category.startswith(starts)), "")


def direction(name: str) -> np.ndarray:
    seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big")
    vector = np.random.default_rng(seed).normal(size=DIM)
    return vector / np.linalg.norm(vector)


class FamilyText:
    """Vectors of texts: mostly the family's direction, a little of the text's own."""

    supports_templates = True
    space = "test:families"
    dim = DIM

    def __init__(self, family_of_text: dict[str, str]) -> None:
        self.family_of_text = family_of_text

    def encode(self, texts):
        rows = [direction(self.family_of_text.get(text, text)) + 0.35 * direction("own " + text) for text in texts]
        return np.array([row / np.linalg.norm(row) for row in rows], np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("tiny_worlds")


@pytest.fixture(scope="module")
def bank(folder) -> Path:
    """A bank with every text that the training will ask for."""
    source = open_source(load_tower_config(None, settings(folder)).data, str(folder / "cache"))
    things = load_pixels(source).things
    families = {text: family(thing.kind) or thing.kind for thing in things for text in training_captions([thing])}
    families |= {kind: family(kind) or kind for kind in KIND_OF} | {name: name for name in FAMILIES}
    text = FamilyText(families)
    texts = dict.fromkeys([*training_captions(things), *families])
    write_bank(folder / "bank.npz", tuple(texts), text.encode(list(texts)), text.space)
    return folder / "bank.npz"


def settings(folder: Path) -> list[str]:
    return [
        f"cache={folder / 'cache'}", "data.kind=street", "data.seeds=1-6", "data.frames=1", "data.interval_s=4.0",
        "data.cameras=true", "threads=1",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def bundle(folder, bank) -> Path:
    tower = train_image_tower(load_tower_config(None, [
        *settings(folder), f"text={bank}", f"out={folder / 'tower'}", "steps=300", "channels=[16,24,32,48,64]",
        "blocks=[1,1,1,1]", "decoder=[48,32,24,24]", "crops.batch=12", "crops.width=80", "crops.height=64",
        "average=0.98",
    ]))  # fmt: skip
    (folder / "words.yaml").write_text("labels: [ground, plant, structure, vehicle]\n")
    checkpoint = train(load_config(None, [
        *settings(folder), f"text={bank}", f"out={folder / 'student'}", f"vocabulary={folder / 'words.yaml'}",
        "teacher.kind=pixel_text", f"teacher.path={tower}", "inputs.voxel_size_m=0.25", "inputs.levels=5",
        "inputs.features=[one,z,offset_x,offset_y,offset_z]", "network.architecture=narrow",
        "network.anchors=true", "steps=240",
        "optimiser.learning_rate=0.01", "batch=2", "loss.class_balance=0.4", "augmentation.rotate=true",
        "augmentation.flip=true",
    ]))  # fmt: skip
    sweep = open_source(load_config(None, settings(folder)).data, str(folder / "cache"))[0].frame
    export_student(checkpoint, folder / "bundle", text=bank, parity_frames=[sweep])
    export_image_tower(tower, folder / "bundle")
    return folder / "bundle"


def test_bundle_made_from_worlds_beats_chance_on_a_street_it_never_saw(bundle, folder):
    question = ClassQuestion(
        name="families",
        phrases={name: (name,) for name in FAMILIES},
        class_of_kind={kind: family(kind) for kind in KIND_OF if family(kind)},
    )
    held_out = load_config(None, [*settings(folder), "data.seeds=9-11"]).data
    sources = BundleSources(bundle, phrases_of([question], []), threads=1)
    answers = measure(sources, open_source(held_out), [question], [])
    found = {
        source: answers.classes["families", source, region] for source, region in ((TEACHER, SEEN), (STUDENT, ALL))
    }
    for source, confusion in found.items():
        shares = confusion.points() / confusion.points().sum()
        chance = shares.max() / (confusion.points() > 0).sum()
        print(f"{source}: mean IoU {confusion.mean_iou():.2f}, calling everything alike {chance:.2f}")
        assert confusion.mean_iou() > chance + MARGIN
