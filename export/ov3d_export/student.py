"""From a checkpoint to a bundle: graph, card, text side, and the proof that the graph says what torch says."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import helper

import ov3d_perception
from ov3d_perception.artifact import CARD_KEY, GPU_STUDENT_FILE, STUDENT_FILE, ModelCard, open_bundle
from ov3d_perception.errors import ModelError, QueryError
from ov3d_perception.inputs import InputSpec
from ov3d_perception.queries import make_queries
from ov3d_perception.types import Frame
from ov3d_trainer.checkpoint import Checkpoint, build_model, load_checkpoint
from ov3d_trainer.network.model import SparseUNet

from .bundle import TEXT_FILES, staged_bundle
from .parity import HALF_COSINE, INT8_COSINE, ParityReport, check_parity
from .student_graph import student_graph

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudentExport:
    """What an export made and how well it agrees with torch; `gpu_parity` is that of the form for GPUs, if made."""

    bundle: Path
    card: ModelCard
    parity: ParityReport
    student_bytes: int
    gpu_parity: ParityReport | None


def export_student(
    checkpoint: Checkpoint | Path | str,
    out_dir: Path | str,
    *,
    text: Path | str | None = None,
    parity_frames: Sequence[Frame],
    name: str | None = None,
    notes: str = "",
    gpu: bool = True,
    int8: bool = False,
) -> StudentExport:
    """Write the bundle `out_dir`: `student.onnx` with its card, and a copy of the text side `text`.

    With `gpu` also `student_gpu.onnx`, the same network in float16 and in the form that suits GPUs. With `int8` the
    student for CPUs computes in 8-bit integers.

    `text` is a bank (.npz) or a folder that holds a bank or a text tower; without it the text side that `out_dir`
    already has is kept. The graph is compared with torch on `parity_frames` and on clouds of 0, 1 and 2 points before
    anything is put in place. Raises `ModelError` (parity, text of another space, bad checkpoint), `DataError` (frames
    of no use), `ConfigError` (`out_dir` holds foreign files).
    """
    if not isinstance(checkpoint, Checkpoint):
        checkpoint = load_checkpoint(checkpoint)
    card = make_card(checkpoint, name or str(checkpoint.training.get("name") or checkpoint.network.architecture), notes)
    model = build_model(checkpoint)
    with staged_bundle(Path(out_dir), None if text is None else Path(text)) as staged:
        path, gpu_path = staged / STUDENT_FILE, staged / GPU_STUDENT_FILE
        write_graph(student_graph(model, "int8" if int8 else "pairs"), card, path)
        report = check_parity(model, path, checkpoint.inputs, parity_frames, least_cosine=INT8_COSINE if int8 else None)
        gpu_report = None
        if gpu:
            write_graph(student_graph(model, "table", half=True), card, gpu_path)
            gpu_report = _check_half(model, gpu_path, checkpoint.inputs, parity_frames)
        _check_text_side(staged)
        size = path.stat().st_size
    _log.info("exported %s: %d bytes, embedding parity %.1e", out_dir, size, report.embedding)
    return StudentExport(bundle=Path(out_dir), card=card, parity=report, student_bytes=size, gpu_parity=gpu_report)


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


def _check_half(model: SparseUNet, path: Path, spec: InputSpec, frames: Sequence[Frame]) -> ParityReport:
    try:
        return check_parity(model, path, spec, frames, least_cosine=HALF_COSINE)
    except ModelError as error:
        raise ModelError(f"{error} Where numbers are too large for float16, leave this form out: --no-gpu.") from error


def write_graph(graph: onnx.ModelProto, card: ModelCard, path: Path) -> None:
    """Write a graph with its card beside the metadata that it has; `ModelError` where onnx finds fault with it."""
    kept = {entry.key: entry.value for entry in graph.metadata_props}
    helper.set_model_props(graph, {**kept, CARD_KEY: card.to_json()})
    try:
        onnx.checker.check_model(graph, full_check=True)
    except onnx.checker.ValidationError as error:
        raise ModelError(f"{path.name}: onnx refuses the exported graph ({error}). Please report this.") from error
    onnx.save(graph, path)


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
