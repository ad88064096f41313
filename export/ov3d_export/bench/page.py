"""A bench record as a page of Markdown tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from .peer_times import AS_NODE, INT8, MINKOWSKI, OURS, SPCONV, TORCH
from .stages import STAGES

Entry = Mapping[str, Any]


def page(record: Mapping[str, Any]) -> str:
    """Return the whole page; parts that were not run are left out."""
    sections: list[tuple[str, Callable[[Sequence[Entry]], list[str]]]] = [
        ("stages", stage_lines),
        ("words", word_lines),
        ("texts", text_lines),
        ("scaling", scaling_lines),
        ("threads", thread_lines),
        ("sizes", size_lines),
        ("peers", peer_lines),
        ("gpu", gpu_lines),
    ]
    lines = ["# Bench", "", *machine_lines(record)]
    for part, make in sections:
        if part in record:
            lines += ["", *make(record[part])]
    return "\n".join(lines) + "\n"


def machine_lines(record: Mapping[str, Any]) -> list[str]:
    """Say what the figures belong to."""
    updates = [f"{', '.join(entry['parts'])}: {_machine(entry)}" for entry in record.get("updates", ())]
    return [
        _machine(record),
        *(line for entry in updates for line in ("", entry)),
        "",
        "Times are p50 / p95 / max in ms. What is compared ran in one process, in turn; every process had its number "
        "of threads. *Load*: processes that wanted to run, before and after; more than the threads in use means noise.",
    ]


def _machine(record: Mapping[str, Any]) -> str:
    machine = record["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['processor']}, {machine['cores']} cores ({', '.join(machine['vector_instructions'])}), "
        f"{machine['memory_gb']} GB, GPU: {machine['gpu'] or 'none'}. {machine['system']}, Python {machine['python']}, "
        f"{versions}. {record['started']}."
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay out a Markdown table."""
    return ["| " + " | ".join(head) + " |", "|" + "---|" * len(head), *("| " + " | ".join(row) + " |" for row in rows)]


def times(found: Mapping[str, Any] | None) -> str:
    """Write p50 / p95 / max, or the reason why there is none."""
    if found is None:
        return ""
    if "not_measured" in found:
        return f"not measured: {found['not_measured']}"
    return " / ".join(number(found[name]) for name in ("p50_ms", "p95_ms", "max_ms"))


