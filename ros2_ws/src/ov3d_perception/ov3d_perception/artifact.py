"""Bundles: the folder that the trainer hands to the robot, and the model card inside its network.

A bundle holds `student.onnx`, whose metadata carries the card, and a text side: either `bank.npz` (known words and
their vectors) or `text.onnx` with `tokenizer.json` (any words). The card is the only description of the model; what
the graph itself says is compared with it on opening, so that a mismatch is an error at start and never a wrong label.
`student_gpu.onnx`, where there is one, is the same network in the form that suits a GPU.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnxruntime as ort

from .errors import ConfigError, ModelError, QueryError
from .inputs import InputSpec
from .network_feeds import index_names
from .queries import LabelSpec, check_labels, check_templates
from .text.encoder import BANK_FILE, TOKENIZER_FILE, TOWER_FILE

if TYPE_CHECKING:
    from .text.encoder import TextEncoder

CARD_KEY = "ov3d_card"
TABLE_ROW_KEY = "ov3d_table_row"
"""Metadata of the GPU's form: the largest number of floats that a convolution gathers per voxel of the finest level."""
CARD_FORMAT = 1
STUDENT_FILE = "student.onnx"
GPU_STUDENT_FILE = "student_gpu.onnx"
TOWER_FILES = (TOWER_FILE, TOKENIZER_FILE)
EXPORT_HINT = "Export it again with `python -m ov3d_export student CHECKPOINT --out BUNDLE`."

