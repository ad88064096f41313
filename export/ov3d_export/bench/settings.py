"""What a bench run measures, and how often."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

PARTS = ("stages", "words", "scaling", "threads", "sizes", "peers")
GPU_PART = "gpu"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchSettings:
    """What to measure.

    `data` is the folder with real sweeps (None: simulated ones only), `threads` the numbers of CPU threads, `voxel_m`
    the voxel edges at which the bundle is timed beside its own. `sweeps` counts perturbed sweeps per stage table,
    `rounds` the turns of everything else. `graphs` keeps exported graphs between runs.
    """

    bundle: Path
    data: Path | None
    graphs: Path
    threads: tuple[int, ...]
    voxel_m: tuple[float, ...] = (0.1,)
    sweeps: int = 50
    rounds: int = 11
    queries: tuple[int, ...] = (1, 10, 100, 1000)
    points: tuple[int, ...] = (10_000, 35_000, 100_000, 300_000, 1_000_000)
    scaling_voxel_m: tuple[float, ...] = (0.05, 0.1)
    architectures: tuple[str, ...] = ()
    peer_architectures: tuple[str, ...] = ("narrow", "MinkUNet14A", "MinkUNet18A", "MinkUNet34C")
    embedding_dim: int = 512
    gpu_sweeps: int = 100
    training_steps: int = 30

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON types."""
        values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BenchSettings:
        """Read what `to_dict` wrote."""
        plain: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value for name, value in values.items()
        }
        plain |= {name: Path(plain[name]) for name in ("bundle", "data", "graphs") if plain[name] is not None}
        return cls(**plain)


def quick(settings: BenchSettings) -> BenchSettings:
    """Return settings that take about a minute: fewer turns, and nothing that is large."""
    return replace(
        settings,
        threads=settings.threads[-1:],
        sweeps=12,
        rounds=3,
        points=tuple(points for points in settings.points if points <= 100_000),
        scaling_voxel_m=settings.scaling_voxel_m[:1],
        architectures=("light", "narrow", "MinkUNet14A"),
        peer_architectures=("narrow", "MinkUNet14A"),
        gpu_sweeps=20,
        training_steps=10,
    )
