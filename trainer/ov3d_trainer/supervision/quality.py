"""What a teacher is worth before anybody learns from it: lifted labels against the truth, size on disk, time."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from ov3d_perception.errors import DataError
from ov3d_perception.inputs import build_inputs

from ..config import SourceConfig, TrainConfig, input_spec
from ..data.sample import UNKNOWN
from ..evaluation.modes import point_truth, taught_labels
from ..evaluation.student import ask_for
from ..report import table
from ..scores import add_confusions, count_confusion
from ..teacher.base import FeatureSupervision
from .codebook import with_codebook
from .files import read_supervision, write_supervision
from .prepared import TrainingData, prepare_data

_TIMED = 8
"""Samples that stages are timed on, after one that nothing is told of."""


def measure_teacher(config: TrainConfig, data: SourceConfig | None = None) -> dict[str, Any]:
    """Hold what the teacher says against the truth of the points of `data`, by default the run's own.

    Returns plain JSON types: `supervised`, the share of points with supervision (%); `where_it_speaks` and `everywhere`
    (points it says nothing about count as wrong) as `Confusion.to_dict` has them; `kilobytes`, the median size of a
    sample's file of supervision; `vectors`, how many it holds; `milliseconds` per stage. Raises `DataError` where no
    sample has a truth.
    """
    prepared = prepare_data(config if data is None else replace(config, data=data))
    queries = ask_for(prepared.words, prepared.teacher, prepared.encoder)
    speaking, everywhere, sizes, vectors, points, supervised = [], [], [], [], 0, 0
    with tempfile.TemporaryDirectory(prefix="ov3d-teacher-") as folder:
        for row in tqdm(range(len(prepared.samples)), desc="teacher", disable=not sys.stderr.isatty()):
            supervision = prepared.samples.prepare(row).supervision
            write_supervision(Path(folder, "one.npz"), supervision)
            sizes.append(Path(folder, "one.npz").stat().st_size / 1e3)
            vectors.append(len(supervision.vectors) if isinstance(supervision, FeatureSupervision) else 0)
            sample = prepared.source.without_images(row)
            points += len(sample.frame.points)
            supervised += len(supervision.supervised)
            if sample.point_labels is None:
                continue
            said = taught_labels(prepared.teacher, supervision, queries, len(sample.frame.points)).label
            truth = point_truth(sample, prepared.words, queries.names)
            known = truth != UNKNOWN
            heard = np.zeros(len(known), bool)
            heard[supervision.supervised] = True
            everywhere.append(count_confusion(queries.names, truth[known], said[known]))
            speaking.append(count_confusion(queries.names, truth[known & heard], said[known & heard]))
    if not everywhere:
        raise DataError("data: none of its samples has labels of points to hold the teacher against. Change --data.")
    return {
        "samples": len(prepared.samples),
        "points": points,
        "supervised": round(100.0 * supervised / points, 2),
        "where_it_speaks": add_confusions(speaking).to_dict(),
        "everywhere": add_confusions(everywhere).to_dict(),
        "kilobytes": round(statistics.median(sizes), 1),
        "vectors": int(statistics.median(vectors)),
        "milliseconds": time_stages(prepared, config),
    }


def time_stages(prepared: TrainingData, config: TrainConfig) -> dict[str, float]:
    """Return the median milliseconds that each stage of making and using supervision takes for one sample."""
    times: dict[str, list[float]] = {}

    def timed(stage: str, work: Callable[..., Any], *arguments: Any) -> Any:
        started = time.perf_counter()
        result = work(*arguments)
        times.setdefault(stage, []).append(1e3 * (time.perf_counter() - started))
        return result

    spec = input_spec(config.inputs)
    with tempfile.TemporaryDirectory(prefix="ov3d-teacher-") as folder:
        path = Path(folder, "one.npz")
        for row in range(min(len(prepared.samples), _TIMED + 1)):
            if row == 1:
                times.clear()  # the first sample pays for loading
            sample = timed("read cloud and images", prepared.source.__getitem__, row)
            supervision = timed("teach and lift", prepared.teacher.supervise, sample)
            if config.teacher.codebook and isinstance(supervision, FeatureSupervision):
                supervision = timed("codebook", with_codebook, supervision, config.teacher.codebook)
            timed("write supervision", write_supervision, path, supervision)
            timed("read cloud", prepared.source.without_images, row)
            timed("read supervision", read_supervision, path)
            inputs = timed("voxels and index maps", build_inputs, sample.frame, spec)
            timed("pool to voxels", supervision.pool, inputs.voxels)
    return {stage: round(statistics.median(values), 1) for stage, values in times.items()}


def teacher_text(report: dict[str, Any]) -> str:
    """Return a report as readable text."""
    speaks, everywhere = report["where_it_speaks"], report["everywhere"]
    rows = [
        [name, row["points"], row["iou"], speaks["classes"][name]["iou"]]
        for name, row in everywhere["classes"].items()
        if row["points"]
    ]
    lines = [
        f"{report['samples']} samples, {report['points']:,} points, {report['supervised']} % of them supervised; "
        f"{report['kilobytes']} kB and {report['vectors']} vectors a sample (medians).",
        f"Where it speaks (%): mean IoU {speaks['mean_iou']}, accuracy {speaks['accuracy']}. "
        f"Everywhere: mean IoU {everywhere['mean_iou']}, accuracy {everywhere['accuracy']}.",
        table(["class", "points", "IoU everywhere", "IoU where it speaks"], rows),
        "Milliseconds a sample: " + ", ".join(f"{stage} {ms}" for stage, ms in report["milliseconds"].items()) + ".",
    ]
    return "\n".join(lines)
