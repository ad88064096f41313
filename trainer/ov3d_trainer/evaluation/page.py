"""The report as one HTML page that needs nothing else: no script, no other file, no network."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from html import escape
from string import Template
from typing import TYPE_CHECKING, Any

import numpy as np

from ov3d_perception.palette import colors_for

from .measure import Findings
from .pictures import (
    MOST_CLASSES,
    confusion_figure,
    distance_figure,
    png,
    scene_figure,
    threshold_figure,
)
from .text import NOTHING_ASKED, box_rows, group_rows, ring_name, submission_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #1d2329; background: #fff; max-width: 1100px; margin: 2rem auto;
  padding: 0 1.2rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin: 2.4rem 0 .4rem; border-bottom: 1px solid #d9dde2; padding-bottom: .2rem; }
p.note, figcaption, .sub { color: #5a636d; }
p.note { margin: .3rem 0 .8rem; max-width: 48rem; }
ul.tiles { display: flex; flex-wrap: wrap; gap: .8rem; list-style: none; padding: 0; margin: 1.2rem 0; }
ul.tiles li { border: 1px solid #d9dde2; border-radius: 6px; padding: .5rem 1rem; min-width: 7rem; }
ul.tiles b { display: block; font-size: 1.5rem; line-height: 1.3; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .8rem; text-align: right; border-bottom: 1px solid #eceff2; white-space: nowrap; }
th { font-weight: 600; border-bottom: 1px solid #9aa3ad; }
th:first-child, td:first-child { text-align: left; padding-left: 0; }
td.bar { min-width: 10rem; padding-right: 0; }
td.bar i { display: block; height: .7rem; background: #4a7ebb; }
i.swatch { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px; margin-right: .5rem;
  vertical-align: -.05rem; border: 1px solid #0002; }
figure { margin: 1rem 0 1.6rem; }
img { max-width: 100%; height: auto; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1.2rem; }
dt { color: #5a636d; }
dd { margin: 0; overflow-wrap: anywhere; }
</style>
</head>
<body>
<h1>$title</h1>
<p class="sub">$subtitle</p>
$body
</body>
</html>
""")
_MEANS = (("mean_iou", "mean IoU"), ("weighted_iou", "weighted IoU"), ("mean_accuracy", "mean accuracy"),
          ("accuracy", "accuracy"))  # fmt: skip

_PROVENANCE = (
    ("checkpoint", "checkpoint"),
    ("step", "step"),
    ("data", "data"),
    ("vocabulary", "vocabulary"),
    ("text", "text side"),
    ("background", "background words"),
    ("threshold", "threshold"),
    ("teacher_kind", "teacher"),
    ("repeats", "voxelisations averaged"),
    ("seed", "seed"),
    ("not_queryable", "not queryable"),
)


def page(findings: Findings) -> str:
    """Return the page; every text in it is escaped."""
    report = findings.report
    body = [_tiles(report)]
    if "truth" in report:
        body += [_classes(report["truth"], findings.names, report["not_asked"]), _groups(report["groups"])]
    body += [_modes(report), _scenes(findings)]
    if "truth" in report:
        body += [_distance(report["distance"]), _confusion(findings), _unlabelled(report["unlabelled"])]
    body += [_boxes(report), _submission(report), _provenance(report)]
    return _PAGE.substitute(
        title=escape(f"Evaluation of {report.get('checkpoint', 'a student')}"),
        subtitle=escape(
            f"on {report.get('data', 'samples')}: {report['samples']} samples, {report['points']:,} points"
        ),
        body="\n".join(part for part in body if part),
    )


def _tiles(report: dict[str, Any]) -> str:
    tiles = [(label, report["truth"][key]) for key, label in _MEANS] if "truth" in report else []
    if "teacher_agreement" in report:
        tiles.append(("agrees with its teacher", report["teacher_agreement"]))
    if "submission" in report and report["submission"].get("miou") is not None:
        tiles.append(("official mean IoU", round(100 * report["submission"]["miou"], 2)))
    entries = "".join(f"<li><b>{_text(value)}</b>{escape(label)}, %</li>" for label, value in tiles)
    return f'<ul class="tiles">{entries}</ul>' if tiles else ""


def _classes(truth: dict[str, Any], names: Sequence[str], not_asked: dict[str, int]) -> str:
    swatches = dict(zip(names, colors_for(names).tolist(), strict=True))
    rows = []
    for name, row in truth["classes"].items():
        if not row["points"] and row["precision"] is None:
            continue
        red, green, blue = swatches[name]
        swatch = f'<i class="swatch" style="background:rgb({red},{green},{blue})"></i>{escape(name)}'
        cells = "".join(f"<td>{_text(row[key])}</td>" for key in ("points", "iou", "precision", "recall"))
        bar = f'<td class="bar"><i style="width:{row["iou"] or 0}%"></i></td>'
        rows.append(f"<tr><td>{swatch}</td>{cells}{bar}</tr>")
    head = "".join(f"<th>{name}</th>" for name in ("class", "points", "IoU", "precision", "recall", ""))
    notes = ["In percent. Means are over the classes that occur in the truth."]
    if truth["mean_iou"] is None:
        notes.append(NOTHING_ASKED)
    unseen = [name for name, row in truth["classes"].items() if not row["points"] and row["precision"] is None]
    if unseen:
        notes.append(f"Neither true nor called: {', '.join(unseen)}.")
    if not_asked:
        listed = ", ".join(f"{name} ({points:,})" for name, points in not_asked.items())
        notes.append(
            f"Points of classes that the vocabulary has no label for count as false where they are labelled: {listed}."
        )
    table = f'<div class="wide"><table><tr>{head}</tr>{"".join(rows)}</table></div>'
    return _section("Against the truth of the points", table, " ".join(notes))


