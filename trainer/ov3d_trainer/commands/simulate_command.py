"""`python -m ov3d_trainer simulate street|room`: simulated worlds written in the official formats."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from ov3d_perception.errors import ConfigError

MAX_SCENES = 1_000


def add_simulate(commands: Any) -> None:
    """Add the command and its two worlds to a parser's subcommands."""
    parser = commands.add_parser(
        "simulate",
        help="write simulated worlds as nuScenes or ScanNet",
        description="Write simulated worlds in the official formats: streets as nuScenes v1.0-mini, rooms as ScanNet.",
    )
    worlds = parser.add_subparsers(required=True, metavar="WORLD")
    street = worlds.add_parser("street", help="drives as a nuScenes data root", description=_run_street.__doc__)
    _add_shared(street)
    street.add_argument("--keyframes", type=int, default=20, metavar="N", help="per scene, 0.5 s apart (default 20)")
    street.add_argument("--image-width", type=int, default=400, metavar="PX", help="of 16:9 images (default 400)")
    street.set_defaults(run=_run_street)
    room = worlds.add_parser("room", help="scans as ScanNet folders", description=_run_room.__doc__)
    _add_shared(room)
    room.add_argument("--views", type=int, default=40, metavar="N", help="images per scan (default 40)")
    room.set_defaults(run=_run_room)


def _add_shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scenes", type=int, required=True, metavar="N", help="how many")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="new or empty folder")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="world of the first scene (default 0)")
    parser.add_argument("--jobs", type=int, default=2, metavar="N", help="processes at work at once (default 2)")
    parser.add_argument("--unseen", action="store_true", help="with kinds of object that are kept from training")
    parser.add_argument("--overwrite", action="store_true", help="replace what an earlier run left in DIR")


def _run_street(options: argparse.Namespace) -> None:
    """Write drives through simulated streets as a nuScenes data root (version v1.0-mini)."""
    from ..data.nuscenes.writer import write_streets

    _check(options)
    drives = write_streets(
        options.out,
        scenes=options.scenes,
        seed=options.seed,
        keyframes=options.keyframes,
        image_size=(options.image_width, round(options.image_width * 9 / 16)),
        jobs=options.jobs,
        unseen=options.unseen,
        overwrite=options.overwrite,
    )
    print(f"{options.out}: {', '.join(drive.name for drive in drives)}, {options.keyframes} keyframes each")


def _run_room(options: argparse.Namespace) -> None:
    """Write scans of simulated rooms as ScanNet folders, scene0000_00 and so on; every fifth is of split val."""
    from concurrent.futures import ProcessPoolExecutor
    from functools import partial
    from multiprocessing import get_context

    from tqdm import tqdm

    from ..data.scannet.writer import write_room, write_splits

    _check(options)
    if options.out.exists() and any(options.out.iterdir()) and not options.overwrite:
        raise ConfigError(
            f"{options.out}: expected a new or empty folder, it has files. Choose another, or give --overwrite to "
            "write over the scans in it."
        )
    numbers = range(options.scenes)
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        write = partial(write_room, options.out, views=options.views, unseen=options.unseen)
        written = pool.map(write, (options.seed + number for number in numbers), numbers)
        for _ in tqdm(written, total=len(numbers), unit="room", disable=not sys.stderr.isatty()):
            pass
    splits = write_splits(options.out, options.scenes)
    listed = ", ".join(f"{len(names)} for {split}" for split, names in splits.items())
    print(f"{options.out}: {options.scenes} scans of {options.views} images each ({listed})")


def _check(options: argparse.Namespace) -> None:
    if not 1 <= options.scenes <= MAX_SCENES or options.jobs < 1 or options.seed < 0:
        raise ConfigError(
            f"simulate: expected 1 to {MAX_SCENES} scenes, jobs >= 1 and seed >= 0, got --scenes {options.scenes} "
            f"--jobs {options.jobs} --seed {options.seed}."
        )
