"""`python -m ov3d_export`: turn what training made into what the robot runs."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ov3d_perception.errors import ConfigError, Ov3dError
from ov3d_perception.types import Frame

from .bench.bench_command import add_bench_command

SIMULATED_FRAMES = 2
SIMULATED_SEED = 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 2 after one line on standard error when it cannot be done."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    options = _make_parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except Ov3dError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2


def main_student(arguments: Sequence[str] | None = None) -> int:
    """Run `student` alone, for the plain script trainer/export.py."""
    return main(["student", *(sys.argv[1:] if arguments is None else arguments)])


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ov3d_export", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_student_command(commands)
    _add_text_tower(commands)
    _add_small_text_tower(commands)
    _add_image_tower(commands)
    add_bench_command(commands)
    return parser


def _add_student_command(commands: Any) -> None:
    parser = commands.add_parser(
        "student", help="checkpoint to bundle", description="Write a bundle from a checkpoint, checked against torch."
    )
    parser.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT", help="file written by `python -m ov3d_trainer train`"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="BUNDLE", help="folder to make or to replace")
    parser.add_argument(
        "--text", type=Path, metavar="PATH", help="bank .npz, or folder with bank.npz or text.onnx and tokenizer.json"
    )
    parser.add_argument(
        "--frame",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar="CLOUD",
        help="clouds on which graph and torch must agree (.bin, .pcd, .ply, .npy); default: simulated ones",
    )
    parser.add_argument("--name", help="name on the model card; default: the training run's name")
    parser.add_argument("--notes", default="", help="free text for the model card")
    parser.add_argument("--no-gpu", action="store_true", help="leave out student_gpu.onnx, the float16 form for GPUs")
    parser.add_argument(
        "--int8", action="store_true", help="student.onnx in 8-bit integers: faster for wide networks on CPUs with VNNI"
    )
    parser.set_defaults(run=_run_student)


def _run_student(options: argparse.Namespace) -> int:
    from ov3d_trainer.checkpoint import load_checkpoint

    from .student import export_student

    checkpoint = load_checkpoint(options.checkpoint)
    result = export_student(
        checkpoint,
        options.out,
        text=options.text,
        parity_frames=_parity_frames(options.frame),
        name=options.name,
        notes=options.notes,
        gpu=not options.no_gpu,
        int8=options.int8,
    )
    parity = result.parity
    print(
        f"{result.bundle}: {result.card.architecture}, {result.student_bytes / 1e6:.1f} MB. Largest difference to "
        f"torch over {parity.clouds} clouds (up to {parity.voxels} voxels): embedding {parity.embedding:.1e}, "
        f"similarity {parity.similarity:.1e} (onnxruntime {parity.onnxruntime})."
    )
    if result.gpu_parity is not None:
        gpu = result.gpu_parity
        print(f"Form for GPUs, float16: embedding {gpu.embedding:.1e}, cosine at least {gpu.cosine:.6f}.")
    return 0


def _parity_frames(paths: Sequence[Path]) -> list[Frame]:
    if paths:
        from ov3d_perception.clouds import read_cloud

        return [read_cloud(path) for path in paths]
    from ov3d_trainer.data.simulate import SimulatedStreet

    street = SimulatedStreet(seed=SIMULATED_SEED, frames=SIMULATED_FRAMES)
    return [street[number].frame for number in range(len(street))]


def _add_image_tower(commands: Any) -> None:
    parser = commands.add_parser(
        "image-tower",
        help="trained image tower to ONNX",
        description="Write image.onnx into a bundle folder, checked against torch.",
    )
    parser.add_argument("checkpoint", type=Path, help="written by `python -m ov3d_trainer image-tower`")
    parser.add_argument("--out", type=Path, required=True, metavar="BUNDLE_DIR", help="folder to write the file into")
    parser.set_defaults(run=_run_image_tower)


def _run_image_tower(options: argparse.Namespace) -> int:
    from .image_tower import export_image_tower

    result = export_image_tower(options.checkpoint, options.out)
    print(f"{result.path}: {result.bytes / 1e6:.1f} MB, largest difference to torch {result.difference:.1e}.")
    return 0


def _add_small_text_tower(commands: Any) -> None:
    parser = commands.add_parser(
        "small-text-tower",
        help="trained small text tower to ONNX",
        description="Write text.onnx (int8 weights) and tokenizer.json into a bundle folder, checked against torch.",
    )
    parser.add_argument("checkpoint", type=Path, help="written by `python -m ov3d_trainer text-tower`")
    parser.add_argument("--out", type=Path, required=True, metavar="BUNDLE_DIR", help="folder to write the files into")
    parser.set_defaults(run=_run_small_text_tower)


def _run_small_text_tower(options: argparse.Namespace) -> int:
    from ov3d_trainer.text_tower.checkpoint import load_text_tower

    from .sentence_tower import export_small_tower

    if options.out.exists() and not options.out.is_dir():
        raise ConfigError(f"--out {options.out}: is a file. Name the folder that the bundle shall be.")
    report = export_small_tower(load_text_tower(options.checkpoint), options.out)
    print(
        f"{report.folder}: text.onnx {report.tower_bytes / 1e6:.1f} MB, tokenizer.json "
        f"{report.tokenizer_bytes / 1e6:.1f} MB, text space {report.card.space!r}. Over {report.texts} texts: largest "
        f"difference to torch {report.difference:.1e}, largest cosine distance by rounding {report.rounding:.1e}."
    )
    return 0


def _add_text_tower(commands: Any) -> None:
    """Register `text-tower`, or what to install for it: `student` must work without open_clip."""
    try:
        from .text_tower import add_text_tower_command
    except ImportError as error:
        reason = str(error)

        def explain(options: argparse.Namespace) -> int:
            raise ConfigError(f"text-tower: {reason}. Install the packages that export/pyproject.toml lists.")

        parser = commands.add_parser("text-tower", help="CLIP text tower to ONNX (not installed)")
        parser.add_argument("anything", nargs=argparse.REMAINDER)
        parser.set_defaults(run=explain)
    else:
        add_text_tower_command(commands)
