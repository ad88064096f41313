"""Features of pixels on points and voxels: the teacher in torch, and the same fused on the robot."""

import numpy as np
import pytest
import torch

from ov3d_export.image_tower import export_image_tower
from ov3d_perception.engine import SweepFeatures
from ov3d_perception.errors import ConfigError, ModelError
from ov3d_perception.fusion import CameraFeatures, camera_features, fuse
from ov3d_perception.image_tower import ImageTower as ImageTowerSession
from ov3d_perception.queries import make_queries
from ov3d_perception.voxels import voxelize
from ov3d_trainer.config import LossConfig, TeacherConfig
from ov3d_trainer.image_tower.checkpoint import build_tower, save_tower
from ov3d_trainer.loss import FeatureObjective, make_objective
from ov3d_trainer.teacher import make_teacher
from ov3d_trainer.teacher.pixel_text import hidden_at
from ov3d_trainer.words.vocabulary import parse_vocabulary
from tests.unit.training.hand_made import make_sample, make_view

WORDS = parse_vocabulary({"labels": ["car", "tree"]})


@pytest.fixture
def sample():
    generator = np.random.default_rng(5)
    from dataclasses import replace

    views = [
        replace(make_view(name, width=40, height=32), image=generator.integers(0, 256, (32, 40, 3), dtype=np.uint8))
        for name in ("front", "again")
    ]
    return make_sample([[0, 4, 0], [-1, 4, 0.5], [0, -4, 0], [0, 400, 0]], views=views)


@pytest.fixture
def teacher(checkpoint, text, sample, tmp_path):
    save_tower(tmp_path / "tower.pt", checkpoint)
    return make_teacher(TeacherConfig(kind="pixel_text", path=str(tmp_path / "tower.pt")), WORDS, text, sample)


def pixels_of_first_point(tower, sample):
    """Return what the tower's last layer reads where the first point falls, one row per view."""
    pixel = np.array([[4.0, 2.0]], np.float32)
    return torch.cat([hidden_at(tower, view.image, pixel) for view in sample.frame.cameras])


def test_teacher_gives_the_mean_of_what_the_pixels_say_before_the_anchors(teacher, checkpoint, sample):
    supervision = teacher.supervise(sample)
    assert supervision.rows.tolist() == [0, 1]  # the third point is behind the cameras, the last behind the first
    tower = build_tower(checkpoint)
    with torch.no_grad():
        unit = torch.nn.functional.normalize(tower.final(pixels_of_first_point(tower, sample)), dim=1)
    found = supervision.code[0] @ teacher.targets.decoder
    np.testing.assert_allclose(found, unit.mean(dim=0).numpy(), atol=2e-3)  # float16
    assert teacher.targets.names == ("car", "tree")
    np.testing.assert_array_equal(teacher.targets.text, tower.anchors.text.numpy())


def test_teacher_averages_widths_and_mirrored_images(teacher, checkpoint, text, sample, tmp_path):
    config = TeacherConfig(kind="pixel_text", path=str(tmp_path / "tower.pt"), widths=[40, 20], flip=True)
    averaging = make_teacher(config, WORDS, text, sample)
    tower = build_tower(checkpoint)
    pixel, mirrored_pixel = np.array([[4.0, 2.0]], np.float32), np.array([[35.0, 2.0]], np.float32)  # of 40 columns
    read = [
        hidden_at(tower, image, at, width=width)
        for view in sample.frame.cameras
        for width in (40, 20)
        for image, at in ((view.image, pixel), (view.image[:, ::-1].copy(), mirrored_pixel))
    ]
    with torch.no_grad():
        unit = torch.nn.functional.normalize(tower.final(torch.cat(read)), dim=1)
    found = averaging.supervise(sample).code[0] @ teacher.targets.decoder
    np.testing.assert_allclose(found, unit.mean(dim=0).numpy(), atol=2e-3)  # float16
    assert np.abs(unit.mean(dim=0).numpy() - unit[0].numpy()).max() > 0.01  # which one reading alone would miss


def test_robot_reads_the_mean_of_what_the_pixels_say_after_the_anchors(teacher, checkpoint, sample, tmp_path):
    export_image_tower(checkpoint, tmp_path)
    camera = camera_features(sample.frame, ImageTowerSession(tmp_path / "image.onnx", threads=1))
    np.testing.assert_array_equal(camera.rows, teacher.supervise(sample).rows)
    tower = build_tower(checkpoint)
    with torch.no_grad():
        mean = tower.project(pixels_of_first_point(tower, sample)).mean(dim=0).numpy()
    np.testing.assert_allclose(camera.feature[0], mean / np.linalg.norm(mean), atol=6e-3)  # float16 weights


def test_exported_tower_teaches_what_the_robot_reads(checkpoint, text, sample, tmp_path):
    export_image_tower(checkpoint, tmp_path)
    path = str(tmp_path / "image.onnx")
    teacher = make_teacher(TeacherConfig(kind="pixel_text", path=path), WORDS, text, sample)
    supervision = teacher.supervise(sample)
    camera = camera_features(sample.frame, ImageTowerSession(tmp_path / "image.onnx", threads=1))
    np.testing.assert_array_equal(supervision.rows, camera.rows)
    np.testing.assert_allclose(supervision.code @ teacher.targets.decoder, camera.feature, atol=1e-3)  # float16
    assert teacher.targets.names == ("car", "tree")
    with pytest.raises(ConfigError, match=r"teacher\.flip"):
        make_teacher(TeacherConfig(kind="pixel_text", path=path, flip=True), WORDS, text, sample)


