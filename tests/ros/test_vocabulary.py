"""What a request for words leaves open comes from the node's parameters, then from the bundle's card."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from ov3d_perception.config import NodeConfig
from ov3d_perception.errors import ConfigError, QueryError
from ov3d_perception.queries import LabelSpec
from ov3d_perception.ros.vocabulary import (
    VocabularyDefaults,
    defaults_of,
    first_request,
    make_vocabulary,
    requested,
)
from tests.ros.hand_made_bundle import SPACE, card

CAR = LabelSpec(name="car")


class OneHot:
    """Encodes the i-th text it is given along axis i."""

    space = SPACE
    dim = 8
    supports_templates = True

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        return np.eye(8, dtype=np.float32)[: len(texts)]


def test_the_cards_labels_are_the_default_and_the_parameter_goes_before_them() -> None:
    assert first_request(NodeConfig(), card()).labels == (LabelSpec(name="above"), LabelSpec(name="below"))
    chosen = first_request(NodeConfig(queries=("car", "person|pedestrian", "tree, bush")), card()).labels
    assert [label.name for label in chosen] == ["car", "person", "tree", "bush"]
    assert chosen[1].synonyms == ("pedestrian",)


def test_no_words_anywhere_is_an_error_that_names_the_parameter() -> None:
    with pytest.raises(ConfigError, match="parameter queries"):
        first_request(NodeConfig(), card(labels=()))


def test_parameters_go_before_the_card() -> None:
    silent = defaults_of(NodeConfig(), card(background=("sky",), threshold=0.25))
    assert (silent.background, silent.threshold) == (("sky",), 0.25)
    spoken = defaults_of(NodeConfig(background=("fog",), threshold=-1.0), card(background=("sky",), threshold=0.25))
    assert (spoken.background, spoken.threshold) == (("fog",), -1.0)
    assert defaults_of(NodeConfig(no_background=True), card(background=("sky",))).background == ()


@pytest.mark.parametrize("threshold", [math.nan, -2.0])
def test_an_open_threshold_and_empty_lists_stand_for_the_defaults(threshold: float) -> None:
    request = requested([CAR], [], False, [], threshold)
    assert (request.background, request.templates, request.threshold) == (None, None, None)


def test_no_background_means_none_and_contradicts_words() -> None:
    assert requested([CAR], [], True, [], 0.0).background == ()
    with pytest.raises(QueryError, match="no_background"):
        requested([CAR], ["sky"], True, [], 0.0)


def test_a_threshold_out_of_range_is_a_query_error() -> None:
    defaults = VocabularyDefaults(background=(), templates=("{}",), threshold=0.5)
    with pytest.raises(QueryError, match="threshold"):
        make_vocabulary(requested([CAR], [], False, [], 1.5), OneHot(), defaults, version=2)


def test_who_asks_for_a_default_background_word_gets_it_as_a_label() -> None:
    defaults = VocabularyDefaults(background=("Sky ", "fog"), templates=("{}",), threshold=0.5)
    asked = requested([LabelSpec(name="sky")], [], False, [], math.nan)
    made = make_vocabulary(asked, OneHot(), defaults, version=2)
    assert (made.queries.names, made.queries.background) == (("sky",), ("fog",))
    assert made.colors.shape == (2, 3)
