"""Tokens of the exported tokenizer against open_clip's own, which repairs text with ftfy."""

import random
import string
import unicodedata
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ov3d_export.tokenizer_json import write_tokenizer_json
from ov3d_perception.errors import ModelError, QueryError
from ov3d_perception.text.tokenizer import ClipTokenizer

CONTEXT = 77
WORDS = tuple(
    r"""
    car Truck PEDESTRIAN traffic-light fork_lift it's they're I'LL DON'T 'tis o'clock 42 3.14
    1,000 1st état Straße ÅNGSTRÖM naïve Łódź İstanbul ΑΣΠΙΣ οδός ΣΣ дорога МАШИНА 東京 道路標識 자동차
    سيارة עגלה रास्ता ถนน 🚗 👩‍🚒 🏳️‍🌈 🇩🇪 👍🏽 … — – € ½ ² № Ⅻ ٣ < > @ # $ % ^ * ~ ` a/b x=y \n
    (red) [blue] {green} !!! ?! ... 'quoted' "double" C++ e.g. U.S.A. snake_case CamelCase x²
    10km/h 50% #1 user@host & AT&T supercalifragilisticexpialidocious zzzzqqqq ſ K
    """.split()  # noqa: SIM905
)
ALPHABETS = {
    "latin": (0xC0, 0x250),
    "greek and cyrillic": (0x370, 0x530),
    "hebrew and arabic": (0x5D0, 0x64B),
    "indic and thai": (0x905, 0xE30),
    "cjk": (0x3041, 0x3100),
    "han": (0x4E00, 0x9FA0),
    "hangul": (0xAC00, 0xD7A0),
    "symbols": (0x2190, 0x2BFF),
    "emoji": (0x1F300, 0x1F650),
}
HAND_MADE = (
    *("", " ", "\t\n", "x", "a" * 500, "é" * 300, "🚗" * 100, "0123456789", "'s", "it 's", "''s", "'", "'S'T'RE'VE"),
    *("a  b", " a\tb\nc ", "a\u00a0b", "a\u2003b", "new\nline", "e\u0301tat", "\u0301", "a\u0327\u0308b", "\u200b"),
    *(
        "<start_of_text>",
        "a <END_OF_TEXT> b",
        "!<end_of_text>",
        "<end_of_text><start_of_text>car",
        "<end_of_text",
        "<|x|>",
    ),
    *(
        "don't",
        "DON'T",
        "we'll've",
        "o'reilly's",
        "rock 'n' roll",
        "'ſ",
        "ABC'ſ",
        "a'",
        "--",
        "-",
        "_",
        "__init__",
        "¿qué?",
    ),
    *(
        "a photo of a car.",
        "a photo of a car",
        "A Photo Of A CAR",
        "something to sit on",
        "wet asphalt",
        "...",
        "½½",
        "1⁄2",
    ),
)


