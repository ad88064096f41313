"""Trains the image tower: a pixel's feature shall be nearest to the words for what it shows.

Three terms: cross-entropy over the plain kinds' text vectors, cross-entropy over the concepts of the pixel's own kind
(colours and states), and the cosine to the concept's vector, which keeps features where texts are. Hard targets on
purpose: with a softmax over captions as target, a pixel in doubt between two kinds learns their mean, and that lies
nearest to some third word.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from ov3d_perception.errors import DataError
from ov3d_perception.text.encoder import TextEncoder

from .. import __version__
from ..data.dataset import open_source
from ..data.sample import UNKNOWN, SceneObject
from ..network.head import linear_similarity
from ..settings import save_settings
from ..training.optimiser import MovingAverage, make_optimiser
from ..training.schedule import rate_factor
from ..words.text import open_text
from .checkpoint import TowerCheckpoint, save_tower
from .concepts import make_concepts, plain_concepts, training_captions
from .config import ImageTowerTraining
from .network import STRIDE, ImageTower, ImageTowerConfig
from .pixels import Crops, PixelData, draw_crops, load_pixels

CHECKPOINT_FILE = "image_tower.pt"
METRICS_FILE = "metrics.jsonl"
CAPTIONS_FILE = "captions.txt"
_DETAILED = 2048
"""Pixels of a step that are compared with all concepts, which are ten times as many as kinds."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Goals:
    """What the loss compares with: `text` (K, D) per concept, `kind_text` (J, D), `kind_of` (K,) row of each's kind."""

    text: torch.Tensor
    kinds: tuple[str, ...]
    kind_text: torch.Tensor
    kind_of: torch.Tensor


def train_image_tower(config: ImageTowerTraining) -> Path:
    """Train to the last step; write checkpoint, metrics, settings and the list of captions to `config.out`."""
    if config.threads:
        torch.set_num_threads(config.threads)
    encoder = open_text(config.text)
    data = load_pixels(open_source(config.data, config.cache or None), config.seed)
    if not data.images:
        raise DataError("image tower: the data set has no images with labels. Set data.cameras=true.")
    goals = make_goals(data.things, encoder)
    network = ImageTowerConfig(
        embedding_dim=encoder.dim,
        channels=tuple(config.channels),
        blocks=tuple(config.blocks),
        decoder=tuple(config.decoder),
        image_width=config.image_width,
        anchors=len(goals.kinds),
        anchor_temperature=config.anchor_temperature,
    )
    model = ImageTower(network, seed=config.seed)
    assert model.anchors is not None  # every image has kinds
    model.anchors.text.copy_(goals.kind_text)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    save_settings(out / "config.yaml", config)
    (out / CAPTIONS_FILE).write_text("\n".join(training_captions(data.things)) + "\n", encoding="utf-8")
    _log.info(
        "image tower: %d images, %d concepts of %d kinds, %d parameters, %d steps of %d crops",
        len(data.images), len(goals.text), len(goals.kinds), sum(p.numel() for p in model.parameters()),
        config.steps, config.crops.batch,
    )  # fmt: skip
    averaged = _run(config, model, data, goals, out / METRICS_FILE)
    path = out / CHECKPOINT_FILE
    save_tower(
        path,
        TowerCheckpoint(
            network=network,
            text_space=encoder.space,
            kinds=goals.kinds,
            training={"trainer": __version__, "config": asdict(config), "images": len(data.images)},
            model_state=averaged.state,
        ),
    )
    return path


def make_goals(things: Sequence[SceneObject], encoder: TextEncoder) -> Goals:
    """Encode concepts, in the order in which the pixels number them, and their kinds."""
    concepts, plain = make_concepts(things, encoder), make_concepts(plain_concepts(things), encoder)
    row_of, kinds = concepts.row_of(), tuple(thing.kind for thing in plain.things)
    return Goals(
        text=torch.from_numpy(concepts.text[[row_of[thing] for thing in things]]),
        kinds=kinds,
        kind_text=torch.from_numpy(plain.text),
        kind_of=torch.tensor([kinds.index(thing.kind) for thing in things]),
    )


