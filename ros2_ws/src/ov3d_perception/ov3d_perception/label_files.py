"""Writing a labelled cloud as a file: `.npy`, `.ply`, `.png` and `.json`, each with every point in order.

* `.npy`: structured array with fields x, y, z [m], intensity, label, score; read it with `np.load(path)`.
* `.ply`: binary little-endian point cloud for CloudCompare, MeshLab or Open3D: x, y, z, red, green, blue, intensity,
  label, score; comments name the labels.
* `.png`: picture with legend, see `render`; of a frame with cameras, or with scores of a query, see `scene_picture`.
* `.json`: table of labels with colours and counts.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ConfigError, DataError
from .palette import label_colors
from .queries import QuerySet
from .render import render_labelled_cloud, save_png
from .scene_picture import Heat, scene_picture
from .types import UNLABELLED, Frame, Prediction

NPY_FIELDS = np.dtype(
    [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("intensity", "<f4"), ("label", "<u2"), ("score", "<f4")]
)
_SCORE_BINS = 2001
_PLY_COLORS = [("red", "u1"), ("green", "u1"), ("blue", "u1")]
_PLY_FIELDS = np.dtype([*NPY_FIELDS.descr[:3], *_PLY_COLORS, *NPY_FIELDS.descr[3:]])
_PLY_TYPES = {"f4": "float", "u1": "uchar", "u2": "ushort"}


def check_label_path(path: Path) -> None:
    """Raise `ConfigError` for a suffix that no writer takes or a folder that is not there."""
    if path.suffix.lower() not in WRITERS:
        raise ConfigError(f"{path}: suffix {path.suffix!r} is none of {', '.join(WRITERS)}. Rename the output.")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: folder {path.parent} does not exist. Create it first.")
    if path.is_dir():
        raise ConfigError(f"{path}: is a folder. Give a file name.")


def write_labelled(
    path: Path,
    frame: Frame,
    prediction: Prediction,
    queries: QuerySet,
    *,
    title: str = "",
    heat: Heat | None = None,
) -> None:
    """Write a labelled cloud in the format that the suffix of `path` names; `heat` goes into pictures only.

    Raises `ConfigError` for a bad path and `DataError` when the prediction belongs to another cloud or vocabulary.
    """
    check_label_path(path)
    if len(prediction.label) != len(frame.points) or prediction.queries_version != queries.version:
        raise DataError(
            f"{path.name}: {len(prediction.label)} labels of table {prediction.queries_version} do not fit "
            f"{len(frame.points)} points and table {queries.version}. Give what belongs together."
        )
    if path.suffix.lower() == ".png" and (frame.cameras or heat is not None):
        save_png(scene_picture(frame, prediction, queries.names, heat=heat, title=title), path)
        return
    WRITERS[path.suffix.lower()](path, frame, prediction, queries, title)


def labelled_array(frame: Frame, prediction: Prediction) -> NDArray[np.void]:
    """Return the structured array (N,) with `NPY_FIELDS` that `.npy` files hold."""
    array = np.empty(len(frame.points), dtype=NPY_FIELDS)
    _fill_common(array, frame, prediction)
    return array


class ScoreTally:
    """Counts points and scores per label over any number of sweeps, in memory that does not grow with them.

    Medians are good to 0.001: scores are counted in bins of that width.
    """

    def __init__(self, names: Sequence[str]) -> None:
        """Start from nothing for the labels `names`; label i + 1 is `names[i]`."""
        self._names = tuple(names)
        self._counts = np.zeros((len(self._names) + 1, _SCORE_BINS), dtype=np.int64)

    def add(self, prediction: Prediction) -> None:
        """Count one sweep."""
        bins = np.rint((np.clip(prediction.score, -1.0, 1.0) + 1.0) * (_SCORE_BINS // 2)).astype(np.int64)
        flat = prediction.label.astype(np.int64) * _SCORE_BINS + bins
        self._counts += np.bincount(flat, minlength=self._counts.size).reshape(self._counts.shape)

    def rows(self) -> list[dict[str, Any]]:
        """Return one row per label, unlabelled last: id, name, color, points, share (0..1), median_score (or None)."""
        colors = label_colors(self._names)
        total = int(self._counts.sum())
        rows = []
        for label in (*range(1, len(self._names) + 1), UNLABELLED):
            points = int(self._counts[label].sum())
            middle = int(np.searchsorted(self._counts[label].cumsum(), (points + 1) // 2))
            rows.append(
                {
                    "id": label,
                    "name": self._names[label - 1] if label else "unlabelled",
                    "color": [int(channel) for channel in colors[label]],
                    "points": points,
                    "share": points / max(total, 1),
                    "median_score": round(2.0 * middle / (_SCORE_BINS - 1) - 1.0, 3) if points else None,
                }
            )
        return rows


def _write_npy(path: Path, frame: Frame, prediction: Prediction, queries: QuerySet, title: str) -> None:
    with path.open("wb") as file:  # np.save(path) would append a second suffix to "cloud.NPY"
        np.save(file, labelled_array(frame, prediction), allow_pickle=False)


def _write_ply(path: Path, frame: Frame, prediction: Prediction, queries: QuerySet, title: str) -> None:
    vertices = np.empty(len(frame.points), dtype=_PLY_FIELDS)
    _fill_common(vertices, frame, prediction)
    colors = label_colors(queries.names)[prediction.label]
    for channel, name in enumerate(("red", "green", "blue")):
        vertices[name] = colors[:, channel]
    header = ["ply", "format binary_little_endian 1.0", f"comment frame_id {_ascii(frame.frame_id)}"]
    header += [f"comment stamp_ns {frame.stamp_ns}", "comment label 0 unlabelled"]
    header += [f"comment label {row} {_ascii(name)}" for row, name in enumerate(queries.names, start=1)]
    header.append(f"element vertex {len(vertices)}")
    for name in _PLY_FIELDS.names or ():
        header.append(f"property {_PLY_TYPES[_PLY_FIELDS[name].str[1:]]} {name}")
    header.append("end_header")
    path.write_bytes(("\n".join(header) + "\n").encode("ascii") + vertices.tobytes())


def _write_png(path: Path, frame: Frame, prediction: Prediction, queries: QuerySet, title: str) -> None:
    save_png(render_labelled_cloud(frame, prediction, queries.names, title=title), path)


def _write_json(path: Path, frame: Frame, prediction: Prediction, queries: QuerySet, title: str) -> None:
    tally = ScoreTally(queries.names)
    tally.add(prediction)
    table = {
        "title": title,
        "frame_id": frame.frame_id,
        "stamp_ns": frame.stamp_ns,
        "queries_version": queries.version,
        "threshold": queries.threshold,
        "background": list(queries.background),
        "labels": tally.rows(),
    }
    path.write_text(json.dumps(table, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _fill_common(array: NDArray[np.void], frame: Frame, prediction: Prediction) -> None:
    for axis, name in enumerate("xyz"):
        array[name] = frame.points[:, axis]
    array["intensity"] = frame.intensity
    array["label"] = prediction.label
    array["score"] = prediction.score


def _ascii(text: str) -> str:
    """Make text fit one line of a PLY header, which is ASCII: other characters become escapes."""
    return text.encode("ascii", "backslashreplace").decode("ascii").replace("\n", " ").replace("\r", " ")


_Writer = Callable[[Path, Frame, Prediction, QuerySet, str], None]
WRITERS: Mapping[str, _Writer] = {".npy": _write_npy, ".ply": _write_ply, ".png": _write_png, ".json": _write_json}
"""Writers by suffix in lower case."""
