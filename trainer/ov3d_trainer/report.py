"""What a run looks like afterwards: metrics read back, plots as figures, tables as text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ov3d_perception.errors import DataError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SMOOTHING = 25


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read metrics.jsonl; a last line that was cut off by a crash is left out, other damage is a `DataError`."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"metrics {path}: cannot be read ({error.strerror}).") from error
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(json.loads(line))
        except ValueError as error:
            if number == len(lines):
                break
            raise DataError(f"metrics {path}: line {number} is not JSON ({error}). Delete the file.") from error
    return records


def loss_figure(metrics: Sequence[Mapping[str, Any]]) -> Figure:
    """Plot loss terms, agreement with the teacher and learning rate over the steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7), layout="constrained")
    upper, middle, lower = figure.subplots(3, 1, sharex=True, height_ratios=[3, 2, 1])
    steps = np.array([record["step"] for record in metrics])
    for name, color in (("loss", "black"), ("cosine", "tab:blue"), ("cross_entropy", "tab:orange")):
        values = np.array([record[name] for record in metrics], dtype=np.float64)
        upper.plot(steps, values, color=color, alpha=0.25, linewidth=0.8)
        upper.plot(steps, _smooth(values), color=color, label=name.replace("_", "-"))
    agreement = np.array([100.0 * record["agreement"] for record in metrics])
    middle.plot(steps, agreement, color="tab:green", alpha=0.25, linewidth=0.8)
    middle.plot(steps, _smooth(agreement), color="tab:green")
    lower.plot(steps, [record["learning_rate"] for record in metrics], color="tab:gray")
    upper.set_ylabel("loss (no unit)")
    upper.set_ylim(bottom=0)
    upper.legend()
    middle.set_ylabel("agreement with\nteacher (% of voxels)")
    middle.set_ylim(0, 100)
    lower.set_ylabel("learning rate")
    lower.set_xlabel("step")
    return figure


def save_figure(figure: Figure, path: Path, *, kind: str | None = None) -> None:
    """Write a figure as PNG, or as what `kind` or the file's suffix says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, format=kind)


def training_text(metrics: Sequence[Mapping[str, Any]]) -> str:
    """Say what the last steps reached and what they cost."""
    tail = metrics[-25:]

    def mean(key: str) -> float:
        return sum(record.get(key, 0.0) for record in tail) / len(tail)

    return (
        f"step {metrics[-1]['step']}, over the last {len(tail)} records: loss {mean('loss'):.4f}, agreement with the "
        f"teacher {100 * mean('agreement'):.1f} % of voxels. A step took {mean('seconds'):.3f} s, and "
        f"{mean('waiting_seconds'):.3f} s of waiting for data: {mean('seconds_per_sweep'):.3f} s a sweep. "
        f"Peak memory {tail[-1].get('peak_memory_mb', 0.0):.0f} MB."
    )


def table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Lay out a text table: first column left, others right; numbers with one decimal, None as a dash."""
    cells = [list(header), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(lines)


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _smooth(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Moving mean over the last steps."""
    window = min(_SMOOTHING, max(len(values) // 4, 1))
    sums = np.cumsum(np.concatenate([[0.0], values]))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - window, 0)
    return np.asarray((sums[ends] - sums[starts]) / (ends - starts))
