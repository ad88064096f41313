"""CLIP's text tower to ONNX: `text.onnx` and `tokenizer.json`, held against torch before anything is kept."""

from __future__ import annotations

import argparse
import logging
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from ov3d_perception.errors import ConfigError, ModelError
from ov3d_perception.text.clip_tower import CARD_KEY, ClipTower, TowerCard
from ov3d_perception.text.encoder import TOKENIZER_FILE, TOWER_FILE

from .text_graph import find_text_modules, text_graph
from .tokenizer_json import check_tokenizer, write_tokenizer_json

TOLERANCE = 1e-4
"""Largest difference of one number of a unit vector; twelve layers of float32 sums in another order give some 1e-6."""

PAD_ID = 0  # what open_clip's tokenizer pads with
PARITY_TEXTS = (
    "",
    "car",
    "Forklift",
    "something to sit on!",
    "a photo of a red car, parked in the rain",
    "it's the driver's 3rd traffic-light; isn't it? (No. 42)",
    "  wet\tasphalt \n and   snow ",
    "une forêt près du café, Straße, ŁÓDŹ, ΟΔΟΣ",
    "Москва 東京の道路 서울 กรุงเทพ",
    "🚗💨 + 🚶🏽‍♀️ = ?!",
    "“curly” ‘quotes’ and ﬁne ﬂowers in ＦＵＬＬ width &amp; entities",
    "a very long description of a street with cars, " * 12,
)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerReport:
    """What was exported: the card, sizes, and the largest absolute difference to torch over `texts` texts."""

    card: TowerCard
    folder: Path
    tower_bytes: int
    difference: float
    texts: int


def export_text_tower(
    model: Any,
    tokenizer: Any,
    out_dir: Path | str,
    *,
    space: str,
    source: Mapping[str, str] | None = None,
    texts: Sequence[str] = PARITY_TEXTS,
) -> TowerReport:
    """Write `text.onnx` and `tokenizer.json` into a bundle folder, which may hold other files already.

    `model` is an open_clip model with CLIP's text transformer, `tokenizer` its `SimpleTokenizer`. `space` names the
    text space that students trained with this tower must carry, `source` (free strings) goes into the card.
    Raises `ModelError` for other kinds of towers and tokenizers, and when a token of `texts` is not open_clip's or a
    feature differs from torch by more than 1e-4: then `out_dir` stays as it was.
    """
    check_tokenizer(tokenizer)
    modules = find_text_modules(model)
    card = TowerCard(
        space=space,
        embedding_dim=modules.embedding_dim,
        context_length=modules.context_length,
        vocabulary_size=modules.vocabulary_size,
        start_id=int(tokenizer.sot_token_id),
        end_id=int(tokenizer.eot_token_id),
        pad_id=PAD_ID,
        source=dict(source or {}),
    )
    card.check()
    if modules.end_id not in (None, card.end_id):
        raise ModelError(f"text-tower: the model ends texts with {modules.end_id}, its tokenizer with {card.end_id}.")
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".text-tower.", dir=folder) as workplace:
        staged = Path(workplace)
        write_tokenizer_json(tokenizer, staged / TOKENIZER_FILE)
        graph = text_graph(modules)
        onnx.helper.set_model_props(graph, {CARD_KEY: card.to_json()})
        (staged / TOWER_FILE).write_bytes(graph.SerializeToString())
        del graph
        difference = check_tower(model, tokenizer, staged, texts)
        tower_bytes = (staged / TOWER_FILE).stat().st_size
        for name in (TOWER_FILE, TOKENIZER_FILE):
            os.replace(staged / name, folder / name)
    return TowerReport(card=card, folder=folder, tower_bytes=tower_bytes, difference=difference, texts=len(texts))


def check_tower(model: Any, tokenizer: Any, folder: Path, texts: Sequence[str] = PARITY_TEXTS) -> float:
    """Return the largest difference between `ClipTower(folder)` and the torch model over `texts`.

    Each goes its own way from string to vector, at its own length. Raises `ModelError` where tokens differ at all or
    features by more than 1e-4.
    """
    tower = ClipTower(folder)
    wanted_tokens = tokenizer(list(texts), context_length=tower.card.context_length)
    found_tokens = tower.tokenize(texts)
    for text, wanted_row, found_row in zip(texts, wanted_tokens.numpy(), found_tokens, strict=True):
        if not np.array_equal(wanted_row, found_row):
            raise ModelError(
                f"text-tower: {text[:40]!r} gives tokens {found_row[:12].tolist()}..., open_clip says "
                f"{wanted_row[:12].tolist()}... Nothing was exported; please report this with the versions of "
                "open_clip_torch, ftfy and tokenizers."
            )
    with torch.inference_mode():
        wanted = torch.nn.functional.normalize(encode_with_torch(model, wanted_tokens), dim=-1).float().numpy()
    difference = float(np.abs(tower.encode(texts) - wanted).max(initial=0.0))
    if not difference <= TOLERANCE:  # NaN fails too
        raise ModelError(
            f"text-tower: features differ from torch by {difference:.2g}, at most {TOLERANCE:.0e} is accepted. Nothing "
            "was exported; please report this with the model's name, or check its weights for NaN."
        )
    return difference


def encode_with_torch(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    """Return a model's own features (T, D) of tokens (T, context)."""
    features = model.encode_text(tokens) if hasattr(model, "encode_text") else model(tokens)
    return features[0] if isinstance(features, tuple) else features


def add_text_tower_command(subparsers: Any) -> None:
    """Register `text-tower`; the parsed options carry the function to call as `func` and `run`."""
    parser = subparsers.add_parser(
        "text-tower",
        help="CLIP text tower to ONNX",
        description="Write text.onnx and tokenizer.json into a bundle folder, checked against torch and open_clip.",
    )
    parser.add_argument("--model", required=True, help="architecture of open_clip, for example ViT-B-32")
    weights = parser.add_mutually_exclusive_group(required=True)
    weights.add_argument("--pretrained", metavar="TAG_OR_PATH", help="tag of open_clip (openai) or file of weights")
    weights.add_argument("--random-init", action="store_true", help="random weights: to try things out, means nothing")
    parser.add_argument("--out", type=Path, required=True, metavar="BUNDLE_DIR", help="folder to write the files into")
    parser.add_argument("--space", help="name of the text space; default: clip:MODEL/TAG")
    parser.add_argument("--seed", type=int, default=0, help="of --random-init")
    parser.set_defaults(func=run_text_tower, run=run_text_tower)


def run_text_tower(options: argparse.Namespace) -> int:
    """Export the tower that the command line names; return 0. Raises `ConfigError` and `ModelError`."""
    from ov3d_trainer.open_clip_loading import load_open_clip, text_space

    if options.out.exists() and not options.out.is_dir():
        raise ConfigError(f"--out {options.out}: is a file. Name the folder that the bundle shall be.")
    pretrained = None if options.random_init else options.pretrained
    tag = f"random-{options.seed}" if pretrained is None else Path(pretrained).stem
    space = options.space or text_space(options.model, pretrained, seed=options.seed)
    model, tokenizer = load_open_clip(options.model, pretrained, seed=options.seed)
    report = export_text_tower(
        model, tokenizer, options.out, space=space, source={"model": options.model, "pretrained": tag}
    )
    _log.info(
        "%s: %s (%.0f MB) and %s, text space %r, %d numbers. Largest difference to torch over %d texts: %.1e.",
        *(report.folder, TOWER_FILE, report.tower_bytes / 1e6, TOKENIZER_FILE, space, report.card.embedding_dim),
        *(report.texts, report.difference),
    )
    return 0
