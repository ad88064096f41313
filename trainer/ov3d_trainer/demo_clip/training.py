"""Trains the demo CLIP: a crop's one vector shall be nearest to the caption of what it is centred on.

The loss is CLIP's (Radford et al. 2021), cross-entropy over captions and over the batch's images, with two changes.
The text vectors stand still, so that all captions can be wrong answers, not the batch's alone; and a caption that is
true of another crop too ("a car" of a "red car") is no wrong answer for it. No patch is ever compared with a text.
"""

from __future__ import annotations

import json
import logging
import math
import shutil
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from tqdm import tqdm

from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.text.encoder import TextEncoder

from .. import __version__
from ..clip_dense.edits import check_visual
from ..data.dataset import open_source
from ..data.sample import SceneObject
from ..image_tower.concepts import encode, training_captions
from ..image_tower.training import change_colours
from ..open_clip_loading import TEXT_SPACE_KEY, load_model
from ..settings import save_settings
from ..training.optimiser import MovingAverage, make_optimiser
from ..training.schedule import rate_factor
from ..whole_files import written_whole
from ..words.text import open_text
from .config import DemoClipTraining
from .regions import Regions, draw_crops, load_regions

METRICS_FILE = "metrics.jsonl"
_SHARPEST = 100.0
"""Largest inverse temperature, as CLIP's."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Captions:
    """`texts` T, their unit vectors `text` (T, D), and which are true of each concept: `true` (K, T) bool."""

    texts: tuple[str, ...]
    text: torch.Tensor
    true: NDArray[np.bool_]


def train_demo_clip(config: DemoClipTraining) -> Path:
    """Train to the last step; write weights, model file, settings and metrics to `config.out`; return the weights.

    The weights' file says in whose text space they are; its own text side is of random numbers and means nothing.
    """
    from safetensors.torch import save

    if config.threads:
        torch.set_num_threads(config.threads)
    encoder = open_text(config.text)
    model = load_model(config.model, None, seed=config.seed)
    visual: Any = model.visual
    check_visual(visual, "plain")
    if visual.output_dim != encoder.dim:
        raise ConfigError(
            f"model {config.model}: embed_dim is {visual.output_dim}, vectors of {config.text} have {encoder.dim} "
            "numbers. Change embed_dim."
        )
    regions = load_regions(open_source(config.data, config.cache or None))
    if not len(regions.image):
        raise DataError("demo CLIP: the data set has no images with labels. Set data.cameras=true.")
    captions = make_captions(regions.things, encoder)
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    save_settings(out / "config.yaml", config)
    _log.info(
        "demo CLIP: %d images, %d regions of %d kinds, %d captions, %d parameters, %d steps of %d crops",
        len(regions.images), len(regions.image), len(regions.share), len(captions.texts),
        sum(p.numel() for p in visual.parameters()), config.steps, config.batch,
    )  # fmt: skip
    averaged = _run(config, visual, regions, captions, out / METRICS_FILE)
    visual.load_state_dict(averaged)
    shutil.copyfile(config.model, out / f"{config.name}.json")
    path = out / f"{config.name}.safetensors"
    with written_whole(path) as temporary:
        facts = {TEXT_SPACE_KEY: encoder.space, "ov3d_trainer": __version__}
        temporary.write_bytes(save(model.state_dict(), facts))
    return path


def make_captions(things: Sequence[SceneObject], encoder: TextEncoder) -> Captions:
    """Encode every caption of the concepts once."""
    groups = [training_captions([thing]) for thing in things]
    texts = sorted({text for group in groups for text in group})
    row_of = {text: row for row, text in enumerate(texts)}
    true = np.zeros((len(things), len(texts)), bool)
    for concept, group in enumerate(groups):
        true[concept, [row_of[text] for text in group]] = True
    return Captions(texts=tuple(texts), text=torch.from_numpy(encode(texts, encoder)), true=true)


def contrastive_loss(
    image: torch.Tensor, text: torch.Tensor, said: torch.Tensor, true: torch.Tensor, scale: torch.Tensor
) -> torch.Tensor:
    """Return the mean of both cross-entropies: over all captions for a crop, over the batch's crops for its caption.

    Unit vectors `image` (B, D) of crops, `text` (T, D) of captions; `said` (B,) the caption of each crop. What is
    `true` (B, T) of a crop beside its own caption takes no part.
    """
    logits = image @ text.T * scale
    own = F.one_hot(said, len(text)).bool()
    to_text = F.cross_entropy(logits.masked_fill(true & ~own, float("-inf")), said)
    others = true[:, said] & ~torch.eye(len(image), dtype=torch.bool)
    to_image = F.cross_entropy(logits[:, said].masked_fill(others, float("-inf")).T, torch.arange(len(image)))
    return (to_text + to_image) / 2.0


def _run(
    config: DemoClipTraining, visual: Any, regions: Regions, captions: Captions, metrics: Path
) -> dict[str, torch.Tensor]:
    """Do all steps; return the moving average of the weights."""
    visual.train().requires_grad_(True)
    scale = torch.nn.Parameter(torch.tensor(math.log(1.0 / config.temperature)))
    optimiser = make_optimiser([*visual.parameters(), scale], config.optimiser)
    average = MovingAverage(visual, config.average)
    by_kind, size = regions.by_kind(), int(visual.image_size[0])

    def crops_of(step: int) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
        generator = np.random.default_rng([config.seed, 21, step])
        images, concepts = draw_crops(regions, by_kind, config.batch, size, config.kind_balance, generator)
        said = np.array([generator.choice(np.flatnonzero(captions.true[concept])) for concept in concepts])
        return images, concepts, said

    bar = tqdm(range(config.steps), desc=config.name, disable=not sys.stderr.isatty())
    with ThreadPoolExecutor(max_workers=1) as worker, metrics.open("w", encoding="utf-8") as log:
        coming = worker.submit(crops_of, 0)
        for step in bar:
            started = time.perf_counter()
            images, concepts, said = coming.result()
            if step + 1 < config.steps:
                coming = worker.submit(crops_of, step + 1)
            rate = config.optimiser.learning_rate * rate_factor(step, config.steps, config.schedule)
            for group in optimiser.param_groups:
                group["lr"] = rate
            shown = change_colours(
                torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255.0,
                torch.Generator().manual_seed(config.seed * 1_000_003 + step),
            )
            feature = features_of_crops(visual, shown)
            true = torch.from_numpy(captions.true[concepts])
            sharpness = scale.exp().clamp_max(_SHARPEST)
            loss = contrastive_loss(feature, captions.text, torch.from_numpy(said), true, sharpness)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(visual.parameters(), config.optimiser.gradient_clip or float("inf"))
            optimiser.step()
            average.update(visual, step)
            right = _right(feature.detach(), captions, concepts)
            log.write(json.dumps(_record(step, loss, right, scale, rate, started)) + "\n")
            if step % 10 == 0:
                log.flush()
    visual.eval().requires_grad_(False)
    return average.state


def features_of_crops(visual: Any, images: torch.Tensor) -> torch.Tensor:
    """Return unit vectors (B, D) of images in [0, 1]; the tower runs in bfloat16."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (visual.image_mean, visual.image_std))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        feature = visual((images - mean) / std)
    return F.normalize(feature.float(), dim=-1)


def _right(feature: torch.Tensor, captions: Captions, concepts: NDArray[np.int64]) -> float:
    """Return the share of crops whose nearest caption of all is true of them."""
    nearest = (feature @ captions.text.T).argmax(dim=1).numpy()
    return float(captions.true[concepts, nearest].mean())


def _record(
    step: int, loss: torch.Tensor, right: float, scale: torch.Tensor, rate: float, started: float
) -> dict[str, float]:
    return {
        "step": step + 1,
        "loss": float(loss.detach()),
        "right": right,
        "temperature": float((-scale.detach()).exp()),
        "learning_rate": rate,
        "seconds": round(time.perf_counter() - started, 4),
    }
