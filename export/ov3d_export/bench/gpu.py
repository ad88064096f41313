"""The same figures on a GPU: onnxruntime's CUDA provider, torch and spconv_triton, and how fast they train."""

from __future__ import annotations

import contextlib
import functools
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import numpy as np

from ov3d_perception.artifact import open_bundle
from ov3d_perception.engine import Engine
from ov3d_perception.errors import Ov3dError
from ov3d_perception.inputs import build_inputs
from ov3d_perception.types import Frame

from .graphs import SPEC, bundle_of, random_network, random_words
from .machine import gpu_name
from .settings import BenchSettings
from .sweeps import load_sweep, varied
from .timing import summary
from .whole_way import label_at_once, open_messages, random_vocabulary

NO_DEVICE = "no CUDA device"
BACKENDS = ("torch", "spconv_triton")
PRECISIONS = ("fp32", "fp16", "bf16")
TRAINED = "MinkUNet18A"
_WORDS = 16
_WARM_UP = 10
_FRAMES = 8


def measure_gpu(settings: BenchSettings) -> dict[str, Any]:
    """Return rows for every architecture and way to run it, and training rates; reasons where there is no device."""
    device = gpu_name()
    architectures = settings.architectures or settings.peer_architectures
    if device is None:
        names = [("onnxruntime CUDA", "fp16"), *itertools.product(BACKENDS, PRECISIONS)]
        rows = [
            {"architecture": architecture, "backend": backend, "precision": precision, "not_measured": NO_DEVICE}
            for architecture, (backend, precision) in itertools.product(architectures, names)
        ]
        return {"device": None, "rows": rows, "training": {"not_measured": NO_DEVICE}}
    frames = list(itertools.islice(varied(load_sweep(settings.data).frame, np.random.default_rng(0)), _FRAMES))
    rows = []
    for architecture in architectures:
        rows.append(engine_row(settings, architecture, frames, providers="cuda"))
        for backend, precision in itertools.product(BACKENDS, PRECISIONS):
            rows.append(
                torch_row(settings, architecture, frames, backend=backend, precision=precision, device="cuda:0")
            )
    return {"device": device, "rows": rows, "training": training(settings, frames, device="cuda:0")}


def engine_row(settings: BenchSettings, architecture: str, frames: list[Frame], *, providers: str) -> dict[str, Any]:
    """Time the node's way from message to message, `end_to_end`, and of it the network."""
    row: dict[str, Any] = {"architecture": architecture, "backend": "onnxruntime CUDA", "precision": "fp16"}
    try:
        bundle = open_bundle(bundle_of(settings.graphs, architecture, settings.embedding_dim))
        engine = Engine(bundle, providers=providers)
    except Ov3dError as error:
        return {**row, "not_measured": str(error)}
    messages, vocabulary = open_messages(), random_vocabulary(bundle, _WORDS)
    walk = label_at_once(engine, vocabulary, messages)
    clouds = [messages.cloud(frame) for frame in frames]
    network, total = [], []
    try:
        for number in range(_WARM_UP + settings.gpu_sweeps):
            timings = engine.encode(frames[number % len(frames)], vocabulary.queries).timings_ms
            started = time.perf_counter()
            walk(clouds[number % len(clouds)])
            total.append(time.perf_counter() - started)
            network.append(timings["network"] / 1e3)
    except Ov3dError as error:
        return {**row, "not_measured": str(error)}
    return {
        **row,
        "backend": f"onnxruntime {engine.provider.removesuffix('ExecutionProvider')}",
        "network": summary(network[_WARM_UP:]),
        "end_to_end": summary(total[_WARM_UP:]),
    }


def torch_row(
    settings: BenchSettings, architecture: str, frames: list[Frame], *, backend: str, precision: str, device: str
) -> dict[str, Any]:
    """Time a torch network: `network` from tensors on the device, `end_to_end` from points to similarities here."""
    row: dict[str, Any] = {"architecture": architecture, "backend": backend, "precision": precision}
    try:
        step = _torch_step(settings, architecture, backend, precision, device)
        network, total = [], []
        for number in range(_WARM_UP + settings.gpu_sweeps):
            took = step(frames[number % len(frames)])
            network.append(took[0])
            total.append(took[1])
    except Exception as error:  # what triton and its compiler raise has no common base class
        return {**row, "not_measured": " ".join(str(error).split())[:300]}
    return {**row, "network": summary(network[_WARM_UP:]), "end_to_end": summary(total[_WARM_UP:])}


def _torch_step(
    settings: BenchSettings, architecture: str, backend: str, precision: str, device: str
) -> Callable[[Frame], tuple[float, float]]:
    import torch

    from ov3d_trainer.network.backends import index_tensors
    from ov3d_trainer.network.model import SparseUNet

    weights = random_network(architecture, settings.embedding_dim)
    model = SparseUNet(weights.config, backend=backend).eval()
    model.load_state_dict(weights.state_dict())
    model.to(device)
    words = torch.from_numpy(random_words(_WORDS, settings.embedding_dim)).to(device)
    half = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(precision)
    kind = torch.device(device).type
    synchronise: Callable[[], Any] = functools.partial(torch.cuda.synchronize, device) if kind == "cuda" else bool

    def step(frame: Frame) -> tuple[float, float]:
        started = time.perf_counter()
        inputs = build_inputs(frame, SPEC)
        features = torch.from_numpy(inputs.features).to(device)
        index = {name: table.to(device) for name, table in index_tensors(inputs.index).items()}
        synchronise()
        ready = time.perf_counter()
        with torch.inference_mode(), _autocast(kind, half):
            similarity = model(features, index).float() @ words.T
            synchronise()
            done = time.perf_counter()
            similarity.cpu()
        return done - ready, time.perf_counter() - started

    return step


@contextlib.contextmanager
def _autocast(kind: str, dtype: Any) -> Iterator[None]:
    import torch

    with torch.autocast(kind, dtype=dtype) if dtype is not None else contextlib.nullcontext():
        yield


def training(
    settings: BenchSettings, frames: list[Frame], *, device: str, architecture: str = TRAINED
) -> dict[str, Any]:
    """Return samples a second of every backend and precision, and the table that `bench.training` makes of them."""
    try:
        from .training import TrainingRate, rate_lines, training_rates, trials_on
    except ImportError as error:  # the trainer needs more than torch
        return {"not_measured": str(error)}
    config = random_network(architecture, settings.embedding_dim).config
    trials = trials_on(device)
    rates = training_rates(config, SPEC, frames, trials, device=device, steps=settings.training_steps)
    rows = [
        {**asdict(trial), "samples_per_s": rate.samples_per_s, "step_s": list(rate.step_s), "device": rate.device}
        if isinstance(rate, TrainingRate)
        else {**asdict(trial), "not_measured": str(rate)}
        for trial, rate in zip(trials, rates, strict=True)
    ]
    return {"architecture": architecture, "rows": rows, "table": rate_lines(trials, rates)}
