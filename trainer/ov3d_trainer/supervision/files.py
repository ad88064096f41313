"""What a teacher says about a sample as a file: one .npz, written at once, no pickle.

Vectors are kept once per superpixel or mask where the teacher pools, and every point says which is its own: a nuScenes
keyframe with 100 superpixels per image takes about 0.6 MB at 512 numbers a vector.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.errors import DataError

from ..teacher.base import FeatureSupervision, Supervision
from ..whole_files import written_whole

SUPERVISION_FORMAT = 1
_WEIGHT_STEPS = 255


def write_supervision(path: Path, supervision: Supervision | FeatureSupervision) -> None:
    """Write atomically: a killed writer leaves nothing half-written, and several writers do not disturb each other."""
    arrays = _named(supervision) if isinstance(supervision, Supervision) else _featured(supervision)
    with written_whole(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)


def read_supervision(path: Path) -> Supervision | FeatureSupervision:
    """Read what `write_supervision` wrote; `DataError` for anything else."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        return _unpack(arrays)
    except Exception as error:  # zipfile and zlib raise their own
        raise DataError(f"{path}: damaged ({error}). Delete it; it is made again.") from error


def _named(supervision: Supervision) -> dict[str, Any]:
    return {
        "target": supervision.target.astype(np.int32),
        "weight": _pack_weight(supervision.weight),
        "count": np.int64(supervision.count),
    }


def _featured(supervision: FeatureSupervision) -> dict[str, Any]:
    return {
        "points": np.int64(supervision.points),
        "rows": np.packbits(_mask(supervision.rows, supervision.points)),
        "vectors": supervision.vectors,
        "vector_of_row": supervision.vector_of_row.astype(np.min_scalar_type(max(len(supervision.vectors) - 1, 0))),
        "weight": _pack_weight(supervision.weight),
    }


def _unpack(arrays: dict[str, NDArray[Any]]) -> Supervision | FeatureSupervision:
    if "target" in arrays:
        weight = _unpack_weight(arrays["weight"])
        return Supervision(target=arrays["target"].astype(np.int64), weight=weight, count=int(arrays["count"]))
    points = int(arrays["points"])
    rows = np.flatnonzero(np.unpackbits(arrays["rows"], count=points))
    supervision = FeatureSupervision(
        points=points,
        rows=rows,
        vectors=arrays["vectors"],
        vector_of_row=arrays["vector_of_row"].astype(np.int32),
        weight=_unpack_weight(arrays["weight"]),
    )
    if len(supervision.vector_of_row) != len(rows) or len(supervision.weight) != len(rows):
        raise ValueError(
            f"{len(rows)} rows, {len(supervision.vector_of_row)} vectors, {len(supervision.weight)} weights"
        )
    if supervision.vector_of_row.max(initial=-1) >= len(supervision.vectors):
        raise ValueError(f"row of vector {supervision.vector_of_row.max()} of {len(supervision.vectors)}")
    return supervision


def _mask(rows: NDArray[np.int64], points: int) -> NDArray[np.bool_]:
    mask = np.zeros(points, bool)
    mask[rows] = True
    return mask


def _pack_weight(weight: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.asarray(np.rint(weight * _WEIGHT_STEPS), dtype=np.uint8)


def _unpack_weight(weight: NDArray[np.uint8]) -> NDArray[np.float32]:
    return np.asarray(weight / np.float32(_WEIGHT_STEPS), dtype=np.float32)
