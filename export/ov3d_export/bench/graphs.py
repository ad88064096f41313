"""Networks with random weights, as checkpoints would give them, and their graphs in onnxruntime."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

import ov3d_perception
from ov3d_perception.artifact import GPU_STUDENT_FILE, STUDENT_FILE, ModelCard
from ov3d_perception.engine import CPU_PROVIDER, open_session
from ov3d_perception.errors import ConfigError
from ov3d_perception.inputs import InputSpec
from ov3d_perception.text.bank import write_bank
from ov3d_perception.text.encoder import BANK_FILE

if TYPE_CHECKING:
    from ov3d_trainer.network.model import SparseUNet

Form = Literal["pairs", "int8", "table"]
SEED = 0
_SPACE = "random"
_BANK_WORDS = 16
_NORMS = (("running_mean", -0.2, 0.2), ("running_var", 1.0, 2.0), ("weight", 0.8, 1.2), ("bias", -0.2, 0.2))
SPEC = InputSpec()
"""What networks with random weights take: voxels of 0.1 m; one, intensity, z."""

logger = logging.getLogger(__name__)


def random_network(architecture: str, embedding_dim: int) -> SparseUNet:
    """Return a named architecture in evaluation mode, seeded, with norms that are not neutral, as after training."""
    import torch
    from torch import nn

    from ov3d_trainer.network.layers import VoxelNorm
    from ov3d_trainer.network.model import SparseUNet, unet_config

    config = unet_config(architecture, in_features=len(SPEC.features), embedding_dim=embedding_dim)
    model = SparseUNet(config, seed=SEED)
    generator = torch.Generator().manual_seed(SEED)
    for module in model.modules():
        if isinstance(module, VoxelNorm):
            state = module.state_dict()
            for name, low, high in _NORMS:
                state[name] = torch.rand(state[name].shape, generator=generator) * (high - low) + low
            nn.Module.load_state_dict(module, state)
    return model.eval()


def graph_file(folder: Path, architecture: str, embedding_dim: int, form: Form) -> Path:
    """Return the graph of `random_network` as a file in `folder`, written where it is not there yet.

    A machine without the package onnx can be given the files; `ConfigError` where neither is there.
    """
    path = folder / f"{architecture}_{embedding_dim}_{form}.onnx"
    if path.is_file():
        return path
    try:
        import onnx

        from ..student_graph import student_graph
    except ImportError as error:
        raise ConfigError(f"{path.name} is not in {folder}, and {error}: install onnx, or copy the file.") from error
    folder.mkdir(parents=True, exist_ok=True)
    staged = path.with_suffix(f".{os.getpid()}.tmp")
    onnx.save(student_graph(random_network(architecture, embedding_dim), form), staged)
    staged.replace(path)
    logger.info("wrote %s", path.name)
    return path


def bundle_of(folder: Path, architecture: str, embedding_dim: int) -> Path:
    """Return a bundle of `random_network` in both forms, with a bank of random words; written where there is none.

    As with `graph_file`, a machine without onnx can be given the folder.
    """
    bundle = folder / f"{architecture}_{embedding_dim}"
    if (bundle / BANK_FILE).is_file():
        return bundle
    card = ModelCard(
        name=architecture,
        ov3d_version=ov3d_perception.__version__,
        architecture=architecture,
        embedding_dim=embedding_dim,
        inputs=SPEC,
        text_space=_SPACE,
    )
    bundle.mkdir(parents=True, exist_ok=True)
    files: tuple[tuple[str, Form, bool], ...] = ((STUDENT_FILE, "pairs", False), (GPU_STUDENT_FILE, "table", True))
    for name, form, half in files:
        try:
            from ..student import write_graph
            from ..student_graph import student_graph
        except ImportError as error:
            raise ConfigError(f"{bundle} is not there, and {error}: install onnx, or copy the folder.") from error
        graph = student_graph(random_network(architecture, embedding_dim), form, half=half)
        write_graph(graph, card, bundle / name)
    names = [f"word {number}" for number in range(_BANK_WORDS)]
    write_bank(bundle / BANK_FILE, names, random_words(_BANK_WORDS, embedding_dim), _SPACE)
    return bundle


class GraphRun:
    """One graph in a session, fed by binding as the engine does it."""

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        """Load the graph; `ModelError` where onnxruntime cannot."""
        self.session: ort.InferenceSession = open_session(path, (CPU_PROVIDER,), threads)

    def run(
        self, feeds: Mapping[str, NDArray[Any]], text: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        """Return compact (V, B), basis (B, D) and similarity (V, Q); `feeds` as `network_feeds` makes them."""
        binding = self.session.io_binding()
        for name, array in {**feeds, "text": text}.items():
            binding.bind_cpu_input(name, array)
        for name in ("compact", "basis", "similarity"):
            binding.bind_output(name, "cpu")
        self.session.run_with_iobinding(binding)
        compact, basis, similarity = binding.copy_outputs_to_cpu()
        return compact, basis, similarity


def random_words(count: int, dim: int) -> NDArray[np.float32]:
    """Return unit vectors (Q, D) in random directions."""
    rows = np.random.default_rng(SEED).standard_normal((count, dim), dtype=np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
