"""Simulated streets before the official nuScenes devkit: it opens them, projects as we do and scores as we do.

The devkit wants numpy 1 and runs in an environment of its own, `python -m ros2_ws.bootstrap devkit`, which this test
sets up where `make test` has not.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("embreex", reason="the simulator needs embreex")

from PIL import Image
from scipy.spatial import cKDTree

from ov3d_perception.artifact import open_bundle
from ov3d_perception.clouds import read_cloud
from ov3d_perception.engine import Engine
from ov3d_perception.geometry import invert_transform
from ov3d_perception.projection import project
from ov3d_perception.queries import make_queries
from ov3d_perception.types import CameraView
from ov3d_trainer.cli import main
from ov3d_trainer.data.nuscenes.categories import CHALLENGE_CLASSES, challenge_ids
from ov3d_trainer.data.nuscenes.read_tables import SensorData, read_scene
from ov3d_trainer.data.nuscenes.tokens import VERSION
from ov3d_trainer.data.simulate import SimulatedStreet
from ov3d_trainer.scores import Confusion, add_confusions, count_confusion

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]  # the first run installs the devkit

SCENES = ("scene-0103", "scene-0916")  # mini_val
KEYFRAMES = 2
SEED = 3
SPLIT = "mini_val"
PIXEL_TOLERANCE = 0.01
"""Both projections are exact, and float32 in the devkit moves a point by 0.0002 px."""
WORDS = {
    "barrier": "barrier",
    "bicycle": "bicycle",
    "bus": "bus",
    "car": "car",
    "motorcycle": "motorcycle",
    "person": "pedestrian",
    "traffic cone": "traffic_cone",
    "truck": "truck",
    "road": "driveable_surface",
    "sidewalk": "sidewalk",
    "grass": "terrain",
    "building": "manmade",
    "tree": "vegetation",
}

Predict = Callable[[Path, NDArray[np.uint8]], NDArray[np.uint8]]
"""From a sweep's file and its true challenge numbers (N,) to predicted ones (N,)."""


@dataclass(frozen=True)
class Checked:
    """A data root, what the devkit said about it, our own scores of the predictions that it was given, and the report
    of the student that wrote some of them."""

    root: Path
    report: dict[str, Any]
    projections: dict[str, NDArray[Any]]
    scores: dict[str, Confusion]
    evaluation: dict[str, Any]


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> Checked:
    folder = tmp_path_factory.mktemp("devkit")
    root = folder / "root"
    arguments = ["--scenes", "2", "--keyframes", str(KEYFRAMES), "--image-width", "160", "--jobs", "1"]
    assert main(["simulate", "street", "--out", str(root), "--seed", str(SEED), *arguments]) == 0
    predictors = {"perfect": predict_perfectly, "bundle": predict_with_the_bundle(repository)}
    scores = {name: write_predictions(root, folder / name, predict) for name, predict in predictors.items()}
    evaluation = evaluate_a_student(repository, root, folder)
    run_devkit(repository, root, folder, [*scores, "student"])
    with np.load(folder / "projections.npz") as archive:
        projections = {name.replace("|", "/"): archive[name] for name in archive.files}
    return Checked(root, json.loads((folder / "report.json").read_text()), projections, scores, evaluation)


def evaluate_a_student(repository: Path, root: Path, folder: Path) -> dict[str, Any]:
    """Train a student for seconds, let `evaluate` write its submission to FOLDER/student, and return its report.

    Beyond 25 m the student sees nothing, and with the threshold it says little: the submission must be complete.
    """
    vocabulary = repository / "trainer" / "configs" / "nuscenes_vocabulary.yaml"
    settings = [
        f"vocabulary={vocabulary}", f"text={repository / 'export' / 'bundles' / 'demo'}", f"out={folder / 'run'}",
        "data.kind=nuscenes", f"data.path={root}", f"data.version={VERSION}", f"data.split={SPLIT}",
        "teacher.kind=labels", "inputs.voxel_size_m=0.5", "inputs.max_range_m=25", "optimiser.learning_rate=1e-2",
        "steps=40", "threads=1",
    ]  # fmt: skip
    assert main(["train", "--set", *settings]) == 0
    checkpoint = folder / "run" / "checkpoint.pt"
    arguments = ["--submission", str(folder / "student"), "--threshold", "0.6", "--repeats", "2"]
    assert main(["evaluate", "--checkpoint", str(checkpoint), *arguments]) == 0
    report: dict[str, Any] = json.loads((folder / "run" / "evaluation.json").read_text())
    return report


