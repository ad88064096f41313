"""A report as text for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..report import table

NOTHING_ASKED = "None of the classes that occur in the data has a label in the vocabulary."
_MEANS = ("mean_iou", "weighted_iou", "mean_accuracy", "accuracy")


def report_text(report: dict[str, Any]) -> str:
    """Return a report as readable text: agreement with the teacher, then a table per kind of truth."""
    parts = [f"{report['samples']} samples, {report['points']:,} points."]
    if "teacher_agreement" in report:
        parts[0] += (
            f" Student agrees with its teacher on {report['teacher_agreement']} % of "
            f"{report['supervised_points']:,} supervised points."
        )
    if report["not_queryable"]:
        parts.append("Not queryable: " + ", ".join(report["not_queryable"]) + ".")
    if "truth" in report:
        parts += _truth(report)
    if "where_the_teacher_sees" in report:
        parts.append("Where the teacher sees, against the truth (%):")
        found = report["where_the_teacher_sees"]
        rows = [[mode, *(values[key] for key in _MEANS)] for mode, values in found.items()]
        parts.append(table(["mode", *(key.replace("_", " ") for key in _MEANS)], rows))
    if "boxes" in report:
        parts += _boxes(report["boxes"])
    if "submission" in report:
        parts.append(submission_line(report["submission"]))
    return "\n".join(parts)


def submission_line(submission: dict[str, Any]) -> str:
    """Return one sentence on what was written, and how the official tool will score it where that is known."""
    line = f"{submission['layout']}: {submission['points']:,} points written to {submission['folder']}"
    miou = submission.get("miou")
    return line + (f", official mean IoU {100 * miou:.2f} %." if miou is not None else ".")


def _truth(report: dict[str, Any]) -> list[str]:
    truth, unlabelled = report["truth"], report["unlabelled"]
    parts = [NOTHING_ASKED] if truth["mean_iou"] is None else []
    parts += [
        f"Against the truth of the points (%): mean IoU {truth['mean_iou']}, weighted by frequency "
        f"{truth['weighted_iou']}, mean accuracy {truth['mean_accuracy']}, accuracy {truth['accuracy']}"
    ]
    rows = [
        [name, row["points"], row["iou"], row["precision"], row["recall"]]
        for name, row in truth["classes"].items()
        if row["points"] or row["precision"] is not None
    ]
    parts.append(table(["class", "points", "IoU", "precision", "recall"], rows))
    if report["not_asked"]:
        listed = ", ".join(f"{name} ({points:,})" for name, points in report["not_asked"].items())
        parts.append(f"Points of classes that the vocabulary has no label for: {listed}.")
    if unlabelled["share"]:
        parts.append(
            f"Threshold {unlabelled['threshold']:g} and background leave {unlabelled['share']} % unlabelled; "
            f"accuracy of the rest {unlabelled['accuracy_of_the_rest']} %."
        )
    if report["groups"]:
        parts.append(table(["group", "occurring", "mean IoU", "mean accuracy"], group_rows(report["groups"])))
    if report["distance"]:
        rows = [[ring_name(ring), ring["points"], ring["mean_iou"], ring["accuracy"]] for ring in report["distance"]]
        parts.append(table(["distance", "points", "mean IoU", "accuracy"], rows))
    return parts


def group_rows(groups: dict[str, Any]) -> list[list[Any]]:
    """Return a row per group: name, classes that occur, mean IoU, mean accuracy."""
    return [
        [
            name.replace("_", " "),
            f"{group['occurring']} of {group['classes']}" if "classes" in group else None,
            group["mean_iou"],
            group["mean_accuracy"],
        ]
        for name, group in groups.items()
    ]


def ring_name(ring: Mapping[str, Any]) -> str:
    """Return "10-20 m", or "50+ m" for the last ring."""
    return f"{ring['from_m']:g}+ m" if ring["to_m"] is None else f"{ring['from_m']:g}-{ring['to_m']:g} m"


def _boxes(boxes: dict[str, Any]) -> list[str]:
    teacher = "teacher" in boxes
    header, rows = box_rows(boxes)
    return [
        f"Points in annotated boxes{', student beside its teacher' if teacher else ''} (%):",
        table(header, rows) if rows else "none of the annotated categories is queryable",
    ]


def box_rows(boxes: dict[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Return header and a row per class that occurs in annotated boxes; the teacher's figures where there is one."""
    header = ["class", "points", "IoU", "precision", "recall"]
    rows = [
        [name, *(row[key] for key in ("points", "iou", "precision", "recall"))]
        for name, row in boxes["student"]["classes"].items()
        if row["points"]
    ]
    if "teacher" in boxes:
        header += ["IoU teacher", "precision teacher"]
        taught = boxes["teacher"]["classes"]
        rows = [[*row, taught[row[0]]["iou"], taught[row[0]]["precision"]] for row in rows]
    return header, rows