def tower_loss(
    config: ImageTowerTraining, model: ImageTower, goals: Goals, hidden: torch.Tensor, target: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Return the mean of each term, and their weighted sum `loss`, for hidden vectors (P, C) and concepts (P,).

    The anchors take no part: what is compared is the feature before them.
    """
    weight, bias = model.final.weight.T, model.final.bias
    kind = goals.kind_of[target]
    to_kinds = linear_similarity(hidden, weight, bias, goals.kind_text) / config.temperature
    target = target[:_DETAILED]
    to_concepts = linear_similarity(hidden[:_DETAILED], weight, bias, goals.text)
    others = goals.kind_of != goals.kind_of[target, None]
    rivals = (to_concepts / config.temperature).masked_fill(others, float("-inf"))
    parts = {
        "kind": F.cross_entropy(to_kinds, kind),
        "detail": F.cross_entropy(rivals, target),
        "cosine": 1.0 - to_concepts.gather(1, target[:, None]).mean(),
    }
    total = config.kind * parts["kind"] + config.detail * parts["detail"] + config.cosine * parts["cosine"]
    return {"loss": total, **parts}


def _run(config: ImageTowerTraining, model: ImageTower, data: PixelData, goals: Goals, metrics: Path) -> MovingAverage:
    """Do all steps; return the averaged weights."""
    optimiser = make_optimiser(model.parameters(), config.optimiser)
    averaged = MovingAverage(model, config.average, statistics=True)
    pixel_odds = torch.from_numpy(_pixel_odds(data, config.crops.pixel_balance))
    bar = tqdm(range(config.steps), desc=config.name, disable=not sys.stderr.isatty())
    with ThreadPoolExecutor(max_workers=1) as worker, metrics.open("w", encoding="utf-8") as log:
        coming = worker.submit(_crops_of_step, config, data, 0)
        for step in bar:
            started = time.perf_counter()
            crops = coming.result()
            if step + 1 < config.steps:
                coming = worker.submit(_crops_of_step, config, data, step + 1)
            rate = config.optimiser.learning_rate * rate_factor(step, config.steps, config.schedule)
            for group in optimiser.param_groups:
                group["lr"] = rate
            record = _one_step(config, model, goals, crops, pixel_odds, optimiser, step)
            averaged.update(model, step)
            record.update(step=step + 1, learning_rate=rate, seconds=round(time.perf_counter() - started, 4))
            log.write(json.dumps(record) + "\n")
            if step % 10 == 0:
                log.flush()
    return averaged


def _crops_of_step(config: ImageTowerTraining, data: PixelData, step: int) -> Crops:
    generator = np.random.default_rng([config.seed, 12, step])
    crops = config.crops
    size = (crops.width, crops.height)
    return draw_crops(data, crops.batch, size, crops.kind_balance, generator, image_width=config.image_width)


def _one_step(
    config: ImageTowerTraining,
    model: ImageTower,
    goals: Goals,
    crops: Crops,
    pixel_odds: torch.Tensor,
    optimiser: torch.optim.Optimizer,
    step: int,
) -> dict[str, Any]:
    generator = torch.Generator().manual_seed(config.seed * 1_000_003 + step)
    model.train()
    images = change_colours(torch.from_numpy(crops.images).permute(0, 3, 1, 2).float() / 255.0, generator)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.hidden(images.to(memory_format=torch.channels_last))
    concepts = torch.from_numpy(crops.concepts[:, ::STRIDE, ::STRIDE].astype(np.int64))
    at = sample_pixels(concepts, pixel_odds, config.crops.pixels * len(concepts), generator)
    picked = hidden.permute(0, 2, 3, 1).reshape(-1, hidden.shape[1])[at].float()
    parts = tower_loss(config, model, goals, picked, concepts.reshape(-1)[at])
    optimiser.zero_grad(set_to_none=True)
    parts["loss"].backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), config.optimiser.gradient_clip or float("inf"))
    optimiser.step()
    return {name: float(value.detach()) for name, value in parts.items()}


def change_colours(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Change brightness, contrast, white balance and noise at random; hues stay, since colours have names."""
    count = len(images)

    def draw(low: float, high: float, channels: int = 1) -> torch.Tensor:
        return low + (high - low) * torch.rand(count, channels, 1, 1, generator=generator)

    images = images.clamp_min(1e-4) ** draw(0.7, 1.4)
    middle = images.mean(dim=(1, 2, 3), keepdim=True)
    images = (images - middle) * draw(0.7, 1.25) + middle * draw(0.75, 1.25)
    images = images * draw(0.93, 1.07, 3)
    noise = torch.randn(images.shape, generator=generator) * draw(0.0, 0.03)
    return (images + noise).clamp(0.0, 1.0)


def sample_pixels(concepts: torch.Tensor, odds: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
    """Return `count` flat positions in `concepts` (B, h, w), drawn by `odds` (K,) per concept; unknown ones never."""
    flat = concepts.reshape(-1)
    weight = torch.where(flat == UNKNOWN, torch.zeros(()), odds[flat.clamp_min(0)].float())
    cumulative = weight.double().cumsum(0)
    drawn = torch.rand(count, generator=generator, dtype=torch.float64) * cumulative[-1]
    return torch.searchsorted(cumulative, drawn).clamp_max(len(flat) - 1)


def _pixel_odds(data: PixelData, balance: float) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return (K,): how likely a pixel is drawn, by the share of its concept's kind, at most 200 times the least."""
    shares = np.array([data.share[thing.kind] for thing in data.things])
    odds = np.maximum(shares, 1e-6) ** -balance
    return np.minimum(odds, 200.0 * odds.min())
