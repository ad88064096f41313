"""Kills trainings and cache writers at random moments, and compares what they end with to undisturbed ones.

python -m tests.e2e.kill_check train --kills 10 --seed 0
python -m tests.e2e.kill_check cache --kills 10 --seed 0 --jobs 2
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ov3d_perception.text.bank import write_bank
from ov3d_trainer.checkpoint import load_checkpoint
from ov3d_trainer.report import read_metrics

WORDS = ("road", "car", "building", "tree")
COSTS = ("seconds", "waiting_seconds", "seconds_per_sweep", "peak_memory_mb")
"""What no two runs have in common."""
_SHARE = 0.8  # of the work, done at the last kill at most
_POLL_S, _LATER_S = 0.01, 0.05


def command(name: str, folder: Path, settings: Sequence[str], *options: str) -> list[str]:
    """Return a command of the trainer on simulated streets, as small as it can be; `folder` holds words and cache."""
    if not (folder / "bank.npz").exists():
        write_bank(folder / "bank.npz", list(WORDS), np.eye(len(WORDS), dtype=np.float32), space="test:axes")
        (folder / "words.yaml").write_text(f"labels: [{', '.join(WORDS)}]\n")
    shared = [
        "data.kind=street", "data.interval_s=4", "evaluation.kind=", "teacher.kind=labels",
        "teacher.keep=true", f"vocabulary={folder / 'words.yaml'}", f"text={folder / 'bank.npz'}",
        "inputs.voxel_size_m=1", "inputs.max_range_m=30", "threads=1",
    ]  # fmt: skip
    return [sys.executable, "-m", "ov3d_trainer", name, *options, "--set", *shared, *settings]


def run(words: Sequence[str]) -> None:
    """Run a command to its end."""
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]


def run_killed(
    words: Sequence[str], kills: int, work: int, generator: np.random.Generator, progress: Callable[[], int]
) -> list[int]:
    """Start a command and kill it (SIGKILL) when it has got on by a random amount, `kills` times, then let it finish.

    `progress` says how much of `work` is done. Returns what it says after each kill; the list is shorter where the
    command finished before. Raises AssertionError where no kill came in the middle of the work.
    """
    longest = int(_SHARE * work / kills)
    assert longest >= 1, f"{kills} kills are too many for {work} steps or files"
    found: list[int] = []
    for _ in range(kills):
        wanted = progress() + int(generator.integers(1, longest + 1))
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            while progress() < wanted and process.poll() is None:
                time.sleep(_POLL_S)
            time.sleep(generator.uniform(0.0, _LATER_S))
            finished = process.poll() is not None
        finally:
            process.kill()
            process.wait()
        if finished:
            break
        found.append(progress())
    assert any(0 < done < work for done in found), f"killed at {found} of {work}: never in the middle"
    run(words)
    return found


def check_training(folder: Path, kills: int, seed: int, settings: Sequence[str]) -> list[int]:
    """Hold a killed and resumed training against an undisturbed one; return the steps done at each kill."""
    data = ["data.seeds=3-4", "data.frames=1", f"cache={folder / 'cache'}", "batch=2", "network.architecture=narrow"]
    data += ["augmentation.rotate=true", "augmentation.drop=0.2", "optimiser.learning_rate=1e-2", *settings]
    run(command("cache", folder, data))
    whole, killed = folder / "whole", folder / "killed"
    run(command("train", folder, [*data, f"out={whole}"]))
    resume = command("train", folder, [*data, f"out={killed}"], "--resume")
    steps = lines_of(whole / "metrics.jsonl")
    generator = np.random.default_rng(seed)
    found = run_killed(resume, kills, steps, generator, lambda: lines_of(killed / "metrics.jsonl"))
    states = [load_checkpoint(out / "checkpoint.pt") for out in (whole, killed)]
    assert digest(states[0].model_state) == digest(states[1].model_state)
    assert digest(states[0].trainer_state) == digest(states[1].trainer_state)
    records = [without_costs(read_metrics(out / "metrics.jsonl")) for out in (whole, killed)]
    assert records[0] == records[1]
    assert leftovers(killed) == []
    return found


def check_cache(folder: Path, kills: int, seed: int, jobs: int, settings: Sequence[str]) -> list[int]:
    """Hold the files of a killed cache writer against those of an undisturbed one; return how many each kill found."""
    whole, killed = folder / "cache_whole", folder / "cache_killed"
    options = ("--jobs", str(jobs))
    run(command("cache", folder, [*settings, f"cache={whole}"], *options))
    words = command("cache", folder, [*settings, f"cache={killed}"], *options)
    generator = np.random.default_rng(seed)
    found = run_killed(words, kills, samples_of(whole), generator, lambda: samples_of(killed))
    files = [files_of(whole), files_of(killed)]
    assert files[0]
    assert files[0] == files[1]
    assert leftovers(killed) == []
    return found


def samples_of(folder: Path) -> int:
    """Return how many samples and supervisions are kept."""
    return len(list(folder.rglob("[!.]*.npz")))


def files_of(folder: Path) -> dict[str, str]:
    """Return every file's hash."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def leftovers(folder: Path) -> list[str]:
    """Return the names of temporary files."""
    return [path.name for path in folder.rglob(".*")]


def lines_of(path: Path) -> int:
    """Return how many steps are recorded."""
    return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0


def without_costs(records: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return metrics without times and memory."""
    return [{key: value for key, value in record.items() if key not in COSTS} for record in records]


def digest(state: Any) -> str:
    """Return a hash of all tensors and values of a state, bit for bit."""
    if hasattr(state, "numpy"):
        return hashlib.sha256(state.detach().numpy().tobytes()).hexdigest()
    if hasattr(state, "items"):
        return json.dumps({str(key): digest(value) for key, value in sorted(state.items(), key=str)})
    if isinstance(state, (list, tuple)):
        return json.dumps([digest(value) for value in state])
    return repr(state)


def main() -> None:
    """Run one of both checks at full length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("train", "cache"))
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if options.what == "train":
            found = check_training(folder, options.kills, options.seed, ["steps=300", "checkpoint_every=5"])
        else:
            settings = ["data.seeds=0-5", "data.frames=4"]
            found = check_cache(folder, options.kills, options.seed, options.jobs, settings)
    print(f"killed {len(found)} times, with so many steps or files done: {found}")
    assert len(found) == options.kills, "it finished before the last kill"
    print("the same result as undisturbed")


if __name__ == "__main__":
    main()
