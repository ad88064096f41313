"""What a training run is made of: dataclasses with defaults, filled from YAML and `--set key=value`.

Nothing else configures the trainer: of environment variables only torchrun's are read, and paths are relative to the
working directory.
The whole configuration, defaults included, is written beside the checkpoints and into them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ov3d_perception.inputs import InputSpec

from .settings import expect as _expect
from .settings import read_settings, save_settings, settings_from_dict
from .training.augmentation import AugmentationConfig, check_augmentation


@dataclass(kw_only=True)
class SourceConfig:
    """Where samples come from.

    Recorded, at `path`: `kind` keyframe (folder with frame.json); nuscenes (folder with samples/ and the tables of
    `version`; `split` as in `data.nuscenes.splits`, `sweeps` joined to one cloud); scannet (folder with scans/;
    `split` a list of scans in a file, `views` images of each); kitti (SemanticKITTI's folder with sequences/; `split`
    train, val, test or sequences); openscene (folder with SPLIT/SCENE.pth, images beside it, `views` of each scene);
    bag (rosbag2; clouds of `topic`, every `every`-th, images at most `max_skew_s` away, transforms through
    `fixed_frame`). `label_set`: for scannet nyu40 (as if empty), scannet20 or scannet200, for openscene as in
    `data.openscene.label_sets`. Images wider than `image_width` are shrunk when read, 0 for never.

    Simulated: `kind` street, `frames` sweeps `interval_s` apart for each of `seeds` ("0-23, 40"); room, with `views`
    images for each of `seeds`; worlds, the streets of `seeds`, then the rooms of `room_seeds`. `unseen`: with the kinds
    of object that are kept out of training. `varied`: streets with many vehicles of rare kinds, to learn from.

    `cameras`: with images, which only teachers that look at images need.
    """

    kind: str = "keyframe"
    path: str = ""
    version: str = "v1.0-trainval"
    split: str = "train"
    label_set: str = ""
    sweeps: int = 1
    image_width: int = 0
    topic: str = ""
    fixed_frame: str = "map"
    max_skew_s: float = 0.1
    every: int = 1
    seeds: str = ""
    frames: int = 4
    interval_s: float = 2.0
    cameras: bool = False
    room_seeds: str = ""
    views: int = 10
    unseen: bool = False
    varied: bool = False


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
    """Which network: a name of `ov3d_trainer.network.model.ARCHITECTURES` and what computes its convolutions.

    `backend`: torch, spconv_triton (on GPUs, pip install 'ov3d_trainer[spconv]') or minkowski; checkpoints are alike.
    With `anchors` its features are drawn to the teacher's text rows, the sharper the lower `anchor_temperature` is; see
    `ov3d_trainer.network.anchors`.
    """

    architecture: str = "narrow"
    backend: str = "torch"
    anchors: bool = False
    anchor_temperature: float = 0.01


@dataclass(kw_only=True)
class TeacherConfig:
    """Who supervises: `kind`, and what it needs.

    masks: label images, the data set's own or those of the folder `path` as `data.masks` describes; with
    `mask_features` the features of its masks. labels: true names of points. features: per point, from the files of the
    folder `path`, as OpenScene publishes them.

    pixel_text: features of the image tower in the file `path` (image_tower.pt, or image.onnx of a bundle); with torch's
    weights averaged over the images shrunk to each of `widths` (by default the tower's own).

    open_clip: patch features of the ViT or ResNet `model` with weights `pretrained` (a tag of open_clip or a file; ""
    for random ones, to try things out); `edit` as in `clip_dense.edits`, `short_side`, `window` and `stride` in pixels
    as in `clip_dense.windows`, averaged over images of each of `scales` times that side.

    `flip`: average over mirrored images too. How labels and features come to points: see `supervision.lift`.
    `neighbours`: so many samples before and after one in its recording say what they saw too, see
    `supervision.consolidate`: in voxels of `neighbour_voxel_m`, each step away counting `neighbour_factor` times as
    much. `codebook`: keep at most so many vectors a sample (0: all), see `supervision.codebook`. `keep`: keep what the
    teacher says in `cache`, so that it says it once.
    """

    kind: str = "masks"
    keep: bool = False
    path: str = ""
    mask_features: bool = False
    widths: list[int] = field(default_factory=list)
    model: str = "ViT-B-16"
    pretrained: str = "openai"
    edit: str = "naclip"
    short_side: int = 448
    scales: list[float] = field(default_factory=lambda: [1.0])
    window: int = 336
    stride: int = 224
    flip: bool = False
    min_confidence: float = 0.0
    erosion_px: int = 0
    min_depth_m: float = 1.0
    occlusion_test: bool = True
    view_weight: str = "equal"
    superpixels: int = 0
    codebook: int = 0
    neighbours: int = 0
    neighbour_voxel_m: float = 0.3
    neighbour_factor: float = 0.5
    depth_tolerance: float = 0.05


@dataclass(kw_only=True)
class LossConfig:
    """What is minimised: factors of both terms, the softmax's temperature, and balance between classes.

    With a teacher that gives features, `cross_entropy` weighs the divergence from the teacher's softmax over its bank
    of captions, taken at `teacher_temperature` (0: the same as the student's).

    `class_balance` 0 weighs points alike, 1 weighs classes alike; no class counts more than `max_class_weight` times
    the most frequent one.
    """

    cosine: float = 1.0
    cross_entropy: float = 1.0
    temperature: float = 0.07
    teacher_temperature: float = 0.0
    class_balance: float = 0.0
    max_class_weight: float = 20.0


@dataclass(kw_only=True)
class OptimiserConfig:
    """`kind` adamw (Loshchilov & Hutter 2019) with `betas`, or sgd with `momentum` and `dampening`.

    `gradient_clip` limits the gradient's norm; 0 switches that off.
    """

    kind: str = "adamw"
    learning_rate: float = 2e-3
    weight_decay: float = 5e-3
    betas: list[float] = field(default_factory=lambda: [0.9, 0.99])
    momentum: float = 0.9
    dampening: float = 0.1
    gradient_clip: float = 1.0


@dataclass(kw_only=True)
class ScheduleConfig:
    """Learning rate over the run: `one_cycle`, `cosine`, `poly` (falls as (1 - progress)^power) or `constant`.

    `warm_up`: share of the steps over which the rate rises (one_cycle: from 1/25; others: from 0). `final`: share of
    the peak rate at the end.
    """

    kind: str = "one_cycle"
    warm_up: float = 0.1
    final: float = 0.01
    power: float = 0.9


@dataclass(kw_only=True)
class TrainConfig:
    """One training run.

    `data` is trained on, `evaluation` measured on (see `evaluation_source`). `cache`: folder for samples
    that are slow to make; empty for none. `vocabulary`: a vocabulary file. `text`: a bank (.npz) or a folder with a
    text tower. `out`: folder for checkpoints, metrics and plot. `threads` 0 leaves the choice to torch.
    `device`: auto (a GPU where there is one), cpu or cuda. `precision` fp32, or bf16: convolutions in bfloat16.
    `tensorboard`: write events too.

    A step sees `accumulate` batches of `batch` sweeps before it changes the weights. `average`: how much of the moving
    average of the weights is kept in a step (0.999; 0 for none); checkpoints then hold the average.
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
    accumulate: int = 1
    average: float = 0.0
    seed: int = 0
    threads: int = 0
    device: str = "auto"
    precision: str = "fp32"
    tensorboard: bool = False
    log_every: int = 1
    checkpoint_every: int = 200


def load_config(path: Path | str | None = None, settings: Sequence[str] = ()) -> TrainConfig:
    """Read a YAML file, apply `key=value` settings (dots go deeper), check everything.

    Raises `ConfigError` that names file, key and the nearest known key, or the type that was expected.
    """
    config = read_settings(TrainConfig, path, settings)
    check_config(config)
    return config


def config_from_dict(values: Mapping[str, Any], settings: Sequence[str] = ()) -> TrainConfig:
    """Rebuild a configuration from `config_to_dict`'s form, for example from a checkpoint, with `settings` changed."""
    config = settings_from_dict(TrainConfig, values, settings)
    check_config(config)
    return config


def evaluation_source(config: TrainConfig) -> SourceConfig:
    """Return what to measure on: `data` where `evaluation.kind` is empty; an empty path is that of `data`."""
    own = config.evaluation
    if not own.kind:
        return config.data
    return own if own.path or own.kind != config.data.kind else replace(own, path=config.data.path)


def config_to_dict(config: TrainConfig) -> dict[str, Any]:
    """Return plain JSON types."""
    return asdict(config)


def save_config(path: Path, config: TrainConfig) -> None:
    """Write a configuration, defaults included, as YAML that `load_config` reads."""
    save_settings(path, config)


def input_spec(config: InputsConfig) -> InputSpec:
    """Return the input specification; `ConfigError` names the key that is out of range."""
    return InputSpec(**{**asdict(config), "features": tuple(config.features)})


def check_config(config: TrainConfig) -> None:
    """Raise `ConfigError` for values that no run could use."""
    input_spec(config.inputs)
    for name in ("steps", "batch", "accumulate", "log_every", "checkpoint_every"):
        _expect(getattr(config, name) >= 1, name, "at least 1", getattr(config, name))
    _expect(config.batch <= 64, "batch", "at most 64", config.batch)
    _expect(0 <= config.average < 1, "average", "a share from 0 to 1", config.average)
    _expect(config.device in DEVICES, "device", " or ".join(DEVICES), config.device)
    _expect(config.precision in PRECISIONS, "precision", " or ".join(PRECISIONS), config.precision)
    _expect(config.optimiser.kind in OPTIMISERS, "optimiser.kind", " or ".join(OPTIMISERS), config.optimiser.kind)
    _expect(config.threads >= 0, "threads", "0 or more", config.threads)
    _expect(config.seed >= 0, "seed", "0 or more", config.seed)
    _expect(config.network.backend in BACKENDS, "network.backend", " or ".join(BACKENDS), config.network.backend)
    loss, optimiser = config.loss, config.optimiser
    _expect(loss.teacher_temperature >= 0, "loss.teacher_temperature", "0 or more", loss.teacher_temperature)
    _expect(loss.temperature > 0, "loss.temperature", "a positive number", loss.temperature)
    _expect(min(loss.cosine, loss.cross_entropy) >= 0, "loss", "factors of 0 or more", loss)
    _expect(loss.cosine + loss.cross_entropy > 0, "loss", "one factor above 0", loss)
    _expect(loss.class_balance >= 0, "loss.class_balance", "0 or more", loss.class_balance)
    _expect(loss.max_class_weight >= 1, "loss.max_class_weight", "1 or more", loss.max_class_weight)
    _expect(optimiser.learning_rate > 0, "optimiser.learning_rate", "a positive number", optimiser.learning_rate)
    for name in ("weight_decay", "momentum", "gradient_clip"):
        _expect(getattr(optimiser, name) >= 0, f"optimiser.{name}", "0 or more", getattr(optimiser, name))
    fine = len(optimiser.betas) == 2 and all(0 <= beta < 1 for beta in optimiser.betas)
    _expect(fine, "optimiser.betas", "two numbers from 0 to below 1", optimiser.betas)
    _expect(0 <= optimiser.dampening <= 1, "optimiser.dampening", "0 to 1", optimiser.dampening)
    schedule = config.schedule
    _expect(schedule.kind in SCHEDULES, "schedule.kind", " or ".join(SCHEDULES), schedule.kind)
    _expect(0 <= schedule.warm_up < 1, "schedule.warm_up", "a share from 0 to 1", schedule.warm_up)
    _expect(0 <= schedule.final <= 1, "schedule.final", "a share from 0 to 1", schedule.final)
    check_augmentation(config.augmentation, config.batch)
    _expect(0 <= config.teacher.min_confidence <= 1, "teacher.min_confidence", "0 to 1", config.teacher.min_confidence)
    for name in ("short_side", "stride"):
        _expect(getattr(config.teacher, name) >= 16, f"teacher.{name}", "at least 16", getattr(config.teacher, name))
    scales = config.teacher.scales
    fine = bool(scales) and all(0.1 <= scale <= 10 for scale in scales)
    _expect(fine, "teacher.scales", "factors from 0.1 to 10", scales)
    window, stride = config.teacher.window, config.teacher.stride
    _expect(window == 0 or window >= stride, "teacher.window", f"0, or teacher.stride ({stride}) and more", window)
    widths = config.teacher.widths
    _expect(all(16 <= width <= 4096 for width in widths), "teacher.widths", "pixels from 16 to 4096", widths)
    _check_lifting(config.teacher)


def _check_lifting(teacher: TeacherConfig) -> None:
    tolerance = teacher.depth_tolerance
    _expect(0 < tolerance < 1, "teacher.depth_tolerance", "a share above 0 and below 1", tolerance)
    _expect(teacher.min_depth_m > 0, "teacher.min_depth_m", "a positive number", teacher.min_depth_m)
    _expect(teacher.erosion_px >= 0, "teacher.erosion_px", "0 or more", teacher.erosion_px)
    _expect(teacher.view_weight in VIEW_WEIGHTS, "teacher.view_weight", " or ".join(VIEW_WEIGHTS), teacher.view_weight)
    _expect(0 <= teacher.superpixels <= 10_000, "teacher.superpixels", "0 to 10000", teacher.superpixels)
    _expect(teacher.codebook == 0 or teacher.codebook >= 8, "teacher.codebook", "0, or 8 and more", teacher.codebook)
    _expect(0 <= teacher.neighbours <= 20, "teacher.neighbours", "0 to 20", teacher.neighbours)
    _expect(teacher.neighbour_voxel_m > 0, "teacher.neighbour_voxel_m", "a positive number", teacher.neighbour_voxel_m)
    _expect(
        0 < teacher.neighbour_factor <= 1, "teacher.neighbour_factor", "above 0, at most 1", teacher.neighbour_factor
    )


SCHEDULES = ("one_cycle", "cosine", "poly", "constant")
OPTIMISERS = ("adamw", "sgd")
BACKENDS = ("torch", "spconv_triton", "minkowski")
DEVICES = ("auto", "cpu", "cuda")
VIEW_WEIGHTS = ("equal", "near")
PRECISIONS = ("fp32", "bf16")
