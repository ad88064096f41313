"""Which measurements a run consists of, and the one record that they make."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import ov3d_perception
from ov3d_perception.errors import ConfigError, DataError

from .machine import describe_machine
from .settings import GPU_PART, PARTS, BenchSettings
from .sweeps import ROOM, sweep_names

FORMAT = 1
JSON_FILE = "bench.json"
_PLACES = ("bundle", "data", "graphs")  # of this machine alone


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One measurement: what `worker.measurement` calls it, under which part it is filed, and what it is given."""

    part: str
    name: str
    arguments: dict[str, Any]
    threads: int

    @property
    def title(self) -> str:
        """What a progress line says."""
        shown = ", ".join(f"{key} {value}" for key, value in self.arguments.items() if value is not None)
        return f"{self.name}: {shown}" if shown else self.name


def check_parts(names: Sequence[str]) -> tuple[str, ...]:
    """Return the parts asked for, all but the GPU's by default; `ConfigError` for others."""
    unknown = [name for name in names if name not in (*PARTS, GPU_PART)]
    if unknown:
        raise ConfigError(f"--only: unknown {', '.join(unknown)}. Choose from {', '.join((*PARTS, GPU_PART))}.")
    return tuple(names) or PARTS


def plan(settings: BenchSettings, parts: Sequence[str], *, brief: bool = False) -> list[Job]:
    """Return the measurements of a run in order; a brief one leaves out the sweeps beside the first."""
    sweeps = sweep_names(settings.data)
    jobs = {
        "stages": lambda: _stages(settings, sweeps[:1] if brief else sweeps),
        "words": lambda: _words(settings),
        "scaling": lambda: _scaling(settings),
        "threads": lambda: _threads(settings),
        "sizes": lambda: [
            Job(part="sizes", name="sizes", arguments={"threads": threads}, threads=threads)
            for threads in settings.threads
        ],
        "peers": lambda: _peers(settings, sweeps[:1] if brief else sweeps),
        GPU_PART: lambda: [Job(part=GPU_PART, name="gpu", arguments={}, threads=settings.threads[-1])],
    }
    return list(itertools.chain.from_iterable(jobs[part]() for part in parts))


def _stages(settings: BenchSettings, sweeps: Sequence[str]) -> Iterator[Job]:
    """The first sweep at every number of threads, others at the last one."""
    for sweep, threads, voxel in itertools.product(sweeps, settings.threads, (*settings.voxel_m, None)):
        if sweep == sweeps[0] or (threads == settings.threads[-1] and voxel is not None):
            arguments = {"threads": threads, "voxel_size_m": voxel, "sweep": sweep}
            yield Job(part="stages", name="stages", arguments=arguments, threads=threads)


def _words(settings: BenchSettings) -> Iterator[Job]:
    threads = settings.threads[-1]
    for voxel in settings.voxel_m:
        arguments = {"threads": threads, "voxel_size_m": voxel}
        yield Job(part="words", name="words", arguments=arguments, threads=threads)
    yield Job(part="texts", name="texts", arguments={}, threads=1)


def _scaling(settings: BenchSettings) -> Iterator[Job]:
    threads = settings.threads[-1]
    for voxel, points in itertools.product(settings.scaling_voxel_m, settings.points):
        arguments = {"threads": threads, "voxel_size_m": voxel, "points": points}
        yield Job(part="scaling", name="scaling", arguments=arguments, threads=threads)


def _threads(settings: BenchSettings) -> Iterator[Job]:
    most = settings.threads[-1]
    for voxel in settings.voxel_m:
        yield Job(part="threads", name="threads", arguments={"voxel_size_m": voxel, "most": most}, threads=most)


def _peers(settings: BenchSettings, sweeps: Sequence[str]) -> Iterator[Job]:
    """Every architecture on the first sweep, the first one at the most threads on the other outdoor ones."""
    outdoor = [sweep for sweep in sweeps if sweep != ROOM]
    for sweep, threads, architecture in itertools.product(outdoor, settings.threads, settings.peer_architectures):
        elsewhere = architecture == settings.peer_architectures[0] and threads == settings.threads[-1]
        if sweep == outdoor[0] or elsewhere:
            arguments = {"threads": threads, "sweep": sweep, "architecture": architecture}
            yield Job(part="peers", name="peers", arguments=arguments, threads=threads)


def run_plan(
    settings: BenchSettings,
    jobs: Sequence[Job],
    run: Callable[[Job], Mapping[str, Any]],
    *,
    progress: Callable[[str], None],
) -> dict[str, Any]:
    """Run all jobs; return the record: machine, settings, and a list of results for every part."""
    record: dict[str, Any] = {
        "format": FORMAT,
        "ov3d_version": ov3d_perception.__version__,
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "settings": {name: value for name, value in settings.to_dict().items() if name not in _PLACES},
    }
    for number, job in enumerate(jobs, start=1):
        progress(f"[{number}/{len(jobs)}] {job.title}")
        record.setdefault(job.part, []).append(dict(run(job)))
    return record


def updated(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Return the old record with the parts of the new one, and with its machine and date under `updates`."""
    fresh = {part: entries for part, entries in new.items() if isinstance(entries, list)}
    note = {"parts": list(fresh), **{name: new[name] for name in ("started", "machine", "settings")}}
    return {**old, **fresh, "updates": [*old.get("updates", []), note]}


def write_record(record: Mapping[str, Any], path: Path) -> None:
    """Write the record as JSON."""
    path.write_text(json.dumps(record, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_record(path: Path) -> dict[str, Any]:
    """Read a record; `DataError` for anything else."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read as a bench record ({error}).") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        raise DataError(f"{path}: is no bench record of format {FORMAT}. Measure again.")
    return record