def run_devkit(repository: Path, root: Path, folder: Path, predictions: list[str]) -> None:
    """Run devkit_check.py in its environment, made where it is missing."""
    script = repository / "tests" / "e2e" / "devkit_check.py"
    command = [sys.executable, "-m", "ros2_ws.bootstrap", "devkit", "--", "python", str(script), str(root), str(folder)]
    command += ["--predictions", *(str(folder / name) for name in predictions)]
    done = subprocess.run(
        command, cwd=repository, capture_output=True, text=True, env={**os.environ, "MPLBACKEND": "Agg"}
    )
    assert done.returncode == 0, done.stdout + done.stderr


def write_predictions(root: Path, folder: Path, predict: Predict) -> Confusion:
    """Write a submission for the sweeps of the split; return our own score of it."""
    (folder / SPLIT).mkdir(parents=True)
    uses = {f"use_{source}": source == "lidar" for source in ("camera", "lidar", "radar", "map", "external")}
    (folder / SPLIT / "submission.json").write_text(json.dumps({"meta": uses}))
    (folder / "lidarseg" / SPLIT).mkdir(parents=True)
    files = {row["token"]: row["filename"] for row in json.loads((root / VERSION / "sample_data.json").read_text())}
    confusions = []
    for row in json.loads((root / VERSION / "lidarseg.json").read_text()):
        truth = challenge_ids()[np.fromfile(root / row["filename"], np.uint8)]
        predicted = predict(root / files[row["sample_data_token"]], truth)
        predicted[predicted == 0] = 1  # the challenge allows no 0: where the truth is ignored anything will do
        predicted.tofile(folder / "lidarseg" / SPLIT / f"{row['sample_data_token']}_lidarseg.bin")
        scored = truth > 0
        confusions.append(count_confusion(CHALLENGE_CLASSES, truth[scored] - 1, predicted[scored] - 1))
    return add_confusions(confusions)


