"""A vocabulary becomes unit vectors, or an error that names the word in the way."""

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from ov3d_perception.errors import ModelError, QueryError
from ov3d_perception.queries import BACKGROUND, LabelSpec, drop_asked, make_queries, parse_labels
from tests.unit.engine.tiny_student import Directions


class Counting:
    """Encodes "a cat" as east and anything else as north; remembers what it was asked."""

    space = "counting"
    dim = 2
    supports_templates = True

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked.extend(texts)
        return np.array([(1.0, 0.0) if text == "a cat" else (0.0, 1.0) for text in texts], dtype=np.float32)


def test_labels_synonyms_and_background_become_rows_in_order() -> None:
    labels: list[LabelSpec | str] = ["east", LabelSpec(name="north", synonyms=("north-east",))]
    queries = make_queries(labels, Directions(), background=["up"], threshold=0.25, version=9)
    assert queries.names == ("east", "north")
    assert queries.phrases == ("east", "north", "north-east", "up")
    assert queries.label_of_phrase.tolist() == [0, 1, 1, BACKGROUND]
    np.testing.assert_array_equal(queries.text, np.array([[1, 0, 0], [0, 1, 0], [0.6, 0.8, 0], [0, 0, 1]], "f4"))
    assert (queries.threshold, queries.version, queries.space) == (0.25, 9, "directions")


def test_query_set_cannot_be_changed() -> None:
    queries = make_queries(["east"], Directions())
    for array in (queries.text, queries.label_of_phrase):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(AttributeError):
        queries.version = 2  # type: ignore[misc]


def test_templates_are_averaged_per_phrase_and_normalised_again() -> None:
    encoder = Counting()
    queries = make_queries(["cat"], encoder, templates=["a {}", "the {}"])
    assert encoder.asked == ["a cat", "the cat"]
    # mean of (1, 0) and (0, 1) is (0.5, 0.5), of length sqrt(0.5)
    np.testing.assert_allclose(queries.text, [[0.5**0.5, 0.5**0.5]], rtol=1e-6)


def test_encoder_without_templates_gets_the_bare_phrase() -> None:
    encoder = Directions()
    make_queries(["east"], encoder, templates=["a photo of {}"])
    assert encoder.asked == ["east"]


def test_braces_in_a_phrase_are_text_and_not_a_placeholder() -> None:
    encoder = Counting()
    make_queries(["{} {0}"], encoder, templates=["a {}"])
    assert encoder.asked == ["a {} {0}"]


def test_outer_spaces_are_removed() -> None:
    assert make_queries([" east\n"], Directions(), background=["  up "]).phrases == ("east", "up")


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "the list is empty"),
        (["east", " "], "one of the words is empty"),
        ([LabelSpec(name="east", synonyms=("",))], "one of the words is empty"),
        (["east", "EAST"], "'EAST' occurs twice, in label 'east' and in label 'EAST'"),
        (["north  east", "north east"], "occurs twice"),
        (
            [LabelSpec(name="east", synonyms=("dawn",)), LabelSpec(name="west", synonyms=("Dawn",))],
            "'Dawn' occurs twice",
        ),
        ([LabelSpec(name="east", synonyms=("up",))], "in label 'east' and in the background words"),
        (["x" * 201], "has 201 characters, at most 200 fit"),
        (["x" * 10_000], "has 10,000 characters, at most 200 fit"),
        ([f"word {row}" for row in range(1_001)], "got 1001, at most 1000 fit"),
        ([LabelSpec(name="east", synonyms=tuple(f"word {row}" for row in range(5_000)))], "at most 5000 fit"),
        (["ea\x00st"], r"control or invisible character U+0000"),
        (["ea\nst"], r"control or invisible character U+000A"),
        (["east\u202e"], r"control or invisible character U+202E"),
        (["\ud800"], r"control or invisible character U+D800"),
        ([3], "expected words, got 3 of type int"),
        ("east", "expected lists of words, got one string"),
        (["nowhere"], "'nowhere' is not in the bank"),
    ],
)
def test_unusable_labels_are_named(labels: Sequence[str], message: str) -> None:
    with pytest.raises(QueryError) as caught:
        make_queries(labels, Directions(), background=["up"])
    assert message in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("threshold", [float("nan"), float("inf"), 1.01, -1.01])
def test_threshold_outside_cosine_is_refused(threshold: float) -> None:
    with pytest.raises(QueryError, match="expected a cosine similarity from -1 to 1"):
        make_queries(["east"], Directions(), threshold=threshold)


@pytest.mark.parametrize("templates", [[], ["a photo"], ["{} and {}"], ["{0}"], "a {}", ["{}" + "x" * 200], ["a\n{}"]])
def test_template_without_one_placeholder_is_refused(templates: Sequence[str]) -> None:
    with pytest.raises(QueryError, match="templates: "):
        make_queries(["east"], Directions(), templates=templates)


def test_encoder_that_gives_nan_or_a_wrong_shape_is_a_model_error() -> None:
    class Broken(Counting):
        def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
            return np.full((len(texts), 2), np.nan, dtype=np.float32)

    class Narrow(Counting):
        def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
            return np.ones((len(texts), 1), dtype=np.float32)

    with pytest.raises(ModelError, match="with NaN or infinity"):
        make_queries(["east"], Broken())
    with pytest.raises(ModelError, match=r"expected finite vectors of shape \(1, 2\), got \(1, 1\)"):
        make_queries(["east"], Narrow())


def test_templates_that_cancel_out_are_a_query_error() -> None:
    class Opposite(Counting):
        def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
            return np.array([(1.0, 0.0), (-1.0, 0.0)], dtype=np.float32)

    with pytest.raises(QueryError, match="'east' has a text vector of zero length"):
        make_queries(["east"], Opposite(), templates=["{}", "no {}"])


def test_command_line_form_separates_labels_by_commas_and_synonyms_by_bars() -> None:
    assert parse_labels("car, person|pedestrian ,traffic light") == (
        LabelSpec(name="car"),
        LabelSpec(name="person", synonyms=("pedestrian",)),
        LabelSpec(name="traffic light"),
    )


@pytest.mark.parametrize("text", ["", "  ", "car,", "car,,tree", "car|", "|car", "car, Car", "x" * 10_000])
def test_unusable_command_line_form_is_refused(text: str) -> None:
    with pytest.raises(QueryError):
        parse_labels(text)


def test_background_word_that_is_asked_for_is_dropped() -> None:
    labels: list[LabelSpec | str] = [LabelSpec(name="street", synonyms=("ROAD",)), "Sky"]
    assert drop_asked(("road", "sky", "ego vehicle"), labels) == ("ego vehicle",)


def test_zero_width_joiner_of_a_persian_word_is_kept() -> None:
    word = "می\u200cخواهم"
    assert make_queries([word], Counting()).names == (word,)


def test_vocabulary_that_would_take_hours_to_encode_is_refused() -> None:
    encoder = Counting()
    words = [f"word {number}" for number in range(900)]
    with pytest.raises(QueryError, match="900 words in 100 templates"):
        make_queries(words, encoder, templates=[f"{number} {{}}" for number in range(100)])
    assert encoder.asked == []
