"""CLIP's text tower through onnxruntime: any words to unit vectors, without torch.

`text.onnx` takes `tokens` (T, L) int64 and gives `embedding` (T, D) float32, unit length. The tower is causal and
reads its answer at the end token, so what follows that token cannot matter: batches are cut at their longest text,
which makes short texts several times faster than the full context and changes nothing. The same holds for a tower
that attends to all tokens but `pad_id`, such as a small sentence encoder: it is opened here too.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from ..errors import ConfigError, ModelError
from .encoder import TOKENIZER_FILE, TOWER_FILE
from .tokenizer import ClipTokenizer

CARD_KEY = "ov3d_text"
CARD_FORMAT = 1
BATCH_SIZE = 64
TOKENS, EMBEDDING = "tokens", "embedding"
_HINT = "Export it again with `python -m ov3d_export text-tower`."
_MAX_CONTEXT = 4096
_HASH_BLOCK_BYTES = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class TowerCard:
    """What must be known about a text tower, as JSON under `CARD_KEY` in `text.onnx`.

    `space` names its text space, `embedding_dim` is D, `source` says where the weights come from (free strings).
    """

    format: int = CARD_FORMAT
    space: str
    embedding_dim: int
    context_length: int
    vocabulary_size: int
    start_id: int
    end_id: int
    pad_id: int
    source: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the card as JSON text."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> TowerCard:
        """Read a card; `ModelError` for broken JSON, another format, missing, mistyped or impossible entries."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{TOWER_FILE}: its card is not valid JSON ({error}). {_HINT}") from error
        if not isinstance(values, dict) or values.get("format") != CARD_FORMAT:
            found = values.get("format") if isinstance(values, dict) else values
            raise ModelError(f"{TOWER_FILE}: card format {found!r}, this ov3d reads format {CARD_FORMAT}. {_HINT}")
        types: dict[str, type] = {entry.name: int for entry in fields(cls)} | {"space": str, "source": dict}
        for name, wanted in types.items():
            if type(values.get(name)) is not wanted:
                raise ModelError(f"{TOWER_FILE}: card entry {name} must be {wanted.__name__}. {_HINT}")
        card = cls(**{name: values[name] for name in types})
        card.check()
        return card

    def check(self) -> None:
        """Raise `ModelError` unless the numbers can be those of a tower."""
        ids_fit = all(0 <= token < self.vocabulary_size for token in (self.start_id, self.end_id, self.pad_id))
        if not (self.space and self.embedding_dim > 0 and 2 < self.context_length <= _MAX_CONTEXT and ids_fit):
            raise ModelError(f"{TOWER_FILE}: its card holds impossible values: {self}. {_HINT}")


