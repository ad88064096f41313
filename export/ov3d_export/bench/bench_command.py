"""`python -m ov3d_export bench`: measure what ov3d costs on this machine, and write it down."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from ov3d_perception.errors import ConfigError

from .machine import usable_cores
from .plan import JSON_FILE, check_parts, plan, read_record, run_plan, updated, write_record
from .settings import GPU_PART, PARTS, BenchSettings, quick
from .worker import run_isolated

PAGE_FILE = "bench.md"
DATA_VARIABLE = "OV3D_TEST_DATA"
_LARGEST = 2_000_000


def add_bench_command(commands: Any) -> None:
    """Register `bench`."""
    parser = commands.add_parser("bench", help="measure what ov3d costs on this machine", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=Path("export/bundles/demo"), help="default: %(default)s")
    parser.add_argument(
        "--data", type=Path, help=f"folder with real sweeps; default: {DATA_VARIABLE}, else simulated ones alone"
    )
    parser.add_argument("--out", type=Path, help="folder for bench.json, bench.md and plots; default: tables on screen")
    parser.add_argument("--json", action="store_true", help="print the record as JSON instead of tables")
    parser.add_argument(
        "--only", default="", metavar="PARTS", help=f"some of {','.join((*PARTS, GPU_PART))}; default: all but the last"
    )
    parser.add_argument("--gpu", action="store_true", help="measure the GPU alone: the same as --only gpu")
    parser.add_argument("--threads", type=int, nargs="+", help="numbers of CPU threads; default: 1 and all cores")
    parser.add_argument(
        "--voxel-size", type=float, nargs="+", default=[0.1], metavar="M",
        help="time the bundle at these voxel edges beside the card's own, whatever it was trained with; default: 0.1",
    )  # fmt: skip
    parser.add_argument("--graphs", type=Path, help="folder that keeps the graphs of random networks between runs")
    parser.add_argument("--quick", action="store_true", help="a minute or two instead of some ten")
    parser.add_argument("--full", action="store_true", help="also a cloud of 2 million points")
    parser.add_argument("--update", action="store_true", help="keep the parts of the record in --out not measured now")
    parser.add_argument("--page-of", type=Path, metavar="JSON", help="only write tables and plots of this record again")
    parser.set_defaults(run=run_bench)


def run_bench(options: argparse.Namespace) -> int:
    """Measure, then print or write the record."""
    if options.page_of is not None:
        record = read_record(options.page_of)
    else:
        with tempfile.TemporaryDirectory() as folder:
            settings = settings_of(options, options.graphs or Path(folder), os.environ.get(DATA_VARIABLE))
            parts = (GPU_PART,) if options.gpu else check_parts([part for part in options.only.split(",") if part])
            jobs = plan(settings, parts, brief=options.quick)
            environment = dict(os.environ)
            record = run_plan(
                settings,
                jobs,
                lambda job: run_isolated(
                    job.name, settings, job.arguments, threads=job.threads, environment=environment
                ),
                progress=lambda line: print(line, file=sys.stderr if options.json else sys.stdout, flush=True),
            )
    from .page import page

    if options.update and options.out is not None and (options.out / JSON_FILE).is_file():
        record = updated(read_record(options.out / JSON_FILE), record)
    if options.out is not None:
        write_all(record, options.out)
        print(f"{options.out}: {', '.join(sorted(path.name for path in options.out.iterdir()))}")
    elif options.json:
        print(json.dumps(record, indent=1))
    else:
        print(page(record))
    return 0


def settings_of(options: argparse.Namespace, graphs: Path, data: str | None) -> BenchSettings:
    """Return what the options say; `ConfigError` for threads or voxels that make no sense and folders that are none."""
    threads = tuple(options.threads or dict.fromkeys((1, usable_cores())))
    folder = options.data or (Path(data) if data else None)
    if min(threads) < 1 or min(options.voxel_size) <= 0:
        raise ConfigError(f"--threads and --voxel-size must be positive, got {threads} and {options.voxel_size}.")
    for name, path in (("--bundle", options.bundle), ("--data", folder)):
        if path is not None and not path.is_dir():
            raise ConfigError(f"{name} {path}: no such folder.")
    settings = BenchSettings(
        bundle=options.bundle,
        data=folder,
        graphs=graphs,
        threads=threads,
        voxel_m=tuple(options.voxel_size),
    )
    if options.full:
        settings = replace(settings, points=(*settings.points, _LARGEST))
    return quick(settings) if options.quick else settings


def write_all(record: dict[str, Any], folder: Path) -> None:
    """Write record, tables and plots."""
    from .page import page
    from .plots import figures

    folder.mkdir(parents=True, exist_ok=True)
    write_record(record, folder / JSON_FILE)
    made = figures(record)
    for name, figure in made.items():
        figure.savefig(folder / f"{name}.png")
    pictures = [f"![{name}]({name}.png)" for name in made]
    (folder / PAGE_FILE).write_text("\n\n".join([page(record).rstrip(), *pictures]) + "\n", encoding="utf-8")
