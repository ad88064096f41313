"""`python -m ov3d_trainer import-checkpoint`: a published MinkowskiEngine network as a checkpoint of ov3d."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any


def add_import_checkpoint(commands: Any) -> None:
    """Add the command to a parser's subcommands."""
    parser = commands.add_parser(
        "import-checkpoint",
        help="read a published MinkowskiEngine network",
        description="Make a checkpoint from the weights of a MinkUNet or Res16UNet of MinkowskiEngine, which is not "
        "needed for it. Architecture, stem and embedding are read from the file; the rest are the method's defaults.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="what torch.save wrote: tensors and plain values only")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="checkpoint to write")
    parser.add_argument(
        "--method", required=True, metavar="NAME",
        help="openscene, openscene-nuscenes, slidr, ssov or language-grounded",
    )  # fmt: skip
    parser.add_argument(
        "--inputs", default="", metavar="NAME", help="ones, intensity, color, centred-color, or features: one,z"
    )
    parser.add_argument("--voxel-size", type=float, metavar="M")
    parser.add_argument(
        "--intensity-scale", type=float, default=255.0, metavar="X", help="the sensor's largest intensity (default 255)"
    )
    parser.add_argument("--max-range", type=float, metavar="M")
    parser.add_argument("--text-space", default="", metavar="SPACE", help="clip:ViT-B-32/openai, ...")
    parser.add_argument("--template", default="", metavar="TEXT", help="prompt with {} for the name")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    from ov3d_perception.errors import ConfigError

    from ..checkpoint import save_checkpoint
    from ..checkpoint_import import METHODS, ImportOptions, import_checkpoint, report_text

    if options.method not in METHODS:
        raise ConfigError(f"--method: unknown '{options.method}'. Choose from {', '.join(METHODS)}.")
    stated = ImportOptions(
        inputs=options.inputs,
        voxel_size_m=options.voxel_size,
        intensity_scale=options.intensity_scale,
        max_range_m=options.max_range,
        text_space=options.text_space,
        template=options.template,
    )
    checkpoint = import_checkpoint(options.file, options.method, stated)
    save_checkpoint(options.out, checkpoint)
    print(f"{report_text(checkpoint)}\nwritten to {options.out}")
