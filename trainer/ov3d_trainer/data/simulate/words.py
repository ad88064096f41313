"""What people call the kinds of object: synonyms for training captions, and others that are held back to ask with.

The files `street/words.yaml` and `room/words.yaml` hold, per kind, `synonyms` (occur in captions), `held_out` (occur in
no caption, and in no text that the text tower was made with) and `phrases` (what it is or is good for, in captions).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from ov3d_perception.errors import DataError

from ..sample import SceneObject

_FILES = ("street/words.yaml", "room/words.yaml")
_KEYS = ("synonyms", "held_out", "phrases")


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """Everything that one kind may be called; `name` itself is not among `synonyms`."""

    name: str
    synonyms: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    phrases: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The name and its synonyms."""
        return (self.name, *self.synonyms)


@cache
def all_words() -> Mapping[str, Words]:
    """Return the words of every kind that has an entry; of a kind in both files the street's entry counts."""
    table: dict[str, Words] = {}
    for name in reversed(_FILES):
        table.update(read_words(Path(__file__).parent / name))
    return table


def words_of(kind: str) -> Words:
    """Return the words of a kind; just its name where the files say nothing."""
    return all_words().get(kind, Words(name=kind))


def read_words(path: Path) -> dict[str, Words]:
    """Read one file of words; `DataError` names what is not as described above."""
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"words {path}: cannot be read as YAML ({' '.join(str(error).split())}).") from error
    if not isinstance(entries, dict):
        raise DataError(f"words {path}: expected kinds with their words, got {type(entries).__name__}.")
    return {name: _read_entry(path, name, entry or {}) for name, entry in entries.items()}


def captions(thing: SceneObject) -> tuple[str, ...]:
    """Return what a person may say about an object, the plainest first: "van", "a parked van", "a red parked van"."""
    words = words_of(thing.kind)
    spoken = [thing.kind]
    for name in words.names:
        described = [part for part in (thing.color, thing.state) if part]
        choices = ["", *described] if len(described) < 2 else ["", *described, " ".join(described)]
        spoken += [with_article(f"{choice} {name}".strip()) for choice in choices]
    return tuple(dict.fromkeys([*spoken, *words.phrases]))


def with_article(text: str) -> str:
    """Return the text after "a" or "an", by its first letter."""
    return f"{'an' if text[:1] in 'aeiou' else 'a'} {text}"


def _read_entry(path: Path, name: str, entry: Mapping[str, list[str]]) -> Words:
    if not isinstance(entry, dict) or set(entry) - set(_KEYS):
        raise DataError(f"words {path}: {name}: expected the keys {', '.join(_KEYS)}, got {entry!r:.80}.")
    lists = {key: tuple(entry.get(key) or ()) for key in _KEYS}
    if not all(isinstance(text, str) for texts in lists.values() for text in texts):
        raise DataError(f"words {path}: {name}: expected lists of texts. Quote words such as 'on'.")
    return Words(name=name, **lists)
