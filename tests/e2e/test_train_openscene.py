"""OpenScene's files, points and fused features, to an evaluated student; with every augmentation on."""

import json

import numpy as np
import pytest
import torch

from ov3d_perception.text.bank import write_bank
from ov3d_trainer.cli import main
from ov3d_trainer.report import read_metrics

NAMES = ("wall", "floor", "table")
STEPS = 40
CONFIG = """
data: {{kind: openscene, path: {root}/scannet_3d, split: train, label_set: scannet20}}
evaluation: {{kind: openscene, path: {root}/scannet_3d, split: val, label_set: scannet20}}
vocabulary: {root}/words.yaml
text: {root}/bank.npz
teacher: {{kind: features, path: {root}/features}}
inputs: {{voxel_size_m: 0.2, features: [one, z, red, green, blue], max_range_m: 20}}
network: {{architecture: narrow}}
loss: {{cross_entropy: 0}}
optimiser: {{learning_rate: 5e-3, weight_decay: 0}}
augmentation:
  {{rotate: true, flip: true, scale: 0.1, translate_m: 0.2, elastic: [[0.4, 0.4]], drop: 0.1, cuboids: 1, crop_m: 3.5,
   mix: 0.3, color_contrast: 0.2, color_shift: 0.05, color_jitter: 0.02}}
batch: 2
steps: {steps}
threads: 1
out: {root}/run
"""


def write_scene(root, split, name, seed):
    """A room of 4 x 4 m: a grey floor, white walls, a brown table; a third of the points have no feature."""
    generator = np.random.default_rng(seed)
    floor, wall, table = (generator.uniform(0, 4, (400, 3)) for _ in range(3))
    floor[:, 2], wall[:, 0] = 0.0, np.where(generator.random(400) < 0.5, 0.0, 4.0)
    wall[:, 2] *= 0.6
    table = table * [0.25, 0.25, 0] + [*generator.uniform(0.5, 2.5, 2), 0.8]
    points = np.concatenate([floor, wall, table])
    labels = np.repeat([1, 0, 6], 400)  # floor, wall, table of the 20
    colors = np.repeat([[0.0, 0, 0], [0.8, 0.8, 0.8], [0.2, -0.2, -0.6]], 400, axis=0)
    path = root / "scannet_3d" / split / f"{name}_vh_clean_2.pth"
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save((points, colors, labels), path)
    mask = generator.random(1200) < 0.67
    rows = np.repeat([NAMES.index(name) for name in ("floor", "wall", "table")], 400)
    feature = torch.from_numpy(np.eye(3)[rows[mask]]).half()
    (root / "features").mkdir(exist_ok=True)
    torch.save({"feat": feature, "mask_full": torch.from_numpy(mask)}, root / "features" / f"{name}_0.pt")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("openscene")
    for number in range(4):
        write_scene(root, "train", f"scene{number:04d}_00", number)
    write_scene(root, "val", "scene0009_00", 9)
    write_bank(root / "bank.npz", list(NAMES), np.eye(3, dtype=np.float32), space="test:axes")
    (root / "words.yaml").write_text("labels: [wall, floor, table]\n")
    (root / "config.yaml").write_text(CONFIG.format(root=root, steps=STEPS))
    assert main(["train", "--config", str(root / "config.yaml")]) == 0
    return root / "run"


def test_student_learns_a_room_it_has_not_seen(run):
    losses = [record["loss"] for record in read_metrics(run / "metrics.jsonl")]
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    assert main(["evaluate", "--checkpoint", str(run / "checkpoint.pt")]) == 0
    report = json.loads((run / "evaluation.json").read_text())
    assert report["supervised_points"] == pytest.approx(0.67 * 1200, abs=60)
    assert report["truth"]["mean_iou"] > 60
