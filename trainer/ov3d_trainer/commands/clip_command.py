"""`python -m ov3d_trainer demo-clip` and `dense-zero-shot`: a small CLIP of simulated worlds, and what patches say."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from ..settings import add_config_options


def add_demo_clip(commands: Any) -> None:
    """Add the command `demo-clip` to a parser's subcommands."""
    parser = commands.add_parser(
        "demo-clip",
        help="train a small CLIP on simulated worlds",
        description="Train a small CLIP image tower on crops of simulated worlds and captions, one vector per crop.",
    )
    add_config_options(parser, see="trainer/configs/demo_clip.yaml", example="steps=100 cache=FOLDER")
    parser.add_argument("--measure", type=Path, metavar="FILE", help="do not train; measure these weights")
    parser.set_defaults(run=_run_demo_clip)


def _run_demo_clip(options: argparse.Namespace) -> None:
    from ..demo_clip.config import load_demo_clip_config
    from ..demo_clip.measure import measure_demo_clip
    from ..demo_clip.training import train_demo_clip

    config = load_demo_clip_config(options.config, options.settings)
    path = options.measure
    if path is None:
        path = train_demo_clip(config)
        print(f"written to {path}")
    if config.evaluation.kind:
        found = measure_demo_clip(config, path)
        print(f"{100 * found.accuracy:.1f} % of {found.crops} crops are nearest to their own of {found.kinds} kinds")


def add_dense_zero_shot(commands: Any) -> None:
    """Add the command `dense-zero-shot` to a parser's subcommands."""
    parser = commands.add_parser(
        "dense-zero-shot",
        help="measure dense CLIP features",
        description="Label pixels by the nearest words for every edit of a CLIP's last block, and compare with label "
        "images. Reads `evaluation`, `cache`, `vocabulary`, `text` and `teacher` of a training configuration.",
    )
    example = "teacher.short_side=448 evaluation.seeds=2000"
    add_config_options(parser, see="trainer/configs/demo_clip_teacher.yaml", example=example)
    parser.add_argument("--edits", default="", metavar="NAMES", help="plain,naclip,...; default: all")
    parser.add_argument(
        "--masks", type=Path, metavar="NPZ", help="instead: compare features of these masks with those of their crops"
    )
    parser.add_argument("--out", type=Path, default=Path("runs/dense_zero_shot.json"), metavar="JSON")
    parser.set_defaults(run=_run_dense_zero_shot)


def _run_dense_zero_shot(options: argparse.Namespace) -> None:
    from ..clip_dense.edits import EDITS
    from ..clip_dense.mask_retrieval import mask_row, measure_masks
    from ..clip_dense.zero_shot import measure_zero_shot, save_zero_shot, zero_shot_table
    from ..config import load_config
    from ..report import table

    edits = tuple(part.strip() for part in options.edits.split(",")) if options.edits else EDITS
    config = load_config(options.config, options.settings)
    if options.masks is not None:
        found = measure_masks(config.teacher, options.masks, edits)
        header = ["edit", "cosine to own crop", "to other crops", "own crop nearest"]
        print(table(header, [mask_row(edit, one) for edit, one in found.items()]))
        return
    result = measure_zero_shot(config, edits)
    save_zero_shot(options.out, result)
    print(zero_shot_table(result))
    pixels = int(next(iter(result.figures.values())).points().sum())
    print(f"{result.images} images, {pixels} pixels; left out: {', '.join(result.left_out) or 'nothing'}")
    print(f"written to {options.out}")
