"""`Engine`: a sweep and a vocabulary in, a label and a score per point out, through onnxruntime.

The work has three stages. *inputs* voxelises the sweep and builds the index tables, *network* runs the student and
compares its voxel features with the text vectors, *labels* picks the winner per voxel and hands it back to the
points. Only the last depends on the vocabulary alone, so new words are answered from the features in memory: these are
kept in the few dimensions that the network's last layer spans.
"""

from __future__ import annotations

import functools
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from .artifact import (
    EXPORT_HINT,
    GPU_STUDENT_FILE,
    STUDENT_FILE,
    TABLE_ROW_KEY,
    Bundle,
    ModelCard,
    check_card_against_graph,
    open_bundle,
    read_card,
    takes_neighbour_tables,
)
from .errors import ConfigError, FrameError, ModelError
from .inputs import build_inputs, warm_up
from .network_feeds import network_feeds
from .queries import QuerySet
from .types import UNLABELLED, Frame, Prediction

CPU_PROVIDER = "CPUExecutionProvider"
CUDA_PROVIDER = "CUDAExecutionProvider"
GPU_PROVIDERS = frozenset(
    f"{name}ExecutionProvider" for name in ("CUDA", "Tensorrt", "NvTensorRTRTX", "ROCM", "MIGraphX", "Dml")
)
"""Providers for which the GPU's form of the network is taken."""
_CUDA_HINT = (
    "Install `ov3d_perception[gpu]` (onnxruntime-gpu, with no other onnxruntime beside it), a CUDA runtime and cuDNN, "
    "or choose providers=auto."
)

