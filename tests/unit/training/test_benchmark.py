"""What the benchmark asks, how it counts, and what its report says, on samples made by hand."""

from dataclasses import replace

import numpy as np
import pytest

from ov3d_perception.errors import DataError
from ov3d_trainer.benchmark.classes import room_class_of_kind, street_class_of_kind
from ov3d_trainer.benchmark.command import NAMED, SYNONYMS, class_questions, report_text, write_report
from ov3d_trainer.benchmark.measure import ALL, HIDDEN, SEEN, Answers, measure
from ov3d_trainer.benchmark.questions import (
    ClassQuestion,
    free_questions,
    plain_question,
    prompted_question,
    synonym_question,
    unseen_questions,
)
from ov3d_trainer.benchmark.real import read_kitti_scan
from ov3d_trainer.benchmark.report import class_figures, rank_figures
from ov3d_trainer.benchmark.sources import ENSEMBLE, STUDENT, TEACHER, Similarities, encode_phrase
from ov3d_trainer.data.sample import SceneObject
from ov3d_trainer.data.simulate.kinds import KIND_OF
from ov3d_trainer.data.simulate.words import all_words
from ov3d_trainer.words.vocabulary import parse_vocabulary, read_vocabulary
from tests.unit.training.hand_made import make_sample

KINDS = ("car", "tree", "cyclist")
CLASSES = {"car": "vehicle", "tree": "plant", "cyclist": "vehicle"}
WORDS = parse_vocabulary({"labels": [{"name": "vehicle", "synonyms": ["car"]}, "plant"]})


class AxesText:
    """A text side with one axis per word; "car" lies between "vehicle" and its own."""

    space, dim, supports_templates = "test:axes", 4, True

    def encode(self, texts):
        axes = {"vehicle": [1, 0, 0, 0], "plant": [0, 1, 0, 0], "tree": [0, 1, 0, 0], "car": [0.8, 0, 0.6, 0]}
        return np.array([axes.get(text, [0, 0, 0, 1]) for text in texts], np.float32)


class GivenSources:
    """Stands for a bundle: says for every point what a table says."""

    def __init__(self, tables, seen, rows):
        self.encoder, self.tables, self.seen, self.rows = AxesText(), tables, seen, rows

    def ask(self, sample):
        return Similarities(of=self.tables, seen=self.seen)


@pytest.fixture
def sample():
    """Two red car points, a blue one, a tree, a cyclist's point on a bicycle, and an unlabelled point."""
    made = make_sample(np.zeros((6, 3)), point_labels=[0, 0, 0, 1, 2, -1], point_names=KINDS)
    objects = (
        SceneObject(kind="car", color="red"), SceneObject(kind="car", color="blue"), SceneObject(kind="bicycle"),
    )  # fmt: skip
    return replace(made, point_instances=np.array([0, 0, 1, -1, 2, -1], np.int32), objects=objects)


def test_every_kind_that_is_scored_has_a_class_of_the_vocabulary(configs):
    for name, classes in (("nuscenes", street_class_of_kind()), ("scannet20", room_class_of_kind())):
        assert set(classes.values()) == set(read_vocabulary(configs / f"{name}_vocabulary.yaml").names)


def test_no_vocabulary_holds_a_held_out_word(configs):
    held_out = {word.lower() for words in all_words().values() for word in words.held_out}
    for name in ("nuscenes", "scannet20"):
        for label in read_vocabulary(configs / f"{name}_vocabulary.yaml").labels:
            for phrase in (label.name, *label.synonyms):
                assert not any(f" {word} " in f" {phrase} " for word in held_out), phrase


def test_truth_and_columns_of_a_class_question(sample):
    question = ClassQuestion(
        name="x", phrases={"vehicle": ("vehicle", "car"), "plant": ("plant",)}, class_of_kind=CLASSES
    )
    assert question.truth(sample).tolist() == [0, 0, 0, 1, 0, -1]
    columns, owners = question.columns({"plant": 0, "vehicle": 1, "car": 2})
    assert columns.tolist() == [1, 2, 0]
    assert owners.tolist() == [0, 0, 1]


def test_synonyms_are_the_held_out_words_of_a_class_and_no_others(configs):
    street = street_class_of_kind()
    question = synonym_question(read_vocabulary(configs / "nuscenes_vocabulary.yaml"), street, "x")
    assert set(question.phrases["car"]) == {
        word for kind in ("car", "taxi", "van") for word in all_words()[kind].held_out
    }
    unseen = {word for kind, words in all_words().items() if KIND_OF[kind].unseen for word in words.held_out}
    assert not unseen & {word for group in question.phrases.values() for word in group}


def test_unseen_kinds_are_asked_by_name():
    asked = {question.phrase for question in unseen_questions(tuple(KIND_OF))}
    assert len(asked) >= 10
    assert asked == {name for name, kind in KIND_OF.items() if kind.unseen}