class ClipTower:
    """A `TextEncoder` that reads any words; owns an onnxruntime session and may be used from several threads."""

    supports_templates = True

    def __init__(self, folder: Path | str, *, providers: Any = None, threads: int | None = None) -> None:
        """Load `text.onnx` and `tokenizer.json` of a folder.

        `providers` as for `Engine`, None for the CPU: words change rarely, the GPU belongs to the sweeps. `threads`:
        CPU threads, None for onnxruntime's choice. Raises `ModelError` for missing, corrupt or unfitting files.
        """
        tower, tokenizer = Path(folder) / TOWER_FILE, Path(folder) / TOKENIZER_FILE
        self._session = _open_session(tower, providers, threads)
        self.card = _read_card(self._session)
        self._tokenizer = ClipTokenizer(
            tokenizer,
            context_length=self.card.context_length,
            start_id=self.card.start_id,
            end_id=self.card.end_id,
            pad_id=self.card.pad_id,
        )
        if self._tokenizer.vocabulary_size > self.card.vocabulary_size:
            raise ModelError(
                f"{TOKENIZER_FILE}: {self._tokenizer.vocabulary_size} tokens, {TOWER_FILE} knows "
                f"{self.card.vocabulary_size}. Copy the two files of one export."
            )
        self._files = (tower, tokenizer)

    @property
    def space(self) -> str:
        """Name of the text space."""
        return self.card.space

    @property
    def dim(self) -> int:
        """Length D of the vectors."""
        return self.card.embedding_dim

    @property
    def provider(self) -> str:
        """Name of the onnxruntime provider that really runs."""
        return str(self._session.get_providers()[0])

    def digest(self) -> str:
        """Return the SHA-256 of tower and tokenizer as hexadecimal: what cached vectors depend on."""
        digest = hashlib.sha256()
        for path in self._files:
            with path.open("rb") as stream:
                while block := stream.read(_HASH_BLOCK_BYTES):
                    digest.update(block)
        return digest.hexdigest()

    def tokenize(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Return token ids (T, context_length) int64, equal to open_clip's; `QueryError` for over-long texts."""
        return self._tokenizer.encode(texts)

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (T, D) float32, unit length; `QueryError` for over-long texts, `ModelError` when the run fails."""
        tokens = self.tokenize(texts)
        lengths = 1 + (tokens == self.card.end_id).argmax(axis=1)  # (T,), up to the end token that is read
        order = np.argsort(lengths, kind="stable")  # texts of like length share a batch
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        for start in range(0, len(texts), BATCH_SIZE):
            rows = order[start : start + BATCH_SIZE]
            vectors[rows] = self._run(tokens[rows, : lengths[rows].max()])
        return vectors

    def _run(self, tokens: NDArray[np.int64]) -> NDArray[np.float32]:
        try:
            (vectors,) = self._session.run([EMBEDDING], {TOKENS: tokens})
        except Exception as error:  # onnxruntime's exceptions share no base class
            reason = " ".join(str(error).split())
            raise ModelError(f"{TOWER_FILE}: run on {self.provider} failed ({reason}). Free memory, or {_HINT}") from (
                error
            )
        if vectors.shape != (len(tokens), self.dim) or not np.isfinite(vectors).all():
            raise ModelError(f"{TOWER_FILE}: gives {vectors.shape} or values that are not finite. {_HINT}")
        return np.asarray(vectors, dtype=np.float32)


def _open_session(path: Path, providers: Any, threads: int | None) -> ort.InferenceSession:
    from ..engine import resolve_providers

    wanted = resolve_providers("cpu" if providers is None else providers)
    if not path.is_file():
        raise ModelError(f"{path}: does not exist. {_HINT}")
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.enable_mem_pattern = False  # patterns are kept per input shape
    options.enable_cpu_mem_arena = False  # words come rarely: give the memory back in between
    if threads is not None:
        if threads < 1:
            raise ConfigError(f"threads: expected at least 1, or none for onnxruntime's choice, got {threads}.")
        options.intra_op_num_threads = threads
    try:
        return ort.InferenceSession(str(path), options, providers=wanted)
    except Exception as error:  # onnxruntime's exceptions share no base class
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"{path.name}: onnxruntime {ort.__version__} cannot run it ({reason}). {_HINT}") from error


def _read_card(session: ort.InferenceSession) -> TowerCard:
    text = session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
    if text is None:
        raise ModelError(f"{TOWER_FILE}: no card in its metadata (key {CARD_KEY}). {_HINT}")
    card = TowerCard.from_json(text)
    inputs = {value.name: (value.type, len(value.shape)) for value in session.get_inputs()}
    outputs = {value.name: (value.type, value.shape[-1:]) for value in session.get_outputs()}
    if inputs != {TOKENS: ("tensor(int64)", 2)} or outputs != {EMBEDDING: ("tensor(float)", [card.embedding_dim])}:
        raise ModelError(
            f"{TOWER_FILE}: expected {TOKENS} (T, L) int64 to {EMBEDDING} (T, {card.embedding_dim}) float, as its card "
            f"says; the graph has {inputs} and {outputs}. {_HINT}"
        )
    return card
