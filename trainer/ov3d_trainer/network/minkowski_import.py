"""State dicts of MinkowskiEngine's MinkUNet and Res16UNet as state dicts of `SparseUNet`.

Both are the same network (Choy et al. 2019), and so are their descendants in OpenScene, SLidR, SSOV and
LanguageGroundedSemseg. Kernels are (K^3, Cin, Cout) on both sides, with offsets x fastest there and z fastest here;
those of 1x1x1 convolutions are (Cin, Cout). See `model.py` for the names.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from ov3d_perception.errors import ModelError

from .model import ARCHITECTURES, Architecture, SparseUNet, UNetConfig

State = dict[str, torch.Tensor]

STEM = "conv0p1s1.kernel"
"""The key by which a network is found in a file."""

_STEPS = 4
_WIDTH_LIMIT = 8192
_DEPTH_LIMIT = 4


def find_state(content: Any, what: str) -> State:
    """Return the one network in what `torch.load` gave, its keys without what stands before them.

    `state_dict`, `model_points`, `module.`, `model.`, `net3d.` and whatever else leads to the network is cut off, and
    what lies outside (an optimiser, an image network) is left out. Raises `ModelError`, which names `what`, where there
    is none or several.
    """
    flat = _flattened(content)
    prefixes = sorted(name[: -len(STEM)] for name in flat if name == STEM or name.endswith("." + STEM))
    if not prefixes:
        raise ModelError(
            f"{what}: expected a MinkUNet or Res16UNet of MinkowskiEngine, but no key ends in {STEM}. "
            f"The file has {_few(sorted(flat)) or 'no tensors'}. Give the file of such a network."
        )
    if len(prefixes) > 1:
        raise ModelError(
            f"{what}: expected one network, got {len(prefixes)}: {_few(prefixes)}. Save the one that you want alone."
        )
    start = prefixes[0]
    return {name[len(start) :]: tensor for name, tensor in flat.items() if name.startswith(start)}


def read_config(
    state: Mapping[str, torch.Tensor], what: str, *, final: bool = True, last_relu: bool = True
) -> UNetConfig:
    """Return the shape of a network from its tensors; the stem's columns are its input features.

    Without `final` the features of the last block are the embedding, and the classifier after it, if there is one, is
    left out. Raises `ModelError` for missing tensors and for networks of another kind.
    """
    stem = _tensor(state, STEM, what)
    kernel = {27: 3, 125: 5}.get(stem.shape[0] if stem.ndim == 3 else 0)
    if kernel is None:
        raise ModelError(
            f"{what}: {STEM} is {tuple(stem.shape)}, expected (27, inputs, width) or (125, inputs, width): a stem "
            "of 3x3x3 or 5x5x5. Other stems are not supported."
        )
    if any(name.endswith(".conv3.kernel") for name in state):
        raise ModelError(
            f"{what}: has bottleneck blocks (MinkUNet50, 101). Only networks of basic blocks are supported."
        )
    blocks = [f"block{number}" for number in range(1, 2 * _STEPS + 1)]
    channels = tuple(_tensor(state, f"{block}.0.conv1.kernel", what).shape[-1] for block in blocks)
    layers = tuple(_count_blocks(state, block) for block in blocks)
    dim = _tensor(state, "final.kernel", what).shape[-1] if final else channels[-1]
    shape = Architecture(stem_channels=stem.shape[2], channels=channels, layers=layers)
    names = [name for name, known in ARCHITECTURES.items() if known == shape]
    return UNetConfig(
        architecture=names[0] if names else f"MinkUNet {channels} x {layers}",
        in_features=stem.shape[1],
        embedding_dim=dim,
        stem_channels=shape.stem_channels,
        channels=channels,
        layers=layers,
        stem_kernel=kernel,
        last_relu=last_relu,
    )


def convert_state(state: Mapping[str, torch.Tensor], config: UNetConfig, what: str, *, final: bool = True) -> State:
    """Return the state dict of `SparseUNet(config)` with the weights of `state`, float32.

    `state` and `config` as `find_state` and `read_config` return them. A bias that `final` lacks is zero; without
    `final` the last layer hands on what it gets. Raises `ModelError` for keys that are missing, unknown or of
    another shape than the rest of the network makes them.
    """
    wanted = SparseUNet(config).state_dict()
    names = {their_name(ours): ours for ours in wanted if final or not ours.startswith("final.")}
    needed = [name for name in names if name != "final.bias" and not name.endswith("num_batches_tracked")]
    missing = [name for name in needed if name not in state]
    if missing:
        raise ModelError(
            f"{what}: {len(missing)} of {len(needed)} tensors of the network are missing: {_few(missing)}. "
            "Give the whole network's state dict."
        )
    unknown = sorted(name for name in state if name not in names and (final or not name.startswith("final.")))
    if unknown:
        raise ModelError(
            f"{what}: has {len(unknown)} tensors that MinkUNet lacks: {_few(unknown)}. It is another network, or one "
            "with additions: if these play no part in its features, save the state dict without them."
        )
    converted = dict(wanted)
    if not final:
        converted["final.weight"] = torch.eye(len(wanted["final.weight"]))
    for theirs, ours in names.items():
        if theirs in state:
            converted[ours] = _converted(state[theirs], wanted[ours], theirs, what)
    return converted


def their_name(ours: str) -> str:
    """Return MinkUNet's name of a tensor of `SparseUNet`."""
    stage, _, part = ours.partition(".")
    if stage in ("down", "up"):
        number, _, part = part.partition(".")
        step = int(number) + 1
        names = {
            "down": (f"conv{step}p{2 ** (step - 1)}s2", f"bn{step}", f"block{step}"),
            "up": (f"convtr{step + 3}p{2 ** (5 - step)}s2", f"bntr{step + 3}", f"block{step + 4}"),
        }
        conv, norm, block = names[stage]
    else:
        conv, norm, block = "conv0p1s1", "bn0", ""
    if stage == "final":
        return "final.kernel" if part == "weight" else "final.bias"
    if part.startswith("blocks."):
        number, layer, *_ = part.split(".")[1:]
        block = f"{block}.{number}"
        conv, norm = f"{block}.{layer}", f"{block}.{layer}"
        if layer == "shortcut":
            conv, norm = f"{block}.downsample.0", f"{block}.downsample.1"
    *_, kind, tensor = part.split(".")
    return f"{conv}.kernel" if kind.startswith("conv") else f"{norm}.bn.{tensor}"


