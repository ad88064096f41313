"""What a run leaves behind: events that go on after a resume, a link to the latest run; memory and disks that fail."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ov3d_perception.errors import ConfigError
from ov3d_perception.text.bank import write_bank
from ov3d_trainer.checkpoint import load_checkpoint, save_checkpoint
from ov3d_trainer.cli import main
from ov3d_trainer.config import load_config
from ov3d_trainer.network.backends import BACKENDS
from ov3d_trainer.network.backends.torch_pairs import TorchPairs
from ov3d_trainer.report import read_metrics
from ov3d_trainer.training import run_folder, steps
from ov3d_trainer.training.run_folder import link_latest
from ov3d_trainer.training.train import train
from tests.unit.data.tiny_nuscenes import write_tiny_nuscenes

Settings = list[str]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Two sweeps of three points: a step takes milliseconds."""
    folder = tmp_path_factory.mktemp("data")
    root = write_tiny_nuscenes(folder / "nuscenes")
    write_bank(folder / "bank.npz", ["car", "traffic cone"], np.eye(2, dtype=np.float32), space="test:axes")
    (folder / "words.yaml").write_text("labels: [car, traffic cone]\n")
    return [
        f"data.path={root}", "data.kind=nuscenes", "data.version=v1.0-mini", "data.split=scene-0061",
        "teacher.kind=labels", f"vocabulary={folder / 'words.yaml'}", f"text={folder / 'bank.npz'}",
        "steps=6", "checkpoint_every=2", "batch=2", "threads=1",
    ]  # fmt: skip


def run(settings: Settings, out: Path, *changes: str, **choices: Any) -> Path:
    return train(load_config(None, [*settings, f"out={out}", *changes]), **choices)


