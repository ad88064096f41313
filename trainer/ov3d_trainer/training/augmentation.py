"""Which random changes a training sweep undergoes; `augment` and `mixing` make them."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..settings import expect


@dataclass(kw_only=True)
class AugmentationConfig:
    """Random changes of a training sweep; 0, false or an empty list switches each off.

    Of points: `elastic`: pairs of granularity and magnitude in metres, as [[0.2, 0.4], [0.8, 1.6]]; space is bent by
    noise of that wavelength. `rotate`: any angle about z. `flip`: left and right. `scale`: factor within 1 +- scale.
    `jitter_m`: standard deviation per point. `height_m`: sensor height within +- height_m. `translate_m`: shift within
    +- translate_m in x and in y. `tilt_deg`: standard deviation of roll and pitch.

    Of which points there are: `drop`: up to this share of the points is left out. `cuboids`: up to that many boxes
    with edges of up to `cuboid_m` are emptied. `crop_m`: what lies outside of a square of that width (x, y) round a
    random point is left out. `mix`: chance that two sweeps of a batch are laid over each other (Mix3D).

    Of intensity alone: `intensity`: factor from 1 / (1 + intensity) to 1 + intensity, since lidars differ in scale.
    `intensity_loss`: chance that a sweep comes without. Of colour alone, where points have any: `color_contrast`:
    chance of a stretch towards the full range. `color_shift`: shift of each channel, `color_jitter`: standard deviation
    per point and channel, both as shares of the full range.
    """

    rotate: bool = False
    flip: bool = False
    scale: float = 0.0
    jitter_m: float = 0.0
    height_m: float = 0.0
    tilt_deg: float = 0.0
    translate_m: float = 0.0
    elastic: list[list[float]] = field(default_factory=list)
    drop: float = 0.0
    cuboids: int = 0
    cuboid_m: float = 2.0
    crop_m: float = 0.0
    mix: float = 0.0
    intensity: float = 0.0
    intensity_loss: float = 0.0
    color_contrast: float = 0.0
    color_shift: float = 0.0
    color_jitter: float = 0.0


def check_augmentation(config: AugmentationConfig, batch: int) -> None:
    """Raise `ConfigError` for values that no run with batches of that many sweeps could use."""
    for name in ("scale", "drop", "intensity_loss"):
        value = getattr(config, name)
        expect(0 <= value < 1, f"augmentation.{name}", "a share from 0 to 1", value)
    for name in ("mix", "color_contrast", "color_shift", "color_jitter"):
        value = getattr(config, name)
        expect(0 <= value <= 1, f"augmentation.{name}", "a share from 0 to 1", value)
    for name in ("jitter_m", "height_m", "tilt_deg", "translate_m", "cuboids", "cuboid_m", "crop_m", "intensity"):
        value = getattr(config, name)
        expect(value >= 0, f"augmentation.{name}", "0 or more", value)
    for pair in config.elastic:
        fine = len(pair) == 2 and min(pair) > 0
        expect(fine, "augmentation.elastic", "pairs of granularity and magnitude in metres, above 0", pair)
    expect(not config.mix or batch > 1, "augmentation.mix", "a `batch` of 2 or more to mix from", f"batch {batch}")
