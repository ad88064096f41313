"""Trains the image tower: every sampled pixel is pulled to the mean caption of what it shows.

Two terms: the cosine to that vector, and the divergence between the softmax over a bank of captions that the vector
has and the one that the feature has. Both are least where the feature equals the vector, so that features stay where
texts are; a contrastive loss would push them off.
"""

from __future__ import annotations

import copy
import json
import logging
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional as F
from tqdm import tqdm

from ov3d_perception.errors import DataError

from .. import __version__
from ..data.dataset import open_source
from ..data.sample import UNKNOWN
from ..head import linear_similarity
from ..optimiser import make_optimiser
from ..schedule import rate_factor
from ..settings import save_settings
from ..text import open_text
from .checkpoint import TowerCheckpoint, save_tower
from .concepts import Concepts, caption_bank, encode, make_concepts, training_captions
from .config import ImageTowerTraining
from .network import STRIDE, ImageTower, ImageTowerConfig
from .pixels import Crops, PixelData, draw_crops, load_pixels

CHECKPOINT_FILE = "image_tower.pt"
METRICS_FILE = "metrics.jsonl"
CAPTIONS_FILE = "captions.txt"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Goals:
    """What the loss compares with.

    `text` (K, D) per concept, `bank` (M, D). `expected` (K, D) is the mean of the bank under each concept's softmax
    over it, and `entropy` (K,) that softmax's entropy: the divergence needs no more of it.
    """

    text: torch.Tensor
    bank: torch.Tensor
    expected: torch.Tensor
    entropy: torch.Tensor


def train_image_tower(config: ImageTowerTraining) -> Path:
    """Train to the last step; write checkpoint, metrics, settings and the list of captions to `config.out`."""
    if config.threads:
        torch.set_num_threads(config.threads)
    encoder = open_text(config.text)
    data = load_pixels(open_source(config.data, config.cache or None), config.seed)
    if not data.images:
        raise DataError("image tower: the data set has no images with labels. Set data.cameras=true.")
    concepts = make_concepts(data.things, encoder)
    bank = caption_bank(concepts)
    goals = make_goals(concepts, data, torch.from_numpy(encode(bank, encoder)), config.temperature)
    network = ImageTowerConfig(
        embedding_dim=encoder.dim, channels=tuple(config.channels), blocks=tuple(config.blocks), hidden=config.hidden
    )
    model = ImageTower(network, seed=config.seed)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    save_settings(out / "config.yaml", config)
    (out / CAPTIONS_FILE).write_text("\n".join(training_captions(data.things)) + "\n", encoding="utf-8")
    _log.info(
        "image tower: %d images, %d concepts, %d captions in the bank, %d parameters, %d steps of %d crops",
        len(data.images), len(concepts.things), len(bank), sum(p.numel() for p in model.parameters()),
        config.steps, config.crops.batch,
    )  # fmt: skip
    averaged = _run(config, model, data, goals, out / METRICS_FILE)
    path = out / CHECKPOINT_FILE
    save_tower(
        path,
        TowerCheckpoint(
            network=network,
            text_space=encoder.space,
            bank=bank,
            training={"trainer": __version__, "config": asdict(config), "images": len(data.images)},
            model_state=averaged.state_dict(),
        ),
    )
    return path


def make_goals(concepts: Concepts, data: PixelData, bank: torch.Tensor, temperature: float) -> Goals:
    """Order the concepts' vectors as the pixels number them and compare each with the bank."""
    row_of = concepts.row_of()
    text = torch.from_numpy(concepts.text[[row_of[thing] for thing in data.things]])
    log_probability = F.log_softmax(text @ bank.T / temperature, dim=1)
    probability = log_probability.exp()
    entropy = -(probability * log_probability).sum(dim=1)
    return Goals(text=text, bank=bank, expected=probability @ bank, entropy=entropy)


def tower_loss(
    config: ImageTowerTraining, model: ImageTower, goals: Goals, hidden: torch.Tensor, target: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean cosine distance and the mean divergence for hidden vectors (P, C) and concepts (P,).

    sum_m p_m (log p_m - s_m / T + logsumexp(s / T)) with cosines s = bank @ feature is, for a concept's softmax p,
    logsumexp(s / T) - expected . feature / T - entropy: no (P, M) array of wanted probabilities is made.
    """
    weight, bias = model.final.weight.T, model.final.bias
    feature = model.project(hidden)
    cosine = 1.0 - (feature * goals.text[target]).sum(dim=1)
    scaled = linear_similarity(hidden, weight, bias, goals.bank) / config.temperature
    matched = (feature * goals.expected[target]).sum(dim=1) / config.temperature
    divergence = scaled.logsumexp(dim=1) - matched - goals.entropy[target]
    return cosine.mean(), divergence.mean()


def _run(config: ImageTowerTraining, model: ImageTower, data: PixelData, goals: Goals, metrics: Path) -> ImageTower:
    """Do all steps; return the model with averaged weights."""
    optimiser = make_optimiser(model.parameters(), config.optimiser)
    averaged = copy.deepcopy(model).eval()
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
            _move_average(averaged, model, min(config.average, (step + 1) / (step + 10)))
            record.update(step=step + 1, learning_rate=rate, seconds=round(time.perf_counter() - started, 4))
            log.write(json.dumps(record) + "\n")
            if step % 10 == 0:
                log.flush()
    return averaged


def _crops_of_step(config: ImageTowerTraining, data: PixelData, step: int) -> Crops:
    generator = np.random.default_rng([config.seed, 12, step])
    crops = config.crops
    return draw_crops(data, crops.batch, (crops.width, crops.height), crops.kind_balance, generator)


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
    cosine, divergence = tower_loss(config, model, goals, picked, concepts.reshape(-1)[at])
    loss = config.cosine * cosine + config.divergence * divergence
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), config.optimiser.gradient_clip or float("inf"))
    optimiser.step()
    return {"loss": float(loss.detach()), "cosine": float(cosine.detach()), "divergence": float(divergence.detach())}


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


def _move_average(averaged: ImageTower, model: ImageTower, decay: float) -> None:
    with torch.no_grad():
        for mean, value in zip(averaged.state_dict().values(), model.state_dict().values(), strict=True):
            if mean.is_floating_point():
                mean.lerp_(value, 1.0 - decay)
            else:
                mean.copy_(value)