def stop_at(step: int, error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    one_step = steps.one_step

    def stopping(state: Any, batches: Any) -> Any:
        if state.step == step:
            raise error
        return one_step(state, batches)

    monkeypatch.setattr(steps, "one_step", stopping)


def test_events_go_on_where_a_resumed_run_does(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    out = tmp_path / "run"
    stop_at(5, KeyboardInterrupt(), monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        run(settings, out, "tensorboard=true")
    monkeypatch.undo()
    assert load_checkpoint(out / "checkpoint.pt").step == 4  # step 5 is recorded, and done again
    run(settings, out, "tensorboard=true", resume=True)
    events = accumulator.EventAccumulator(str(out / "tensorboard")).Reload()
    found = [(event.step, event.value) for event in events.Scalars("loss")]
    wanted = [(record["step"], record["loss"]) for record in read_metrics(out / "metrics.jsonl")]
    assert [step for step, _ in found] == [1, 2, 3, 4, 5, 6]
    np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_tensorboard_that_is_missing_is_said_so(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match=r"tensorboard: the package is missing.*ov3d_trainer\[tensorboard\]"):
        run(settings, tmp_path / "run", "tensorboard=true")
    assert not (tmp_path / "run").exists()


def test_latest_is_a_relative_link_to_the_last_run(settings: Settings, tmp_path: Path) -> None:
    for name in ("first", "second"):
        run(settings, tmp_path / name, "steps=1")
        assert os.readlink(tmp_path / "latest") == name
    assert (tmp_path / "latest" / "checkpoint.pt").samefile(tmp_path / "second" / "checkpoint.pt")


def test_folder_that_is_called_latest_stays(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "latest").mkdir()
    with caplog.at_level("INFO"):
        link_latest(tmp_path / "run")
        link_latest(tmp_path / "latest")  # a run of that name is no reason for a line
    assert (tmp_path / "latest").is_dir()
    assert not (tmp_path / "latest").is_symlink()
    assert [record.message for record in caplog.records] == [
        f"{tmp_path / 'latest'}: no link to the last run here (something else has that name)"
    ]


def test_disk_without_links_costs_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(link: Path, target: str) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(run_folder, "replace_link", refuse)
    with caplog.at_level("INFO"):
        link_latest(tmp_path / "run")
    assert len(caplog.records) == 1
    assert "Operation not permitted" in caplog.text


def exhaust_cpu(*_: Any) -> None:
    torch.empty(1 << 60)


def exhaust_numpy(*_: Any) -> None:
    np.empty(1 << 58, np.uint8)


def exhaust_gpu(*_: Any) -> None:
    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")


def exhaust_cublas(*_: Any) -> None:
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


def exhaust_driver(*_: Any) -> None:
    raise RuntimeError("CUDA error: out of memory")


@pytest.mark.parametrize("exhaust", [exhaust_cpu, exhaust_numpy, exhaust_gpu, exhaust_cublas, exhaust_driver])
def test_memory_that_does_not_suffice_says_what_to_lower(
    exhaust: Any,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    backward = steps._backward
    monkeypatch.setattr(steps, "_backward", lambda run, batch: exhaust() if run.step == 3 else backward(run, batch))
    command = ["train", "--set", *settings, f"out={tmp_path / 'run'}"]
    assert main(command) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("ConfigError: step 3: not enough memory for a batch of 2 sweeps, ")
    for key in (" voxels (", "batch", "accumulate", "precision=bf16", "inputs.voxel_size_m", "inputs.max_range_m"):
        assert key in line
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt").step == 2
    monkeypatch.undo()
    assert main([*command, "batch=1", "accumulate=2", "--resume"]) == 0  # as the line says
    assert load_checkpoint(tmp_path / "run" / "checkpoint.pt").step == 6


def test_batch_that_cannot_be_made_for_want_of_memory_is_the_same_error(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "make_batch", exhaust_numpy)
    with pytest.raises(ConfigError, match=r"step 0: not enough memory for a batch of 2 sweeps \("):
        run(settings, tmp_path / "run")


def test_other_errors_are_not_taken_for_want_of_memory(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop_at(1, RuntimeError("mat1 and mat2 shapes cannot be multiplied"), monkeypatch)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        run(settings, tmp_path / "run")


def test_more_sweeps_per_step_are_another_run(settings: Settings, tmp_path: Path) -> None:
    run(settings, tmp_path / "run", "steps=2")
    with pytest.raises(ConfigError, match="--resume: batch x accumulate is 1, the checkpoint was trained with 2"):
        run(settings, tmp_path / "run", "steps=2", "batch=1", resume=True)


def test_files_whose_contents_changed_are_another_run(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    words = tmp_path / "words.yaml"
    words.write_text("labels: [car, traffic cone]\n")
    settings = [*settings, f"vocabulary={words}"]
    run(settings, tmp_path / "run", "steps=2")
    for content, what in (
        ("labels: [car, traffic cone]\nthreshold: 0.5\n", r"vocabulary \(threshold\): now 0\.5, .* with 0\.0"),
        ("labels: [{name: car, synonyms: [traffic cone]}]\n", r"vocabulary \(labels\): now .*synonyms.*traffic cone"),
    ):
        words.write_text(content)
        with pytest.raises(ConfigError, match=f"--resume: {what}"):
            run(settings, tmp_path / "run", "steps=2", resume=True)
    words.write_text("labels: [car, traffic cone]\n")
    run(settings, tmp_path / "run", "steps=2", "threads=2", resume=True)
    assert "the run goes on, but no longer equals an undisturbed one" in caplog.text  # threads change rounding


def test_a_run_may_go_on_with_another_backend(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(settings, tmp_path / "run", "steps=2")
    monkeypatch.setitem(BACKENDS, "spconv_triton", TorchPairs)  # the same on a CPU
    run(settings, tmp_path / "run", "steps=2", "network.backend=spconv_triton", resume=True)
    assert "'backend': 'spconv_triton'" in caplog.text
    with pytest.raises(ConfigError, match="--resume: network is "):
        run(settings, tmp_path / "run", "steps=2", "network.anchors=true", resume=True)


@pytest.mark.parametrize(("key", "other"), [("targets", ["car"]), ("samples", 3)])
def test_other_targets_or_samples_are_another_run(key: str, other: Any, settings: Settings, tmp_path: Path) -> None:
    path = run(settings, tmp_path / "run", "steps=1")
    checkpoint = load_checkpoint(path)
    save_checkpoint(path, replace(checkpoint, training={**checkpoint.training, key: other}))
    with pytest.raises(ConfigError, match=rf"--resume: {key}: now .*, the checkpoint was trained with "):
        run(settings, tmp_path / "run", "steps=1", resume=True)


def test_finished_run_that_is_resumed_makes_no_batch(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(settings, tmp_path / "run", "steps=2")
    asked: list[int] = []
    monkeypatch.setattr(steps, "batches_of_step", lambda state, step: asked.append(step))
    run(settings, tmp_path / "run", "steps=2", resume=True)
    assert asked == []


def test_costs_of_a_step_are_recorded(settings: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--set", *settings, f"out={tmp_path / 'run'}", "accumulate=2"]) == 0
    for record in read_metrics(tmp_path / "run" / "metrics.jsonl"):
        whole = record["seconds"] + record["waiting_seconds"]
        assert record["seconds_per_sweep"] == pytest.approx(whole / 4, abs=2e-4)  # 2 batches of 2
        assert record["peak_memory_mb"] > 100  # torch alone takes more
    printed = capsys.readouterr().out
    assert "of waiting for data" in printed
    assert "Peak memory" in printed


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_resumed_run_equals_an_undisturbed_one_in_both_precisions(
    precision: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = (f"precision={precision}", "augmentation.rotate=true", "inputs.max_range_m=30")
    whole = load_checkpoint(run(settings, tmp_path / "whole", *changes))
    stop_at(5, KeyboardInterrupt(), monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        run(settings, tmp_path / "run", *changes)
    monkeypatch.undo()
    again = load_checkpoint(run(settings, tmp_path / "run", *changes, resume=True))
    for name, value in whole.model_state.items():
        assert torch.equal(again.model_state[name], value), name
        if value.is_floating_point():
            assert value.dtype == torch.float32


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Any]:
    """Mounts a file system of so many kB; the test skips, saying why, where that is not allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def mount(kilobytes: int) -> Path:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)], capture_output=True, text=True
        )
        if done.returncode:
            reason = f"no small disk: mount says {done.stderr.strip()}"
            print(reason)
            pytest.skip(reason)
        return folder

    yield mount
    subprocess.run(["umount", str(folder)], capture_output=True)


def test_training_onto_a_full_disk_keeps_its_checkpoint(
    settings: Settings, small_disk: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    size = run(settings, tmp_path / "elsewhere", "steps=2").stat().st_size
    disk = small_disk(round(1.5 * size / 1000))  # room for one checkpoint, not for two
    assert main(["train", "--set", *settings, f"out={disk / 'run'}"]) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line == (
        f"DataError: {disk / 'run' / 'checkpoint.pt'}: cannot be written (No space left on device). "
        "Free space there, or set another folder."
    )
    assert load_checkpoint(disk / "run" / "checkpoint.pt").step == 2
    assert sorted(path.name for path in (disk / "run").iterdir()) == ["checkpoint.pt", "config.yaml", "metrics.jsonl"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_cache_on_a_full_disk_leaves_nothing_half_written(
    jobs: int, settings: Settings, small_disk: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    disk = small_disk(40)
    (disk / "ballast").write_bytes(bytes(38_000))
    command = ["cache", "--jobs", str(jobs), "--set", *settings, f"cache={disk / 'cache'}", "teacher.keep=true"]
    assert main(command) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith(f"DataError: {disk / 'cache'}")
    assert "cannot be written (No space left on device)" in line
    assert not [path for path in disk.rglob("*") if path.is_file() and path.name != "ballast"]
    (disk / "ballast").unlink()
    assert main(command) == 0
    assert len(list(disk.rglob("*.npz"))) == 2
