"""The parity gate: an exported graph must say what the torch network says, or there is no bundle."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray

from ov3d_perception.artifact import takes_neighbour_tables
from ov3d_perception.errors import DataError, ModelError
from ov3d_perception.inputs import InputSpec, build_inputs
from ov3d_perception.network_feeds import network_feeds
from ov3d_perception.types import Frame
from ov3d_trainer.network.backends import index_tensors
from ov3d_trainer.network.model import SparseUNet

TOLERANCE = 1e-4
"""Largest difference of one number of a unit vector, or of one cosine: float32 sums of a few thousand products in
another order differ by some 1e-6, a wrong weight or table by far more."""

HALF_COSINE = 0.999
INT8_COSINE = 0.98
"""Rounded graphs are held to the cosine between their vectors and torch's instead, which 99 of 100 voxels must reach.
The shipped student has 0.99999 and 0.9997; the same network with other weights 0.14."""
_WORST_SHARE = 0.01

SMALL_CLOUDS = (0, 1, 2)
"""Points of the clouds that are checked besides the given frames."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ParityReport:
    """Largest absolute differences between onnxruntime's CPU provider and torch, over `clouds` clouds.

    `cosine` is what all but a hundredth of the voxels of every cloud reach at least. `embedding` is that of the voxels'
    unit vectors, the product of the graph's `compact` and `basis`.
    """

    embedding: float
    similarity: float
    cosine: float
    clouds: int
    voxels: int
    onnxruntime: str


def check_parity(
    model: SparseUNet, graph_path: Path, spec: InputSpec, frames: Sequence[Frame], *, least_cosine: float | None = None
) -> ParityReport:
    """Run both on the given frames and on clouds of 0, 1 and 2 points; clouds without colours get some if need be.

    Raises `ModelError` where an output has another shape, differs by more than `TOLERANCE`, or, for a rounded graph,
    has a cosine below `least_cosine`; `DataError` where the frames hold too little to check anything with.
    """
    session = _open_session(graph_path)
    dense = takes_neighbour_tables(session)
    generator = np.random.default_rng(0)
    worst = {"embedding": 0.0, "similarity": 0.0}
    most_voxels, cosine = 0, 1.0
    frames = [_with_colors(frame, spec, generator) for frame in frames]
    clouds = [*frames, *(_first_points(frames, spec, count) for count in SMALL_CLOUDS)]
    for number, frame in enumerate(clouds):
        inputs = build_inputs(frame, spec)
        text = _unit_rows(generator, 1 + number % 5, model.config.embedding_dim)
        voxels = len(inputs.features)
        feeds = network_feeds(inputs, spec, dense=dense)
        compact, basis, similarity = session.run(["compact", "basis", "similarity"], {"text": text, **feeds})
        found = {"embedding": compact @ basis, "similarity": similarity}
        with torch.inference_mode():
            embedding = model(torch.from_numpy(inputs.features), index_tensors(inputs.index)).numpy()
        wanted = {"embedding": embedding, "similarity": embedding @ text.T}
        for name, expected in wanted.items():
            what = f"{graph_path.name}: {name} of cloud {number}"
            difference = _difference(what, expected, found[name], None if least_cosine else TOLERANCE)
            worst[name] = max(worst[name], difference)
        cosine = min(cosine, _worst_cosine(wanted["embedding"], found["embedding"]))
        if least_cosine and not cosine >= least_cosine:
            raise ModelError(
                f"{graph_path.name}: its vectors reach a cosine of {cosine:.3f} to torch's on cloud {number}, at least "
                f"{least_cosine} is asked. Nothing was exported; rounding may not suit this network."
            )
        _log.debug("parity: cloud %d, %d voxels, worst so far %s", number, voxels, worst)
        most_voxels = max(most_voxels, voxels)
    return ParityReport(**worst, cosine=cosine, clouds=len(clouds), voxels=most_voxels, onnxruntime=ort.__version__)


def _open_session(path: Path) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's exceptions share no base class
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"{path.name}: onnxruntime {ort.__version__} refuses the exported graph ({reason})."
        ) from error


def _with_colors(frame: Frame, spec: InputSpec, generator: np.random.Generator) -> Frame:
    """Give a cloud without colours random ones where the network takes colours: both sides see the same."""
    if frame.colors is not None or not {"red", "green", "blue"} & set(spec.features):
        return frame
    return replace(frame, colors=generator.integers(0, 256, (len(frame.points), 3), dtype=np.uint8))


def _first_points(frames: Sequence[Frame], spec: InputSpec, count: int) -> Frame:
    """Cut the first usable points out of the first frame that has enough of them."""
    for frame in frames:
        voxels = build_inputs(frame, spec).voxels
        rows = np.flatnonzero(voxels.voxel_of_point >= 0)[:count]
        if len(rows) == count and len(voxels.coords) > max(SMALL_CLOUDS):
            return _rows_of(frame, rows)
    raise DataError(
        f"parity: none of the {len(frames)} frames has more than {max(SMALL_CLOUDS)} voxels within "
        f"{spec.max_range_m} m. Name a real cloud with --frame."
    )


def _rows_of(frame: Frame, rows: NDArray[np.intp]) -> Frame:
    optional = {name: getattr(frame, name) for name in ("colors", "ring", "time_offset_s")}
    cut: dict[str, Any] = {name: None if value is None else value[rows] for name, value in optional.items()}
    return replace(frame, points=frame.points[rows], intensity=frame.intensity[rows], **cut)


def _unit_rows(generator: np.random.Generator, rows: int, dim: int) -> NDArray[np.float32]:
    values = generator.normal(size=(rows, dim)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def _worst_cosine(expected: NDArray[np.float32], got: NDArray[np.float32]) -> float:
    """Return the cosine that all but a hundredth of the rows reach, -1 where one is not a number.

    Rows of length zero, which a network without biases gives, agree with each other.
    """
    cosine = (expected * got).sum(axis=1)
    empty = (np.abs(expected).max(axis=1, initial=0.0) == 0) & (np.abs(got).max(axis=1, initial=0.0) == 0)
    cosine[empty] = 1.0
    if not np.isfinite(cosine).all():
        return -1.0
    return float(np.quantile(cosine, _WORST_SHARE, method="lower")) if len(cosine) else 1.0


def _difference(what: str, expected: NDArray[np.float32], got: NDArray[np.float32], tolerance: float | None) -> float:
    if got.shape != expected.shape:
        raise ModelError(f"{what}: torch gives shape {expected.shape}, the graph {got.shape}. Nothing was exported.")
    difference = float(np.abs(got - expected).max(initial=0.0))
    if tolerance is not None and not difference <= tolerance:  # NaN fails too
        raise ModelError(
            f"{what}: differs from torch by {difference:.2g}, at most {tolerance:.0e} is accepted. Nothing was "
            "exported; please report this with the checkpoint, or check it for weights that are not finite."
        )
    return difference
