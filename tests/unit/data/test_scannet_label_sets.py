"""ScanNet's label sets: NYU40, the benchmark's 20 classes, the 200 of ScanNet200."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ov3d_perception.errors import ConfigError, DataError
from ov3d_trainer.config import SourceConfig
from ov3d_trainer.data.dataset import open_source
from ov3d_trainer.data.sample import UNKNOWN, Sample
from ov3d_trainer.data.scannet.categories import all_categories
from ov3d_trainer.data.scannet.label_map import LABEL_MAP_FILE, NYU40, RawCategory, read_label_map, write_label_map
from ov3d_trainer.data.scannet.label_sets import (
    SCANNET20,
    SCANNET200,
    SCANNET200_GROUPS,
    SCANNET200_IDS,
    SCANNET200_NOT_IN_VAL,
    labels_of_scan,
)
from ov3d_trainer.data.scannet.reader import ScanNetScan, ScanObject
from ov3d_trainer.data.scannet.writer import write_room
from ov3d_trainer.words.vocabulary import read_vocabulary


def scan_of(nyu40: list[int], objects: list[RawCategory | None], rows: list[int]) -> ScanNetScan:
    count = len(nyu40)
    return ScanNetScan(
        name="scene0000_00",
        vertices=np.zeros((count, 3), np.float32),
        colors=np.zeros((count, 3), np.uint8),
        faces=np.zeros((0, 3), np.int32),
        nyu40=np.array(nyu40, np.int32),
        object_rows=np.array(rows, np.int32),
        objects=tuple(
            ScanObject(id=row, raw_category="any", category=category) for row, category in enumerate(objects)
        ),
        aligned_from_scan=np.eye(4),
        sens=None,
    )


def test_the_twenty_classes_leave_the_other_numbers_of_nyu40_out() -> None:
    # wall, ceiling, desk, refrigerator, other furniture, nothing
    labels, names = labels_of_scan(scan_of([1, 22, 14, 24, 39, 0], [], [UNKNOWN] * 6), "scannet20")
    assert labels is not None
    assert labels.tolist() == [0, UNKNOWN, 12, 14, 19, UNKNOWN]  # train ids of the benchmark
    assert [names[row] for row in (0, 12, 14, 19)] == ["wall", "desk", "refrigerator", "otherfurniture"]


def test_the_two_hundred_classes_follow_from_the_objects_categories() -> None:
    categories = [
        RawCategory(name="books", id=22, nyu40=23),  # the table counts "books" among the class "book"
        RawCategory(name="vase", id=78_000, nyu40=40),  # a number that is none of the 200
        None,  # a category that the table lacks
    ]
    labels, names = labels_of_scan(scan_of([23, 40, 1, 1], categories, [0, 1, 2, UNKNOWN]), "scannet200")
    assert labels is not None
    assert labels.tolist() == [names.index("book"), UNKNOWN, UNKNOWN, UNKNOWN]


def test_scannet200_is_as_published() -> None:
    assert {group: len(names) for group, names in SCANNET200_GROUPS.items()} == {"head": 66, "common": 68, "tail": 66}
    assert len(set(SCANNET200)) == 200
    assert list(SCANNET200_IDS) == sorted(set(SCANNET200_IDS))
    assert (SCANNET200[0], SCANNET200[-1], SCANNET200_IDS[-1]) == ("wall", "mattress", 1191)
    assert len(SCANNET200_NOT_IN_VAL) == 11
    assert set(SCANNET200) >= SCANNET200_NOT_IN_VAL
    assert len(SCANNET20) == 20


def test_shipped_vocabularies_know_every_class(repository: Path) -> None:
    configs = repository / "trainer" / "configs"
    twenty, many = (read_vocabulary(configs / f"scannet{number}_vocabulary.yaml") for number in (20, 200))
    assert [twenty.label_of(name) for name in SCANNET20] == list(twenty.names)
    assert twenty.label_of(NYU40[24]) == "refrigerator"
    assert many.names == SCANNET200
    assert many.groups == SCANNET200_GROUPS


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scannet")
    write_room(out, 5, 0, 2, image_size=(32, 24))
    return out


def open_scans(root: Path, label_set: str) -> Sample:
    return open_source(SourceConfig(kind="scannet", path=str(root), split="all", label_set=label_set))[0]


def test_simulated_scans_have_every_label_set(root: Path) -> None:
    """What is a chair in one set is a chair in the others; the finer set says more."""
    nyu, twenty, many = (open_scans(root, name) for name in ("", "scannet20", "scannet200"))
    assert nyu.point_label_names == NYU40
    assert nyu.point_labels is not None
    assert twenty.point_labels is not None
    assert many.point_labels is not None
    known = twenty.point_labels != UNKNOWN
    assert known.any()
    pairs = set(zip(nyu.point_labels[known], twenty.point_labels[known], strict=True))
    assert {(NYU40[a].replace("refridgerator", "refrigerator"), SCANNET20[b]) for a, b in pairs} == {
        (SCANNET20[b], SCANNET20[b]) for _, b in pairs
    }
    found = {SCANNET200[row] for row in np.unique(many.point_labels) if row != UNKNOWN}
    named = {thing.kind for thing in many.objects}
    assert found == named & set(SCANNET200)
    assert {"wall", "floor"} <= found
    assert (many.point_labels != UNKNOWN).sum() > known.sum()


def test_unknown_sets_and_older_tables_are_refused(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"data\.label_set: unknown 'scannet40'.*scannet20, scannet200"):
        open_scans(root, "scannet40")
    older = tmp_path / "older"
    (older / "scans").mkdir(parents=True)
    (older / "scans" / "scene0000_00").symlink_to(root / "scans" / "scene0000_00")
    with pytest.raises(DataError, match=rf"{LABEL_MAP_FILE}: cannot be read"):
        open_scans(older, "scannet200")
    table = read_label_map(root / LABEL_MAP_FILE)
    assert {entry.name for entry in all_categories()} == set(table)
    entries = [RawCategory(name=name, id=7 if name == "couch" else row.id, nyu40=1) for name, row in table.items()]
    write_label_map(older / LABEL_MAP_FILE, entries)
    with pytest.raises(DataError, match="'couch' has id 7, ScanNet200 says 6"):
        open_scans(older, "scannet200")
