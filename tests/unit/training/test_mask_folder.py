"""Masks of an external segmenter, in a folder beside any data set."""

import json

import numpy as np
import pytest
from PIL import Image

from ov3d_perception.errors import ConfigError, DataError
from ov3d_trainer.config import TeacherConfig
from ov3d_trainer.data.sample import UNKNOWN
from ov3d_trainer.teacher import make_teacher
from ov3d_trainer.words.vocabulary import parse_vocabulary
from tests.unit.training.hand_made import make_sample, make_view

WORDS = parse_vocabulary({"labels": ["tree", "car"], "ignore": ["bonnet"]})
# u = 4 + x, v = 2: the points fall into columns 2, 4 and 6 of row 2; the last lies behind the camera
SAMPLE = make_sample([[-2, 4, 0], [0, 4, 0], [2, 4, 0], [0, -4, 0]], views=[make_view(), make_view("rear")])


def write_image(path, columns):
    """An image of 8 x 4 pixels whose rows are all `columns`."""
    Image.fromarray(np.tile(np.array(columns, np.uint8), (4, 1))).save(path)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "hand-made").mkdir()
    (tmp_path / "labels.json").write_text(json.dumps({"labels": ["void", "tree", "car", "bonnet"]}))
    return tmp_path


def write_masks(folder, camera, columns, masks, vectors=None):
    write_image(folder / "hand-made" / f"{camera}.png", columns)
    (folder / "hand-made" / f"{camera}.json").write_text(json.dumps(masks))
    if vectors is not None:
        np.save(folder / "hand-made" / f"{camera}.npy", np.array(vectors, np.float16))


def open_teacher(folder, bank, **choices):
    config = TeacherConfig(kind="masks", path=str(folder), occlusion_test=False, **choices)
    return make_teacher(config, WORDS, bank, SAMPLE)


def test_label_images_of_a_folder_supervise_any_data_set(bank, folder):
    write_image(folder / "hand-made" / "front.png", [0, 0, 1, 0, 2, 0, 3, 0])
    teacher = open_teacher(folder, bank)
    supervision = teacher.supervise(SAMPLE)
    names = [teacher.targets.names[row] if row != UNKNOWN else "" for row in supervision.target]
    assert names == ["tree", "car", "", ""]  # the bonnet is ignored, behind the camera there is nothing
    assert supervision.weight.tolist() == [1, 1, 0, 0]


def test_surer_camera_wins_where_masks_have_scores(bank, folder):
    write_masks(folder, "front", [1, 1, 1, 1, 1, 1, 1, 1], [{"label": "tree", "score": 0.5}])
    write_masks(folder, "rear", [0, 0, 2, 2, 0, 0, 1, 1], [{"label": "car", "score": 0.25}, "car"])
    teacher = open_teacher(folder, bank)
    supervision = teacher.supervise(SAMPLE)
    assert [teacher.targets.names[row] for row in supervision.target[:3]] == ["car", "tree", "tree"]
    assert supervision.weight.tolist() == [1, 0.5, 0.5, 0]


def test_points_of_one_mask_share_its_feature_and_cameras_are_averaged(bank, folder):
    write_masks(folder, "front", [0, 0, 1, 1, 1, 1, 2, 2], ["car", "bonnet"], [[0, 2, 0, 0], [1, 0, 0, 0]])
    write_masks(folder, "rear", [0, 0, 0, 0, 1, 1, 1, 1], [{"label": "?", "score": 0.5}], [[3, 0, 0, 0]])
    supervision = open_teacher(folder, bank, mask_features=True).supervise(SAMPLE)
    assert supervision.rows.tolist() == [0, 1, 2]
    # first: front's mask alone; second: both, each of unit length; third: rear's, for the vocabulary ignores a bonnet
    np.testing.assert_allclose(supervision.code, [[0, 1, 0, 0], [0.5, 0.5, 0, 0], [1, 0, 0, 0]])
    np.testing.assert_allclose(supervision.weight, [1, 0.75, 0.5])
    assert len(supervision.vectors) == 3


def test_a_mask_without_a_feature_supervises_nothing(bank, folder):
    write_masks(folder, "front", [1, 1, 1, 1, 1, 1, 1, 1], ["car"], [[0, 0, 0, 0]])
    assert len(open_teacher(folder, bank, mask_features=True).supervise(SAMPLE).rows) == 0


@pytest.mark.parametrize(
    ("masks", "vectors", "what"),
    [
        (["car"], [[1, 0, 0]], r"front\.npy: float16 \(1, 3\), expected 1 masks of 4 numbers"),
        (["car"], [[np.nan, 0, 0, 0]], r"front\.npy: holds NaN"),
        (["car"], None, r"front\.npy: no such file"),
        ([], [[1, 0, 0, 0]], r"front\.png: mask 1, but front\.json has 0"),
        ([{"label": "car", "score": 2}], [[1, 0, 0, 0]], r"front\.json: mask 1: expected a name"),
        ({"car": 1}, [[1, 0, 0, 0]], r"front\.json: expected a list"),
    ],
)
def test_masks_that_do_not_fit_are_named(bank, folder, masks, vectors, what):
    write_masks(folder, "front", [1, 1, 1, 1, 1, 1, 1, 1], masks, vectors)
    with pytest.raises(DataError, match=what):
        open_teacher(folder, bank, mask_features=True).supervise(SAMPLE)


def test_what_is_missing_is_named(bank, folder):
    with pytest.raises(DataError, match=r"hand-made: no CAMERA\.png of the cameras front, rear"):
        open_teacher(folder, bank).supervise(SAMPLE)
    with pytest.raises(DataError, match=r"hand-made: no CAMERA\.json of the cameras front, rear"):
        open_teacher(folder, bank, mask_features=True).supervise(SAMPLE)
    with pytest.raises(DataError, match=r"has no images .* Set data\.cameras=true"):
        open_teacher(folder, bank).supervise(make_sample([[0, 4, 0]]))
    write_masks(folder, "front", [1] * 8, ["lorry"])
    with pytest.raises(DataError, match=r"front\.json: 'lorry' is not in .*labels\.json"):
        open_teacher(folder, bank).supervise(SAMPLE)
    (folder / "labels.json").unlink()
    with pytest.raises(DataError, match=r"labels\.json: no such file"):
        open_teacher(folder, bank)
    with pytest.raises(ConfigError, match=r"teacher\.path: .*nowhere is no folder of masks"):
        open_teacher(folder / "nowhere", bank)
    with pytest.raises(ConfigError, match=r"teacher\.mask_features: the folder"):
        make_teacher(TeacherConfig(mask_features=True), WORDS, bank, SAMPLE)


def test_features_in_a_pickle_are_not_loaded(bank, folder):
    write_masks(folder, "front", [1] * 8, ["car"])
    np.save(folder / "hand-made" / "front.npy", np.array([[object()]]), allow_pickle=True)
    with pytest.raises(DataError, match=r"front\.npy: expected an array"):
        open_teacher(folder, bank, mask_features=True).supervise(SAMPLE)
