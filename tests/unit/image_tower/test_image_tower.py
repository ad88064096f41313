"""The pixel-text network: what its targets are, that it learns, that its file and its graph say the same."""

import numpy as np
import pytest
import torch

from ov3d_export.image_tower import export_image_tower
from ov3d_perception.errors import ModelError
from ov3d_perception.image_tower import IMAGE_FILE
from ov3d_perception.image_tower import ImageTower as ImageTowerSession
from ov3d_trainer.data.sample import UNKNOWN, LabelImage, SceneObject
from ov3d_trainer.image_tower.checkpoint import build_tower, load_tower, save_tower
from ov3d_trainer.image_tower.concepts import make_concepts, plain_concepts, training_captions
from ov3d_trainer.image_tower.config import ImageTowerTraining
from ov3d_trainer.image_tower.network import ImageTower
from ov3d_trainer.image_tower.pixels import PixelData, concept_image, draw_crops, load_pixels
from ov3d_trainer.image_tower.training import Goals, change_colours, make_goals, sample_pixels, tower_loss
from ov3d_trainer.teacher.pixel_text import hidden_at
from tests.unit.image_tower.conftest import TINY
from tests.unit.training.hand_made import make_sample, make_view

RED_CAR = SceneObject(kind="car", color="red", state="parked")


def test_features_have_unit_length_and_half_the_size():
    feature = ImageTower(TINY)(torch.rand(2, 3, 45, 62))
    assert feature.shape == (2, 16, 23, 31)
    torch.testing.assert_close(feature.norm(dim=1), torch.ones(2, 23, 31))


def test_coloured_concept_lies_between_its_plain_and_its_coloured_captions(text):
    concepts = make_concepts([RED_CAR, SceneObject(kind="car")], text)
    plain, red = concepts.text  # sorted: without colour first
    assert concepts.things == (SceneObject(kind="car"), RED_CAR)
    assert plain @ text.encode(["car"])[0] > 0.2
    assert red @ text.encode(["a red car"])[0] > plain @ text.encode(["a red car"])[0]
    assert plain_concepts(concepts.things) == (SceneObject(kind="car"),)
    assert "a red parked car" in training_captions(concepts.things)


def test_surface_of_another_kind_than_its_object_has_no_colour():
    sample = make_sample([[0, 0, 0]], names=("person", "car"))
    from dataclasses import replace

    sample = replace(sample, objects=(RED_CAR,))
    labels = LabelImage(
        labels=np.array([[1, 0], [1, UNKNOWN]], np.int32), instances=np.array([[0, 0], [-1, -1]], np.int32)
    )
    rows = {}
    found = concept_image(sample, labels, rows)
    things = list(rows)
    assert [things[row] for row in (found[0, 0], found[0, 1], found[1, 0])] == [
        SceneObject(kind="car", color="red", state="parked"), SceneObject(kind="person"), SceneObject(kind="car"),
    ]  # fmt: skip
    assert found[1, 1] == UNKNOWN


def two_colour_source():
    """One image: left half tree (green), right half car (red)."""
    from dataclasses import replace

    labels = np.zeros((64, 96), np.int32)
    labels[:, 48:] = 1
    image = np.where(labels[..., None] == 0, [30, 160, 40], [190, 30, 30]).astype(np.uint8)
    view = replace(make_view(width=96, height=64), image=image)
    return [make_sample([[0, 4, 0]], views=[view], labels={"front": LabelImage(labels=labels)}, names=("tree", "car"))]


def test_crops_show_what_their_concepts_say():
    data = load_pixels(two_colour_source())
    assert [thing.kind for thing in data.things] == ["tree", "car"]
    assert data.share == {"tree": 0.5, "car": 0.5}
    crops = draw_crops(data, 6, (48, 32), 0.5, np.random.default_rng(0), image_width=96)
    assert crops.images.shape == (6, 32, 48, 3)
    red = crops.images[..., 0] > 120
    inner = np.abs(np.diff(crops.concepts.astype(int), axis=2, prepend=crops.concepts[:, :, :1])) == 0
    assert (red == (crops.concepts == 1))[inner].mean() > 0.97  # the border is blurred by scaling


def loss_of(feature, thing, goals, things):
    """Return the terms of the loss of pixels that show `thing` and have the feature (16,)."""
    model = ImageTower(TINY)
    with torch.no_grad():
        model.final.weight.zero_()
        model.final.bias.copy_(feature)
    target = torch.full((3,), things.index(thing))
    terms = tower_loss(ImageTowerTraining(), model, goals, torch.zeros(3, 8), target)
    return {name: float(value.detach()) for name, value in terms.items()}


