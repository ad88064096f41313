"""Plots of a bench record; every function returns a figure, or None where the record lacks the part."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .peer_times import INT8, MINKOWSKI, OURS, SPCONV, TORCH
from .stages import STAGES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_COLORS = ("#0969da", "#1a7f37", "#bc4c00", "#8250df", "#bf3989", "#9a6700", "#57606a", "#116329", "#0550ae")
_PEER_COLORS = {OURS: "#0969da", INT8: "#54aeff", TORCH: "#57606a", MINKOWSKI: "#bc4c00", SPCONV: "#8250df"}
TARGET_MS = 50.0


def figures(record: Mapping[str, Any]) -> dict[str, Figure]:
    """Return file stem to figure for every part that there is."""
    made = {
        "stages": stage_figure(record),
        "scaling": scaling_figure(record),
        "words": word_figure(record),
        "sizes": size_figure(record),
        "peers": peer_figure(record),
    }
    return {name: figure for name, figure in made.items() if figure is not None}


def stage_figure(record: Mapping[str, Any]) -> Figure | None:
    """Stack the medians of the stages, one bar per measurement, with the end-to-end p50 and p95 beside them."""
    entries = _measured(record, "stages")
    if not entries:
        return None
    figure, axes = _empty(1.6 + 0.5 * len(entries))
    left = [0.0] * len(entries)
    for stage, color in zip(STAGES, _COLORS, strict=True):
        widths = [entry["stages"][stage].get("p50_ms", 0.0) for entry in entries]
        axes.barh(range(len(entries)), widths, left=left, color=color, label=stage, height=0.6)
        left = [start + width for start, width in zip(left, widths, strict=True)]
    for style, name in (("o", "p50_ms"), ("|", "p95_ms")):
        values = [entry["stages"]["end_to_end"][name] for entry in entries]
        axes.plot(values, range(len(entries)), style, color="black", label=f"end to end, {name[:3]}", markersize=8)
    axes.axvline(TARGET_MS, color="#cf222e", linestyle=":", linewidth=1)
    axes.text(TARGET_MS, -0.65, " 20 Hz", color="#cf222e", fontsize=8, va="center")
    names = [f"{entry['sweep']}\n{entry['voxel_size_m']} m, {entry['threads']} thr." for entry in entries]
    axes.set_yticks(range(len(entries)), names, fontsize=8)
    axes.set_ylim(len(entries) - 0.5, -0.9)
    axes.set_xlabel("time (ms), medians of the stages one after the other")
    axes.set_title("From message to message", loc="left")
    figure.legend(loc="outside lower center", ncols=6, fontsize=8)
    return figure


def scaling_figure(record: Mapping[str, Any]) -> Figure | None:
    """Draw time against voxels, both logarithmic, with a line of constant time per voxel."""
    entries = _measured(record, "scaling")
    if not entries:
        return None
    figure, axes = _empty(4.5)
    for voxel, color in zip(dict.fromkeys(entry["voxel_size_m"] for entry in entries), _COLORS, strict=False):
        shown = [entry for entry in entries if entry["voxel_size_m"] == voxel]
        counts, totals = [e["voxels"] for e in shown], [e["total"]["p50_ms"] for e in shown]
        axes.plot(counts, totals, "o-", color=color, label=f"voxels of {voxel} m")
    first = entries[0]
    per_voxel = first["reference"]["p50_ms"] / first["reference_voxels"]
    ends = [min(e["voxels"] for e in entries), max(e["voxels"] for e in entries)]
    for factor, style in ((1.0, "-"), (1.5, ":")):
        label = f"{factor} x the time per voxel at {first['reference_voxels']:,} voxels"
        axes.plot(ends, [factor * per_voxel * end for end in ends], style, color="#8c959f", linewidth=1, label=label)
    axes.set_xscale("log")
    axes.set_yscale("log")
    _plain_numbers(axes.xaxis)
    _plain_numbers(axes.yaxis)
    axes.set_xlabel("occupied voxels")
    axes.set_ylabel("message to message (ms)")
    axes.set_title("More points", loc="left")
    axes.legend(fontsize=8)
    return figure


def word_figure(record: Mapping[str, Any]) -> Figure | None:
    """Draw relabelling and whole sweeps against the number of queries."""
    entries = _measured(record, "words")
    if not entries:
        return None
    figure, axes = _empty(4.0)
    entry = entries[0]
    counts = [one["queries"] for one in entry["queries"]]
    for name, label, color in (("sweep", "a new sweep", _COLORS[0]), ("relabel", "the sweep in memory", _COLORS[1])):
        axes.plot(counts, [one[name]["p50_ms"] for one in entry["queries"]], "o-", color=color, label=label)
    axes.set_xscale("log")
    _plain_numbers(axes.xaxis)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("queries, vectors at hand")
    axes.set_ylabel("until the labelled cloud is packed (ms)")
    axes.set_title(f"More words ({entry['voxel_size_m']} m, {entry['threads']} threads)", loc="left")
    axes.legend(fontsize=8)
    return figure


def size_figure(record: Mapping[str, Any]) -> Figure | None:
    """Draw each architecture's rate against its work, with this machine's GEMM rate above: how much is left."""
    entries = _measured(record, "sizes")
    if not entries:
        return None
    figure, axes = _empty(4.5)
    for entry, color in zip(entries, _COLORS, strict=False):
        shown = [row for row in entry["rows"] if row["form"] == "pairs"]
        work = [row["gflop"] for row in shown]
        rates = [1e3 * row["gflop"] / row["network"]["p50_ms"] for row in shown]
        best = entry["gemm"]["gflop_per_s"]
        axes.plot(work, rates, "o", color=color, label=f"{entry['threads']} threads")
        axes.axhline(best, color=color, linestyle="--", linewidth=1)
        axes.text(min(work), best, f" GEMM rate {best:.0f}", color=color, fontsize=8, va="bottom")
        for row, x, y in zip(shown, work, rates, strict=True):
            axes.annotate(row["architecture"], (x, y), textcoords="offset points", xytext=(4, 5), fontsize=7)
    axes.set_xscale("log")
    _plain_numbers(axes.xaxis)
    axes.set_ylim(bottom=0)
    axes.margins(x=0.15)
    axes.set_xlabel("work of the network on the sweep (GFLOP)")
    axes.set_ylabel("rate (GFLOP/s)")
    axes.set_title("Architectures against matrix products", loc="left")
    axes.legend(fontsize=8)
    return figure


def peer_figure(record: Mapping[str, Any]) -> Figure | None:
    """Draw bars: times of ours and the peers, per sweep, architecture and threads."""
    entries = _measured(record, "peers")
    if not entries:
        return None
    figure, axes = _empty(1.5 + 0.55 * len(entries))
    names = list(_PEER_COLORS)
    for at, name in enumerate(names):
        places, widths = [], []
        for row, entry in enumerate(entries):
            found = entry["rows"][name]
            if "total" in found:
                places.append(row + 0.17 * at - 0.34)
                widths.append(found["total"]["p50_ms"])
                text = f" {found['times_ours']:.1f}x"
                axes.text(widths[-1], places[-1], text, fontsize=6, va="center")
        if places:
            axes.barh(places, widths, height=0.15, color=_PEER_COLORS[name], label=name)
    titles = [f"{entry['sweep']}, {entry['architecture']}, {entry['threads']} thr." for entry in entries]
    axes.set_yticks(range(len(entries)), titles, fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("maps and network (ms); behind the bars: times ours")
    axes.set_title("Same sweeps, same weights", loc="left")
    figure.legend(loc="outside lower center", ncols=4, fontsize=8)
    return figure


def _plain_numbers(axis: Any) -> None:
    """Write plain numbers at 1, 2 and 5 on a logarithmic axis."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())


def _measured(record: Mapping[str, Any], part: str) -> list[Any]:
    return [entry for entry in record.get(part, ()) if "not_measured" not in entry]


def _empty(height: float) -> tuple[Figure, Axes]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, height), layout="constrained", dpi=120)
    axes = figure.subplots()
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes
