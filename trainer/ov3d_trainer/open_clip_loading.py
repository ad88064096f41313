"""open_clip without surprises: it imports beside a CPU build of torch, and says what to do where no hub is reached."""

from __future__ import annotations

import difflib
import importlib.util
import logging
from pathlib import Path
from typing import Any

import torch

from ov3d_perception.errors import ConfigError, ModelError

_QUICK_GELU = "-quickgelu"
_TORCHVISION_OPERATORS = ("nms", "qnms")
_defined: list[torch.library.Library] = []
"""Keeps the declarations below alive: they vanish with their handle."""

_log = logging.getLogger(__name__)


def import_open_clip() -> Any:
    """Return the module open_clip; `ConfigError` where it is not installed."""
    if importlib.util.find_spec("open_clip") is None:
        raise ConfigError("open_clip: not installed. Install open_clip_torch as requirements/test.in pins it.")
    declare_torchvision_operators()
    import open_clip

    return open_clip


def declare_torchvision_operators() -> None:
    """Make `import torchvision` work without its compiled part, which no CPU build of torchvision 0.28 has.

    Its import registers fake kernels for two detection operators that only the compiled part declares. Nothing here
    calls them: their signatures are enough. Does nothing where they are declared or the compiled part is there.
    """
    if _defined or _torchvision_is_compiled():
        return
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in _TORCHVISION_OPERATORS:
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _defined.append(library)


def load_open_clip(name: str, pretrained: str | Path | None, *, seed: int = 0) -> tuple[torch.nn.Module, Any]:
    """Return an open_clip model in evaluation mode, float32 on the CPU, and its tokenizer.

    `name` is an architecture of open_clip ("ViT-B-32"); `pretrained` a tag ("openai"), the path of a weights file, or
    None for random weights drawn from `seed`. The activation follows the tag: OpenAI's weights get QuickGELU under
    either name. A file does not tell its activation; name it by the architecture ("ViT-B-32-quickgelu").
    Raises `ModelError` for an unknown name or tag, weights that cannot be fetched, and files that do not fit.
    """
    open_clip = import_open_clip()
    _check_name(open_clip, name)
    weights = None if pretrained is None else str(pretrained)
    quick_gelu = False if weights is None else _needs_quick_gelu(open_clip, name, weights)
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = open_clip.create_model(
                name, pretrained=weights, force_quick_gelu=quick_gelu, require_pretrained=weights is not None
            )
        tokenizer = open_clip.get_tokenizer(name)
    except Exception as error:  # hubs, files and formats share no base class
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"open_clip {name}, weights {weights or 'random'}: {reason}. {_advice(open_clip, name, weights)}"
        ) from error
    return model.eval().requires_grad_(False), tokenizer


def text_space(model: str, pretrained: str | Path | None, *, seed: int = 0) -> str:
    """Return the name of a model's text space, "clip:MODEL/TAG"; the QuickGELU name of a model is not another space.

    The tag of a file is its name without the ending, of random weights their seed.
    """
    tag = f"random-{seed}" if pretrained is None else Path(pretrained).stem
    return f"clip:{model.removesuffix(_QUICK_GELU)}/{tag}"


def _check_name(open_clip: Any, name: str) -> None:
    known = open_clip.list_models()
    if name not in known:
        nearest = difflib.get_close_matches(name, known, n=4, cutoff=0.3) or known[:4]
        raise ModelError(f"open_clip: has no model {name!r} among {len(known)}. Nearest: {', '.join(nearest)}.")


def _needs_quick_gelu(open_clip: Any, name: str, weights: str) -> bool:
    """Return what the tag was trained with; open_clip itself only warns, and then computes wrong features."""
    if Path(weights).is_file():
        return False  # the architecture's own setting stands
    config = open_clip.get_pretrained_cfg(name, weights)
    if not config:
        tags = open_clip.list_pretrained_tags_by_model(name)
        raise ModelError(
            f"open_clip {name}: {weights!r} is neither a file nor a tag of this model. "
            f"Tags: {', '.join(tags) or 'none'}."
        )
    return bool(config.get("quick_gelu", False))


def _advice(open_clip: Any, name: str, weights: str | None) -> str:
    if weights is None:
        return "Choose another architecture."
    if Path(weights).is_file():
        return f"Give a file of weights for {name} (.safetensors, or .pt with a state dict), or another --model."
    config = open_clip.get_pretrained_cfg(name, weights) or {}
    place = config.get("hf_hub", "").rstrip("/") or config.get("url", "")
    quick = _QUICK_GELU if config.get("quick_gelu") and _QUICK_GELU not in name else ""
    return (
        f"Without a network: fetch the weights of {place} elsewhere, copy the file here and give its path instead of "
        f"the tag, with the model {name}{quick}."
    )


def _torchvision_is_compiled() -> bool:
    """True where torchvision brings operators of its own, which declare themselves."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return True  # there is nothing to help
    compiled = [path for folder in spec.submodule_search_locations for path in Path(folder).glob("_C*")]
    return any(path.suffix in (".so", ".pyd", ".dylib") and _loads(path) for path in compiled)


def _loads(path: Path) -> bool:
    try:
        torch.ops.load_library(str(path))
    except OSError as error:
        _log.debug("torchvision: %s does not load (%s)", path.name, error)
        return False
    return True
