"""What open_clip does to a string before it cuts it into tokens, with the standard library alone.

open_clip repairs text with ftfy, undoes HTML entities twice, joins white space and lowers case. The same rules stand
here, save one: mojibake (UTF-8 that was read in another encoding) is left as it is, see docs/text.md.
"""

from __future__ import annotations

import html
import re
import unicodedata
from functools import lru_cache
from html.entities import html5

_ENTITY = re.compile(r"&#?[0-9A-Za-z]{1,24};")
_C1_CONTROL = re.compile("[\x80-\x9f]")
_TERMINAL_ESCAPE = re.compile(r"\x1b\[[\d;]*[a-zA-Z]")
_LINE_BREAK = re.compile("\r\n|[\r\u2028\u2029\x85]")
_SURROGATE = re.compile("[\ud800-\udfff]")

_STRAIGHT_QUOTES = dict.fromkeys((0x2BC, *range(0x2018, 0x201C)), "'") | dict.fromkeys(range(0x201C, 0x2020), '"')
_REMOVED_CODES = (*range(9), 0xB, *range(0xE, 0x20), 0x7F, *range(0x206A, 0x2070), 0xFEFF, *range(0xFFF9, 0xFFFD))
_REMOVED: dict[int, None] = dict.fromkeys(_REMOVED_CODES)
# Ligatures and digraphs that typesetting or old encodings put where letters were meant; the digraphs and st ligatures
# are those whose compatibility form is plain letters, U+FB05 keeps its long s, U+0149 the modifier apostrophe.
_LIGATURE_CODES = (0x132, 0x133, *range(0x1C4, 0x1CD), *range(0x1F1, 0x1F4), *range(0xFB00, 0xFB05), 0xFB06)


def clean_text(text: str) -> str:
    """Return `text` as open_clip's tokenizer sees it: repaired, unescaped, single spaces, lower case.

    Any string is fine, unpaired surrogates included. Source: `basic_clean`, `whitespace_clean` in open_clip and the
    documented steps of ftfy 6.3 with its default settings.
    """
    repaired = _repair(text)
    unescaped = html.unescape(html.unescape(repaired))
    return " ".join(unescaped.split()).lower()


def _repair(text: str) -> str:
    """Repair line by line; from the first line with a "<" on, text counts as HTML source and entities stay."""
    lines = []
    with_entities = True
    for line in re.findall(r"[^\n]*\n|[^\n]+", text):
        with_entities = with_entities and "<" not in line
        lines.append(_repair_line(line, with_entities))
    return "".join(lines)


def _repair_line(text: str, with_entities: bool) -> str:
    if text.isascii() and text.isprintable() and not (with_entities and "&" in text):
        return text
    table = _translations()
    while True:
        before = text
        if with_entities:
            text = _ENTITY.sub(_unescape, text)
        text = _C1_CONTROL.sub(lambda match: _windows_1252(match[0]), text)
        text = text.translate(table)
        text = _LINE_BREAK.sub("\n", text)
        text = _SURROGATE.sub("\ufffd", _join_surrogates(text))
        text = _TERMINAL_ESCAPE.sub("", text).translate(_REMOVED)
        text = unicodedata.normalize("NFC", text)
        if text == before:
            return text


def _unescape(match: re.Match[str]) -> str:
    """Undo one entity with a semicolon; names of small letters are also known in capitals (&EACUTE;)."""
    entity = match[0]
    if entity.startswith("&#"):
        character = html.unescape(entity)
        return entity if ";" in character else character
    name = entity[1:]
    if name in html5:
        return html5[name]
    if name.isupper() and name.lower() in html5 and html.unescape(entity) == entity:
        return html5[name.lower()].upper()
    return entity


def _windows_1252(control: str) -> str:
    """A C1 control was meant as the Windows-1252 character of that byte, where there is one."""
    try:
        return control.encode("latin-1").decode("cp1252")
    except UnicodeDecodeError:
        return control


def _join_surrogates(text: str) -> str:
    """Turn surrogate pairs into the characters they stand for; unpaired ones stay."""
    if not _SURROGATE.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


@lru_cache(maxsize=1)
def _translations() -> dict[int, str]:
    """Characters that become others: ligatures, half-width and full-width forms, curly quotes."""
    table = {code: _compatible(code) for code in _LIGATURE_CODES}
    table |= {0x149: "\u02bcn", 0xFB05: "\u017ft", 0x3000: " "}
    table |= {code: _compatible(code) for code in range(0xFF01, 0xFFF0) if _compatible(code) != chr(code)}
    # ftfy replaces quotes after ligatures, so the apostrophe of U+0149 becomes straight too
    straight = {code: value.translate(_STRAIGHT_QUOTES) for code, value in table.items()}
    return straight | _STRAIGHT_QUOTES


def _compatible(code: int) -> str:
    return unicodedata.normalize("NFKC", chr(code))