MOST_SIMILARITIES = 2**22
"""Beyond that, 17 MB a sweep, similarities are not made in the network but in blocks outside it, as far as needed."""
_MOST_GATHERED = 2**29
_BLOCK_NUMBERS = 500_000
_MIN_BLOCK_ROWS = 256

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepFeatures:
    """What the network said about one sweep; kept, so that new words need no new run.

    The unit vector of a voxel is its row of `compact` (V, B) float32 times `basis` (B, D) float32, B at most D. Points
    with a feature of their own, from cameras, have it in `point_embedding` (S, D) float32, unit length. `similarity`
    (R, P) float32 is the cosine of these R = V + S rows to the phrases of `queries`; None where these are so many that
    they are better compared block by block. `row_of_point` (N,) int64 is the row of every point, -1 for points that
    were left out (NaN, out of range). `timings_ms` holds the stages `inputs` and `network`.
    """

    compact: NDArray[np.float32]
    basis: NDArray[np.float32]
    point_embedding: NDArray[np.float32]
    similarity: NDArray[np.float32] | None
    queries: QuerySet
    row_of_point: NDArray[np.int64]
    timings_ms: Mapping[str, float]

    @property
    def embedding(self) -> NDArray[np.float32]:
        """The unit vectors (R, D) of all rows, made anew each time."""
        return np.concatenate([self.compact @ self.basis, self.point_embedding])

    def embedding_of(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the unit vectors (n, D) of some rows (n,)."""
        found = np.empty((len(rows), self.basis.shape[1]), dtype=np.float32)
        own = rows >= len(self.compact)
        found[~own] = self.compact[rows[~own]] @ self.basis
        found[own] = self.point_embedding[rows[own] - len(self.compact)]
        return found

    def similarity_to(self, text: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the cosines (R, Q) of all rows to unit vectors (Q, D)."""
        none = np.empty((0, len(text)), dtype=np.float32)
        return np.concatenate([none, *(block() for block in self.blocks(text))])

    def blocks(self, text: NDArray[np.float32]) -> Iterator[Callable[[], NDArray[np.float32]]]:
        """Yield functions that make the rows of `similarity_to`, some at a time: as many as a cache holds."""
        rows = max(_BLOCK_NUMBERS // max(len(text), 1), _MIN_BLOCK_ROWS)
        voxels = (self.compact, np.asarray(self.basis @ text.T, dtype=np.float32))
        for features, to_text in (voxels, (self.point_embedding, text.T)):
            for start in range(0, len(features), rows):
                yield functools.partial(np.matmul, features[start : start + rows], to_text)


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
        """Load the student of a bundle, and the compiled kernels that prepare sweeps for it.

        `providers`: "auto" takes CUDA when onnxruntime has it and else the CPU; "cuda" insists; "cpu"; or a list of
        onnxruntime's own names. `threads`: CPU threads of the network and of comparing words, None for as many as fit;
        set OPENBLAS_NUM_THREADS=1 beside it, as the launch file does. Not to be used across a fork.
        Raises `ModelError` for a bad bundle or absent provider, `ConfigError` for bad arguments.
        """
        self._warned = False
        self.bundle = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
        wanted = resolve_providers(providers)
        self._session = self._open_student(wanted, threads)
        self._warn_of_fallback(wanted, insist=providers == "cuda")
        self._workers = ThreadPoolExecutor(threads or len(os.sched_getaffinity(0)), thread_name_prefix="ov3d-engine")
        self._dense = takes_neighbour_tables(self._session)
        self._most_voxels = most_voxels(self._session) if self._dense else None
        self._basis = self._warm_up()

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
        feeds = network_feeds(inputs, self.card.inputs, dense=self._dense)
        ready = time.perf_counter()
        voxels = len(inputs.voxels.coords)
        if self._most_voxels is not None and voxels > self._most_voxels:
            raise FrameError(
                f"{GPU_STUDENT_FILE}: {voxels} voxels, at most {self._most_voxels} fit its tables. Lower "
                "inputs.max_range_m, take larger voxels, or choose providers=cpu."
            )
        if voxels:
            compact, similarity = self._run(feeds, text_for_network(queries.text, voxels))
        else:
            compact = np.empty((0, len(self._basis)), dtype=np.float32)
            similarity = np.empty((0, len(queries.text)), dtype=np.float32)
        finished = time.perf_counter()
        self._warn_of_broken_numbers(compact)
        return SweepFeatures(
            compact=compact,
            basis=self._basis,
            point_embedding=np.empty((0, self.card.embedding_dim), dtype=np.float32),
            similarity=similarity if similarity.shape[1] == len(queries.text) else None,
            queries=queries,
            row_of_point=inputs.voxels.voxel_of_point,
            timings_ms={"inputs": 1e3 * (ready - started), "network": 1e3 * (finished - ready)},
        )

    def label(self, features: SweepFeatures, queries: QuerySet) -> TimedPrediction:
        """Label every point of an encoded sweep; other words than it was encoded with cost one matrix product."""
        self._check_queries(queries)
        started = time.perf_counter()
        label, score = label_rows(features, queries, self._workers)
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

    def _open_student(self, wanted: Sequence[str], threads: int | None) -> ort.InferenceSession:
        """Open the form of the network that suits the most wanted provider, or the CPU's where that does not run."""
        path, gpu_path = self.bundle.student_path, self.bundle.gpu_student_path
        if wanted[0] in GPU_PROVIDERS and gpu_path is None:
            logger.warning(
                "bundle %s has no %s: the form for CPUs runs on %s, slowly. %s",
                self.bundle.directory, GPU_STUDENT_FILE, wanted[0], EXPORT_HINT,
            )  # fmt: skip
        elif wanted[0] in GPU_PROVIDERS and gpu_path is not None:
            session = open_session(gpu_path, wanted, threads)
            if session.get_providers()[0] in GPU_PROVIDERS:
                if read_card(session, GPU_STUDENT_FILE) != self.card:
                    raise ModelError(f"{GPU_STUDENT_FILE}: its card is not that of {path.name}. {EXPORT_HINT}")
                check_card_against_graph(self.card, session, GPU_STUDENT_FILE)
                return session
        session = open_session(path, wanted, threads)
        check_card_against_graph(self.card, session)  # the file may have changed since the bundle was opened
        return session

    def _warm_up(self) -> NDArray[np.float32]:
        """Compile and allocate what the first sweep needs, on one point; return the basis (B, D)."""
        started = time.perf_counter()
        inputs = warm_up(self.card.inputs)
        feeds = network_feeds(inputs, self.card.inputs, dense=self._dense)
        feeds["text"] = np.zeros((1, self.card.embedding_dim), dtype=np.float32)
        try:
            (basis,) = self._session.run(["basis"], feeds)
        except Exception as error:  # onnxruntime's exceptions share no base class
            reason = " ".join(str(error).split())
            raise ModelError(f"{STUDENT_FILE}: cannot label one point on {self.provider} ({reason}).") from error
        logger.debug("warmed up in %.2f s on %s", time.perf_counter() - started, self.provider)
        return np.asarray(basis)

    def _run(
        self, feeds: Mapping[str, NDArray[Any]], text: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run the network; onnxruntime reads the arrays where they are and writes into the ones returned."""
        rows = len(feeds["features"])
        outputs = {
            "compact": np.empty((rows, len(self._basis)), dtype=np.float32),
            "similarity": np.empty((rows, len(text)), dtype=np.float32),
        }
        try:
            binding = self._session.io_binding()
            for name, array in {**feeds, "text": np.ascontiguousarray(text)}.items():
                binding.bind_cpu_input(name, array)
            for name, array in outputs.items():
                binding.bind_output(name, "cpu", 0, array.dtype, array.shape, array.ctypes.data)
            self._session.run_with_iobinding(binding)
        except Exception as error:  # onnxruntime's exceptions share no base class
            reason = " ".join(str(error).split())
            raise FrameError(
                f"{STUDENT_FILE}: run on {self.provider} failed for {rows} voxels ({reason}). "
                "Free memory, lower inputs.max_range_m, or choose providers=cpu."
            ) from error
        return outputs["compact"], outputs["similarity"]

    def _warn_of_broken_numbers(self, compact: NDArray[np.float32]) -> None:
        """Say, once, that voxels stay unlabelled because the network's numbers left their range."""
        if self._warned or np.isfinite(compact.sum()):
            return
        self._warned = True
        broken = int((~np.isfinite(compact)).any(axis=1).sum())
        logger.warning(
            "%d of %d voxels have features that are not numbers and stay unlabelled: float16 may not hold this "
            "network's activations. Choose providers=cpu, or train with weight decay.",
            broken, len(compact),
        )  # fmt: skip

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


def text_for_network(text: NDArray[np.float32], voxels: int) -> NDArray[np.float32]:
    """Return the vectors (Q, D) that the network compares with: all, or one where similarities are made outside it."""
    return text if voxels * len(text) <= MOST_SIMILARITIES else text[:1]


def label_rows(
    features: SweepFeatures, queries: QuerySet, workers: ThreadPoolExecutor
) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """Pick the label of every row of a sweep, see `label_voxels`: label (R,) and score (R,)."""
    if features.similarity is not None and features.queries.text is queries.text:
        return label_voxels(features.similarity, queries)
    none = (np.empty(0, dtype=np.uint16), np.empty(0, dtype=np.float32))
    parts = [none, *workers.map(lambda block: label_voxels(block(), queries), features.blocks(queries.text))]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def label_voxels(similarity: NDArray[np.float32], queries: QuerySet) -> tuple[NDArray[np.uint16], NDArray[np.float32]]:
    """Pick the label of each voxel from its similarities (V, P) to the phrases.

    A label is as similar as its best phrase; the most similar label wins (the first one on a tie). The voxel stays
    unlabelled when a background phrase is more similar than that, or when the similarity is below the threshold
    or not a number. Returns label (V,) uint16, 0 or i + 1, and score (V,) float32: the best label's similarity.
    """
    asked = len(queries.phrases) - len(queries.background)  # background phrases come last, so they lose a tie
    best = similarity.argmax(axis=1)  # the best phrase of all is the best one of the best label; the first NaN, if any
    in_background = best >= asked
    rows = np.flatnonzero(in_background)
    best[rows] = similarity[rows, :asked].argmax(axis=1)  # all at once would copy the similarities for a cut
    score = np.take_along_axis(similarity, best[:, None], axis=1)[:, 0]
    claimed = (score >= queries.threshold) & ~in_background  # False for NaN
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


def most_voxels(session: ort.InferenceSession) -> int:
    """Return how many voxels the GPU's form takes: its kernels count the numbers they gather in 32 bits."""
    row = int(session.get_modelmeta().custom_metadata_map.get(TABLE_ROW_KEY, 1))
    return _MOST_GATHERED // max(row, 1)


def open_session(path: Path, providers: Sequence[str], threads: int | None) -> ort.InferenceSession:
    """Load a network whose input sizes change from run to run; `ModelError` where onnxruntime cannot run it."""
    options = ort.SessionOptions()
    options.enable_mem_pattern = False  # patterns are kept per input shape, and every sweep has its own
    options.log_severity_level = 3  # errors: the fallback to the CPU is reported in our own words
    options.add_session_config_entry("session.force_spinning_stop", "1")  # between runs the cores are for others
    options.add_session_config_entry("session.x64quantprecision", "1")  # 8-bit products saturate on CPUs without VNNI
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
