"""From nothing to an evaluated student in seconds, through the same commands that a person types."""

import json

import numpy as np
import pytest
import torch

from ov3d_perception.errors import ConfigError
from ov3d_trainer.checkpoint import load_checkpoint
from ov3d_trainer.cli import main
from ov3d_trainer.config import load_config
from ov3d_trainer.report import loss_figure, read_metrics
from ov3d_trainer.training import steps
from ov3d_trainer.training.train import train

STEPS = 30
SMALL = (
    "data.seeds=3",
    "data.frames=1",
    "evaluation.seeds=3",
    "evaluation.frames=1",
    "inputs.voxel_size_m=0.5",
    "inputs.max_range_m=30",
    "inputs.features=[one,intensity,z]",
    "network.architecture=narrow",
    "loss.class_balance=0",
    "optimiser.learning_rate=1e-2",
    "optimiser.weight_decay=0",
    "batch=1",
    "augmentation.tilt_deg=0",
    "augmentation.drop=0.1",
    "threads=1",
    f"steps={STEPS}",
    "checkpoint_every=10",
)


@pytest.fixture(scope="module")
def settings(repository, tmp_path_factory):
    """Small settings with absolute paths, and one cache for all tests."""
    configs, cache = repository / "trainer" / "configs", tmp_path_factory.mktemp("cache")
    text = repository / "export" / "bundles" / "demo"
    paths = (f"vocabulary={configs / 'street_vocabulary.yaml'}", f"text={text}", f"cache={cache}")
    return configs / "street_labels.yaml", [*SMALL, *paths]


@pytest.fixture(scope="module")
def trained(settings, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "tiny"
    config, changes = settings
    assert main(["cache", "--config", str(config), "--set", *changes]) == 0
    assert main(["train", "--config", str(config), "--set", *changes, f"out={out}"]) == 0
    return out


def test_loss_falls_to_less_than_half_and_the_student_agrees(trained):
    metrics = read_metrics(trained / "metrics.jsonl")
    assert [record["step"] for record in metrics] == list(range(1, STEPS + 1))
    assert metrics[-1]["loss"] < 0.5 * metrics[0]["loss"]
    assert metrics[-1]["agreement"] > 0.5  # the commonest class has 0.27; seeds 0 to 2 reach 0.60 to 0.62


def test_checkpoint_says_what_it_was_trained_with(trained):
    checkpoint = load_checkpoint(trained / "checkpoint.pt")
    assert checkpoint.step == STEPS
    assert checkpoint.text_space == "minilm-small:2"
    assert checkpoint.inputs.voxel_size_m == 0.5
    assert [label.name for label in checkpoint.vocabulary.labels][:2] == ["road", "sidewalk"]
    assert checkpoint.training["config"]["steps"] == STEPS
    json.dumps(checkpoint.training)  # goes onto the model card


def test_evaluation_measures_truth_teacher_and_boxes(trained, capsys):
    assert main(["evaluate", "--checkpoint", str(trained / "checkpoint.pt")]) == 0
    report = json.loads((trained / "evaluation.json").read_text(encoding="utf-8"))
    assert report["teacher_agreement"] > 50.0
    assert report["truth"]["classes"]["road"]["iou"] > 40.0
    assert set(report["boxes"]) == {"student", "teacher"}
    assert report["boxes"]["teacher"]["classes"]["car"]["precision"] > 90.0
    printed = capsys.readouterr().out
    assert "IoU teacher" in printed
    assert "road" in printed


def test_plot_has_named_axes(trained):
    figure = loss_figure(read_metrics(trained / "metrics.jsonl"))
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert "%" in labels[1]
    assert figure.axes[-1].get_xlabel() == "step"
    assert (trained / "loss.png").stat().st_size > 1000


def test_resumed_run_equals_an_undisturbed_one(settings, trained, tmp_path, monkeypatch):
    config = load_config(settings[0], [*settings[1], f"out={tmp_path / 'run'}"])
    one_step = steps.one_step

    def stop_at_14(run, batch):
        if run.step == 14:
            raise KeyboardInterrupt
        return one_step(run, batch)

    monkeypatch.setattr(steps, "one_step", stop_at_14)
    with pytest.raises(KeyboardInterrupt):
        train(config)
    monkeypatch.undo()
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt").step == 10
    train(config, resume=True)
    resumed, whole = (load_checkpoint(folder / "checkpoint.pt") for folder in (tmp_path / "run", trained))
    for name, value in whole.model_state.items():
        torch.testing.assert_close(resumed.model_state[name], value, atol=1e-6, rtol=0, msg=name)
    losses = [[record["loss"] for record in read_metrics(f / "metrics.jsonl")] for f in (tmp_path / "run", trained)]
    np.testing.assert_allclose(*losses, atol=1e-6)


def test_finished_run_is_not_overwritten_by_accident(settings, trained):
    config = load_config(settings[0], [*settings[1], f"out={trained}"])
    with pytest.raises(ConfigError, match="--resume"):
        train(config)


def test_resuming_with_other_settings_is_refused(settings, trained):
    config = load_config(settings[0], [*settings[1], f"out={trained}", "loss.temperature=0.5"])
    with pytest.raises(ConfigError, match=r"--resume: loss"):
        train(config, resume=True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--set", "stepz=3"], "Did you mean 'steps'"),
        (["train", "--set", "vocabulary=nowhere.yaml"], "nowhere.yaml"),
        (["train", "--config", "nowhere.yaml"], "nowhere.yaml"),
        (["evaluate", "--checkpoint", "nowhere.pt"], "nowhere.pt"),
        (["make-bank", "--out", "bank.npz"], "--names"),
        (["cache"], "cache"),
    ],
)
def test_wrong_command_line_is_one_line_and_code_2(arguments, words, capsys):
    assert main(arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith(("ConfigError", "ModelError"))
    assert words in error


def test_levels_that_the_network_does_not_have_are_refused(settings, tmp_path):
    config = load_config(settings[0], [*settings[1], f"out={tmp_path / 'run'}", "inputs.levels=4"])
    with pytest.raises(ConfigError, match=r"inputs\.levels: narrow has 5 levels, got 4"):
        train(config)
