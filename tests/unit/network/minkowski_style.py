"""Random networks of ours, and their weights as MinkowskiEngine would store them, written without the importer."""

from __future__ import annotations

import torch

from ov3d_trainer.network.layers import VoxelNorm
from ov3d_trainer.network.model import SparseUNet, UNetConfig

# MinkUNet's names as its descendants' files have them, and ours. Blocks: {theirs}.{number}, {ours}.{number}.
CONVS = """
conv0p1s1 stem.conv
conv1p1s2 down.0.conv
conv2p2s2 down.1.conv
conv3p4s2 down.2.conv
conv4p8s2 down.3.conv
convtr4p16s2 up.0.conv
convtr5p8s2 up.1.conv
convtr6p4s2 up.2.conv
convtr7p2s2 up.3.conv
"""
NORMS = """
bn0 stem.norm
bn1 down.0.norm
bn2 down.1.norm
bn3 down.2.norm
bn4 down.3.norm
bntr4 up.0.norm
bntr5 up.1.norm
bntr6 up.2.norm
bntr7 up.3.norm
"""
BLOCKS = {f"block{i + 1}": f"down.{i}.blocks" for i in range(4)} | {f"block{i + 5}": f"up.{i}.blocks" for i in range(4)}
PARTS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def random_network(config: UNetConfig, seed: int = 0) -> SparseUNet:
    """A network whose norms and last bias are as uneven as learnt ones."""
    network = SparseUNet(config, seed=seed).eval()
    generator = torch.Generator().manual_seed(seed + 1)
    for module in network.modules():
        if isinstance(module, VoxelNorm):
            size = module.num_features
            module.weight.data = torch.rand(size, generator=generator) + 0.5
            module.bias.data = torch.randn(size, generator=generator) * 0.2
            module.running_mean = torch.randn(size, generator=generator) * 0.2
            module.running_var = torch.rand(size, generator=generator) + 0.5
    network.final.bias.data = torch.randn(config.embedding_dim, generator=generator) * 0.1
    return network


def x_fastest(kernel: torch.Tensor) -> torch.Tensor:
    """Row x + K y + K^2 z of the result is row K^2 x + K y + z of the kernel."""
    edge = {8: 2, 27: 3, 125: 5}[len(kernel)]
    rows = torch.empty_like(kernel)
    for x in range(edge):
        for y in range(edge):
            for z in range(edge):
                rows[x + edge * y + edge**2 * z] = kernel[edge**2 * x + edge * y + z]
    return rows


def minkowski_state(network: SparseUNet) -> dict[str, torch.Tensor]:
    """The state dict that a MinkUNet of MinkowskiEngine with these weights has."""
    state = network.state_dict()
    convs, norms = ([line.split() for line in table.split("\n") if line] for table in (CONVS, NORMS))
    theirs = {}
    for block, ours in BLOCKS.items():
        number = 0
        while f"{ours}.{number}.conv1.weight" in state:
            for layer in (1, 2):
                convs.append((f"{block}.{number}.conv{layer}", f"{ours}.{number}.conv{layer}"))
                norms.append((f"{block}.{number}.norm{layer}", f"{ours}.{number}.norm{layer}"))
            if f"{ours}.{number}.shortcut.conv.weight" in state:
                theirs[f"{block}.{number}.downsample.0.kernel"] = state[f"{ours}.{number}.shortcut.conv.weight"]
                norms.append((f"{block}.{number}.downsample.1", f"{ours}.{number}.shortcut.norm"))
            number += 1
    for name, ours in convs:
        theirs[f"{name}.kernel"] = x_fastest(state[f"{ours}.weight"])
    for name, ours in norms:
        theirs |= {f"{name}.bn.{part}": state[f"{ours}.{part}"] for part in PARTS}
    return {**theirs, "final.kernel": state["final.weight"], "final.bias": state["final.bias"][None]}