_MAX_STUDENT_BYTES = 2 * 1024**3  # a protobuf cannot be larger
_MAX_CARD_CHARACTERS = 4_000_000
_FEATURES, _TEXT, _COMPACT, _BASIS, _SIMILARITY = "features", "text", "compact", "basis", "similarity"
_FLOAT, _INT32, _INT64 = "tensor(float)", "tensor(int32)", "tensor(int64)"


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """Everything that must be known about a model to run it, as JSON under `CARD_KEY` in `student.onnx`.

    `embedding_dim` is D. `text_space` names the text encoder whose vectors the embeddings live with, and must equal
    the encoder's own. `templates`, `labels`, `background` and `threshold` are the vocabulary it was made for: the
    default, not a limit. `training` is free JSON about how it came to be.
    """

    format: int = CARD_FORMAT
    name: str
    ov3d_version: str
    architecture: str
    embedding_dim: int
    inputs: InputSpec
    text_space: str
    templates: tuple[str, ...] = ("{}",)
    labels: tuple[LabelSpec, ...] = ()
    background: tuple[str, ...] = ()
    threshold: float = 0.0
    training: dict[str, Any] = field(default_factory=dict)
    notes: str = ""

    def to_json(self) -> str:
        """Return the card as JSON text; `ModelError` where `training` holds what JSON cannot."""
        values = {name: getattr(self, name) for name in self.__slots__}
        values["inputs"] = self.inputs.to_dict()
        values["labels"] = [asdict(label) for label in self.labels]
        try:
            return json.dumps(values, allow_nan=False, ensure_ascii=False)
        except (TypeError, ValueError) as error:
            raise ModelError(f"card: cannot be written as JSON: {error}. Check `training` and `threshold`.") from error

    @classmethod
    def from_json(cls, text: str) -> ModelCard:
        """Read a card; `ModelError` for broken JSON, an unknown format number, missing or mistyped entries."""
        return _parse_card(text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """A checked bundle folder. `text_files` are the files of its text side (one bank, or tower and tokenizer).

    `gpu_student_path` is opened only where it is used.
    """

    directory: Path
    card: ModelCard
    student_path: Path
    text_files: tuple[Path, ...]
    gpu_student_path: Path | None = None

    @property
    def has_bank(self) -> bool:
        """True when only the bank's words can be asked for, False when a text tower reads any words."""
        return self.text_files[0].name == BANK_FILE

    def open_text_encoder(
        self, *, providers: Any = None, threads: int | None = None, cache_dir: Path | None = None
    ) -> TextEncoder:
        """Open the text side and check that it speaks the card's text space; `ModelError` otherwise."""
        from .text.encoder import open_text_encoder

        encoder = open_text_encoder(self.directory, providers=providers, threads=threads, cache_dir=cache_dir)
        check_text_space(self.card, encoder)
        return encoder


def open_bundle(directory: Path | str) -> Bundle:
    """Open a bundle folder: read the card and compare it with the graph.

    Raises `ModelError` for a missing folder, a missing, corrupt or too large student, a missing or bad card, a card
    that disagrees with the graph, and a missing text side. Only the fixed file names of a bundle are opened.
    """
    folder = Path(directory)
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise ModelError(f"bundle {folder}: {what}. Give the folder that holds {STUDENT_FILE}.")
    student = folder / STUDENT_FILE
    if not student.is_file():
        raise ModelError(f"bundle {folder}: {STUDENT_FILE} is missing. {EXPORT_HINT}")
    session = _open_graph(student)
    card = read_card(session, student.name)
    check_card_against_graph(card, session)
    gpu_student = folder / GPU_STUDENT_FILE
    return Bundle(
        directory=folder,
        card=card,
        student_path=student,
        text_files=_find_text_side(folder),
        gpu_student_path=gpu_student if gpu_student.is_file() else None,
    )


def read_card(session: ort.InferenceSession, file_name: str) -> ModelCard:
    """Return the card in a graph's metadata; `ModelError` where there is none or a bad one."""
    text = session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
    if text is None:
        raise ModelError(f"{file_name}: no model card in its metadata (key {CARD_KEY}). {EXPORT_HINT}")
    return ModelCard.from_json(text)


def check_text_space(card: ModelCard, encoder: TextEncoder) -> None:
    """Raise `ModelError` unless the encoder's vectors can be compared with the model's embeddings."""
    if encoder.space != card.text_space:
        raise ModelError(
            f"{STUDENT_FILE}: its features live in text space {card.text_space!r}, the text encoder gives "
            f"{encoder.space!r}. Put the text side it was trained with into the bundle, or export it again."
        )
    if encoder.dim != card.embedding_dim:
        raise ModelError(
            f"{STUDENT_FILE}: card says embeddings of {card.embedding_dim} numbers, the text encoder gives "
            f"{encoder.dim}. Put the text side it was trained with into the bundle, or export it again."
        )


def takes_neighbour_tables(session: ort.InferenceSession) -> bool:
    """Return whether a student's graph takes dense neighbour tables (the form for GPUs) instead of pairs."""
    return any(value.name == "level0_neighbours" for value in session.get_inputs())


def check_card_against_graph(card: ModelCard, session: ort.InferenceSession, file_name: str = STUDENT_FILE) -> None:
    """Raise `ModelError` unless inputs and outputs of the graph are those that the card describes."""
    inputs = {value.name: value for value in session.get_inputs()}
    outputs = {value.name: value for value in session.get_outputs()}
    if "embedding" in outputs:
        raise ModelError(
            f"{file_name}: made by an older ov3d_export, whose graphs are not read any more. {EXPORT_HINT}"
        )
    dense = takes_neighbour_tables(session)
    tables = index_names(card.inputs, dense=dense)
    _expect_names(file_name, "inputs", inputs, {_FEATURES, _TEXT, *tables}, card)
    _expect_names(file_name, "outputs", outputs, {_COMPACT, _BASIS, _SIMILARITY}, card)
    width, dim = len(card.inputs.features), card.embedding_dim
    _expect_tensor(file_name, inputs[_FEATURES], width, f"card says {width} input features")
    _expect_tensor(file_name, inputs[_TEXT], dim, f"card says text of {dim} numbers")
    _expect_tensor(file_name, outputs[_BASIS], dim, f"card says embeddings of {dim} numbers")
    for name in (_COMPACT, _SIMILARITY):
        _expect_tensor(file_name, outputs[name], None, f"card says {name} per voxel")
    kind = _INT32 if dense else _INT64
    for name in tables:
        if inputs[name].type != kind:
            raise ModelError(f"{file_name}: input {name} is {inputs[name].type}, expected {kind}. {EXPORT_HINT}")


def _open_graph(path: Path) -> ort.InferenceSession:
    """Load a graph for reading only: no optimisation, one thread, on the CPU."""
    if not 0 < path.stat().st_size <= _MAX_STUDENT_BYTES:
        raise ModelError(f"{path.name}: {path.stat().st_size} bytes is not the size of a network. {EXPORT_HINT}")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base class
        reason = " ".join(str(error).split())
        raise ModelError(
            f"{path.name}: onnxruntime {ort.__version__} cannot read it ({reason}). Copy it again, or: {EXPORT_HINT}"
        ) from error


def _find_text_side(folder: Path) -> tuple[Path, ...]:
    tower = tuple(folder / name for name in TOWER_FILES)
    present = [path.is_file() for path in tower]
    if all(present):
        return tower
    if (folder / BANK_FILE).is_file() and not any(present):
        return (folder / BANK_FILE,)
    if any(present):
        missing = tower[present.index(False)].name
        raise ModelError(
            f"bundle {folder}: {tower[present.index(True)].name} is there, {missing} is missing. Copy both."
        )
    raise ModelError(
        f"bundle {folder}: no text side. Put {BANK_FILE}, or {' and '.join(TOWER_FILES)}, beside {STUDENT_FILE}: "
        "`python -m ov3d_export student CHECKPOINT --out BUNDLE --text bank.npz`."
    )


def _expect_names(file_name: str, what: str, found: Mapping[str, Any], wanted: set[str], card: ModelCard) -> None:
    missing, surplus = sorted(wanted - set(found)), sorted(set(found) - wanted)
    if missing or surplus:
        raise ModelError(
            f"{file_name}: card says {card.inputs.levels} levels and stem kernel {card.inputs.stem_kernel}, "
            f"the graph's {what} differ: missing {_some(missing)}, unknown {_some(surplus)}. {EXPORT_HINT}"
        )


def _expect_tensor(file_name: str, value: Any, width: int | None, claim: str) -> None:
    if value.type != _FLOAT or len(value.shape) != 2:
        raise ModelError(
            f"{file_name}: {value.name} is {value.type} with {len(value.shape)} axes, expected {_FLOAT} with 2. "
            f"{EXPORT_HINT}"
        )
    found = value.shape[1]
    if width is not None and isinstance(found, int) and found != width:
        verb = "takes" if value.name in (_FEATURES, _TEXT) else "gives"
        raise ModelError(f"{file_name}: {claim}, graph {verb} {found}. {EXPORT_HINT}")


def _some(names: list[str], shown: int = 4) -> str:
    if not names:
        return "none"
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


_CARD_TYPES: dict[str, type | tuple[type, ...]] = {
    "format": int,
    "name": str,
    "ov3d_version": str,
    "architecture": str,
    "embedding_dim": int,
    "inputs": dict,
    "text_space": str,
    "templates": list,
    "labels": list,
    "background": list,
    "threshold": (int, float),
    "training": dict,
    "notes": str,
}


def _parse_card(text: str) -> ModelCard:
    if len(text) > _MAX_CARD_CHARACTERS:
        raise ModelError(f"card: {len(text):,} characters, at most {_MAX_CARD_CHARACTERS:,} are read. {EXPORT_HINT}")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"card: not valid JSON ({error}). {EXPORT_HINT}") from error
    if not isinstance(values, dict) or "format" not in values:
        raise ModelError(f"card: expected a JSON object with a format number. {EXPORT_HINT}")
    if values["format"] != CARD_FORMAT or isinstance(values["format"], bool):
        raise ModelError(
            f"card: format {values['format']!r}, this ov3d reads format {CARD_FORMAT}. "
            "Update ov3d_perception, or export the bundle with the version that runs here."
        )
    _check_card_types(values)
    labels = tuple(_parse_label(entry) for entry in values["labels"])
    try:
        inputs = InputSpec.from_dict(values["inputs"])
        check_templates(values["templates"])
        if labels:
            check_labels(labels, values["background"])
    except (ConfigError, QueryError) as error:
        raise ModelError(f"card: {error} {EXPORT_HINT}") from error
    tuples = {name: tuple(values[name]) for name in ("templates", "background")}
    return ModelCard(
        **{**values, **tuples, "inputs": inputs, "labels": labels, "threshold": float(values["threshold"])}
    )


