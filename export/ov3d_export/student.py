"""From a checkpoint to a bundle: graph, card, text side, and the proof that the graph says what torch says."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import helper

import ov3d_perception
from ov3d_perception.artifact import CARD_KEY, STUDENT_FILE, ModelCard, open_bundle
from ov3d_perception.errors import ModelError, QueryError
from ov3d_perception.queries import make_queries
from ov3d_perception.types import Frame
from ov3d_trainer.checkpoint import Checkpoint, build_model, load_checkpoint

from .bundle import TEXT_FILES, staged_bundle
from .onnx_graph import student_graph
from .parity import ParityReport, check_parity

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentExport:
    """What an export made and how well it agrees with torch."""

    bundle: Path
    card: ModelCard
    parity: ParityReport
    student_bytes: int


def export_student(
    checkpoint: Checkpoint | Path | str,
    out_dir: Path | str,
    *,
    text: Path | str | None = None,
    parity_frames: Sequence[Frame],
    name: str | None = None,
    notes: str = "",
) -> StudentExport:
    """Write the bundle `out_dir`: `student.onnx` with its card, and a copy of the text side `text`.

    `text` is a bank (.npz) or a folder that holds a bank or a text tower; without it the text side that `out_dir`
    already has is kept. The graph is compared with torch on `parity_frames` and on clouds of 0, 1 and 2 points before
    anything is put in place. Raises `ModelError` (parity, text of another space, bad checkpoint), `DataError` (frames
    of no use), `ConfigError` (`out_dir` holds foreign files).
    """
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = load_checkpoint(checkpoint)
    card = make_card(checkpoint, name or str(checkpoint.training.get("name") or checkpoint.network.architecture), notes)
    model = build_model(checkpoint)
    graph = student_graph(model)
    helper.set_model_props(graph, {CARD_KEY: card.to_json()})
    _check_graph(graph)
    with staged_bundle(Path(out_dir), None if text is None else Path(text)) as staged:
        path = staged / STUDENT_FILE
        onnx.save(graph, path)
        report = check_parity(model, path, checkpoint.inputs, parity_frames)
        _check_text_side(staged)
        size = path.stat().st_size
    _log.info("exported %s: %d bytes, embedding parity %.1e", out_dir, size, report.embedding)
    return StudentExport(bundle=Path(out_dir), card=card, parity=report, student_bytes=size)


def make_card(checkpoint: Checkpoint, name: str, notes: str = "") -> ModelCard:
    """Return the model card of a checkpoint's student."""
    vocabulary = checkpoint.vocabulary
    return ModelCard(
        name=name,
        ov3d_version=ov3d_perception.__version__,
        architecture=checkpoint.network.architecture,
        embedding_dim=checkpoint.network.embedding_dim,
        inputs=checkpoint.inputs,
        text_space=checkpoint.text_space,
        templates=vocabulary.templates,
        labels=vocabulary.labels,
        background=vocabulary.background,
        threshold=vocabulary.threshold,
        training={"step": checkpoint.step, **checkpoint.training},
        notes=notes,
    )


def _check_graph(graph: onnx.ModelProto) -> None:
    try:
        onnx.checker.check_model(graph, full_check=True)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"{STUDENT_FILE}: onnx refuses the exported graph ({error}). Please report this.") from error


def _check_text_side(folder: Path) -> None:
    """Open the new bundle and ask its own words, as the robot will; one without a text side is allowed, incomplete."""
    if any((folder / name).exists() for name in TEXT_FILES):
        bundle = open_bundle(folder)
        encoder, card = bundle.open_text_encoder(), bundle.card
        if card.labels:
            try:
                make_queries(card.labels, encoder, templates=card.templates, background=card.background)
            except QueryError as error:
                raise ModelError(f"card: its own words cannot be asked for: {error}") from error
    else:
        _log.warning(
            "bundle without a text side: put bank.npz, or text.onnx and tokenizer.json, beside %s", STUDENT_FILE
        )
