"""The list of texts that the text tower is distilled over: names, dictionary words, compositions, short phrases.

No text of the list contains a word that is held back to ask with (`held_out` in the worlds' words.yaml), in singular
or plural. The list depends on nothing but these words, the vocabulary of the tokenizer, WordNet where it is given, and
the seed: the same command writes it again.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import yaml

from ov3d_perception.errors import ConfigError

from ..data.simulate.words import all_words, with_article

NOUN_FILE = "data.noun"
CONCRETE_CATEGORIES = {"05", "06", "08", "13", "15", "17", "18", "20", "27"}
"""WordNet's lexicographer files of animals, artefacts, body, food, places, natural objects, people, plants, matter."""

_SHORTEST_WORD = 3
_LONGEST_NAME = 3  # words
_LONGEST_DEFINITION = 16  # words
_DRAWN_PER_NAME = 10  # looks, places, and pairs of colour and look
_INSTANCE = "@i"  # WordNet's mark of what is one thing: a person, a city
_SEPARATORS = re.compile(r"[\s_-]+")


def text_list(vocabulary: Iterable[str], *, wordnet: Path | None, compositions: int, seed: int) -> list[str]:
    """Return the list, each text once, without any held-out word.

    `vocabulary`: tokens of a WordPiece tokenizer; its whole words of Latin letters are taken. `wordnet`: folder with
    WordNet's `data.noun`, None for none. `compositions`: how many random pairs of words.
    """
    words = sorted(token for token in vocabulary if token.isascii() and token.isalpha() and token.islower())
    words = [word for word in words if len(word) >= _SHORTEST_WORD]
    nouns, definitions = ([], []) if wordnet is None else read_nouns(wordnet / NOUN_FILE, set(words))
    generator = np.random.default_rng([seed, 1])
    texts = [*_about_names(generator), *_about_uses(), *words, *nouns, *definitions]
    texts += _compositions(nouns or words, compositions, generator)
    return without_held_out(texts)


def without_held_out(texts: Iterable[str]) -> list[str]:
    """Return each text once, in order, but none that contains a held-out word of the worlds' words."""
    held_out = held_out_pattern(word for words in all_words().values() for word in words.held_out)
    return [text for text in dict.fromkeys(texts) if not held_out.search(_spaced(text))]


def held_out_pattern(words: Iterable[str]) -> re.Pattern[str]:
    """Return a pattern that finds whole words, singular or plural, in text where `-` and `_` are spaces."""
    forms = sorted({form for word in words for form in _forms(_spaced(word))}, key=lambda form: (-len(form), form))
    return re.compile(rf"(?<![a-z0-9])(?:{'|'.join(map(re.escape, forms)) or '(?!)'})(?![a-z0-9])")


def read_nouns(path: Path, common: Collection[str]) -> tuple[list[str], list[str]]:
    """Return nouns of concrete things, of `common` words only, and their definitions from `data.noun` (wndb(5WN)).

    Raises `ConfigError` where the file is missing or something else.
    """
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("  ")]
        entries = [_read_synset(line) for line in lines]
    except (OSError, UnicodeDecodeError, ValueError, IndexError) as error:
        raise ConfigError(
            f"wordnet {path}: cannot be read as WordNet's nouns ({error}). Name the folder of {NOUN_FILE}, on Debian "
            "/usr/share/wordnet of the package wordnet-base, or nothing."
        ) from error
    nouns, definitions = [], []
    for category, names, definition in entries:
        known = [name for name in names if all(word in common for word in name.split()[: _LONGEST_NAME + 1])]
        if category in CONCRETE_CATEGORIES and known:
            nouns += [name for name in known if len(name.split()) <= _LONGEST_NAME]
            definitions += [definition] if len(definition.split()) <= _LONGEST_DEFINITION else []
    return list(dict.fromkeys(nouns)), list(dict.fromkeys(definitions))


def _read_synset(line: str) -> tuple[str, list[str], str]:
    """Return lexicographer file, names and definition of a line "offset file n count name id ... | definition"."""
    data, _, gloss = line.partition(" | ")
    fields = data.split()
    names = [fields[4 + 2 * number].replace("_", " ").lower() for number in range(int(fields[3], 16))]
    names = [] if _INSTANCE in fields else names
    return fields[1], names, gloss.split(";")[0].strip().lower()


def _about_names(generator: np.random.Generator) -> list[str]:
    """Return every way to speak of a kind of object in the simulated worlds."""
    patterns = _patterns()
    texts = []
    for kind, words in all_words().items():
        texts += [*words.phrases, *(f"a {kind}, {phrase}" for phrase in words.phrases)]
        for name in words.names:
            texts += [_fill(pattern, name) for pattern in patterns["names"]]
            texts += [with_article(f"{color} {name}") for color in patterns["colors"]]
            for color, look, place in _draw(generator, patterns["colors"], patterns["looks"], patterns["places"]):
                texts += [with_article(f"{look} {name}"), with_article(f"{color} {look} {name}")]
                texts.append(f"{with_article(name)} in the {place}")
    return texts


def _about_uses() -> list[str]:
    """Return phrases that say what something is good for or made of."""
    patterns = _patterns()
    texts = [pattern.format(verb) for pattern in patterns["uses"] for verb in patterns["verbs"]]
    texts += [pattern.format(thing) for pattern in patterns["containers"] for thing in patterns["things"]]
    texts += [f"{start} {material}" for start in ("made of", "something made of") for material in patterns["materials"]]
    texts += [f"{start} {color}" for start in ("something", "a thing that is") for color in patterns["colors"]]
    return texts


def _compositions(nouns: Sequence[str], count: int, generator: np.random.Generator) -> list[str]:
    """Return `count` texts of a random noun: described, in a pattern, or after another noun."""
    patterns = _patterns()
    described = [*patterns["colors"], *patterns["looks"], *patterns["materials"]]
    texts = []
    for way, first, second, pattern in generator.integers(0, 2**31, (count, 4)).tolist():
        noun = nouns[first % len(nouns)]
        if way % 3 == 0:
            texts.append(with_article(f"{described[second % len(described)]} {noun}"))
        elif way % 3 == 1:
            texts.append(_fill(patterns["nouns"][pattern % len(patterns["nouns"])], noun))
        else:
            texts.append(f"{nouns[second % len(nouns)]} {noun}")
    return texts


def _draw(generator: np.random.Generator, *lists: Sequence[str]) -> list[tuple[str, ...]]:
    """Return some random choices of one from each list."""
    rows = generator.integers(0, [len(words) for words in lists], (_DRAWN_PER_NAME, len(lists)))
    return [tuple(words[number] for words, number in zip(lists, row, strict=True)) for row in rows.tolist()]


def _fill(pattern: str, name: str) -> str:
    return pattern.format(name, a=with_article(name))


@cache
def _patterns() -> Mapping[str, list[str]]:
    content = yaml.safe_load(Path(__file__).with_name("patterns.yaml").read_text(encoding="utf-8"))
    return {key: list(values) for key, values in content.items()}


def _spaced(text: str) -> str:
    return _SEPARATORS.sub(" ", text.lower())


def _forms(word: str) -> set[str]:
    """Return a word and its plurals."""
    forms = {word, f"{word}s", f"{word}es"}
    if word.endswith("y"):
        forms.add(f"{word[:-1]}ies")
    if word.endswith("man"):
        forms.add(f"{word[:-3]}men")
    return forms
