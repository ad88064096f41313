"""What a training run is made of: dataclasses with defaults, filled from YAML and `--set key=value`.

Nothing else configures the trainer: no environment variable is read, and paths are relative to the working directory.
The whole configuration, defaults included, is written beside the checkpoints and into them.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from ov3d_perception.errors import ConfigError
from ov3d_perception.inputs import InputSpec


@dataclass(kw_only=True)
class SourceConfig:
    """Where samples come from.

    `kind` keyframe: `path` is the folder with frame.json. `kind` street: the simulated street, `frames` sweeps
    `interval_s` apart for each of `seeds` ("0-23, 40"), with or without `cameras` (images are slow and only the
    teacher `masks` needs them).
    """

    kind: str = "keyframe"
    path: str = ""
    seeds: str = ""
    frames: int = 4
    interval_s: float = 2.0
    cameras: bool = False


@dataclass(kw_only=True)
class InputsConfig:
    """What the network sees; see `ov3d_perception.inputs.InputSpec`."""

    voxel_size_m: float = 0.1
    features: list[str] = field(default_factory=lambda: ["one", "intensity", "z"])
    intensity_scale: float = 255.0
    max_range_m: float = 80.0
    levels: int = 5
    stem_kernel: int = 3


@dataclass(kw_only=True)
class NetworkConfig:
    """Which network: a name of `ov3d_trainer.model.ARCHITECTURES` and what computes its convolutions."""

    architecture: str = "narrow"
    backend: str = "torch"


@dataclass(kw_only=True)
class TeacherConfig:
    """Who supervises: `masks` (label images, lifted; see `lift.LiftOptions`) or `labels` (true names of points)."""

    kind: str = "masks"
    min_confidence: float = 0.0
    erosion_px: int = 0
    min_depth_m: float = 1.0
    occlusion_test: bool = True


@dataclass(kw_only=True)
class LossConfig:
    """What is minimised: factors of both terms, the softmax's temperature, and balance between classes.

    `class_balance` 0 weighs points alike, 1 weighs classes alike; no class counts more than `max_class_weight` times
    the most frequent one.
    """

    cosine: float = 1.0
    cross_entropy: float = 1.0
    temperature: float = 0.07
    class_balance: float = 0.0
    max_class_weight: float = 20.0


@dataclass(kw_only=True)
class OptimiserConfig:
    """AdamW (Loshchilov & Hutter 2019). `gradient_clip` limits the gradient's norm; 0 switches that off."""

    learning_rate: float = 2e-3
    weight_decay: float = 5e-3
    betas: list[float] = field(default_factory=lambda: [0.9, 0.99])
    gradient_clip: float = 1.0


@dataclass(kw_only=True)
class ScheduleConfig:
    """Learning rate over the run: `one_cycle`, `cosine` or `constant`.

    `warm_up`: share of the steps over which the rate rises (one_cycle: from 1/25; others: from 0). `final`: share of
    the peak rate at the end.
    """

    kind: str = "one_cycle"
    warm_up: float = 0.1
    final: float = 0.01


@dataclass(kw_only=True)
class AugmentationConfig:
    """Random changes of a training sweep; 0 or false switches each off.

    `rotate`: any angle about z. `flip`: left and right. `scale`: factor within 1 +- scale. `jitter_m`: standard
    deviation per point. `height_m`: sensor height within +- height_m. `tilt_deg`: standard deviation of roll and
    pitch. `drop`: up to this share of the points is left out. `intensity`: factor within 1 +- intensity.
    """

    rotate: bool = False
    flip: bool = False
    scale: float = 0.0
    jitter_m: float = 0.0
    height_m: float = 0.0
    tilt_deg: float = 0.0
    drop: float = 0.0
    intensity: float = 0.0


@dataclass(kw_only=True)
class TrainConfig:
    """One training run.

    `data` is trained on, `evaluation` measured on (the same where its `kind` is empty). `cache`: folder for samples
    that are slow to make; empty for none. `vocabulary`: a vocabulary file. `text`: a bank (.npz) or a folder with a
    text tower. `out`: folder for checkpoints, metrics and plot. `threads` 0 leaves the choice to torch.
    """

    name: str = "student"
    out: str = "runs/student"
    data: SourceConfig = field(default_factory=SourceConfig)
    evaluation: SourceConfig = field(default_factory=lambda: SourceConfig(kind=""))
    cache: str = ""
    vocabulary: str = ""
    text: str = ""
    inputs: InputsConfig = field(default_factory=InputsConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    teacher: TeacherConfig = field(default_factory=TeacherConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    steps: int = 1000
    batch: int = 1
    seed: int = 0
    threads: int = 0
    log_every: int = 1
    checkpoint_every: int = 200


def load_config(path: Path | str | None = None, settings: Sequence[str] = ()) -> TrainConfig:
    """Read a YAML file, apply `key=value` settings (dots go deeper), check everything.

    Raises `ConfigError` that names file, key and the nearest known key, or the type that was expected.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    _refuse_unknown("", _read_yaml(path), TrainConfig())
    for setting in settings:
        _check_setting(setting)
    try:
        merged = OmegaConf.structured(TrainConfig)
        if path is not None:
            merged = OmegaConf.merge(merged, OmegaConf.load(path))
        merged = OmegaConf.merge(merged, OmegaConf.from_dotlist([_as_dotlist(setting) for setting in settings]))
        config = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None) or "configuration"
        reason = str(getattr(error, "msg", None) or error).splitlines()[0]
        raise ConfigError(f"{key}: {reason}. See trainer/ov3d_trainer/config.py for keys and types.") from error
    if not isinstance(config, TrainConfig):
        raise ConfigError(f"{path}: expected keys and values, got {type(config).__name__}.")
    check_config(config)
    return config


def config_from_dict(values: Mapping[str, Any]) -> TrainConfig:
    """Rebuild a configuration from `config_to_dict`'s form, for example from a checkpoint."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    _refuse_unknown("", values, TrainConfig())
    try:
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(TrainConfig), dict(values)))
    except OmegaConfBaseException as error:
        raise ConfigError(f"configuration: {str(error).splitlines()[0]}.") from error
    assert isinstance(config, TrainConfig)
    check_config(config)
    return config


