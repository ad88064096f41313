"""The small text tower to ONNX: `text.onnx` and `tokenizer.json`, held against torch before anything is kept."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from ov3d_perception.errors import ModelError
from ov3d_perception.text.clip_tower import CARD_KEY, ClipTower, TowerCard
from ov3d_perception.text.encoder import TOKENIZER_FILE, TOWER_FILE
from ov3d_trainer.text_tower.checkpoint import TextCheckpoint, build_text_tower, run_tower
from ov3d_trainer.text_tower.network import END_ID, PAD_ID, START_ID

from .sentence_graph import round_weights, sentence_graph
from .text_tower import PARITY_TEXTS, TOLERANCE

ROUNDING_TOLERANCE = 1e-3
"""Largest cosine distance to the tower before its weights became int8, over the parity texts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SmallTowerReport:
    """What was exported: the card, bytes of both files, and over `texts` texts the largest difference of one number to
    torch with the same rounded weights, and the largest cosine distance to the weights before rounding."""

    card: TowerCard
    folder: Path
    tower_bytes: int
    tokenizer_bytes: int
    difference: float
    rounding: float
    texts: int


def export_small_tower(
    checkpoint: TextCheckpoint, out_dir: Path | str, *, texts: Sequence[str] = PARITY_TEXTS
) -> SmallTowerReport:
    """Write `text.onnx` and `tokenizer.json` into a bundle folder, which may hold other files already.

    Raises `ModelError` where onnxruntime's numbers differ from torch by more than 1e-4, or rounding turns a vector by
    a cosine distance of more than 1e-3: then `out_dir` stays as it was.
    """
    tower = build_text_tower(checkpoint)
    network = checkpoint.network
    card = TowerCard(
        space=checkpoint.space,
        embedding_dim=network.width,
        context_length=network.context_length,
        vocabulary_size=network.vocabulary_size,
        start_id=START_ID,
        end_id=END_ID,
        pad_id=PAD_ID,
        source={"kind": "distilled sentence encoder", "trainer": str(checkpoint.training.get("trainer", ""))},
    )
    card.check()
    folder = Path(out_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".text-tower.", dir=folder) as workplace:
        staged = Path(workplace)
        (staged / TOKENIZER_FILE).write_text(checkpoint.tokenizer, encoding="utf-8")
        graph = sentence_graph(tower)
        onnx.helper.set_model_props(graph, {CARD_KEY: card.to_json()})
        (staged / TOWER_FILE).write_bytes(graph.SerializeToString())
        opened = ClipTower(staged)
        tokens = opened.tokenize(texts)
        found, exact = opened.encode(texts), run_tower(tower, tokens)
        difference = float(np.abs(found - run_tower(round_weights(tower), tokens)).max(initial=0.0))
        rounding = float((1.0 - (found * exact).sum(axis=1)).max(initial=0.0))
        _check(difference, rounding)
        sizes = [(staged / name).stat().st_size for name in (TOWER_FILE, TOKENIZER_FILE)]
        for name in (TOWER_FILE, TOKENIZER_FILE):
            os.replace(staged / name, folder / name)
    return SmallTowerReport(
        card=card,
        folder=folder,
        tower_bytes=sizes[0],
        tokenizer_bytes=sizes[1],
        difference=difference,
        rounding=rounding,
        texts=len(texts),
    )


def _check(difference: float, rounding: float) -> None:
    if not difference <= TOLERANCE:  # NaN fails too
        raise ModelError(
            f"small-text-tower: onnxruntime differs from torch by {difference:.2g}, at most {TOLERANCE:.0e} is "
            "accepted. Nothing was exported; check the weights for NaN."
        )
    if not rounding <= ROUNDING_TOLERANCE:
        raise ModelError(
            f"small-text-tower: int8 weights turn a vector by a cosine distance of {rounding:.2g}, at most "
            f"{ROUNDING_TOLERANCE:.0e} is accepted. Nothing was exported; train with more steps or another rank."
        )
