"""Several processes that train as one: `torchrun --nproc-per-node N -m ov3d_trainer train ...`.

Each takes its share of every batch. Losses are divided by the weight of all voxels of all processes and normalisation
takes its moments over all of them, so that N processes do what one would with the whole batch, up to rounding.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import distributed

from ov3d_perception.errors import ConfigError


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """Join the other processes where torchrun started this one, to compute on `device`; alone otherwise.

    After an error the group stays: to leave it in order is to wait for the others, who wait for this process.
    """
    if "WORLD_SIZE" not in os.environ or distributed.is_initialized():
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    distributed.init_process_group(backend_of(device))
    yield
    distributed.destroy_process_group()


def backend_of(device: torch.device) -> str:
    """Return what carries tensors of this device between processes."""
    return "nccl" if device.type == "cuda" else "gloo"


def world_size() -> int:
    """Return how many processes train together."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def rank() -> int:
    """Return which of them this is, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def own_device(wanted: str) -> torch.device:
    """Return where this process computes: `wanted` is auto, cpu or cuda; `ConfigError` for cuda where there is none.

    Under torchrun every process takes the GPU of its local rank; `ConfigError` where there are fewer GPUs.
    """
    if wanted == "cpu" or (wanted == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise ConfigError(
            "device: cuda is asked for, but torch finds no GPU here. Set device=cpu, or check the driver."
        )
    number, count = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
    if number >= count:
        raise ConfigError(
            f"device: process {number} of torchrun finds {count} GPU{'s' * (count != 1)} here, each takes one. "
            f"Set --nproc-per-node {count}, or device=cpu."
        )
    return torch.device("cuda", number)


def own_rows(rows: list[int], *, pairs: bool = False) -> list[int]:
    """Return this process's share of a batch, neighbours in the batch.

    `ConfigError` where a batch cannot be shared evenly, and where `pairs` of neighbours would be torn apart.
    """
    share, rest = divmod(len(rows), world_size())
    if rest:
        raise ConfigError(f"batch: {len(rows)} sweeps cannot be shared by {world_size()} processes. Set a multiple.")
    if pairs and world_size() > 1 and share % 2:
        raise ConfigError(
            f"batch: {share} of {len(rows)} sweeps for each of {world_size()} processes, but augmentation.mix takes "
            f"pairs. Set batch to a multiple of {2 * world_size()}, or augmentation.mix=0."
        )
    return rows[rank() * share : (rank() + 1) * share]


def sum_over_processes(values: torch.Tensor) -> torch.Tensor:
    """Return the sum of a tensor over all processes; no gradient flows through it."""
    values = values.detach().clone()
    if world_size() > 1:
        distributed.all_reduce(values)
    return values


def share_gradients(parameters: Iterable[torch.nn.Parameter], divisor: torch.Tensor) -> None:
    """Add up the gradients of all processes and divide them.

    Where each process has the gradient of its sum of weighted losses and `divisor` is the sum of all weights,
    afterwards all have the gradient of the weighted mean.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    if world_size() > 1:
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        distributed.all_reduce(flat)
        for gradient, part in zip(gradients, flat.split([one.numel() for one in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))
    for gradient in gradients:
        gradient.div_(divisor)


def moments(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Return mean and biased variance (C,) per channel over the rows (V, C) of all processes, and how many there are.

    Gradients flow to the rows of every process.
    """
    from torch.distributed.nn.functional import all_reduce

    count = features.new_tensor([float(len(features))])
    sums = all_reduce(torch.cat([features.sum(dim=0), count]))
    rows = sums[-1].detach().clamp_min(1.0)
    mean = sums[:-1] / rows
    variance = all_reduce((features - mean).square().sum(dim=0)) / rows
    return mean, variance, int(sums[-1])
