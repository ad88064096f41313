"""What people call the kinds: complete, and the words that are held back occur nowhere else."""

import re

import pytest

from ov3d_trainer.data.sample import SceneObject
from ov3d_trainer.data.simulate.kinds import KINDS
from ov3d_trainer.data.simulate.street.kinds import STREET_KINDS
from ov3d_trainer.data.simulate.words import all_words, captions, words_of


def said(text: str, within: str) -> bool:
    """Whether `text` occurs in `within` as whole words, in the singular or the plural."""
    return re.search(rf"\b{re.escape(text)}(s|es)?\b", within) is not None


@pytest.mark.parametrize("kind", [kind.name for kind in STREET_KINDS])
def test_every_kind_of_the_street_has_words(kind: str) -> None:
    words = words_of(kind)
    assert len(set(words.synonyms)) >= 3
    assert len(set(words.held_out)) >= 2
    assert 1 <= len(words.phrases) <= 3


def test_words_belong_to_kinds_that_exist() -> None:
    assert set(all_words()) <= set(KINDS)


def test_held_out_words_occur_in_no_name_synonym_or_phrase() -> None:
    """Nor does a name or synonym occur in a held-out word of the street: "yellow cab" would give "cab" away."""
    known = [(words.name, text) for words in all_words().values() for text in (*words.names, *words.phrases)]
    names = [(words.name, text) for words in all_words().values() for text in words.names]
    held = [(words.name, text) for words in all_words().values() for text in words.held_out]
    assert [(word, text) for word in held for text in known if said(word[1], text[1])] == []
    street = {kind.name for kind in STREET_KINDS}
    assert [(word, text) for word in held for text in names if word[0] in street and said(text[1], word[1])] == []


def test_captions_hold_colour_and_state_but_no_held_out_word() -> None:
    spoken = captions(SceneObject(kind="van", color="red", state="parked", key="a"))
    assert spoken[0] == "van"
    assert "a red parked van" in spoken
    assert not [text for text in spoken for word in words_of("van").held_out if said(word, text)]


def test_names_of_unseen_kinds_occur_in_no_caption_of_others() -> None:
    unseen = [text for kind in STREET_KINDS if kind.unseen for text in words_of(kind.name).names]
    seen = [kind.name for kind in STREET_KINDS if not kind.unseen]
    spoken = [text for kind in seen for text in captions(SceneObject(kind=kind))]
    assert [(name, text) for name in unseen for text in spoken if said(name, text)] == []