def number(value: float) -> str:
    """Write a number with three digits that mean something."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def stage_lines(entries: Sequence[Entry]) -> list[str]:
    """One column per measurement, one row per stage."""
    lines = ["## Stages, message in to message out"]
    found = [entry for entry in entries if "not_measured" not in entry]
    lines += [f"not measured: {entry['not_measured']}" for entry in entries if "not_measured" in entry]
    for sweep in dict.fromkeys(entry["sweep"] for entry in found):
        shown = [entry for entry in found if entry["sweep"] == sweep]
        head = ["stage", *(f"{entry['voxel_size_m']} m, {_threads(entry['threads'])}" for entry in shown)]
        rows = [[name, *(times(entry["stages"][name]) for entry in shown)] for name in STAGES]
        rows.append(["**end to end**", *(f"**{times(entry['stages']['end_to_end'])}**" for entry in shown)])
        facts: dict[str, Callable[[Entry], str]] = {
            "voxels": lambda entry: f"{entry['voxels']:,.0f}",
            "peak memory, MB": lambda entry: f"{entry['peak_memory_mb']:.0f}",
            "GFLOP executed": lambda entry: number(entry["gflop"]),
            "GFLOP/s of the network": lambda entry: number(entry["gflop_per_s"]),
            "GEMM rate here, GFLOP/s": lambda entry: number(entry["gemm"]["gflop_per_s"]),
            "share of the GEMM rate": lambda entry: percent(entry["share_of_gemm"]),
            "load": _load,
        }
        rows += [[name, *(fact(entry) for entry in shown)] for name, fact in facts.items()]
        first = shown[0]
        title = (
            f"{sweep}, {first['points']:,} points, {first['architecture']} ({first['bundle']}), {first['words']} words"
        )
        lines += ["", f"**{title}**, {first['stages']['end_to_end']['runs']} sweeps", "", *table(head, rows)]
    return lines + _operator_lines(found)


def _operator_lines(found: Sequence[Entry]) -> list[str]:
    if not found:
        return []
    first = found[0]
    rows = [[name, number(one["ms"]), str(one["calls"])] for name, one in first["operators_one_thread"].items()]
    title = f"Operators of the network at {first['voxel_size_m']} m, one run on one thread under the profiler"
    return ["", f"**{title}**", "", *table(["operator", "ms", "calls"], rows[:8])]


def word_lines(entries: Sequence[Entry]) -> list[str]:
    """What other words and more words cost."""
    lines = ["## Words"]
    for entry in entries:
        if "not_measured" in entry:
            lines += ["", f"not measured: {entry['not_measured']}"]
            continue
        rows = [
            [str(one["queries"]), times(one["relabel"]), times(one["sweep"]), f"{one['of_10']:.2f}"]
            for one in entry["queries"]
        ]
        head = ["queries", "other words for the sweep in memory", "a new sweep, message to message", "of that with 10"]
        lines += [
            "",
            f"{entry['voxel_size_m']} m, {_threads(entry['threads'])}, load {_load(entry)}",
            "",
            *table(head, rows),
        ]
    return lines


def text_lines(entries: Sequence[Entry]) -> list[str]:
    """How fast new texts are encoded."""
    lines = []
    for entry in entries:
        if "not_measured" in entry:
            lines.append(f"New texts: not measured: {entry['not_measured']}.")
        else:
            lines.append(
                f"New texts on one thread: {number(entry['texts_per_s'])} a second together, one by one "
                f"{times(entry['one_by_one'])} ms each."
            )
    return lines


def scaling_lines(entries: Sequence[Entry]) -> list[str]:
    """Cost against points."""
    rows = [
        [
            f"{entry['voxel_size_m']}",
            f"{entry['points']:,}",
            *(
                [f"not measured: {entry['not_measured']}", "", "", "", "", ""]
                if "not_measured" in entry
                else [
                    f"{entry['voxels']:,}",
                    times(entry["total"]),
                    number(1e3 * entry["total"]["p50_ms"] / max(entry["voxels"], 1)),
                    f"{entry['per_voxel']:.2f}",
                    f"{entry['reference_voxels']:,}",
                    f"{entry['peak_memory_mb']:,.0f}",
                ]
            ),
        ]
        for entry in entries
    ]
    head = ["voxel, m", "points", "voxels", "message to message", "per 1,000 voxels, ms", "of the reference's",
            "reference, voxels", "peak memory, MB"]  # fmt: skip
    return ["## More points", "", *table(head, rows)]


def thread_lines(entries: Sequence[Entry]) -> list[str]:
    """Cost against threads."""
    rows = []
    for entry in entries:
        if "not_measured" in entry:
            rows.append([str(entry.get("voxel_size_m")), f"not measured: {entry['not_measured']}", "", "", ""])
            continue
        rows += [
            [
                str(entry["voxel_size_m"]),
                str(one["threads"]),
                times(one["network"]),
                f"{one['speed_up']:.2f}",
                number(one["gemm_gflop_per_s"]),
            ]
            for one in entry["threads"]
        ]
    head = ["voxel, m", "threads", "network", "speed-up", "GEMM rate, GFLOP/s"]
    return ["## More threads", "", *table(head, rows)]


def size_lines(entries: Sequence[Entry]) -> list[str]:
    """What every architecture costs."""
    lines = ["## Sizes, network alone"]
    for entry in entries:
        if "not_measured" in entry:
            lines += ["", f"not measured: {entry['not_measured']}"]
            continue
        rows = [
            [
                row["architecture"],
                row["form"],
                f"{row['parameters'] / 1e6:.2f}",
                number(row["file_mb"]),
                number(row["gflop"]),
                times(row["network"]),
                percent(row["share_of_gemm"]),
            ]
            for row in entry["rows"]
        ]
        head = ["architecture", "form", "million weights", "file, MB", "GFLOP", "network", "of the GEMM rate"]
        lines += [
            "",
            f"{entry['voxels']:,} voxels of {entry['voxel_size_m']} m, D = {entry['embedding_dim']}, "
            f"{_threads(entry['threads'])}, GEMM rate {number(entry['gemm']['gflop_per_s'])} GFLOP/s, "
            f"load {_load(entry)}",
            "",
            *table(head, rows),
        ]
    return lines


def peer_lines(entries: Sequence[Entry]) -> list[str]:
    """Ours and the peers'."""
    lines = [
        "## Peers",
        "",
        "Features and voxels are given; each run builds its maps and returns unit vectors (V, D). In brackets: times "
        "ours, measured in the same turns.",
    ]
    names = (OURS, INT8, AS_NODE, TORCH, MINKOWSKI, SPCONV)
    rows = []
    for entry in entries:
        what = [entry["sweep"], entry["architecture"], str(entry["threads"])]
        if "not_measured" in entry:
            rows.append([*what, f"not measured: {entry['not_measured']}", "", "", "", "", ""])
            continue
        rows.append([*what, *(_peer_cell(entry["rows"][name]) for name in names), _largest_difference(entry)])
    head = ["sweep", "architecture", "threads", *names, "largest difference of a vector"]
    return [*lines, "", *table(head, rows)]


def _largest_difference(entry: Entry) -> str:
    rows = [row for name, row in entry["rows"].items() if name != INT8]
    exact = max(row["difference"] for row in rows if row.get("difference") is not None)
    return f"{exact:.1e}, 8-bit {entry['rows'][INT8]['difference']:.1e}"


def _peer_cell(row: Mapping[str, Any]) -> str:
    if "not_measured" in row:
        return times(row)
    return f"{number(row['total']['p50_ms'])} ({row['times_ours']:.2f}x)"


def gpu_lines(entries: Sequence[Entry]) -> list[str]:
    """Rows of every GPU way, and training."""
    lines = ["## GPU"]
    for entry in entries:
        if "rows" not in entry:
            lines += ["", f"not measured: {entry['not_measured']}"]
            continue
        rows = [
            [
                row["architecture"],
                row["backend"],
                row["precision"],
                times(row.get("network") or row),
                times(row.get("end_to_end")),
            ]
            for row in entry["rows"]
        ]
        head = ["architecture", "backend", "precision", "network", "end to end"]
        lines += ["", f"Device: {entry['device'] or 'none'}", "", *table(head, rows), "", "**Training**", ""]
        training = entry["training"]
        lines += training.get("table") or [f"not measured: {training['not_measured']}"]
    return lines


def percent(share: float) -> str:
    """Write a share in percent."""
    return f"{100 * share:.0f} %"


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def _load(entry: Entry) -> str:
    return " / ".join(f"{load:.1f}" for load in entry["load_average"]) if "load_average" in entry else ""
