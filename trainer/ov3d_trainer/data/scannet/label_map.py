"""`scannetv2-labels.combined.tsv`: what ScanNet's annotators called things, and the number of each in label sets."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ov3d_perception.errors import DataError

LABEL_MAP_FILE = "scannetv2-labels.combined.tsv"
COLUMNS: tuple[str, ...] = (
    "id", "raw_category", "category", "count", "nyu40id", "eigen13id", "nyuClass", "nyu40class", "eigen13class",
    "ModelNet40", "ModelNet10", "ShapeNetCore55", "synsetoffset", "wnsynsetid", "wnsynsetkey", "mpcat40",
    "mpcat40index",
)  # fmt: skip
"""The official file's columns, in its order."""

NYU40: tuple[str, ...] = (
    "", "wall", "floor", "cabinet", "bed", "chair", "sofa", "table", "door", "window", "bookshelf", "picture",
    "counter", "blinds", "desk", "shelves", "curtain", "dresser", "pillow", "mirror", "floor mat", "clothes",
    "ceiling", "books", "refridgerator", "television", "paper", "towel", "shower curtain", "box", "whiteboard",
    "person", "night stand", "toilet", "sink", "lamp", "bathtub", "bag", "otherstructure", "otherfurniture",
    "otherprop",
)  # fmt: skip
"""Names of the NYU label set by number, spelt as in the file; 0 is "no label"."""

BENCHMARK_NYU40: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39)
"""Numbers of the 20 classes of the ScanNet benchmark, in its order."""

_MOST_BYTES = 16_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RawCategory:
    """One name that annotators used: ScanNet's own number and the number in `NYU40` (0 = none)."""

    name: str
    id: int
    nyu40: int


def read_label_map(path: Path) -> dict[str, RawCategory]:
    """Read the table by raw category; columns may come in any order. Raises `DataError`."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"label map {path}: larger than {_MOST_BYTES} bytes. Is it the right file?")
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"label map {path}: cannot be read ({error}). Get {LABEL_MAP_FILE} of ScanNet v2.") from error
    return dict(_read_row(path, number, row) for number, row in enumerate(rows, start=2))


def _read_row(path: Path, line: int, row: Mapping[str, str | None]) -> tuple[str, RawCategory]:
    try:
        name = str(row["raw_category"])
        entry = RawCategory(name=name, id=int(row["id"] or ""), nyu40=int(row["nyu40id"] or 0))
    except (KeyError, ValueError) as error:
        raise DataError(
            f"label map {path}: line {line}: expected columns id, raw_category and nyu40id with numbers ({error!r})."
        ) from error
    if not 0 <= entry.nyu40 < len(NYU40):
        raise DataError(f"label map {path}: line {line}: nyu40id {entry.nyu40}, expected 0 to {len(NYU40) - 1}.")
    return name, entry


def write_label_map(path: Path, entries: Iterable[RawCategory]) -> None:
    """Write the table with the official columns; those we do not know stay empty, and nothing is counted."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, restval="", delimiter="\t", lineterminator="\n")
        writer.writeheader()
        for entry in entries:
            row = {"id": entry.id, "raw_category": entry.name, "category": entry.name, "nyu40id": entry.nyu40}
            nyu = NYU40[entry.nyu40]
            writer.writerow({**row, "count": 0, "nyu40class": nyu, "nyuClass": nyu})
