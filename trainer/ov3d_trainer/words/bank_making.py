"""Word banks: from a list of names through a sentence encoder, or from rows of text features that already exist."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.text.bank import BankEncoder, bank_from_lists, fold, write_bank


@dataclass(frozen=True, slots=True, kw_only=True)
class NameList:
    """A file of names: `template` holds one `{}`, into which each name is put before it is encoded."""

    names: tuple[str, ...]
    template: str = "a {}"


def read_names(path: Path) -> NameList:
    """Read a YAML file `template: "a {}"`, `names: {heading: [word, ...], ...}` or a plain list of words.

    Raises `ConfigError` for other content and for names that occur twice.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"names {path}: cannot be read as YAML ({' '.join(str(error).split())}).") from error
    values = {"names": values} if isinstance(values, list) else values
    if not isinstance(values, dict) or set(values) - {"names", "template"} or "names" not in values:
        raise ConfigError(f"names {path}: expected the keys names and template, or a list of words.")
    groups = values["names"] if isinstance(values["names"], dict) else {"": values["names"]}
    names = [name for group in groups.values() for name in group or []]
    wrong = [name for name in names if not isinstance(name, str)]
    folded = [fold(name) for name in names if isinstance(name, str)]
    twice = sorted({name for name in folded if folded.count(name) > 1})
    if wrong or twice or not names:
        raise ConfigError(f"names {path}: not words: {wrong or 'none'}; twice: {twice or 'none'}; {len(names)} in all.")
    template = values.get("template", "a {}")
    if not isinstance(template, str) or template.count("{}") != 1:
        raise ConfigError(f"names {path}: template must hold {{}} once, got {template!r}.")
    return NameList(names=tuple(folded), template=template)


def bank_from_encoder(names_path: Path, out: Path, *, model: Path | None = None, space: str = "") -> int:
    """Encode the names of a file with a sentence encoder and write the bank (float16); return how many."""
    from .sentence_encoder import MINILM_SPACE, open_sentence_encoder

    if model is not None and not space:
        raise ConfigError("--space: name the text space of --model, for example 'minilm:my-model'.")
    listed = read_names(names_path)
    encoder = open_sentence_encoder(model)
    vectors = encoder.encode([listed.template.format(name) for name in listed.names])
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bank(out, listed.names, vectors.astype(np.float16), space or MINILM_SPACE)
    return len(listed.names)


def bank_from_rows(pairs: Sequence[tuple[Path, Path]], out: Path, *, space: str) -> int:
    """Join lists of names with their vectors, (NAMES.json, VECTORS.npy) each, into one bank; return how many.

    A JSON entry is a name or an object with `name` and maybe `synonyms`; of a name in several lists the first row is
    taken. Raises `ConfigError` without a space, `DataError` for lists of different widths, `ModelError` for bad files.
    """
    if not space:
        raise ConfigError("--space: name the text space of the rows, for example 'clip:ViT-B-32/openai'.")
    lists = [bank_from_lists(names, vectors, space) for names, vectors in pairs]
    if len({bank.dim for bank in lists}) != 1:
        raise DataError("make-bank: the vectors of the lists have different lengths, or there are none.")
    bank_of: dict[str, BankEncoder] = {}
    for bank in lists:
        for name in bank.names:
            bank_of.setdefault(fold(name), bank)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_bank(out, tuple(bank_of), np.stack([bank.encode([name])[0] for name, bank in bank_of.items()]), space)
    return len(bank_of)