def test_tower_of_another_space_is_refused(checkpoint, text, sample, tmp_path):
    from dataclasses import replace

    save_tower(tmp_path / "tower.pt", replace(checkpoint, text_space="clip:other"))
    with pytest.raises(ConfigError, match="clip:other"):
        make_teacher(TeacherConfig(kind="pixel_text", path=str(tmp_path / "tower.pt")), WORDS, text, sample)
    with pytest.raises(ConfigError, match=r"teacher\.path"):
        make_teacher(TeacherConfig(kind="pixel_text"), WORDS, text, sample)


def test_pooled_code_is_the_mean_over_supervised_points(teacher, sample):
    supervision = teacher.supervise(sample)
    voxels = voxelize(sample.frame.points, 100.0)  # points 0 and 1 share a voxel with nobody else seen
    pooled = supervision.pool(voxels)
    row = voxels.voxel_of_point[0]
    inside = [at for at, point in enumerate(supervision.rows) if voxels.voxel_of_point[point] == row]
    count = (voxels.voxel_of_point == row).sum()
    np.testing.assert_allclose(pooled[row, :-1], supervision.code[inside].sum(axis=0) / count, rtol=1e-5)
    assert pooled[row, -1] == pytest.approx(len(inside) / count)


class Linear(torch.nn.Module):
    """A stand-in for the network: its last layer on given hidden rows."""

    def __init__(self, hidden, weight, bias):
        super().__init__()
        self.kept = hidden
        self.final = Final(weight, bias)

    def hidden(self, features, index):
        return self.kept


class Final(torch.nn.Module):
    def __init__(self, weight, bias):
        super().__init__()
        self.weight, self.bias = torch.nn.Parameter(weight), torch.nn.Parameter(bias)


def test_feature_loss_equals_the_formula_and_ends_at_zero():
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    bank = torch.nn.functional.normalize(draw(7, 6), dim=1)
    objective = FeatureObjective(
        text=bank, decoder=draw(4, 6), class_weight=torch.ones(7), temperature=0.3, teacher_temperature=0.3
    )
    hidden, weight, bias, code = draw(5, 3), draw(3, 6), draw(6), draw(5, 4)
    targets = torch.cat([code * 0.5, torch.full((5, 1), 0.5)], dim=1)
    targets[2] = 0.0  # a voxel without a feature
    parts = objective(Linear(hidden, weight, bias), torch.zeros(5, 1), {}, targets)
    student = torch.nn.functional.normalize(hidden @ weight + bias, dim=1)
    taught = torch.nn.functional.normalize(code @ objective.decoder, dim=1)
    rows = [0, 1, 3, 4]
    cosine = (1 - (student * taught).sum(dim=1))[rows].mean()
    wanted, found = ((each @ bank.T / 0.3).softmax(dim=1)[rows] for each in (taught, student))
    divergence = (wanted * (wanted.log() - found.log())).sum(dim=1).mean()
    assert float(parts.cosine) == pytest.approx(float(cosine), abs=1e-5)
    assert float(parts.cross_entropy) == pytest.approx(float(divergence), abs=1e-5)
    same = objective(Linear(code, objective.decoder, torch.zeros(6)), torch.zeros(5, 1), {}, targets)
    assert float(same.total.detach()) == pytest.approx(0.0, abs=1e-5)
    assert float(same.agreement) == 1.0


def test_rare_captions_weigh_more_when_balanced(teacher, sample):
    objective = make_objective(LossConfig(), teacher)
    assert isinstance(objective, FeatureObjective)
    supervision = teacher.supervise(sample)
    counts = objective.count(torch.from_numpy(supervision.pool(voxelize(sample.frame.points, 0.5))))
    assert float(counts.sum()) == pytest.approx(2.0)
    weights = objective.balanced(torch.tensor([90.0, 10.0]), LossConfig(class_balance=0.5)).class_weight
    assert weights[1] / weights[0] == pytest.approx(3.0)


def test_fusion_averages_where_a_camera_sees_and_leaves_the_rest(text):
    queries = make_queries(["car", "tree"], text)
    embedding = np.eye(16, dtype=np.float32)[:2]
    features = SweepFeatures(
        compact=np.eye(2, dtype=np.float32),
        basis=embedding,
        point_embedding=np.empty((0, 16), dtype=np.float32),
        similarity=embedding @ queries.text.T,
        queries=queries,
        row_of_point=np.array([0, 0, 1, -1]),  # two points share a voxel, the last one is out of range
        timings_ms={},
    )
    camera = CameraFeatures(rows=np.array([1, 3]), feature=np.eye(16, dtype=np.float32)[[7, 9]])
    fused = fuse(features, camera, weight=0.5)
    of_point = fused.embedding[fused.row_of_point]
    np.testing.assert_array_equal(of_point[[0, 2]], embedding)
    np.testing.assert_allclose(of_point[1, [0, 7]], np.sqrt([0.5, 0.5]), rtol=1e-6)
    np.testing.assert_allclose(of_point[3, 9], 1.0)
    np.testing.assert_allclose(fused.similarity, fused.embedding @ queries.text.T, atol=1e-6)
    again = fuse(fused, CameraFeatures(rows=np.array([0, 1]), feature=np.eye(16, dtype=np.float32)[[5, 5]]), weight=0.5)
    of_point = again.embedding[again.row_of_point]
    np.testing.assert_allclose(of_point[0, [0, 5]], np.sqrt([0.5, 0.5]), rtol=1e-6)
    np.testing.assert_allclose(of_point[1, [0, 5, 7]], np.sqrt([0.25, 0.5, 0.25]), rtol=1e-6)
    np.testing.assert_allclose(of_point[3, 9], 1.0)
    np.testing.assert_allclose(again.similarity, again.embedding @ queries.text.T, atol=1e-6)
    with pytest.raises(ModelError, match="image tower"):
        fuse(features, CameraFeatures(rows=np.array([1]), feature=np.ones((1, 4), np.float32)))