def to_minkowski(state: Mapping[str, torch.Tensor]) -> State:
    """Return a state dict of `SparseUNet` as MinkowskiEngine's MinkUNet takes it."""
    theirs = {}
    for name, tensor in state.items():
        converted = x_slowest(tensor) if tensor.ndim == 3 else tensor
        theirs[their_name(name)] = converted[None] if name == "final.bias" else converted
    return theirs


def mix_inputs(state: Mapping[str, torch.Tensor], mixing: torch.Tensor) -> State:
    """Return a state dict of ours whose stem takes columns F where it took `F @ mixing.T`.

    `mixing` (inputs, columns) writes what a network was trained on with what `build_inputs` makes. Exact: a voxel that
    is not there adds nothing on either side.
    """
    stem = state["stem.conv.weight"]
    return {**state, "stem.conv.weight": torch.einsum("kio,if->kfo", stem, mixing.to(stem.dtype)).contiguous()}


def x_slowest(kernel: torch.Tensor) -> torch.Tensor:
    """Turn a kernel (K^3, Cin, Cout) from offsets x fastest to offsets z fastest, or back; K is 2, 3 or 5."""
    edge = round(len(kernel) ** (1 / 3))
    return kernel.reshape(edge, edge, edge, *kernel.shape[1:]).permute(2, 1, 0, 3, 4).reshape(kernel.shape)


def _converted(tensor: torch.Tensor, wanted: torch.Tensor, name: str, what: str) -> torch.Tensor:
    if name == "final.bias":
        tensor = tensor.reshape(-1)  # there (1, D)
    elif wanted.ndim == 2 and tensor.ndim == 3 and len(tensor) == 1:
        tensor = tensor[0]  # older versions have 1x1x1 kernels of (1, Cin, Cout)
    if tensor.shape != wanted.shape:
        raise ModelError(
            f"{what}: {name} is {tuple(tensor.shape)}, expected {tuple(wanted.shape)} after the shapes of the other "
            "layers. Only MinkUNets of basic blocks without changes are supported."
        )
    tensor = tensor.detach().to(wanted.dtype)
    return (x_slowest(tensor) if tensor.ndim == 3 else tensor).contiguous()


def _flattened(content: Any, prefix: str = "", depth: int = 0) -> State:
    """Return all tensors of nested dictionaries with their path as the key."""
    if not isinstance(content, Mapping) or depth > _DEPTH_LIMIT:
        return {}
    found: State = {}
    for name, value in content.items():
        if isinstance(value, torch.Tensor):
            _check_tensor(value, f"{prefix}{name}")
            found[f"{prefix}{name}"] = value
        else:
            found |= _flattened(value, f"{prefix}{name}.", depth + 1)
    return found


def _check_tensor(tensor: torch.Tensor, name: str) -> None:
    """Refuse what no network has: a file may claim sizes that it does not hold."""
    plain = tensor.layout is torch.strided and tensor.device.type == "cpu"
    if not plain or not (tensor.is_floating_point() or name.endswith("num_batches_tracked")):
        raise ModelError(f"{name}: expected dense real numbers, got {tensor.dtype}, {tensor.layout}, {tensor.device}.")
    if tensor.ndim > 5 or max(tensor.shape, default=0) > _WIDTH_LIMIT:
        raise ModelError(f"{name}: {tuple(tensor.shape)} is no layer of a MinkUNet (widths up to {_WIDTH_LIMIT}).")
    if tensor.untyped_storage().nbytes() < tensor.numel() * tensor.element_size():
        raise ModelError(f"{name}: {tuple(tensor.shape)} repeats a few stored numbers. Save its values instead.")
    if not torch.isfinite(tensor).all():
        raise ModelError(f"{name}: holds numbers that are not finite. The training behind it diverged.")


def _count_blocks(state: Mapping[str, torch.Tensor], block: str) -> int:
    count = 0
    while f"{block}.{count}.conv1.kernel" in state:
        count += 1
    return count


def _tensor(state: Mapping[str, torch.Tensor], name: str, what: str) -> torch.Tensor:
    if name not in state or state[name].ndim < 2:
        raise ModelError(
            f"{what}: expected a kernel called {name}, got {_few(sorted(state)) or 'nothing'}. "
            "Give the whole state dict of a MinkUNet or Res16UNet."
        )
    return state[name]


def _few(names: list[str]) -> str:
    shown = ", ".join(names[:4])
    return f"{shown}, ... ({len(names)})" if len(names) > 4 else shown