def config_to_dict(config: TrainConfig) -> dict[str, Any]:
    """Return plain JSON types."""
    return asdict(config)


def save_config(path: Path, config: TrainConfig) -> None:
    """Write a configuration, defaults included, as YAML that `load_config` reads."""
    import yaml

    path.write_text(yaml.safe_dump(config_to_dict(config), sort_keys=False), encoding="utf-8")


def input_spec(config: InputsConfig) -> InputSpec:
    """Return the input specification; `ConfigError` names the key that is out of range."""
    return InputSpec(**{**asdict(config), "features": tuple(config.features)})


def check_config(config: TrainConfig) -> None:
    """Raise `ConfigError` for values that no run could use."""
    input_spec(config.inputs)
    for name in ("steps", "batch", "log_every", "checkpoint_every"):
        _expect(getattr(config, name) >= 1, name, "at least 1", getattr(config, name))
    _expect(config.batch <= 64, "batch", "at most 64", config.batch)
    _expect(config.threads >= 0, "threads", "0 or more", config.threads)
    _expect(config.seed >= 0, "seed", "0 or more", config.seed)
    loss, optimiser = config.loss, config.optimiser
    _expect(loss.temperature > 0, "loss.temperature", "a positive number", loss.temperature)
    _expect(min(loss.cosine, loss.cross_entropy) >= 0, "loss", "factors of 0 or more", loss)
    _expect(loss.cosine + loss.cross_entropy > 0, "loss", "one factor above 0", loss)
    _expect(loss.class_balance >= 0, "loss.class_balance", "0 or more", loss.class_balance)
    _expect(loss.max_class_weight >= 1, "loss.max_class_weight", "1 or more", loss.max_class_weight)
    _expect(optimiser.learning_rate > 0, "optimiser.learning_rate", "a positive number", optimiser.learning_rate)
    _expect(len(optimiser.betas) == 2, "optimiser.betas", "two numbers", optimiser.betas)
    schedule = config.schedule
    _expect(schedule.kind in SCHEDULES, "schedule.kind", " or ".join(SCHEDULES), schedule.kind)
    _expect(0 <= schedule.warm_up < 1, "schedule.warm_up", "a share from 0 to 1", schedule.warm_up)
    _expect(0 <= schedule.final <= 1, "schedule.final", "a share from 0 to 1", schedule.final)
    augmentation = config.augmentation
    for name in ("scale", "drop", "intensity"):
        value = getattr(augmentation, name)
        _expect(0 <= value < 1, f"augmentation.{name}", "a share from 0 to 1", value)
    for name in ("jitter_m", "height_m", "tilt_deg"):
        value = getattr(augmentation, name)
        _expect(value >= 0, f"augmentation.{name}", "0 or more", value)
    _expect(0 <= config.teacher.min_confidence <= 1, "teacher.min_confidence", "0 to 1", config.teacher.min_confidence)
    _expect(config.teacher.erosion_px >= 0, "teacher.erosion_px", "0 or more", config.teacher.erosion_px)


SCHEDULES = ("one_cycle", "cosine", "constant")


def _expect(fine: bool, key: str, wanted: str, got: Any) -> None:
    if not fine:
        raise ConfigError(f"{key}: expected {wanted}, got {got}.")


def _read_yaml(path: Path | str | None) -> Mapping[str, Any]:
    import yaml

    if path is None:
        return {}
    try:
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"config {path}: cannot be read ({error.strerror}). Check --config.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"config {path}: not valid YAML ({' '.join(str(error).split())}).") from error
    if not isinstance(values, dict):
        raise ConfigError(f"config {path}: expected keys and values, got {type(values).__name__}.")
    return values


def _check_setting(setting: str) -> None:
    import yaml

    key, separator, value = setting.partition("=")
    if not separator or not key:
        raise ConfigError(f"--set {setting}: expected key=value, for example steps=500 or loss.temperature=0.05.")
    try:
        nested: Any = yaml.safe_load(value)
    except yaml.YAMLError:
        nested = value
    for part in reversed(key.split(".")):
        nested = {part: nested}
    _refuse_unknown("", nested, TrainConfig())


def _as_dotlist(setting: str) -> str:
    """Let `key=` mean the empty text; OmegaConf would read it as none."""
    return f"{setting}''" if setting.endswith("=") else setting


def _refuse_unknown(prefix: str, values: Mapping[str, Any], template: Any) -> None:
    """Compare keys with the dataclass `template`, at every depth."""
    known = [entry.name for entry in fields(template)]
    for key, value in values.items():
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1, cutoff=0.5)
            hint = f"Did you mean '{prefix}{near[0]}'?" if near else f"Known are {', '.join(known)}."
            raise ConfigError(f"{prefix}{key}: unknown key. {hint}")
        deeper = getattr(template, key)
        if is_dataclass(deeper):
            if not isinstance(value, Mapping):
                deeper_keys = ", ".join(entry.name for entry in fields(deeper))
                raise ConfigError(f"{prefix}{key}: expected the keys {deeper_keys}, got {value!r}.")
            _refuse_unknown(f"{prefix}{key}.", value, deeper)
        elif isinstance(value, Mapping) and value:
            raise ConfigError(f"{prefix}{key}.{next(iter(value))}: unknown key. '{prefix}{key}' holds one value.")