def test_terms_of_the_loss_speak_for_kind_colour_and_place_among_texts(text):
    blue, tree = SceneObject(kind="car", color="blue"), SceneObject(kind="tree")
    things = (SceneObject(kind="car"), RED_CAR, blue, tree)
    goals = make_goals(things, text)
    assert goals.kinds == ("car", "tree")
    assert goals.kind_of.tolist() == [0, 0, 0, 1]
    right, other_colour = (loss_of(goals.text[row], RED_CAR, goals, things) for row in (1, 2))
    other_kind = loss_of(goals.text[3], RED_CAR, goals, things)
    assert right["cosine"] == pytest.approx(0.0, abs=1e-5)
    assert right["kind"] < 0.01 < 1.0 < other_kind["kind"]
    assert right["detail"] < 0.05 < 1.0 < other_colour["detail"]
    assert other_colour["kind"] < 0.01
    assert right["loss"] == pytest.approx(right["kind"] + 0.3 * right["detail"] + 0.3 * right["cosine"], abs=1e-6)
    assert loss_of(goals.text[3], tree, goals, things)["detail"] == pytest.approx(0.0, abs=1e-6)


def test_crops_of_shrunk_images_show_the_same_region_at_half_the_size():
    data = load_pixels(two_colour_source())
    large = draw_crops(data, 1, (48, 32), 0.5, np.random.default_rng(3), image_width=96)
    small = draw_crops(data, 1, (24, 16), 0.5, np.random.default_rng(3), image_width=48)
    assert np.abs(np.mean(small.concepts == 1) - np.mean(large.concepts == 1)) < 0.05


def test_unknown_pixels_are_never_drawn():
    concepts = torch.tensor([[[UNKNOWN, 0], [1, UNKNOWN]]])
    at = sample_pixels(concepts, torch.tensor([1.0, 0.0]), 50, torch.Generator().manual_seed(0))
    assert set(at.tolist()) == {1}


def test_colour_changes_keep_red_red():
    images = torch.zeros(8, 3, 6, 6)
    images[:, 0] = 0.7
    changed = change_colours(images, torch.Generator().manual_seed(1)).mean(dim=(2, 3))
    assert (changed[:, 0] > 2 * changed[:, 1:].amax(dim=1)).all()


def test_few_steps_tell_two_colours_apart(text):
    data = load_pixels(two_colour_source())
    goals = make_goals(data.things, text)
    learnt = fit(data, goals, steps=40)
    image = two_colour_source()[0].frame.cameras[0].image
    with torch.no_grad():
        similarity = learnt.project(hidden_at(learnt, image, np.array([[20, 30], [80, 30]], np.float32))) @ goals.text.T
    assert similarity.argmax(dim=1).tolist() == [0, 1]


def fit(data: PixelData, goals: Goals, steps: int) -> ImageTower:
    from ov3d_trainer.image_tower.config import CropConfig
    from ov3d_trainer.image_tower.training import _run

    config = ImageTowerTraining(steps=steps, average=0.8, crops=CropConfig(batch=2, width=48, height=32, pixels=64))
    from pathlib import Path
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        model = ImageTower(TINY, seed=1)
        model.load_state_dict(_run(config, model, data, goals, Path(folder) / "metrics.jsonl").state)
        return model.eval()


def test_checkpoint_reads_back_and_refuses_others(checkpoint, tmp_path):
    save_tower(tmp_path / "tower.pt", checkpoint)
    again = load_tower(tmp_path / "tower.pt")
    assert (again.network, again.kinds, again.text_space) == (TINY, ("car", "tree"), "test:invented")
    image = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(build_tower(again)(image), build_tower(checkpoint)(image))
    torch.save({"something": 1}, tmp_path / "other.pt")
    with pytest.raises(ModelError, match="image tower"):
        load_tower(tmp_path / "other.pt")


@pytest.mark.parametrize("size", [(33, 47), (64, 64), (90, 31), (45, 150)])
def test_graph_says_what_torch_says_also_outside_the_image(checkpoint, tmp_path, size):
    export = export_image_tower(checkpoint, tmp_path)
    assert export.difference < 5e-3
    session = ImageTowerSession(tmp_path / IMAGE_FILE, threads=1)
    assert (session.card.text_space, session.card.embedding_dim, session.card.image_width) == ("test:invented", 16, 64)
    generator = np.random.default_rng(1)
    image = generator.integers(0, 256, (*size, 3), dtype=np.uint8)
    pixels = generator.uniform(-5, 100, (200, 2)).astype(np.float32)
    tower = build_tower(checkpoint)
    with torch.no_grad():
        wanted = tower.project(hidden_at(tower, image, pixels)).numpy()
    np.testing.assert_allclose(session.features(image, pixels), wanted, atol=5e-3)
    assert session.features(image, pixels[:0]).shape == (0, 16)


def test_other_graphs_are_refused(tmp_path, repository):
    with pytest.raises(ModelError, match="no such file"):
        ImageTowerSession(tmp_path / IMAGE_FILE)
    (tmp_path / IMAGE_FILE).write_bytes((repository / "export/bundles/demo/student.onnx").read_bytes())
    with pytest.raises(ModelError, match="no card"):
        ImageTowerSession(tmp_path / IMAGE_FILE)
