"""`python -m ov3d_trainer benchmark`: held-out worlds, unseen kinds, free phrases and two real scans."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..config import SourceConfig
from ..data.dataset import open_source
from ..data.sample import SampleSource
from ..data.simulate.kinds import KIND_OF
from ..report import save_figure, table
from ..words.vocabulary import read_vocabulary
from .classes import room_class_of_kind, street_class_of_kind
from .measure import ALL, SEEN, Answers, measure, phrases_of
from .pictures import heat_sheet
from .questions import (
    ClassQuestion,
    RankQuestion,
    free_questions,
    plain_question,
    prompted_question,
    synonym_question,
    unseen_questions,
    vocabulary_question,
)
from .real import keyframe_report, kitti_report
from .report import class_figures, class_plot, class_table, rank_figures, rank_plot, rank_table
from .sources import ENSEMBLE, STUDENT, TEACHER, BundleSources

PLAIN, NAMED, PROMPTS, SYNONYMS = "names only", "names and synonyms", "prompt ensemble", "held-out synonyms"
REPORT_FILE, TEXT_FILE = "benchmark.json", "benchmark.txt"


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkOptions:
    """What is measured on: seeds of held-out worlds ("" leaves a part out) and folders with real scans."""

    bundle: Path
    out: Path
    streets: str = "3000-3009"
    unseen_streets: str = "4000-4011"
    rooms: str = "3000-3019"
    unseen_rooms: str = "4000-4011"
    keyframe: Path | None = None
    kitti: Path | None = None
    street_vocabulary: Path = Path("trainer/configs/nuscenes_vocabulary.yaml")
    room_vocabulary: Path = Path("trainer/configs/scannet20_vocabulary.yaml")
    cache: str = "cache"
    threads: int | None = None


def run_benchmark(options: BenchmarkOptions) -> dict[str, Any]:
    """Measure everything, write benchmark.json, benchmark.txt and plots to `out`, and return the report."""
    street = class_questions(options.street_vocabulary, street_class_of_kind())
    room = class_questions(options.room_vocabulary, room_class_of_kind())
    unseen = unseen_questions(tuple(KIND_OF))
    free = free_questions()
    bundle = BundleSources(options.bundle, phrases_of([*street, *room], [*unseen, *free]), threads=options.threads)
    worlds = {
        "streets": (_worlds("street", options.streets), street, free),
        "rooms": (_worlds("room", options.rooms), room, free),
        "streets with unseen kinds": (_worlds("street", options.unseen_streets, unseen=True), (), unseen),
        "rooms with unseen kinds": (_worlds("room", options.unseen_rooms, unseen=True), (), unseen),
    }
    report: dict[str, Any] = {"bundle": options.bundle.name}
    for name, (config, classes, ranks) in worlds.items():
        if config.seeds:
            source = open_source(config, options.cache or None)
            report[name] = _figures(measure(bundle, source, classes, ranks), config.seeds, classes, ranks)
            _write_heat(options.out, name, bundle, source, ranks, report[name]["ranks"])
    if options.keyframe is not None:
        for who in (STUDENT, ENSEMBLE) if bundle.tower is not None else (STUDENT,):
            report[f"real nuScenes keyframe, {who}"] = keyframe_report(bundle, street[1], options.keyframe, who)
    if options.kitti is not None:
        report["real SemanticKITTI scan, student"] = kitti_report(bundle, street[1], options.kitti)
    write_report(options.out, report)
    return report


def _worlds(kind: str, seeds: str, *, unseen: bool = False) -> SourceConfig:
    return SourceConfig(kind=kind, seeds=seeds, unseen=unseen, cameras=True, frames=3, interval_s=3.0)


def class_questions(vocabulary: Path, class_of_kind: Mapping[str, str]) -> tuple[ClassQuestion, ...]:
    """Return the four ways in which a vocabulary's classes are asked for."""
    words = read_vocabulary(vocabulary)
    return (
        plain_question(words, class_of_kind, PLAIN),
        vocabulary_question(words, class_of_kind, NAMED),
        prompted_question(words, class_of_kind, PROMPTS),
        synonym_question(words, class_of_kind, SYNONYMS),
    )