@pytest.fixture(scope="module")
def tokenizer(clip_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> ClipTokenizer:
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    write_tokenizer_json(clip_tokenizer, path)
    return ClipTokenizer(path, context_length=CONTEXT, start_id=49406, end_id=49407, pad_id=0)


def is_assigned(character: str) -> bool:
    """True for what this Python's Unicode knows: libraries learn newer letters at different times."""
    return unicodedata.category(character) != "Cn"


def varied_strings() -> list[str]:
    """Strings of words, of printable ASCII and of every script, short and over-long: always the same ones."""
    chance = random.Random(0)
    strings = [*HAND_MADE, *WORDS]
    strings += [" ".join(chance.choices(WORDS, k=chance.randint(1, 9))) for _ in range(500)]
    strings += ["".join(chance.choices(WORDS, k=chance.randint(2, 5))) for _ in range(150)]
    strings += ["".join(chance.choices(string.printable, k=chance.randint(1, 40))) for _ in range(250)]
    for first, last in ALPHABETS.values():
        characters = [chr(code) for code in range(first, last) if is_assigned(chr(code))]
        strings += ["".join(chance.choices(characters, k=chance.randint(1, 20))) for _ in range(40)]
    strings += [" ".join(chance.choices(WORDS, k=chance.randint(60, 200))) for _ in range(50)]
    return strings


def differing(tokenizer: ClipTokenizer, clip_tokenizer: Any, texts: list[str]) -> list[str]:
    found, wanted = tokenizer.encode(texts), clip_tokenizer(texts).numpy()
    assert found.shape == wanted.shape == (len(texts), CONTEXT)
    assert found.dtype == np.int64
    return [text for text, left, right in zip(texts, found, wanted, strict=True) if not np.array_equal(left, right)]


def test_tokens_equal_open_clips_on_a_thousand_strings_that_ftfy_leaves_alone(
    tokenizer: ClipTokenizer, clip_tokenizer: Any
) -> None:
    import ftfy

    strings = [text for text in varied_strings() if ftfy.fix_text(text) == text]
    over_long = [text for text in strings if clip_tokenizer([text])[0, -1] == 49407]
    assert len(strings) >= 1000
    assert len(over_long) >= 40
    assert differing(tokenizer, clip_tokenizer, strings) == []


def test_tokens_equal_open_clips_on_every_letter_and_sign_alone(tokenizer: ClipTokenizer, clip_tokenizer: Any) -> None:
    characters = [chr(code) for first, last in ALPHABETS.values() for code in range(first, last, 5)]
    characters += [chr(code) for code in range(0x2500)]
    characters = [character for character in characters if is_assigned(character)]
    assert differing(tokenizer, clip_tokenizer, characters) == []


MENDED = {
    "curly quotes": ("the driver\u2019s \u201cred\u201d car", "\u2018a\u2019 \u201ab\u201b \u201ec\u201f", "it\u02bcs"),
    "ligatures": (
        "o\ufb03ce \ufb02oor \ufb01t \ufb00 \ufb04 \ufb05 \ufb06",
        "\u0132sselmeer \u01c4 \u01c9 \u01f1 \u0149",
    ),
    "full width": ("\uff2d\uff29\uff38 \uff11\uff12\uff13 \uff01", "a\u3000b", "\uff71\uff76\uff9e \uffe5"),
    "entities": ("ol&eacute; &amp; bar", "fish &amp;amp; chips", "&#39;x&#39; &#x1F697;", "&lt;b&gt; &nbsp; &hellip;"),
    "entities in capitals": ("P&EACUTE;REZ", "STRA&SZLIG;E", "&NOSUCH; &AMP &COPY; &NTILDE"),
    "entities without semicolon": ("this&not that", "&copy 2020", "&ampx", "&#150", "&#128;"),
    "entities beside tags": ("<b>&ldquo;a&rdquo;</b>", "a &ldquo;\n<b> &ldquo;\n &ldquo;", "x < y &amp;amp; z"),
    "quotes from entities": ("&ldquo;car&rdquo;", "&amp;ldquo;car&amp;rdquo;", "&lsquo;s"),
    "composition": ("e\u0301tat", "a\u0308\u0323", "\u1100\u1161", "\u212b \u2126"),
    "controls": ("a\x00b\x07c\x7f", "\x1b[31;4mred\x1b[0m", "\ufeffcar", "\u206aa", "\ufff9a\ufffc", "\x1b[31"),
    "C1 controls": ("a\x80b", "\x93quoted\x94", "x\x81y", "a\x85b"),
    "line breaks": ("a\r\nb\rc\u2028d\u2029e", "a\n\n\nb", "\r"),
    "surrogates": ("\ud83d\ude97", "a\ud83d", "\ude97\ud83d"),
}


@pytest.mark.parametrize("kind", MENDED)
def test_what_ftfy_mends_besides_mojibake_is_mended_alike(
    tokenizer: ClipTokenizer, clip_tokenizer: Any, kind: str
) -> None:
    assert differing(tokenizer, clip_tokenizer, list(MENDED[kind])) == []


def test_mixtures_that_ftfy_mends_are_mended_alike(tokenizer: ClipTokenizer, clip_tokenizer: Any) -> None:
    import ftfy

    chance = random.Random(1)
    pieces = [piece for group in MENDED.values() for piece in group] + list(WORDS)
    mixtures = [" ".join(chance.choices(pieces, k=chance.randint(1, 6))) for _ in range(500)]
    mixtures = [text for text in mixtures if ftfy.fix_encoding(text) == text]
    assert len(mixtures) > 300
    assert differing(tokenizer, clip_tokenizer, mixtures) == []


def test_mojibake_is_not_mended_as_documented(tokenizer: ClipTokenizer, clip_tokenizer: Any) -> None:
    broken = "cafÃ©"  # "café" in UTF-8, read as Latin-1
    assert differing(tokenizer, clip_tokenizer, [broken]) == [broken]


def test_over_long_text_keeps_its_beginning_and_ends_with_the_end_token(tokenizer: ClipTokenizer) -> None:
    (row,) = tokenizer.encode(["car " * 100])
    assert row[0] == 49406
    assert set(row[1:-1].tolist()) == {1615}  # "car</w>"
    assert row[-1] == 49407


def test_longest_text_is_encoded_and_a_longer_one_refused(tokenizer: ClipTokenizer) -> None:
    assert tokenizer.encode(["x " * 5_000]).shape == (1, CONTEXT)
    with pytest.raises(QueryError, match="10,001 characters"):
        tokenizer.encode(["x" * 10_001])


def test_what_is_no_text_is_refused(tokenizer: ClipTokenizer) -> None:
    with pytest.raises(QueryError, match="expected a string, got None"):
        tokenizer.encode([None])  # type: ignore[list-item]


@pytest.mark.parametrize("content", [b"", b"{}", b"rot", b"\xff\xfe", b'{"model": {"type": "BPE"}}'])
def test_file_that_is_no_tokenizer_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(ModelError, match=r"tokenizer\.json: is not a tokenizer"):
        ClipTokenizer(tmp_path / "tokenizer.json", context_length=CONTEXT, start_id=1, end_id=2, pad_id=0)


def test_file_alone_gives_the_same_ids_for_plain_words(tokenizer: ClipTokenizer, clip_tokenizer: Any) -> None:
    words = tokenizer._tokenizer.encode(" A Photo  of a\tFork-lift, isn't it? ").ids
    assert words == clip_tokenizer.encode(" A Photo  of a\tFork-lift, isn't it? ")
    assert tokenizer._tokenizer.decode(words) == "a photo of a fork - lift , isn 't it ?"


def test_other_tokenizers_are_refused_by_name(clip_tokenizer: Any, open_clip: Any, tmp_path: Path) -> None:
    from open_clip.tokenizer import SimpleTokenizer

    with pytest.raises(ModelError, match="tokenizer object is not CLIP's"):
        write_tokenizer_json(object(), tmp_path / "tokenizer.json")
    with pytest.raises(ModelError, match="cleans with 'canonicalize'"):
        write_tokenizer_json(SimpleTokenizer(clean="canonicalize"), tmp_path / "tokenizer.json")
    with pytest.raises(ModelError, match="masks True"):
        write_tokenizer_json(SimpleTokenizer(reduction_mask="random"), tmp_path / "tokenizer.json")
    assert list(tmp_path.iterdir()) == []
