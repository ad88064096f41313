"""A labelled cloud file holds every point in order, and says what its labels mean."""

import json
from pathlib import Path

import numpy as np
import pytest

from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.label_files import ScoreTally, check_label_path, labelled_array, write_labelled
from ov3d_perception.palette import label_colors
from ov3d_perception.queries import QuerySet, make_queries
from ov3d_perception.types import Prediction
from tests.unit.engine.tiny_student import Directions, make_frame

FRAME = make_frame((1, 2, 3), (float("nan"), 0, 0), (4, 5, 6))
PREDICTION = Prediction(
    label=np.array([2, 0, 1], dtype=np.uint16), score=np.array([0.5, 0.0, 0.25], dtype=np.float32), queries_version=1
)


@pytest.fixture
def queries() -> QuerySet:
    return make_queries(["east", "north"], Directions())


def test_npy_holds_every_point_in_order(tmp_path: Path, queries: QuerySet) -> None:
    write_labelled(tmp_path / "cloud.npy", FRAME, PREDICTION, queries)
    array = np.load(tmp_path / "cloud.npy", allow_pickle=False)
    assert array.dtype.names == ("x", "y", "z", "intensity", "label", "score")
    np.testing.assert_array_equal(array["x"], [1, np.nan, 4])
    assert array["label"].tolist() == [2, 0, 1]
    assert array["score"].tolist() == [0.5, 0.0, 0.25]
    assert array.tobytes() == labelled_array(FRAME, PREDICTION).tobytes()


def test_suffix_in_capitals_is_kept(tmp_path: Path, queries: QuerySet) -> None:
    write_labelled(tmp_path / "cloud.NPY", FRAME, PREDICTION, queries)
    assert [path.name for path in tmp_path.iterdir()] == ["cloud.NPY"]


def test_ply_reads_back_with_another_library(tmp_path: Path, queries: QuerySet) -> None:
    plyfile = pytest.importorskip("plyfile")
    write_labelled(tmp_path / "cloud.ply", FRAME, PREDICTION, queries)
    ply = plyfile.PlyData.read(str(tmp_path / "cloud.ply"))
    vertex = ply["vertex"]
    assert "label 2 north" in ply.comments
    np.testing.assert_array_equal(vertex["z"], FRAME.points[:, 2])
    assert vertex["label"].tolist() == [2, 0, 1]
    assert vertex["score"].tolist() == [0.5, 0.0, 0.25]
    colors = np.stack([vertex["red"], vertex["green"], vertex["blue"]], axis=1)
    np.testing.assert_array_equal(colors, label_colors(["east", "north"])[[2, 0, 1]])


def test_ply_header_of_names_beyond_ascii_stays_one_line_each(tmp_path: Path) -> None:
    class Anything(Directions):
        def encode(self, texts):  # type: ignore[no-untyped-def]
            return np.ones((len(texts), 3), dtype=np.float32)

    write_labelled(tmp_path / "cloud.ply", FRAME, PREDICTION, make_queries(["Fußgänger", "車"], Anything()))
    header = (tmp_path / "cloud.ply").read_bytes().split(b"end_header")[0].decode("ascii").splitlines()
    assert "comment label 1 Fu\\xdfg\\xe4nger" in header
    assert "comment label 2 \\u8eca" in header


def test_json_counts_points_and_median_scores(tmp_path: Path, queries: QuerySet) -> None:
    write_labelled(tmp_path / "cloud.json", FRAME, PREDICTION, queries, title="three points")
    table = json.loads((tmp_path / "cloud.json").read_text(encoding="utf-8"))
    assert table["title"] == "three points"
    assert [row["name"] for row in table["labels"]] == ["east", "north", "unlabelled"]
    assert [row["id"] for row in table["labels"]] == [1, 2, 0]
    assert [row["points"] for row in table["labels"]] == [1, 1, 1]
    assert [row["median_score"] for row in table["labels"]] == [0.25, 0.5, 0.0]


def test_tally_adds_sweeps_up() -> None:
    tally = ScoreTally(["east", "north"])
    for _ in range(2):
        tally.add(PREDICTION)
    scores = np.array([0.1, 0.2, -0.3], dtype=np.float32)
    tally.add(Prediction(label=np.array([1, 1, 1], dtype=np.uint16), score=scores, queries_version=1))
    east, north, unlabelled = tally.rows()
    # east: -0.3, 0.1, 0.2, 0.25, 0.25
    assert (east["points"], east["median_score"], east["share"]) == (5, 0.2, 5 / 9)
    assert (north["points"], unlabelled["points"]) == (2, 2)


def test_tally_of_nothing_has_no_median() -> None:
    assert [row["median_score"] for row in ScoreTally(["east"]).rows()] == [None, None]


def test_cloud_without_points_can_be_written_in_every_format(tmp_path: Path, queries: QuerySet) -> None:
    pytest.importorskip("matplotlib")
    nothing = Prediction(label=np.zeros(0, np.uint16), score=np.zeros(0, np.float32), queries_version=1)
    for suffix in ("npy", "ply", "json", "png"):
        write_labelled(tmp_path / f"cloud.{suffix}", make_frame(), nothing, queries)
        assert (tmp_path / f"cloud.{suffix}").stat().st_size > 0


def test_labels_of_another_table_are_refused(tmp_path: Path) -> None:
    later = make_queries(["east", "north"], Directions(), version=2)
    with pytest.raises(DataError, match="3 labels of table 1 do not fit 3 points and table 2"):
        write_labelled(tmp_path / "cloud.npy", FRAME, PREDICTION, later)


def test_unknown_suffix_missing_folder_and_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"suffix '.xyz' is none of .npy, .ply, .png, .json"):
        check_label_path(tmp_path / "cloud.xyz")
    with pytest.raises(ConfigError, match="Create it first"):
        check_label_path(tmp_path / "absent" / "cloud.npy")
    (tmp_path / "folder.npy").mkdir()
    with pytest.raises(ConfigError, match="is a folder"):
        check_label_path(tmp_path / "folder.npy")
