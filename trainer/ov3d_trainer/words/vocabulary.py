"""Vocabulary files (YAML): the words a student is trained with, and what data sets and segmenters call the same things.

labels:
  - name: tree
    synonyms: [trees, tree trunk]   # further phrases, asked for together with the name
    aliases: [vegetation]           # names that teachers and data sets use for it
background: [sky]                   # phrases that compete with the labels at run time
ignore: [unlabeled, ego vehicle]    # teacher names that supervise nothing, on purpose
templates: ["{}"]
threshold: 0.0
groups:                             # classes whose figures are also averaged apart; base and novel, harmonically too
  base: [tree]
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from ov3d_perception.errors import ConfigError, QueryError
from ov3d_perception.queries import LabelSpec, check_labels, check_templates
from ov3d_perception.text.bank import fold

if TYPE_CHECKING:
    from ov3d_perception.text.encoder import TextEncoder

_KEYS = ("labels", "background", "ignore", "templates", "threshold", "groups")
_LABEL_KEYS = ("name", "synonyms", "aliases")


@dataclass(frozen=True, slots=True, kw_only=True)
class WordList:
    """A vocabulary file's content. `label_of_alias` maps folded teacher names to label names; `ignore` is folded.

    `groups` maps names such as head, common and tail to names of labels.
    """

    labels: tuple[LabelSpec, ...]
    background: tuple[str, ...] = ()
    templates: tuple[str, ...] = ("{}",)
    threshold: float = 0.0
    label_of_alias: Mapping[str, str]
    ignore: frozenset[str] = frozenset()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Label names in order."""
        return tuple(label.name for label in self.labels)

    def label_of(self, teacher_name: str) -> str | None:
        """Return the label that a teacher or data set means by `teacher_name`; None where the vocabulary has none."""
        return self.label_of_alias.get(fold(teacher_name))

    def ignores(self, teacher_name: str) -> bool:
        """Tell whether the vocabulary says that this teacher name supervises nothing."""
        return fold(teacher_name) in self.ignore


def queryable(words: WordList, encoder: TextEncoder) -> WordList:
    """Return the vocabulary without the labels, synonyms and background words that the text side cannot encode."""

    def known(word: str) -> bool:
        try:
            encoder.encode([word])
        except QueryError:
            return False
        return True

    labels = tuple(
        LabelSpec(name=label.name, synonyms=tuple(word for word in label.synonyms if known(word)))
        for label in words.labels
        if known(label.name)
    )
    return replace(words, labels=labels, background=tuple(word for word in words.background if known(word)))


def read_vocabulary(path: Path | str) -> WordList:
    """Read a vocabulary file; `ConfigError` names the file, the key and what is wrong with it."""
    source = Path(path)
    try:
        values = yaml.safe_load(source.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"vocabulary {source}: cannot be read ({error.strerror}). Check `vocabulary`.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"vocabulary {source}: not valid YAML ({reason}).") from error
    try:
        return parse_vocabulary(values)
    except (ConfigError, QueryError) as error:
        raise ConfigError(f"vocabulary {source}: {error}") from error


def parse_vocabulary(values: Any) -> WordList:
    """Make a `WordList` from a file's parsed content; `ConfigError` or `QueryError` says what is wrong."""
    _check_keys("", values, _KEYS, required="labels")
    entries = [{"name": entry} if isinstance(entry, str) else entry for entry in _list(values, "labels")]
    for entry in entries:
        _check_keys("labels: ", entry, _LABEL_KEYS, required="name")
    labels = tuple(LabelSpec(name=entry["name"], synonyms=_words(entry, "synonyms")) for entry in entries)
    background = _words(values, "background")
    threshold = values.get("threshold", 0.0)
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not -1.0 <= threshold <= 1.0:
        raise ConfigError(f"threshold: expected a cosine similarity from -1 to 1, got {threshold!r}.")
    aliases: dict[str, str] = {}
    for entry in entries:
        for alias in (entry["name"], *_words(entry, "synonyms"), *_words(entry, "aliases")):
            owner = aliases.setdefault(fold(alias), entry["name"])
            if owner != entry["name"]:
                raise ConfigError(f"labels: '{alias}' stands for both '{owner}' and '{entry['name']}'. Keep one.")
    return WordList(
        labels=check_labels(labels, background),
        background=background,
        templates=check_templates(_words(values, "templates") or ("{}",)),
        threshold=float(threshold),
        label_of_alias=aliases,
        ignore=frozenset(fold(word) for word in _words(values, "ignore")),
        groups=_groups(values, aliases),
    )


def _groups(values: Mapping[str, Any], label_of_alias: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """Read `groups`, with every class under its label's name."""
    groups = values.get("groups") or {}
    if not isinstance(groups, dict) or not all(isinstance(name, str) for name in groups):
        raise ConfigError(f"groups: expected names with lists of labels, such as base: [car], got {groups!r}.")
    found: dict[str, tuple[str, ...]] = {}
    for name in groups:
        members = _words(groups, name)
        for word in members:
            if fold(word) not in label_of_alias:
                near = difflib.get_close_matches(fold(word), label_of_alias, n=1)
                hint = f" Did you mean '{near[0]}'?" if near else ""
                raise ConfigError(f"groups: {name}: '{word}' is none of the labels.{hint}")
        found[name] = tuple(dict.fromkeys(label_of_alias[fold(word)] for word in members))
    return found


def _check_keys(where: str, values: Any, known: Sequence[str], *, required: str) -> None:
    if not isinstance(values, dict):
        raise ConfigError(f"{where}expected keys {', '.join(known)}, got {type(values).__name__}.")
    for key in values:
        if key not in known:
            near = difflib.get_close_matches(str(key), known, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else f" Known are {', '.join(known)}."
            raise ConfigError(f"{where}unknown key '{key}'.{hint}")
    if required not in values:
        raise ConfigError(f"{where}the key '{required}' is missing.")


def _list(values: Mapping[str, Any], key: str) -> list[Any]:
    entries = values.get(key) or []
    if not isinstance(entries, list):
        raise ConfigError(f"{key}: expected a list, got {entries!r}.")
    return entries


def _words(values: Mapping[str, Any], key: str) -> tuple[str, ...]:
    words = _list(values, key)
    for word in words:
        if not isinstance(word, str):
            raise ConfigError(f"{key}: expected words, got {word!r}. Quote words such as 'no' and 'on'.")
    return tuple(words)
