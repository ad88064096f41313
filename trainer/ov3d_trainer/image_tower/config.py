"""Settings of the image tower's training, read from YAML like a student's (see `ov3d_trainer.settings`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ov3d_perception.errors import ConfigError

from ..config import OptimiserConfig, ScheduleConfig, SourceConfig
from ..settings import read_settings


@dataclass(kw_only=True)
class CropConfig:
    """What a step looks at: `batch` crops of `width` x `height`, and `pixels` of each.

    `kind_balance` and `pixel_balance` in [0, 1]: 0 draws crops (pixels) as kinds are frequent, 1 draws kinds alike.
    """

    batch: int = 24
    width: int = 112
    height: int = 80
    pixels: int = 128
    kind_balance: float = 0.4
    pixel_balance: float = 0.25


@dataclass(kw_only=True)
class ImageTowerTraining:
    """One training of the image tower.

    `text`: bank or folder with a text tower whose vectors it learns. `cosine`, `kind` and `detail` weigh the
    terms of the loss, `temperature` is that of both softmaxes, and
    `anchor_temperature` that of the anchors, which are not learnt. `average`: decay of the moving average of weights.
    """

    name: str = "image_tower"
    out: str = "runs/image_tower"
    data: SourceConfig = field(default_factory=lambda: SourceConfig(kind="worlds", cameras=True))
    evaluation: SourceConfig = field(default_factory=lambda: SourceConfig(kind=""))
    cache: str = "cache"
    text: str = ""
    channels: list[int] = field(default_factory=lambda: [32, 64, 96, 160, 224])
    blocks: list[int] = field(default_factory=lambda: [1, 2, 2, 2])
    image_width: int = 192
    decoder: list[int] = field(default_factory=lambda: [160, 96, 64, 48])
    crops: CropConfig = field(default_factory=CropConfig)
    cosine: float = 0.3
    kind: float = 1.0
    detail: float = 0.3
    temperature: float = 0.05
    anchor_temperature: float = 0.01
    optimiser: OptimiserConfig = field(default_factory=lambda: OptimiserConfig(learning_rate=6e-3, weight_decay=1e-2))
    schedule: ScheduleConfig = field(default_factory=lambda: ScheduleConfig(warm_up=0.05))
    average: float = 0.998
    steps: int = 3000
    seed: int = 0
    threads: int = 0


def load_tower_config(path: Path | str | None = None, settings: Sequence[str] = ()) -> ImageTowerTraining:
    """Read and check; `ConfigError` names what is wrong."""
    config = read_settings(ImageTowerTraining, path, settings)
    fine = {
        "channels": len(config.channels) > 1 and min(config.channels) > 0,
        "blocks": len(config.blocks) == len(config.channels) - 1 and min(config.blocks) > 0,
        "decoder": len(config.decoder) == len(config.channels) - 1 and min(config.decoder) > 0,
        "temperature": config.temperature > 0,
        "steps": config.steps > 0,
        "average": 0 <= config.average < 1,
        "crops": min(config.crops.batch, config.crops.pixels) > 0 and min(config.crops.width, config.crops.height) > 31,
        "image_width": config.image_width > 31,
    }
    for key, good in fine.items():
        if not good:
            raise ConfigError(f"{key}: {getattr(config, key)} is out of range. See ImageTowerTraining.")
    return config
