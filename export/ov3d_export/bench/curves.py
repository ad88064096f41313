"""How cost grows with points, and how it falls with threads."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import numpy as np

from ov3d_perception.artifact import Bundle, open_bundle
from ov3d_perception.engine import Engine
from ov3d_perception.inputs import build_inputs
from ov3d_perception.voxels import voxelize

from .gemm import GemmRate
from .machine import peak_memory_mb
from .settings import BenchSettings
from .sweeps import load_sweep, of_size, varied
from .timing import median_ratio, summary, take_turns
from .whole_way import label_at_once, open_messages, random_vocabulary, with_voxel_size

REFERENCE_POINTS = 35_000
_WORDS = 16
_UNLIMITED_M = 1e6
_POINTS_IN_TURNS = 1_000_000  # about as many go through in all turns of one size


def measure_scaling(settings: BenchSettings, *, threads: int, voxel_size_m: float, points: int) -> dict[str, Any]:
    """Time clouds of one size, in turn with one of 35,000 points (about 24,000 voxels of 0.05 m).

    Larger clouds are sweeps side by side, so voxels grow as points do. `peak_memory_mb` is the process's before the
    reference was touched; `per_voxel` the time per voxel relative to the reference's.
    """
    bundle = _without_range(with_voxel_size(open_bundle(settings.bundle), voxel_size_m))
    engine = Engine(bundle, providers="cpu", threads=threads)
    messages = open_messages()
    walk = label_at_once(engine, random_vocabulary(bundle, _WORDS), messages)
    sweep = load_sweep(settings.data).frame
    clouds = {}
    peak_mb = 0.0
    for name, size in (("this", points), ("reference", REFERENCE_POINTS)):
        cloud = of_size(sweep, size, np.random.default_rng(0))
        clouds[name] = (messages.cloud(cloud), len(voxelize(cloud.points, voxel_size_m).coords))
        walk(clouds[name][0])
        peak_mb = peak_mb or peak_memory_mb()
    rounds = max(3, min(settings.rounds, _POINTS_IN_TURNS // points))
    seconds = take_turns(
        {name: functools.partial(walk, message) for name, (message, _) in clouds.items()}, rounds, warm_up=1
    )
    per_voxel = clouds["reference"][1] / clouds["this"][1]
    return {
        "threads": threads,
        "voxel_size_m": voxel_size_m,
        "points": points,
        "voxels": clouds["this"][1],
        "reference_voxels": clouds["reference"][1],
        "total": summary(seconds["this"]),
        "reference": summary(seconds["reference"]),
        "per_voxel": median_ratio(seconds["this"], seconds["reference"]) * per_voxel,
        "peak_memory_mb": peak_mb,
    }


def measure_threads(settings: BenchSettings, *, voxel_size_m: float, most: int) -> dict[str, Any]:
    """Time the network, and a matrix product, on 1 to `most` threads, all in turn."""
    bundle = with_voxel_size(open_bundle(settings.bundle), voxel_size_m)
    vocabulary = random_vocabulary(bundle, _WORDS)
    frame = next(varied(load_sweep(settings.data).frame, np.random.default_rng(0)))
    voxels = len(build_inputs(frame, bundle.card.inputs).features)
    counts = list(range(1, min(most, 8) + 1)) + [count for count in (12, 16, 24, 32, 48, 64) if count <= most]
    engines = {count: Engine(bundle, providers="cpu", threads=count) for count in counts}
    network: dict[int, list[float]] = {count: [] for count in counts}

    def encode(count: int) -> None:
        network[count].append(engines[count].encode(frame, vocabulary.queries).timings_ms["network"] / 1e3)

    rounds = settings.rounds
    take_turns({str(count): functools.partial(encode, count) for count in counts}, rounds, warm_up=2)
    rates = {}
    for count in counts:
        gemm = GemmRate(count)
        for _ in range(3):
            gemm.measure()
        rates[count] = gemm.result()["gflop_per_s"]
    timed = {count: seconds[2:] for count, seconds in network.items()}
    return {
        "voxel_size_m": voxel_size_m,
        "voxels": voxels,
        "threads": [
            {
                "threads": count,
                "network": summary(timed[count]),
                "speed_up": 1 / median_ratio(timed[count], timed[counts[0]]),
                "gemm_gflop_per_s": rates[count],
            }
            for count in counts
        ],
    }


def _without_range(bundle: Bundle) -> Bundle:
    return replace(bundle, card=replace(bundle.card, inputs=replace(bundle.card.inputs, max_range_m=_UNLIMITED_M)))
