"""`Engine`: a sweep and a vocabulary in, a label and a score per point out, through onnxruntime.

The work has three stages. *inputs* voxelises the sweep and builds the index tables, *network* runs the student and
compares its voxel features with the text vectors, *labels* picks the winner per voxel and hands it back to the
points. Only the last depends on the vocabulary alone, so new words are answered from the features in memory.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from .artifact import EXPORT_HINT, STUDENT_FILE, Bundle, ModelCard, check_card_against_graph, open_bundle
from .errors import ConfigError, FrameError, ModelError
from .inputs import build_inputs
from .queries import QuerySet
from .types import UNLABELLED, Frame, Prediction

CPU_PROVIDER = "CPUExecutionProvider"
CUDA_PROVIDER = "CUDAExecutionProvider"
_CUDA_HINT = (
    "Install `ov3d_perception[gpu]` (onnxruntime-gpu, with no other onnxruntime beside it), a CUDA runtime and cuDNN, "
    "or choose providers=auto."
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepFeatures:
    """What the network said about one sweep; kept, so that new words need no new run.

    `embedding` (V, D) float32, unit length. `similarity` (V, P) float32, cosine to the phrases of `queries`.
    `row_of_point` (N,) int64 is the row of every point in both, -1 for points that were left out (NaN, out of range):
    that of its voxel, or one of its own where cameras were fused in. `timings_ms` holds the stages `inputs` and
    `network`.
    """

    embedding: NDArray[np.float32]
    similarity: NDArray[np.float32]
    queries: QuerySet
    row_of_point: NDArray[np.int64]
    timings_ms: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedPrediction(Prediction):
    """A prediction that says how long it took: `timings_ms` holds `inputs`, `network` (when they ran) and `labels`."""

    timings_ms: Mapping[str, float]


class Engine:
    """One loaded student; owns the onnxruntime session.

    Holds no state of a sweep or vocabulary, and its methods may run in several threads at once: typically one
    encodes the newest sweep while another labels the last one with new words.
    """

    def __init__(
        self, bundle: Bundle | Path | str, *, providers: Sequence[str] | str = "auto", threads: int | None = None
    ) -> None:
        """Load the student of a bundle.

        `providers`: "auto" takes CUDA when onnxruntime has it and else the CPU; "cuda" insists; "cpu"; or a list of
        onnxruntime's own names. `threads`: CPU threads of the network, None for onnxruntime's choice.
        Raises `ModelError` for a bad bundle or absent provider, `ConfigError` for bad arguments.
        """
        self.bundle = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
        wanted = resolve_providers(providers)
        self._session = open_session(self.bundle.student_path, wanted, threads)
        check_card_against_graph(self.card, self._session)  # the file may have changed since the bundle was opened
        self._warn_of_fallback(wanted, insist=providers == "cuda")

    @property
    def card(self) -> ModelCard:
        """The model card of the bundle."""
        return self.bundle.card

    @property
    def provider(self) -> str:
        """Name of the onnxruntime provider that really runs, for example `CPUExecutionProvider`."""
        return str(self._session.get_providers()[0])

    def encode(self, frame: Frame, queries: QuerySet) -> SweepFeatures:
        """Run the network on a sweep.

        Raises `DataError` when the sweep lacks what the model takes, `ModelError` for queries of another text space,
        `FrameError` when the run itself fails (out of memory); the next sweep may be fine.
        """
        self._check_queries(queries)
        started = time.perf_counter()
        inputs = build_inputs(frame, self.card.inputs)
        ready = time.perf_counter()
        if len(inputs.voxels.coords):
            feeds: dict[str, NDArray[Any]] = {"features": inputs.features, "text": queries.text, **inputs.index}
            embedding, similarity = self._run(feeds)
        else:
            embedding = np.empty((0, self.card.embedding_dim), dtype=np.float32)
            similarity = np.empty((0, len(queries.text)), dtype=np.float32)
        finished = time.perf_counter()
        return SweepFeatures(
            embedding=embedding,
            similarity=similarity,
            queries=queries,
            row_of_point=inputs.voxels.voxel_of_point,
            timings_ms={"inputs": 1e3 * (ready - started), "network": 1e3 * (finished - ready)},
        )

    def label(self, features: SweepFeatures, queries: QuerySet) -> TimedPrediction:
        """Label every point of an encoded sweep; other words than it was encoded with cost one matrix product."""
        self._check_queries(queries)
        started = time.perf_counter()
        same_text = features.queries.text is queries.text
        similarity = features.similarity if same_text else features.embedding @ queries.text.T
        label, score = label_voxels(similarity, queries)
        point_label, point_score = scatter_to_points(label, score, features.row_of_point)
        elapsed_ms = 1e3 * (time.perf_counter() - started)
        return TimedPrediction(
            label=point_label, score=point_score, queries_version=queries.version, timings_ms={"labels": elapsed_ms}
        )

    def infer(self, frame: Frame, queries: QuerySet) -> TimedPrediction:
        """Encode and label one sweep; for errors see `encode`."""
        features = self.encode(frame, queries)
        labelled = self.label(features, queries)
        return TimedPrediction(
            label=labelled.label,
            score=labelled.score,
            queries_version=labelled.queries_version,
            timings_ms={**features.timings_ms, **labelled.timings_ms},
        )

    def _run(self, feeds: Mapping[str, NDArray[Any]]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        try:
            embedding, similarity = self._session.run(["embedding", "similarity"], feeds)
        except Exception as error:  # onnxruntime's exceptions share no base class
            reason = " ".join(str(error).split())
            raise FrameError(
                f"{STUDENT_FILE}: run on {self.provider} failed for {len(feeds['features'])} voxels ({reason}). "
                "Free memory, lower inputs.max_range_m, or choose providers=cpu."
            ) from error
        return embedding, similarity

    def _check_queries(self, queries: QuerySet) -> None:
        if queries.space != self.card.text_space or queries.text.shape[1] != self.card.embedding_dim:
            raise ModelError(
                f"queries: made in text space {queries.space!r} with {queries.text.shape[1]} numbers, the model lives "
                f"in {self.card.text_space!r} with {self.card.embedding_dim}. Make them with the bundle's text encoder."
            )

    def _warn_of_fallback(self, wanted: Sequence[str], *, insist: bool) -> None:
        if self.provider == wanted[0]:
            return
        message = f"{STUDENT_FILE}: {wanted[0]} was asked for, but {self.provider} runs. {_CUDA_HINT}"
        if insist:
            raise ModelError(message)
        logger.warning(message)


def label_voxels(similarity: NDArray[np.float32], queries: QuerySet) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """Pick the label of each voxel from its similarities (V, P) to the phrases.

    A label is as similar as its best phrase; the most similar label wins (the first one on a tie). The voxel stays
    unlabelled when a background phrase is more similar than that, or when the similarity is below the threshold
    or not a number. Returns label (V,) uint16, 0 or i + 1, and score (V,) float32: the best label's similarity.
    """
    asked = len(queries.phrases) - len(queries.background)  # background phrases come last
    best = similarity[:, :asked].argmax(axis=1)  # the best phrase of all is the best one of the best label
    score = np.take_along_axis(similarity, best[:, None], axis=1)[:, 0]
    claimed = score >= queries.threshold  # False for NaN
    if queries.background:
        claimed &= score >= similarity[:, asked:].max(axis=1)
    label = np.where(claimed, queries.label_of_phrase[best] + 1, UNLABELLED).astype(np.uint16)
    return label, np.nan_to_num(score, nan=0.0)


def scatter_to_points(
    label: NDArray[np.uint16], score: NDArray[np.float32], row_of_point: NDArray[np.int64]
) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """Give every point (N,) the label and score of its row; points without one (-1) get label 0 and score 0."""
    padded_label = np.append(label, np.uint16(UNLABELLED))  # row -1, which points without a voxel refer to
    padded_score = np.append(score, np.float32(0.0))
    return padded_label[row_of_point], padded_score[row_of_point]


def resolve_providers(providers: Sequence[str] | str) -> list[str]:
    """Turn "auto", "cpu", "cuda" or a list of names into onnxruntime's provider list, most wanted first.

    Raises `ModelError` for a provider that this onnxruntime lacks and `ConfigError` for an unknown short name.
    """
    available = ort.get_available_providers()
    if isinstance(providers, str):
        short_names = {
            "auto": [CUDA_PROVIDER, CPU_PROVIDER] if CUDA_PROVIDER in available else [CPU_PROVIDER],
            "cpu": [CPU_PROVIDER],
            "cuda": [CUDA_PROVIDER, CPU_PROVIDER],
        }
        if providers not in short_names:
            raise ConfigError(f"providers: expected auto, cpu, cuda or a list of names, got {providers!r}.")
        names = short_names[providers]
    else:
        names = list(providers)
    if not names:
        raise ConfigError("providers: the list is empty. Give auto, cpu, cuda or a list of onnxruntime's names.")
    absent = [name for name in names if name not in available]
    if absent:
        raise ModelError(
            f"onnxruntime {ort.__version__} has no {', '.join(absent)}; it has {', '.join(available)}. {_CUDA_HINT}"
        )
    return names


def open_session(path: Path, providers: Sequence[str], threads: int | None) -> ort.InferenceSession:
    """Load a network whose input sizes change from run to run; `ModelError` where onnxruntime cannot run it."""
    options = ort.SessionOptions()
    options.enable_mem_pattern = False  # patterns are kept per input shape, and every sweep has its own
    options.log_severity_level = 3  # errors: the fallback to the CPU is reported in our own words
    if threads is not None:
        if threads < 1:
            raise ConfigError(f"threads: expected at least 1, or none for onnxruntime's choice, got {threads}.")
        options.intra_op_num_threads = threads
    if CUDA_PROVIDER in providers and hasattr(ort, "preload_dlls"):
        ort.preload_dlls()  # finds CUDA and cuDNN from pip wheels
    try:
        return ort.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:  # onnxruntime's exceptions share no base class
        reason = " ".join(str(error).split())
        raise ModelError(
            f"{path.name}: onnxruntime {ort.__version__} cannot run it ({reason}). {EXPORT_HINT}"
        ) from error
