"""open_clip without surprises: it imports beside a CPU build of torch, and says what to do where no hub is reached."""

from __future__ import annotations

import difflib
import importlib.util
import json
import logging
from pathlib import Path
from typing import Any

import torch

from ov3d_perception.errors import ConfigError, ModelError

_QUICK_GELU = "-quickgelu"
_MODEL_SUFFIX = ".json"
_TORCHVISION_OPERATORS = ("nms", "qnms")
_HUB_FILES = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
_PATIENCE_S = 5.0
_MODEL_KEYS = ("embed_dim", "vision_cfg", "text_cfg")
TEXT_SPACE_KEY = "text_space"
"""In the metadata of a .safetensors file: the text space of its image features, where it is not the model's own."""
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
    """Return `load_model`'s model and its tokenizer; `ModelError` where that needs what is not installed."""
    model = load_model(name, pretrained, seed=seed)
    known = Path(name).stem if name.endswith(_MODEL_SUFFIX) else name
    try:
        return model, import_open_clip().get_tokenizer(known)
    except Exception as error:  # tokenizers are packages and files of others
        reason = " ".join(str(error).split())[:300]
        raise ModelError(f"open_clip {name}, tokenizer: {reason}. Choose another architecture.") from error


def load_model(name: str, pretrained: str | Path | None, *, seed: int = 0) -> torch.nn.Module:
    """Return an open_clip model in evaluation mode, float32 on the CPU.

    `name` is an architecture of open_clip ("ViT-B-32") or a model file of open_clip (a path ending in .json);
    `pretrained` a tag ("openai"), the path of a weights file, or None for random weights drawn from `seed`. The
    activation follows the tag: OpenAI's weights get QuickGELU under either name. A file does not tell its activation;
    name it by the architecture ("ViT-B-32-quickgelu").
    Raises `ModelError` for an unknown name or tag and files that do not fit, `ConfigError` for a model file that is
    none and for weights that cannot be fetched; the latter at once, and with the offline way.
    """
    open_clip = import_open_clip()
    name = _read_model_file(open_clip, Path(name)) if name.endswith(_MODEL_SUFFIX) else name
    _check_name(open_clip, name)
    weights = None if pretrained is None else str(pretrained)
    quick_gelu = False if weights is None else _needs_quick_gelu(open_clip, name, weights)
    fetched = weights is not None and not Path(weights).is_file()
    if fetched:
        _check_hub(open_clip, name, str(weights))
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = open_clip.create_model(
                name, pretrained=weights, force_quick_gelu=quick_gelu, require_pretrained=weights is not None
            )
    except Exception as error:  # hubs, files and formats share no base class
        reason = " ".join(str(error).split())[:300]
        raise (ConfigError if fetched else ModelError)(
            f"open_clip {name}, weights {weights or 'random'}: {reason}. {_advice(open_clip, name, weights)}"
        ) from error
    assert isinstance(model, torch.nn.Module)
    return model.eval().requires_grad_(False)


def text_space(model: str, pretrained: str | Path | None, *, seed: int = 0) -> str:
    """Return the name of a model's text space, "clip:MODEL/TAG"; the QuickGELU name of a model is not another space.

    The tag of a file is its name without the ending, of random weights their seed. Weights that were trained towards
    the vectors of another text tower say so in their file, which then counts (see `TEXT_SPACE_KEY`).
    """
    if pretrained is not None and (stated := _stated_space(Path(pretrained))):
        return stated
    tag = f"random-{seed}" if pretrained is None else Path(pretrained).stem
    name = Path(model).stem if model.endswith(_MODEL_SUFFIX) else model
    return f"clip:{name.removesuffix(_QUICK_GELU)}/{tag}"


def _stated_space(weights: Path) -> str:
    """Return the text space that a weights file names; "" where it names none or is no such file."""
    if weights.suffix != ".safetensors" or not weights.is_file():
        return ""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(weights), framework="pt") as file:
            return str((file.metadata() or {}).get(TEXT_SPACE_KEY, ""))
    except (OSError, SafetensorError) as error:
        raise ModelError(f"weights {weights}: cannot be read ({error}). Use another file.") from error


def _read_model_file(open_clip: Any, path: Path) -> str:
    """Make the model of a file known to open_clip; return its name, which is the file's without the ending."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"model {path}: cannot be read ({error.strerror}). Give a name or a model file.") from error
    except ValueError as error:
        raise ConfigError(f"model {path}: not JSON ({error}).") from error
    if not isinstance(content, dict) or not all(isinstance(content.get(key), (dict, int)) for key in _MODEL_KEYS):
        raise ConfigError(f"model {path}: expected the keys {', '.join(_MODEL_KEYS)}, as in open_clip's model files.")
    if path.stem in open_clip.list_models() and open_clip.get_model_config(path.stem) != content:
        raise ConfigError(f"model {path}: open_clip has another model of the name {path.stem!r}. Rename the file.")
    open_clip.add_model_config(path)
    return path.stem


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


def _check_hub(open_clip: Any, name: str, tag: str) -> None:
    """Raise `ConfigError` where weights have to be fetched and their hub does not answer one question.

    open_clip asks again and again, for most of a minute.
    """
    from huggingface_hub import constants, try_to_load_from_cache
    from huggingface_hub.utils import get_session

    repository, files = _hub_files(open_clip, name, tag)
    if not repository or any(isinstance(try_to_load_from_cache(repository, file), str) for file in files):
        return
    try:
        get_session().head(constants.ENDPOINT, timeout=_PATIENCE_S)
    except Exception as error:  # each client of the hub has its own
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(
            f"open_clip {name}, weights {tag}: {constants.ENDPOINT} does not answer ({reason}). "
            f"{_advice(open_clip, name, tag)}"
        ) from error


def _hub_files(open_clip: Any, name: str, tag: str) -> tuple[str, tuple[str, ...]]:
    """Return the hub's repository of a tag, "" where it is elsewhere, and the files of it of which one is needed."""
    repository, _, file = (open_clip.get_pretrained_cfg(name, tag) or {}).get("hf_hub", "").rpartition("/")
    return repository, (file,) if file else _HUB_FILES


def _advice(open_clip: Any, name: str, weights: str | None) -> str:
    if weights is None:
        return "Choose another architecture."
    if Path(weights).is_file():
        return f"Give a file of weights for {name} (.safetensors, or .pt with a state dict), or another --model."
    config = open_clip.get_pretrained_cfg(name, weights) or {}
    repository, files = _hub_files(open_clip, name, weights)
    place = f"{' or '.join(files)} of {repository}" if repository else config.get("url", "the weights")
    quick = _QUICK_GELU if config.get("quick_gelu") and _QUICK_GELU not in name else ""
    return (
        f"Without a network: fetch {place} elsewhere, copy the file here and give its path instead of "
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
