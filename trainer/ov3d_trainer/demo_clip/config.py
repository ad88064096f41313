"""Settings of the demo CLIP's training, read from YAML like a student's (see `ov3d_trainer.settings`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ov3d_perception.errors import ConfigError

from ..config import OptimiserConfig, ScheduleConfig, SourceConfig
from ..settings import read_settings


@dataclass(kw_only=True)
class DemoClipTraining:
    """One training of a CLIP image tower on crops of regions.

    `data` is trained on, `evaluation`, if there is any, measured on. `model`: architecture, a model file of open_clip
    (.json) with a ViT. `text`: bank or folder with a text tower, whose vectors stand still. A step sees `batch` crops;
    `kind_balance` in [0, 1]: 0 draws them as pixels of kinds are frequent, 1 draws kinds alike. `temperature` is where
    the learnt one starts. `average`: share of the moving average of the weights that is kept in a step.
    """

    name: str = "demo_clip"
    out: str = "runs/demo_clip"
    data: SourceConfig = field(default_factory=lambda: SourceConfig(kind="worlds", cameras=True))
    evaluation: SourceConfig = field(default_factory=lambda: SourceConfig(kind=""))
    cache: str = "cache"
    text: str = ""
    model: str = ""
    batch: int = 128
    kind_balance: float = 0.5
    temperature: float = 0.07
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(learning_rate=1e-3, weight_decay=5e-2))
    schedule: ScheduleConfig = field(default_factory=lambda: ScheduleConfig(kind="cosine", warm_up=0.05))
    average: float = 0.995
    steps: int = 1000
    seed: int = 0
    threads: int = 0


def load_demo_clip_config(path: Path | str | None = None, settings: Sequence[str] = ()) -> DemoClipTraining:
    """Read and check; `ConfigError` names what is wrong."""
    config = read_settings(DemoClipTraining, path, settings)
    fine = {
        "model": config.model.endswith(".json"),
        "batch": 2 <= config.batch <= 4096,
        "kind_balance": 0 <= config.kind_balance <= 1,
        "temperature": config.temperature > 0,
        "average": 0 <= config.average < 1,
        "steps": config.steps > 0,
    }
    for key, good in fine.items():
        if not good:
            raise ConfigError(f"{key}: '{getattr(config, key)}' is out of range. See DemoClipTraining.")
    return config