def _write_heat(
    out: Path,
    name: str,
    bundle: BundleSources,
    source: SampleSource,
    ranks: Sequence[RankQuestion],
    figures: Mapping[str, Any],
) -> None:
    """Write a page of pictures, one pair per phrase (those that rank among few are left out)."""
    areas = {title: found.get(f"{ENSEMBLE}, {SEEN}", {}).get("area") for title, found in figures.items()}
    sheet = heat_sheet(bundle, source, [rank for rank in ranks if rank.among is None], areas)
    if sheet is not None:
        out.mkdir(parents=True, exist_ok=True)
        save_figure(sheet, out / f"{_file_name(name)}_heat.png")


def _file_name(part: str) -> str:
    return part.replace(" ", "_")


def write_report(out: Path, report: Mapping[str, Any]) -> None:
    """Write the report as JSON and as text, and a plot for each part that has figures."""
    out.mkdir(parents=True, exist_ok=True)
    (out / REPORT_FILE).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    (out / TEXT_FILE).write_text(report_text(report) + "\n", encoding="utf-8")
    for name, part in report.items():
        if not isinstance(part, dict):
            continue
        file = _file_name(name)
        if NAMED in part.get("classes", {}):
            save_figure(class_plot(part["classes"][NAMED], f"Held-out {name}"), out / f"{file}_classes.png")
        if part.get("ranks"):
            save_figure(
                rank_plot(part["ranks"], f"Held-out {name}: points ranked by one phrase"), out / f"{file}_ranks.png"
            )


def report_text(report: Mapping[str, Any]) -> str:
    """Return the report as readable text."""
    parts = [f"Bundle {report['bundle']}. All figures in percent."]
    for name, part in report.items():
        if not isinstance(part, dict):
            continue
        parts.append(f"\n== {name} ==")
        if "samples" in part:
            parts.append(f"{part['samples']} samples, {part['points']:,} points, seeds {part['seeds']}.")
        if NAMED in part.get("classes", {}):
            parts += [
                "\nIoU, asked with " + NAMED + ":",
                class_table(part["classes"][NAMED]),
                "\nMean IoU by how is asked:",
            ]
            parts.append(_ways_table(part["classes"]))
            parts += ["\nIoU per class by how is asked:", _ways_by_class(part["classes"])]
        if part.get("ranks"):
            parts += ["\nArea under the ROC curve of points ranked by one phrase:", rank_table(part["ranks"])]
        if name.startswith("real"):
            parts.append(_real_text(part))
    return "\n".join(parts)


def _figures(
    answers: Answers, seeds: str, classes: tuple[ClassQuestion, ...], ranks: list[RankQuestion]
) -> dict[str, Any]:
    return {
        "seeds": seeds,
        "samples": answers.samples,
        "points": answers.points,
        "classes": {question.name: class_figures(answers, question.name) for question in classes},
        "ranks": rank_figures(answers) if ranks else {},
    }


def _ways_table(classes: Mapping[str, Any]) -> str:
    """Lay out mean IoU per way of asking, beside what the text side allows."""
    columns = [f"{source}, {region}" for source, region in (
        (TEACHER, SEEN), (STUDENT, SEEN), (ENSEMBLE, SEEN), (STUDENT, ALL),
    )]  # fmt: skip
    rows = [
        [way, *(found[column]["mean_iou"] if column in found else None for column in columns),
         found["text side alone"]["mean_iou"]]
        for way, found in classes.items()
    ]  # fmt: skip
    return table(["asked with", *columns, "text side allows"], rows)


def _ways_by_class(classes: Mapping[str, Any]) -> str:
    """Lay out IoU per class and way of asking: both sources where a camera sees, the student everywhere."""
    places = [(ENSEMBLE, SEEN), (STUDENT, ALL)]
    columns = [
        (way, f"{source}, {region}")
        for source, region in places
        for way in (PLAIN, NAMED, PROMPTS)
        if f"{source}, {region}" in classes.get(way, {})
    ]
    way, place = columns[0]
    names = classes[way][place]["classes"]
    rows = [[name, *(classes[way][place]["classes"][name]["iou"] for way, place in columns)] for name in names]
    return table(["class", *(f"{place}: {way}" for way, place in columns)], rows)


def _real_text(part: Mapping[str, Any]) -> str:
    rows = [[name, row["points"], row["iou"], row["precision"], row["recall"]] for name, row in part["classes"].items()]
    lines = [table(["class", "points", "IoU", "precision", "recall"], rows)]
    lines += [f"{name}: {values}" for name, values in part.items() if name != "classes"]
    return "\n".join(lines)