def test_red_cars_rank_against_everything_or_against_cars_only(sample):
    questions = {question.title: question for question in free_questions()}
    wanted, part = questions["a red car"].sides(sample)
    assert wanted.tolist() == [True, True, False, False, False, False]
    assert part.tolist() == [True] * 5 + [False]
    wanted, part = questions["a red car, among cars"].sides(sample)
    assert part.tolist() == [True, True, True, False, False, False]
    assert wanted.tolist() == [True, True, False, False, False, False]


def test_prompt_ensemble_is_the_mean_over_templates():
    question = prompted_question(WORDS, CLASSES, "x")
    assert all(phrase.startswith("in prompts: ") for group in question.phrases.values() for phrase in group)
    vector = encode_phrase("in prompts: plant", AxesText())
    assert vector[1] < 1.0  # only the bare template gives the word's own axis here
    np.testing.assert_allclose(np.linalg.norm(vector), 1.0, rtol=1e-6)


def measured(sample):
    """The student is right about all, the teacher only about the first car point, of the four that a camera sees."""
    rows = {"vehicle": 0, "plant": 1, "a red car": 2}
    right = np.array([[1, 0, 0.9], [1, 0, 0.8], [1, 0, 0.1], [0, 1, 0.0], [1, 0, 0.2], [0, 1, 0.0]], np.float32)
    wrong = right.copy()
    wrong[1:, :2] = wrong[1:, 1::-1]
    seen = np.array([True, True, True, True, False, False])
    bundle = GivenSources({STUDENT: right, TEACHER: wrong, ENSEMBLE: right}, seen, rows)
    red = next(question for question in free_questions() if question.title == "a red car")
    return measure(bundle, [sample], [plain_question(WORDS, CLASSES, NAMED)], [red])


def test_regions_and_sources_are_counted_apart(sample):
    figures = class_figures(measured(sample), NAMED)
    assert figures[f"{STUDENT}, {SEEN}"]["mean_iou"] == 100.0
    assert figures[f"{STUDENT}, {HIDDEN}"]["classes"]["vehicle"]["points"] == 1
    assert figures[f"{STUDENT}, {ALL}"]["classes"]["vehicle"]["points"] == 4
    teacher = figures[f"{TEACHER}, {SEEN}"]["classes"]
    assert teacher["vehicle"]["recall"] == pytest.approx(33.33)
    assert teacher["plant"]["recall"] == 0.0
    assert f"{TEACHER}, {ALL}" not in figures


def test_text_side_alone_is_the_nearest_class_of_each_kinds_name(sample):
    # "car" is nearest to "vehicle", "tree" to "plant"; "cyclist" is on an axis of its own and falls to the first class.
    figures = class_figures(measured(sample), NAMED)
    assert figures["text side alone"]["mean_iou"] == 100.0


def test_ranking_reports_area_and_points(sample):
    found = rank_figures(measured(sample))["a red car"]
    assert found[f"{STUDENT}, {SEEN}"] == {"area": 100.0, "points": 2}


def test_report_has_tables_json_and_plots(sample, tmp_path):
    answers: Answers = measured(sample)
    part = {
        "seeds": "1", "samples": 1, "points": 6, "classes": {NAMED: class_figures(answers, NAMED)},
        "ranks": rank_figures(answers),
    }  # fmt: skip
    report = {"bundle": "by hand", "streets": part}
    write_report(tmp_path, report)
    text = report_text(report)
    assert "vehicle" in text
    assert "a red car" in text
    assert "text side allows" in text
    assert {path.name for path in tmp_path.iterdir()} == {
        "benchmark.json", "benchmark.txt", "streets_classes.png", "streets_ranks.png",
    }  # fmt: skip


def test_class_questions_ask_in_four_ways(configs):
    questions = class_questions(configs / "nuscenes_vocabulary.yaml", street_class_of_kind())
    assert [question.name for question in questions][-1] == SYNONYMS
    assert questions[0].phrases["manmade"] == ("manmade",)
    assert "building" in questions[1].phrases["manmade"]


def test_kitti_scan_reads_classes_and_refuses_other_lengths(tmp_path):
    np.array([[1, 2, 3, 0.5], [4, 5, 6, 0.25]], "<f4").tofile(tmp_path / "0.bin")
    np.array([10 | 7 << 16, 99], "<u4").tofile(tmp_path / "0.label")
    scan = read_kitti_scan(tmp_path)
    assert scan.classes.tolist() == ["car", ""]
    np.testing.assert_allclose(scan.sample.frame.intensity, [127.5, 63.75])
    np.array([10], "<u4").tofile(tmp_path / "0.label")
    with pytest.raises(DataError, match="do not fit"):
        read_kitti_scan(tmp_path)
    with pytest.raises(DataError, match=r"NUMBER\.bin"):
        read_kitti_scan(tmp_path / "nowhere")