def predict_perfectly(cloud: Path, truth: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return truth.copy()


def predict_with_the_bundle(repository: Path) -> Predict:
    """The bundle in the repository, asked for plain words; every point gets one of them."""
    bundle = open_bundle(repository / "export" / "bundles" / "demo")
    engine = Engine(bundle, providers=["CPUExecutionProvider"])
    queries = make_queries(list(WORDS), bundle.open_text_encoder(), threshold=-1.0)
    number_of_label = np.array([0, *(CHALLENGE_CLASSES.index(name) + 1 for name in WORDS.values())], np.uint8)
    return lambda cloud, truth: number_of_label[engine.infer(read_cloud(cloud, kind="nuscenes"), queries).label]


def test_devkit_opens_every_table_and_every_token_resolves(checked: Checked) -> None:
    tables = checked.report["tables"]
    assert (tables["category"], tables["scene"], tables["sample"], tables["lidarseg"]) == (32, 2, 4, 4)
    # per scene 2 keyframes of a lidar and six cameras, and 9 sweeps between
    assert tables["sample_data"] == tables["ego_pose"] == 2 * (2 * 7 + 9)
    assert tables["sample_annotation"] > tables["instance"] > 20
    assert checked.report["broken_tokens"] == []
    assert checked.report["missing_files"] == []
    assert checked.report["chains"] == {scene: [2, 11, 2] for scene in SCENES}


@pytest.mark.parametrize("scene", SCENES)
def test_our_projection_agrees_with_the_devkits(checked: Checked, scene: str) -> None:
    data = [item for item in read_scene(checked.root, VERSION, scene) if item.is_key_frame]
    sweeps = [item for item in data if item.modality == "lidar"]
    images = [item for item in data if item.modality == "camera"]
    assert (len(sweeps), len(images)) == (KEYFRAMES, 6 * KEYFRAMES)
    for image in images:
        sweep = min(sweeps, key=lambda item: abs(item.stamp_ns - image.stamp_ns))
        ours = our_projection(sweep, image)
        theirs = checked.projections[str(image.path.relative_to(checked.root))]
        assert len(theirs) > 500
        # a point within rounding of the border may be in one and not in the other
        assert abs(len(ours) - len(theirs)) <= 2
        distance, _ = cKDTree(ours).query(theirs)  # of (u, v, depth): px and m alike
        assert (distance > PIXEL_TOLERANCE).sum() <= 2


def test_tables_hold_the_geometry_and_the_images_of_the_street(checked: Checked) -> None:
    names = ("CAM_FRONT", "CAM_BACK_LEFT")
    frame = SimulatedStreet(SEED, KEYFRAMES, image_size=(160, 90), cameras=names)[1].frame
    data = {(item.channel, item.stamp_ns): item for item in read_scene(checked.root, VERSION, SCENES[0])}
    sweep = data["LIDAR_TOP", frame.stamp_ns]
    np.testing.assert_array_equal(read_cloud(sweep.path, kind="nuscenes").points, frame.points)
    for view in frame.cameras:
        image = data[view.name, view.stamp_ns]
        np.testing.assert_allclose(camera_from_lidar(sweep, image), view.camera_from_lidar, atol=1e-9)
        np.testing.assert_array_equal(image.intrinsics, view.intrinsics)
        with Image.open(image.path) as picture:
            difference = np.abs(np.asarray(picture, np.float32) - view.image)
        assert difference.mean() < 10  # JPEG: grey levels


def camera_from_lidar(sweep: SensorData, image: SensorData) -> NDArray[np.float64]:
    """Return (4, 4): from the lidar at the sweep's stamp to the camera at the image's."""
    global_from_camera = image.global_from_ego @ image.ego_from_sensor
    return invert_transform(global_from_camera) @ sweep.global_from_ego @ sweep.ego_from_sensor


def our_projection(sweep: SensorData, image: SensorData) -> NDArray[Any]:
    """Return (u, v, depth) of the points that the devkit would show: one pixel from the border, 1 m away."""
    assert image.intrinsics is not None
    width, height = image.size
    view = CameraView(
        name=image.channel,
        image=np.zeros((height, width, 3), np.uint8),
        intrinsics=image.intrinsics,
        camera_from_lidar=camera_from_lidar(sweep, image),
        stamp_ns=image.stamp_ns,
    )
    projection = project(read_cloud(sweep.path, kind="nuscenes").points, view)
    u, v = projection.pixels.T
    shown = projection.visible & (u > 1) & (u < width - 1) & (v > 1) & (v < height - 1)
    return np.column_stack([projection.pixels, projection.depth_m])[shown]


def test_boxes_hold_the_points_that_are_labelled_as_their_category(checked: Checked) -> None:
    boxes = checked.report["boxes"]
    stated, counted, own = np.array([row[1:] for row in boxes]).sum(axis=0)
    assert sum(abs(row[1] - row[2]) for row in boxes) <= 0.002 * counted  # float32 in the devkit, at the boxes' walls
    assert stated > 2_000
    assert own / counted >= 0.9
    labelled, held = np.array([row[1:] for row in checked.report["held"]]).sum(axis=0)
    assert held / labelled >= 0.95


def test_perfect_labels_score_one_in_the_official_evaluation(checked: Checked) -> None:
    official = checked.report["evaluation"]["perfect"]
    assert official["miou"] == 1.0
    occurring = [name for name, iou in official["iou_per_class"].items() if iou == 1.0]
    assert {"car", "driveable_surface", "sidewalk", "manmade", "vegetation"} <= set(occurring)


def test_official_evaluation_gives_our_score_of_the_bundle(checked: Checked) -> None:
    official, ours = checked.report["evaluation"]["bundle"], checked.scores["bundle"]
    expected = dict(zip(ours.names, ours.iou(), strict=True))
    actual = {name: official["iou_per_class"][name] for name in expected}
    np.testing.assert_allclose(list(actual.values()), list(expected.values()), atol=1e-6)  # NaN where neither occurs
    assert official["miou"] == pytest.approx(float(np.nanmean(ours.iou())), abs=1e-6)
    assert 0.02 < official["miou"] < 1.0


def test_our_figures_of_a_submission_are_the_official_ones(checked: Checked) -> None:
    official, ours = checked.report["evaluation"]["student"], checked.evaluation["submission"]
    assert ours["miou"] == pytest.approx(official["miou"], abs=1e-6)
    expected = {name: iou for name, iou in official["iou_per_class"].items() if name != "ignore"}
    actual = {name: float("nan") if iou is None else iou for name, iou in ours["iou_per_class"].items()}
    assert list(actual) == list(expected)
    np.testing.assert_allclose(list(actual.values()), list(expected.values()), atol=1e-6)  # NaN where neither occurs
    assert 0.05 < ours["miou"] < 1.0
    assert checked.evaluation["unlabelled"]["share"] > 20.0  # but not in the submission
