"""Two processes, or batches added up, do what one process with the whole batch does; averages and failures of a run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ov3d_perception.errors import ConfigError
from ov3d_trainer.checkpoint import load_checkpoint
from ov3d_trainer.config import load_config
from ov3d_trainer.distributed import backend_of, own_device
from ov3d_trainer.report import read_metrics
from ov3d_trainer.training import steps
from ov3d_trainer.training.run import Run, start_run
from ov3d_trainer.training.train import train

STEPS = 3
SMALL = (
    "data.seeds=3-4", "data.frames=1", "evaluation.kind=", "inputs.voxel_size_m=0.5", "inputs.max_range_m=30",
    "inputs.features=[one,intensity,z]", "network.architecture=narrow", "batch=2", "augmentation.drop=0.1",
    "optimiser.learning_rate=1e-3", "threads=1", f"steps={STEPS}", "checkpoint_every=2",
)  # fmt: skip


@pytest.fixture(scope="module")
def settings(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    configs, cache = repository / "trainer" / "configs", tmp_path_factory.mktemp("cache")
    text = repository / "export" / "bundles" / "demo"
    paths = (f"vocabulary={configs / 'street_vocabulary.yaml'}", f"text={text}", f"cache={cache}")
    return configs / "street_labels.yaml", [*SMALL, *paths]


def run(settings: tuple[Path, list[str]], out: Path, *changes: str, **choices: Any) -> Path:
    train(load_config(settings[0], [*settings[1], f"out={out}", *changes]), **choices)
    return out


@pytest.fixture(scope="module")
def alone(settings: tuple[Path, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(settings, tmp_path_factory.mktemp("runs") / "alone")


def losses(out: Path) -> list[float]:
    return [record["loss"] for record in read_metrics(out / "metrics.jsonl")]


@pytest.mark.timeout(300)
def test_two_processes_end_where_one_does(settings: tuple[Path, list[str]], alone: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "ov3d_trainer", "train", "--config", str(settings[0])]
    command += ["--set", *settings[1], f"out={tmp_path / 'two'}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    np.testing.assert_allclose(losses(tmp_path / "two"), losses(alone), rtol=2e-4)
    one, two = (load_checkpoint(out / "checkpoint.pt").model_state for out in (alone, tmp_path / "two"))
    moved = load_checkpoint(alone / "checkpoint.pt")
    assert moved.step == STEPS
    for name, value in one.items():
        if value.is_floating_point():
            # Adam divides by the gradient's size: where that is near nothing, rounding decides the direction of a step.
            assert float((two[name] - value).abs().mean()) < 2e-4, name


def test_batches_added_up_are_another_way_to_the_same_sum(
    settings: tuple[Path, list[str]], alone: Path, tmp_path: Path
) -> None:
    out = run(settings, tmp_path / "added", "batch=1", "accumulate=2")
    # the first step starts from the same weights; normalisation sees each sweep alone, which moves the loss a little
    assert losses(out)[0] == pytest.approx(losses(alone)[0], rel=0.05)
    found, wanted = (read_metrics(folder / "metrics.jsonl")[0]["voxels"] for folder in (out, alone))
    assert found == wanted


def test_average_of_the_weights_is_what_a_checkpoint_holds_and_resumes(
    settings: tuple[Path, list[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    averaged = ("average=0.9", "steps=4")
    whole = load_checkpoint(run(settings, tmp_path / "whole", *averaged) / "checkpoint.pt")
    name = "final.weight"
    assert not torch.equal(whole.trainer_state["model"][name], whole.model_state[name])
    one_step = steps.one_step

    def stop_at_3(state: Run, batches: Any) -> Any:
        if state.step == 3:
            raise KeyboardInterrupt
        return one_step(state, batches)

    monkeypatch.setattr(steps, "one_step", stop_at_3)
    with pytest.raises(KeyboardInterrupt):
        run(settings, tmp_path / "stopped", *averaged)
    monkeypatch.undo()
    again = load_checkpoint(run(settings, tmp_path / "stopped", *averaged, resume=True) / "checkpoint.pt")
    torch.testing.assert_close(again.model_state[name], whole.model_state[name], atol=1e-6, rtol=0)


def test_sgd_and_poly_train_too(settings: tuple[Path, list[str]], tmp_path: Path) -> None:
    out = run(
        settings, tmp_path / "sgd", "optimiser.kind=sgd", "optimiser.learning_rate=0.05", "schedule.kind=poly",
        "schedule.warm_up=0", "steps=8",
    )  # fmt: skip
    found = losses(out)
    assert found[-1] < found[0]
    rates = [record["learning_rate"] for record in read_metrics(out / "metrics.jsonl")]
    np.testing.assert_allclose(rates[4], 0.05 * (0.01 + 0.99 * (3 / 7) ** 0.9))


def test_loss_that_is_no_number_stops_the_run(settings: tuple[Path, list[str]], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Lower optimiser\.learning_rate"):
        run(settings, tmp_path / "nan", "optimiser.learning_rate=1e30", "optimiser.gradient_clip=0", "steps=6")


def test_batch_that_processes_cannot_share_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from ov3d_trainer import distributed

    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    with pytest.raises(ConfigError, match="3 sweeps cannot be shared by 2 processes"):
        distributed.own_rows([0, 1, 2])
    assert distributed.own_rows([0, 1, 2, 3]) == [0, 1]
    monkeypatch.setattr(distributed, "rank", lambda: 1)
    assert distributed.own_rows([0, 1, 2, 3]) == [2, 3]


def test_pairs_to_mix_stay_with_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    from ov3d_trainer import distributed

    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    assert distributed.own_rows([0, 1, 2, 3], pairs=True) == [0, 1]
    with pytest.raises(ConfigError, match=r"mix takes pairs. Set batch to a multiple of 4"):
        distributed.own_rows([0, 1], pairs=True)


def test_mixed_batch_of_two_processes_is_that_of_one(
    settings: tuple[Path, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from ov3d_trainer import distributed

    state = start_run(load_config(settings[0], [*settings[1], "batch=4", "augmentation.mix=0.5"]))
    for step in range(3):
        (whole,) = steps.batches_of_step(state, step)
        monkeypatch.setattr(distributed, "world_size", lambda: 2)
        parts = []
        for number in (0, 1):
            monkeypatch.setattr(distributed, "rank", lambda number=number: number)
            parts += steps.batches_of_step(state, step)
        monkeypatch.undo()
        rows = torch.cat([part.features for part in parts])
        assert torch.equal(torch.unique(rows, dim=0), torch.unique(whole.features, dim=0))
        assert len(rows) == len(whole.features)


def test_device_decides_what_carries_tensors_between_processes() -> None:
    assert backend_of(torch.device("cpu")) == "gloo"  # also where there is a GPU, but device=cpu is set
    assert backend_of(torch.device("cuda", 1)) == "nccl"


def test_more_processes_than_gpus_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert own_device("auto") == torch.device("cuda", 1)
    monkeypatch.setenv("LOCAL_RANK", "2")
    with pytest.raises(ConfigError, match=r"device: process 2 of torchrun finds 2 GPUs here.*--nproc-per-node 2"):
        own_device("cuda")


FAILING = """
import atexit, os, sys, time
from torch import distributed
from ov3d_perception.errors import DataError
from ov3d_trainer.cli import main
from ov3d_trainer.training import steps

one_step = steps.one_step

def fail_at_1(run, batches):
    if run.step == 1:
        raise DataError("sweep 7: cut short.")
    return one_step(run, batches)

if os.environ["RANK"] == "1":
    steps.one_step = fail_at_1
    distributed.destroy_process_group = lambda: time.sleep(600)  # as NCCL may, while the others wait
    atexit.register(time.sleep, 600)
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.timeout(240)
def test_process_that_fails_ends_the_others(settings: tuple[Path, list[str]], tmp_path: Path) -> None:
    (tmp_path / "failing.py").write_text(FAILING)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(tmp_path / "failing.py"), "train", "--config", str(settings[0])]
    command += ["--set", *settings[1], f"out={tmp_path / 'run'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert done.returncode == 1  # torchrun's
    assert "DataError: sweep 7: cut short." in done.stderr
    assert "exitcode  : 2" in done.stderr


def test_gpu_that_is_not_there_is_said_so(settings: tuple[Path, list[str]], tmp_path: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    with pytest.raises(ConfigError, match="torch finds no GPU"):
        run(settings, tmp_path / "gpu", "device=cuda")