def _check_card_types(values: Mapping[str, Any]) -> None:
    missing, unknown = sorted(set(_CARD_TYPES) - set(values)), sorted(set(values) - set(_CARD_TYPES))
    if missing or unknown:
        raise ModelError(f"card: missing {_some(missing)}, unknown {_some(unknown)}. {EXPORT_HINT}")
    for name, kind in _CARD_TYPES.items():
        if not isinstance(values[name], kind) or isinstance(values[name], bool):
            raise ModelError(f"card: {name} is {values[name]!r} of type {type(values[name]).__name__}. {EXPORT_HINT}")
    for name in ("templates", "background"):
        if not all(isinstance(entry, str) for entry in values[name]):
            raise ModelError(f"card: {name} must hold words only. {EXPORT_HINT}")
    if values["embedding_dim"] < 1:
        raise ModelError(f"card: embedding_dim is {values['embedding_dim']}, expected at least 1. {EXPORT_HINT}")
    if not (math.isfinite(values["threshold"]) and -1 <= values["threshold"] <= 1):
        raise ModelError(f"card: threshold is {values['threshold']}, expected -1 to 1. {EXPORT_HINT}")


def _parse_label(entry: Any) -> LabelSpec:
    fine = (
        isinstance(entry, dict)
        and set(entry) == {"name", "synonyms"}
        and isinstance(entry["name"], str)
        and isinstance(entry["synonyms"], list)
        and all(isinstance(word, str) for word in entry["synonyms"])
    )
    if not fine:
        raise ModelError(f'card: label {entry!r:.80} is not {{"name": ..., "synonyms": [...]}}. {EXPORT_HINT}')
    return LabelSpec(name=entry["name"], synonyms=tuple(entry["synonyms"]))
