"""The commands of docs/first_training.md, as they stand there but on less data: each part ends with a bundle."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

pytest.importorskip("embreex", reason="the simulator needs embreex")

from bags.make_bag import main as make_bag
from ov3d_export.cli import main as export
from ov3d_perception.artifact import open_bundle
from ov3d_trainer.cli import main as trainer

COMMANDS = {"ov3d_trainer": trainer, "ov3d_export": export, "bags.make_bag": make_bag}
SMALLER = {"--scenes": "3", "--keyframes": "2", "--views": "3", "--frames": "3", "--jobs": "1"}
SETTINGS = ["steps=4", "batch=1", "inputs.voxel_size_m=0.4", "data.views=3", "evaluation.views=2"]


def commands_of_part(page: str, title: str) -> list[list[str]]:
    """The commands of all shell blocks below a heading, up to the next one."""
    _, found, rest = page.partition(f"\n## {title}\n")
    assert found, title
    blocks = re.findall(r"```bash\n(.*?)```", rest.split("\n## ")[0], re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [shlex.split(line)[2:] for line in lines if line.startswith("python -m ")]


def smaller(command: list[str]) -> list[str]:
    """The same command on less data, with fewer steps and coarser voxels."""
    words = list(command)
    for option, value in SMALLER.items():
        if option in words:
            words[words.index(option) + 1] = value
    if words[0] == "simulate" and words[1] == "room":
        words[words.index("--scenes") + 1] = "5"  # the fifth is the first of split val
    if "--config" in words:
        at = words.index("--set") + 1 if "--set" in words else len(words)
        words[at:at] = [*([] if "--set" in words else ["--set"]), *SETTINGS]
    return words


@pytest.mark.parametrize(
    ("title", "bundle"),
    [
        ("nuScenes' layout", "street_bundle"),
        ("ScanNet's layout", "room_bundle"),
        ("Your own recording", "robot_bundle"),
    ],
)
def test_commands_lead_to_a_bundle(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, title: str, bundle: str
) -> None:
    page = (repository / "docs" / "first_training.md").read_text(encoding="utf-8")
    for folder in ("trainer", "export"):
        (tmp_path / folder).symlink_to(repository / folder)
    monkeypatch.chdir(tmp_path)
    commands = commands_of_part(page, title)
    assert [words[1] for words in commands if words[0] == "ov3d_trainer"][-3:] == ["cache", "train", "evaluate"]
    for module, *words in commands:
        assert COMMANDS[module](smaller(words)) == 0, words
    assert open_bundle(tmp_path / bundle).card.text_space == open_bundle("export/bundles/demo").card.text_space
