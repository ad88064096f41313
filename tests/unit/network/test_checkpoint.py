"""Checkpoints come back as they were, hold no code, and are never half written."""

import zipfile

import pytest
import torch

from ov3d_perception.errors import ConfigError, DataError, ModelError
from ov3d_perception.inputs import InputSpec
from ov3d_perception.queries import LabelSpec
from ov3d_trainer.checkpoint import (
    CHECKPOINT_VERSION,
    Checkpoint,
    Vocabulary,
    build_model,
    load_checkpoint,
    save_checkpoint,
)
from ov3d_trainer.network.model import SparseUNet, UNetConfig

NETWORK = UNetConfig(
    architecture="test",
    in_features=3,
    embedding_dim=4,
    stem_channels=2,
    channels=(2, 3, 3, 2),
    layers=(1,) * 4,
    levels=3,
)
INPUTS = InputSpec(levels=3)
WORDS = Vocabulary(
    labels=(LabelSpec(name="car", synonyms=("auto",)), LabelSpec(name="tree")),
    background=("sky",),
    templates=("a {}",),
    threshold=0.25,
)


def make_checkpoint(**changes):
    model = SparseUNet(NETWORK, seed=4)
    optimizer = torch.optim.AdamW(model.parameters())
    values = {
        "network": NETWORK,
        "inputs": INPUTS,
        "text_space": "a/b",
        "vocabulary": WORDS,
        "model_state": model.state_dict(),
        "training": {"steps": 7, "loss": [0.5, 0.25]},
        "trainer_state": {"optimizer": optimizer.state_dict(), "random": torch.get_rng_state()},
        "step": 7,
    }
    return Checkpoint(**{**values, **changes})


def test_checkpoint_comes_back_as_it_was(tmp_path):
    saved = make_checkpoint()
    save_checkpoint(tmp_path / "new" / "last.pt", saved)
    loaded = load_checkpoint(tmp_path / "new" / "last.pt")
    for name in ("network", "inputs", "text_space", "vocabulary", "training", "step"):
        assert getattr(loaded, name) == getattr(saved, name)
    assert loaded.trainer_state["optimizer"]["param_groups"] == saved.trainer_state["optimizer"]["param_groups"]
    weights = build_model(loaded).state_dict()
    assert all(torch.equal(weights[name], value) for name, value in saved.model_state.items())


def test_built_model_is_in_evaluation_mode():
    assert not build_model(make_checkpoint()).training


def test_failed_save_leaves_the_old_checkpoint_and_no_rubbish(tmp_path, monkeypatch):
    path = tmp_path / "last.pt"
    save_checkpoint(path, make_checkpoint(step=1))

    def broken(content, target):
        target.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(DataError, match=r"last\.pt: cannot be written \(No space left on device\)"):
        save_checkpoint(path, make_checkpoint(step=2))
    assert load_checkpoint(path).step == 1
    assert [entry.name for entry in tmp_path.iterdir()] == ["last.pt"]


class Code:
    def __reduce__(self):
        return (print, ("this must never run",))


def test_file_that_carries_code_is_refused_without_running_it(tmp_path, capsys):
    torch.save({"ov3d_checkpoint": Code()}, tmp_path / "evil.pt")
    with pytest.raises(ModelError, match="code"):
        load_checkpoint(tmp_path / "evil.pt")
    assert capsys.readouterr().out == ""


def other_torch_file(path):
    torch.save({"state_dict": {}}, path)


def other_version(path):
    torch.save({"ov3d_checkpoint": 99}, path)


def missing_parts(path):
    torch.save({"ov3d_checkpoint": CHECKPOINT_VERSION, "network": {}}, path)


def no_torch_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "hello")


def cut_short(path):
    save_checkpoint(path, make_checkpoint())
    path.write_bytes(path.read_bytes()[:-100])


def wrong_types(path):
    save_checkpoint(path, make_checkpoint())
    content = torch.load(path, weights_only=True)
    torch.save({**content, "vocabulary": [1]}, path)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.write_text("hello"), "not a torch archive"),
        (other_torch_file, "not an ov3d checkpoint"),
        (other_version, "version 99"),
        (missing_parts, "inputs"),
        (no_torch_zip, "cannot be read"),
        (cut_short, "cut short"),
        (wrong_types, "damaged"),
    ],
)
def test_other_files_are_refused_with_a_reason(tmp_path, make, says):
    path = tmp_path / "file.pt"
    make(path)
    with pytest.raises(ModelError, match=says):
        load_checkpoint(path)


def test_weights_of_another_network_are_refused():
    other = SparseUNet(UNetConfig.from_dict({**NETWORK.to_dict(), "embedding_dim": 5}))
    with pytest.raises(ModelError, match="do not fit"):
        build_model(make_checkpoint(model_state=other.state_dict()))


def test_network_and_inputs_that_disagree_are_refused():
    with pytest.raises(ConfigError, match="3 input features, inputs give 1"):
        make_checkpoint(inputs=InputSpec(levels=3, features=("one",)))