def _groups(groups: dict[str, Any]) -> str:
    if not groups:
        return ""
    header = ["group", "classes that occur", "mean IoU", "mean accuracy"]
    return _section("Groups of classes", _table(header, group_rows(groups)), "In percent.")


def _modes(report: dict[str, Any]) -> str:
    if "where_the_teacher_sees" not in report:
        return ""
    rows = [[mode, *(found[key] for key, _ in _MEANS)] for mode, found in report["where_the_teacher_sees"].items()]
    note = (
        "Points that the teacher has a feature for, in percent. Distill: the student; fusion: the teacher's lifted "
        "features; ensemble: whichever has the higher cosine."
    )
    return _section("Student, teacher and both", _table(["mode", *(label for _, label in _MEANS)], rows), note)


def _scenes(findings: Findings) -> str:
    if not findings.scenes:
        return ""
    figures = [
        _figure(scene_figure(scene, findings.names), f"{scene.name}: {len(scene.points):,} points from above")
        for scene in findings.scenes
    ]
    return _section("Samples", "".join(figures), "Seen from above, in the lidar frame; higher points cover lower ones.")


def _distance(rings: Sequence[dict[str, Any]]) -> str:
    if not rings:
        return ""
    rows = [[ring_name(ring), ring["points"], ring["mean_iou"], ring["accuracy"]] for ring in rings]
    table = _table(["distance", "points", "mean IoU", "accuracy"], rows)
    figure = _figure(distance_figure(rings), "Mean IoU and accuracy by distance")
    return _section(
        "By distance", figure + table, "Horizontal distance; means over the classes that occur in the ring."
    )


def _confusion(findings: Findings) -> str:
    counts = np.array(findings.report["truth"]["confusion"], np.int64)
    if not counts.any():
        return ""
    note = "Percent of each true class, rounded; below 0.5 % empty. 'None of these' are classes without a label."
    if len(counts) > MOST_CLASSES:
        note += f" The {MOST_CLASSES} most frequent classes."
    return _section("What is taken for what", _figure(confusion_figure(findings.names, counts), "Confusions"), note)


def _unlabelled(found: dict[str, Any]) -> str:
    if not found["curve"]:
        return ""
    header = ["threshold", "share unlabelled", "accuracy of the rest", "other classes labelled"]
    row = [f"{found['threshold']:g}", found["share"], found["accuracy_of_the_rest"], found["foreign_labelled"]]
    note = (
        "A point whose best cosine is below the threshold is left unlabelled, and so is one that a background word "
        "fits better, or that is out of the student's range. The table is this evaluation, in percent; the "
        "curve is what other thresholds would give."
    )
    figure = _figure(threshold_figure(found["curve"], found["threshold"]), "Labelled and right by threshold")
    return _section("Unlabelled points", _table(header, [row]) + figure, note)


def _boxes(report: dict[str, Any]) -> str:
    if "boxes" not in report:
        return ""
    header, rows = box_rows(report["boxes"])
    return _section("Points in annotated boxes", _table(header, rows), "In percent.") if rows else ""


def _submission(report: dict[str, Any]) -> str:
    if "submission" not in report:
        return ""
    submission = report["submission"]
    share = submission.get("iou_per_class", {})
    rows = [[name, None if value is None else round(100 * value, 2)] for name, value in share.items()]
    table = _table(["class", "IoU"], rows) if rows else ""
    note = f"{submission_line(submission)} There every point has a class: threshold and background do not count."
    return _section("For the official tool", table, note)


def _provenance(report: dict[str, Any]) -> str:
    entries = [(label, report[key]) for key, label in _PROVENANCE if key in report]
    lines = []
    for label, value in entries:
        text = ", ".join(value) if isinstance(value, (list, dict)) else str(value)
        lines.append(f"<dt>{escape(label)}</dt><dd>{escape(text) or 'none'}</dd>")
    return _section("How it was measured", f"<dl>{''.join(lines)}</dl>")


def _section(title: str, content: str, note: str = "") -> str:
    paragraph = f'<p class="note">{escape(note)}</p>' if note else ""
    return f"<h2>{escape(title)}</h2>{paragraph}{content}"


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    lines = ["<tr>" + "".join(f"<td>{_text(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    return f'<div class="wide"><table><tr>{head}</tr>{"".join(lines)}</table></div>'


def _figure(figure: Figure, caption: str) -> str:
    data = base64.b64encode(png(figure)).decode("ascii")
    text = escape(caption)
    return f'<figure><img src="data:image/png;base64,{data}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def _text(value: Any) -> str:
    """Return a cell: numbers with separators or one decimal, None as a dash, texts escaped."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.1f}"
    return f"{value:,}" if isinstance(value, int) else escape(str(value))
