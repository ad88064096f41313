"""Distils the text tower: every text of the list is pulled to the vector that the sentence encoder gives it.

Two terms: the cosine to the text's own vector, and the squared difference of the similarities among the texts of a
batch, which asks for the same neighbours.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F
from tqdm import tqdm

from .. import __version__
from ..settings import save_settings
from ..training.optimiser import make_optimiser
from ..training.schedule import rate_factor
from ..words.sentence_encoder import SentenceEncoder, open_sentence_encoder
from .checkpoint import TextCheckpoint, TorchTextEncoder, save_text_tower
from .config import TextTowerTraining
from .measure import measure_tower
from .network import PAD_ID, SharedReduction, TextTower, tower_from_bert
from .teacher import encode_all, teacher_vectors
from .texts import text_list
from .tokens import small_tokenizer, tokenize

CHECKPOINT_FILE = "text_tower.pt"
METRICS_FILE = "metrics.jsonl"
TEXTS_FILE = "texts.txt"
REPORT_FILE = "report.json"

_BATCHES_SORTED_TOGETHER = 64

_log = logging.getLogger(__name__)


def write_text_list(config: TextTowerTraining, path: Path) -> int:
    """Write the list of texts that a training with this configuration uses, one a line; return how many."""
    texts = _make_text_list(config, _open_teacher(config))
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return len(texts)


def _open_teacher(config: TextTowerTraining) -> SentenceEncoder:
    return open_sentence_encoder(Path(config.teacher) if config.teacher else None)


def _make_text_list(config: TextTowerTraining, encoder: SentenceEncoder) -> list[str]:
    return text_list(
        encoder.tokenizer.get_vocab(),
        wordnet=Path(config.wordnet) if config.wordnet else None,
        compositions=config.compositions,
        seed=config.seed,
    )


def train_text_tower(config: TextTowerTraining) -> Path:
    """Train to the last step; write checkpoint, metrics, settings, list of texts and report to `config.out`."""
    torch.set_num_threads(config.threads)
    encoder = _open_teacher(config)
    texts = _make_text_list(config, encoder)
    out = Path(config.out)
    out.mkdir(parents=True, exist_ok=True)
    save_settings(out / "config.yaml", config)
    (out / TEXTS_FILE).write_text("\n".join(texts) + "\n", encoding="utf-8")
    vectors = teacher_vectors(encoder, texts, config.context_length, Path(config.cache) if config.cache else None)
    tokenizer, kept_ids = small_tokenizer(encoder.tokenizer)
    tokens = tokenize(tokenizer, texts, config.context_length)
    tower = tower_from_bert(
        encoder.weights,
        kept_ids=kept_ids,
        kept_layers=config.kept_layers,
        rank=config.rank,
        context_length=config.context_length,
        heads=encoder.heads,
        epsilon=encoder.epsilon,
    )
    chosen = np.random.default_rng([config.seed, 2]).permutation(len(texts))
    held_back, trained = np.split(chosen, [len(texts) // config.held_back])
    _log.info(
        "text tower: %d texts, %d held back, %d steps of %d", len(texts), len(held_back), config.steps, config.batch
    )
    _run(config, tower, tokens[trained], vectors[trained], out / METRICS_FILE)
    assert isinstance(tower.table, SharedReduction)
    tower.table = tower.table.as_table()
    checkpoint = TextCheckpoint(
        network=tower.config,
        space=config.space,
        tokenizer=tokenizer,
        model_state=tower.state_dict(),
        training={"trainer": __version__, "config": asdict(config), "texts": len(texts)},
    )
    save_text_tower(out / CHECKPOINT_FILE, checkpoint)
    report = measure_tower(
        TorchTextEncoder(checkpoint).encode,
        lambda asked: encode_all(encoder, asked, config.context_length),
        [texts[row] for row in held_back],
    )
    (out / REPORT_FILE).write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return out / CHECKPOINT_FILE


def distillation_loss(found: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the mean cosine distance of unit vectors (B, D), and what their similarities differ by.

    The second is the mean over texts of the squared differences to all others, summed: B times their mean.
    """
    cosine = 1.0 - (found * wanted).sum(dim=1).mean()
    difference = (found @ found.T - wanted @ wanted.T).square().sum(dim=1).mean()
    return cosine, difference


def batches(lengths: NDArray[np.int64], size: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield batches of rows for ever, in random order, each of texts of like length."""
    generator = np.random.default_rng([seed, 3])
    while True:
        order = generator.permutation(len(lengths))
        whole = len(order) - len(order) % size if len(order) > size else len(order)
        parts: list[NDArray[np.int64]] = []
        for start in range(0, whole, size * _BATCHES_SORTED_TOGETHER):
            rows = order[start : min(start + size * _BATCHES_SORTED_TOGETHER, whole)]
            rows = rows[np.argsort(lengths[rows], kind="stable")]
            parts += np.array_split(rows, -(-len(rows) // size))
        for number in generator.permutation(len(parts)):
            yield parts[number]


def _run(
    config: TextTowerTraining, tower: TextTower, tokens: NDArray[np.int64], vectors: NDArray[np.float16], metrics: Path
) -> None:
    learned = [parameter for parameter in tower.parameters() if parameter.requires_grad]
    optimiser = make_optimiser(learned, config.optimiser)
    lengths = (tokens != PAD_ID).sum(axis=1)
    drawn = batches(lengths, config.batch, config.seed)
    tower.train()
    with metrics.open("w", encoding="utf-8") as log:
        for step in tqdm(range(config.steps), desc=config.name, disable=not sys.stderr.isatty()):
            started = time.perf_counter()
            rate = config.optimiser.learning_rate * rate_factor(step, config.steps, config.schedule)
            for group in optimiser.param_groups:
                group["lr"] = rate
            rows = next(drawn)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                found = tower(torch.from_numpy(tokens[rows, : lengths[rows].max()]))
            found = F.normalize(found.float(), dim=1)
            cosine, difference = distillation_loss(found, torch.from_numpy(vectors[rows].astype(np.float32)))
            optimiser.zero_grad(set_to_none=True)
            (cosine + config.similarity * difference).backward()
            torch.nn.utils.clip_grad_norm_(learned, config.optimiser.gradient_clip or float("inf"))
            optimiser.step()
            record = {"step": step + 1, "cosine": cosine.item(), "similarity": difference.item(), "learning_rate": rate}
            log.write(json.dumps(record | {"seconds": round(time.perf_counter() - started, 4)}) + "\n")
            if step % 50 == 0:
                log.flush()
    tower.eval()
