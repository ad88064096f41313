"""`python -m ov3d_trainer text-tower`: distil the small text tower, or write the list of texts that it learns from."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ..settings import add_config_options


def add_text_tower(commands: Any) -> None:
    """Add the command to a parser's subcommands."""
    parser = commands.add_parser(
        "text-tower",
        help="distil a small text tower",
        description="Distil a small text tower from a sentence encoder; `python -m ov3d_export small-text-tower` "
        "makes it the text side of a bundle.",
    )
    add_config_options(parser, see="trainer/configs/text_tower.yaml", example="steps=500 teacher=FOLDER")
    parser.add_argument("--list", type=Path, metavar="TXT", help="only write the list of texts, one a line")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    from ..text_tower.config import load_text_config
    from ..text_tower.training import REPORT_FILE, train_text_tower, write_text_list

    config = load_text_config(options.config, options.settings)
    if options.list is not None:
        print(f"{options.list}: {write_text_list(config, options.list)} texts")
        return
    path = train_text_tower(config)
    report = json.loads(path.with_name(REPORT_FILE).read_text(encoding="utf-8"))
    print(f"written to {path}\n{json.dumps(report, indent=2)}")
