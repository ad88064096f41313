"""Features that somebody else has fused, in OpenScene's format."""

import numpy as np
import pytest
import torch

from ov3d_perception.errors import ConfigError, DataError
from ov3d_trainer.config import TeacherConfig
from ov3d_trainer.teacher import make_teacher
from ov3d_trainer.words.vocabulary import parse_vocabulary
from tests.unit.training.hand_made import make_sample

WORDS = parse_vocabulary({"labels": ["car", "tree"]})
SAMPLE = make_sample([[0, 1, 0], [0, 2, 0], [0, 3, 0]])  # called "hand-made"


def write(path, rows, features, points=3):
    mask = torch.zeros(points, dtype=torch.bool)
    mask[list(rows)] = True
    torch.save({"feat": torch.tensor(features, dtype=torch.float16), "mask_full": mask}, path)


def open_teacher(folder, bank):
    return make_teacher(TeacherConfig(kind="features", path=str(folder)), WORDS, bank, SAMPLE)


def test_points_in_the_mask_get_their_features(bank, tmp_path):
    write(tmp_path / "hand-made.pt", [0, 2], [[1, 0, 0, 0], [0, 0.5, 0.5, 0]])
    supervision = open_teacher(tmp_path, bank).supervise(SAMPLE)
    assert supervision.rows.tolist() == [0, 2]
    np.testing.assert_allclose(supervision.code, [[1, 0, 0, 0], [0, 0.5, 0.5, 0]])


def test_several_files_of_a_scene_are_averaged(bank, tmp_path):
    write(tmp_path / "hand-made_0.pt", [0, 1], [[1, 0, 0, 0], [1, 0, 0, 0]])
    write(tmp_path / "hand-made_1.pt", [1], [[0, 1, 0, 0]])
    supervision = open_teacher(tmp_path, bank).supervise(SAMPLE)
    assert supervision.rows.tolist() == [0, 1]
    np.testing.assert_allclose(supervision.code, [[1, 0, 0, 0], [0.5, 0.5, 0, 0]])


def test_what_does_not_fit_is_named(bank, tmp_path):
    with pytest.raises(DataError, match=r"hand-made\.pt: no such file"):
        open_teacher(tmp_path, bank).supervise(SAMPLE)
    write(tmp_path / "hand-made.pt", [0], [[1, 0, 0, 0]], points=7)
    with pytest.raises(DataError, match=r"do not fit 3 points"):
        open_teacher(tmp_path, bank).supervise(SAMPLE)
    write(tmp_path / "hand-made.pt", [0], [[1, 0, 0]])
    with pytest.raises(DataError, match="texts of 4 numbers"):
        open_teacher(tmp_path, bank).supervise(SAMPLE)
    (tmp_path / "hand-made.pt").write_bytes(b"no archive")
    with pytest.raises(DataError, match="expected tensors or arrays"):
        open_teacher(tmp_path, bank).supervise(SAMPLE)
    torch.save([1, 2], tmp_path / "hand-made.pt")
    with pytest.raises(DataError, match=r"expected feat .* and mask_full"):
        open_teacher(tmp_path, bank).supervise(SAMPLE)
    with pytest.raises(ConfigError, match=r"teacher\.path"):
        open_teacher(tmp_path / "nowhere", bank)


def test_code_in_a_file_is_not_run(bank, tmp_path):
    class Harmful:
        def __reduce__(self):
            return (print, ("harm",))

    torch.save({"feat": Harmful(), "mask_full": torch.ones(3, dtype=torch.bool)}, tmp_path / "hand-made.pt")
    with pytest.raises(DataError, match=r"names print: refused"):
        open_teacher(tmp_path, bank).supervise(SAMPLE)
