"""`import-checkpoint`: published files become checkpoints that say what is certain and what is not."""

from pathlib import Path

import pytest
import torch

from ov3d_perception.errors import ConfigError, ModelError
from ov3d_trainer.checkpoint import build_model, load_checkpoint
from ov3d_trainer.checkpoint_import import METHODS, ImportOptions, import_checkpoint
from ov3d_trainer.cli import main
from ov3d_trainer.network.model import UNetConfig
from tests.unit.network.minkowski_style import minkowski_state, random_network


def published(folder: Path, *, inputs: int, dim: int, kernel: int = 3, last: int = 4) -> Path:
    """Write a small network as OpenScene writes its own."""
    config = UNetConfig(
        architecture="", in_features=inputs, embedding_dim=dim, stem_channels=4, channels=(4, 4, 6, 6, 6, 4, 4, last),
        layers=(1,) * 8, stem_kernel=kernel,
    )  # fmt: skip
    state = {f"module.net3d.{name}": row for name, row in minkowski_state(random_network(config)).items()}
    torch.save({"epoch": 100, "state_dict": state, "best_iou": 0.0}, folder / "published.pth")
    return folder / "published.pth"


def test_openscene_needs_no_options(tmp_path, capsys):
    file, out = published(tmp_path, inputs=3, dim=768, kernel=5), tmp_path / "new" / "checkpoint.pt"
    assert main(["import-checkpoint", str(file), "--method", "openscene-nuscenes", "--out", str(out)]) == 0
    checkpoint = load_checkpoint(out)
    assert checkpoint.text_space == "clip:ViT-L-14-336/openai"
    assert checkpoint.vocabulary.templates == ("a {} in a scene",)
    assert checkpoint.inputs.voxel_size_m == 0.05
    assert checkpoint.inputs.stem_kernel == 5
    assert checkpoint.inputs.features == ("one",)
    assert build_model(checkpoint).config.embedding_dim == 768
    said = capsys.readouterr().out
    assert "guessed: inputs: constant ones" in said
    assert "differs: it saw all sweeps of 0.5 s" in said


def test_three_ones_become_one_column_of_their_sum(tmp_path):
    file = published(tmp_path, inputs=3, dim=512)
    stem = torch.load(file, weights_only=True)["state_dict"]["module.net3d.conv0p1s1.kernel"]
    found = import_checkpoint(file, "openscene", ImportOptions()).model_state["stem.conv.weight"]
    assert found.shape == (27, 1, 4)
    torch.testing.assert_close(found[13, 0], stem[13].sum(dim=0))  # the centre is the centre in both orders


def test_centred_colours_are_red_green_blue_and_one(tmp_path):
    file = published(tmp_path, inputs=3, dim=9, last=512)
    checkpoint = import_checkpoint(file, "language-grounded", ImportOptions())
    assert checkpoint.inputs.features == ("red", "one", "green", "blue")
    assert (checkpoint.network.embedding_dim, checkpoint.network.last_relu) == (512, False)
    assert checkpoint.text_space == "clip:ViT-B-32/openai"


def test_what_a_person_states_is_no_guess(tmp_path):
    file = published(tmp_path, inputs=1, dim=768)
    guessed = import_checkpoint(file, "ssov", ImportOptions()).training["imported"]["guessed"]
    stated = import_checkpoint(file, "ssov", ImportOptions(text_space="clip:ViT-L-14/openai", voxel_size_m=0.2))
    assert [guess.split(":")[0] for guess in guessed] == ["text space"]
    assert stated.training["imported"]["guessed"] == []
    assert (stated.text_space, stated.inputs.voxel_size_m) == ("clip:ViT-L-14/openai", 0.2)


def test_network_outside_a_text_space_must_be_given_one(tmp_path):
    file = published(tmp_path, inputs=1, dim=64)
    with pytest.raises(ConfigError, match=r"64 numbers, and slidr is known for no text space .* --text-space"):
        import_checkpoint(file, "slidr", ImportOptions())


def test_inputs_of_another_number_are_refused(tmp_path):
    file = published(tmp_path, inputs=4, dim=768)
    with pytest.raises(ConfigError, match=r"takes 4 input columns, color makes 3"):
        import_checkpoint(file, "openscene", ImportOptions(inputs="color"))
    assert import_checkpoint(file, "openscene", ImportOptions(inputs="x,y,z,intensity")).network.in_features == 4


def test_unknown_names_are_one_line(tmp_path, capsys):
    file = published(tmp_path, inputs=3, dim=512)
    for words in (["--method", "openscane"], ["--method", "openscene", "--inputs", "rgb"]):
        assert main(["import-checkpoint", str(file), "--out", str(tmp_path / "x.pt"), *words]) == 2
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("ConfigError: --method: unknown 'openscane'. Choose from openscene,")
    assert said[1].startswith("ConfigError: --inputs: unknown rgb. Choose one of ones,")


def test_file_with_code_is_refused_and_says_how_to_save_it_again(tmp_path):
    torch.save({"state_dict": {}, "config": Path("x")}, tmp_path / "lightning.ckpt")
    with pytest.raises(ModelError, match=r"carry code are refused; where you trust it, save its weights alone: torch"):
        import_checkpoint(tmp_path / "lightning.ckpt", "slidr", ImportOptions())


def test_help_names_every_method(capsys):
    with pytest.raises(SystemExit):
        main(["import-checkpoint", "--help"])
    said = capsys.readouterr().out
    assert [name for name in METHODS if name not in "".join(said.split())] == []  # lines are broken at hyphens
