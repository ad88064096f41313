"""The demo's words: usable, known to the demo's bundle, and their truth made of kinds that the simulator has."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from ov3d_perception.artifact import open_bundle
from ov3d_perception.queries import check_labels, make_queries
from ov3d_trainer.data.simulate.street.kinds import STREET_KINDS
from ov3d_trainer.data.simulate.words import words_of

ROOT = Path(__file__).resolve().parents[3]


def load(name: str) -> Any:
    """Import a module of launch/, which is no package."""
    spec = importlib.util.spec_from_file_location(f"ov3d_{name}", ROOT / "launch" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


WORDS = load("demo_words")
KINDS = {kind.name for kind in STREET_KINDS if not kind.unseen}


@pytest.mark.parametrize("vocabulary", WORDS.ROUNDS, ids=("everyday words", "other words", "phrases"))
def test_words_are_usable_and_truth_has_every_kind_at_most_once(vocabulary: Any) -> None:
    check_labels(vocabulary.names, vocabulary.background)
    kinds = [kind for group in vocabulary.truth.values() for kind in group]
    assert set(kinds) <= KINDS
    assert len(kinds) == len(set(kinds))


def test_first_round_has_a_word_or_background_for_every_kind_of_the_street() -> None:
    covered = {kind for group in WORDS.FIRST.truth.values() for kind in group} | set(WORDS.FIRST.background)
    assert KINDS - covered == set()
    assert len(WORDS.FIRST.names) == 16


def test_second_round_uses_held_out_words_only() -> None:
    for label, kinds in WORDS.ROUNDS[1].truth.items():
        assert label in [word for kind in kinds for word in words_of(kind).held_out], label


def test_the_bundle_of_the_demo_knows_its_words() -> None:
    bundle = open_bundle(load("demo").BUNDLE)
    encoder = bundle.open_text_encoder(threads=1)
    for vocabulary in WORDS.ROUNDS:
        make_queries(vocabulary.names, encoder, background=vocabulary.background)
    make_queries([WORDS.HEAT], encoder)
