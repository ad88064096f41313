"""`evaluate` as a person types it: other words, other data, no teacher, and what it says when it cannot be done."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest
import yaml

from ov3d_perception.inputs import InputSpec
from ov3d_perception.text.bank import write_bank
from ov3d_trainer.checkpoint import Checkpoint, Vocabulary, save_checkpoint
from ov3d_trainer.cli import main
from ov3d_trainer.config import InputsConfig, SourceConfig, TeacherConfig, TrainConfig, config_to_dict
from ov3d_trainer.data.kitti.sequences import KittiSequences
from ov3d_trainer.evaluation import command
from ov3d_trainer.evaluation.command import EvaluationOptions, evaluate_checkpoint
from ov3d_trainer.network.model import SparseUNet, unet_config

BANK = ("tree", "car", "person", "building", "road")
CAR, TRUCK, UNLABELLED = 10, 18, 0  # raw numbers


@pytest.fixture
def run(tmp_path):
    """An untrained student, two scans of 60 points (half of them car, some truck, some nothing), words and bank."""
    folder = tmp_path / "a<b>&c"  # a page must show it as it is
    sequence = folder / "root" / "sequences" / "08"
    for name in ("velodyne", "labels"):
        (sequence / name).mkdir(parents=True)
    generator = np.random.default_rng(5)
    for number in ("000000", "000001"):
        points = generator.uniform(-12, 12, size=(60, 4)).astype("<f4")
        points.tofile(sequence / "velodyne" / f"{number}.bin")
        np.repeat([CAR, TRUCK, UNLABELLED], (30, 20, 10)).astype("<u4").tofile(sequence / "labels" / f"{number}.label")
    (sequence / "calib.txt").write_text("P2: 10 0 8 1 0 10 4 0 0 0 1 0\nTr: 0 -1 0 0 0 0 -1 0 1 0 0 -0.25\n")
    write_bank(folder / "bank.npz", BANK, np.eye(len(BANK), 8), "test:axes")
    (folder / "words.yaml").write_text(yaml.safe_dump({"labels": ["car", "building"]}))
    config = TrainConfig(
        vocabulary=str(folder / "words.yaml"),
        text=str(folder / "bank.npz"),
        data=SourceConfig(kind="kitti", path=str(folder / "root"), split="08"),
        teacher=TeacherConfig(kind="labels"),
        inputs=InputsConfig(voxel_size_m=2.0, levels=2),
        device="cpu",
    )
    network = unet_config("narrow", in_features=3, embedding_dim=8)
    checkpoint = Checkpoint(
        network=network,
        inputs=InputSpec(voxel_size_m=2.0, levels=network.levels),
        text_space="test:axes",
        vocabulary=Vocabulary(),
        training={"config": config_to_dict(config)},
        model_state=SparseUNet(network).state_dict(),
    )
    save_checkpoint(folder / "checkpoint.pt", checkpoint)
    return folder


def evaluate(run, *arguments):
    code = main(["evaluate", "--checkpoint", str(run / "checkpoint.pt"), *map(str, arguments)])
    return code, json.loads((run / "evaluation.json").read_text()) if code == 0 else {}


def measure(run, **options):
    """The report alone: drawing the page takes most of the time."""
    return evaluate_checkpoint(EvaluationOptions(checkpoint=run / "checkpoint.pt", pictures=0, **options)).report


def words(run, **content):
    path = run / "other.yaml"
    path.write_text(yaml.safe_dump(content))
    return str(path)


def test_by_default_the_run_is_measured_as_it_was_trained(run):
    code, report = evaluate(run)
    assert code == 0
    assert (report["samples"], report["points"], report["supervised_points"]) == (2, 120, 60)
    assert set(report["truth"]["classes"]) == {"car", "building", "person", "road"}  # what the teacher names, too
    assert report["not_asked"] == {"truck": 40}
    assert [ring["to_m"] for ring in report["distance"]] == [10.0, 20.0]


def test_any_vocabulary_is_asked_as_it_stands(run):
    other = words(run, labels=["tree", {"name": "vehicle", "synonyms": ["car"], "aliases": ["truck"]}])
    report = measure(run, vocabulary=other, teacher=False)
    assert report["not_queryable"] == {"vehicle": "no text row"}  # the bank lacks the word
    other = words(run, labels=["tree", {"name": "car", "aliases": ["truck"]}])
    report = measure(run, vocabulary=other)
    assert {name: row["points"] for name, row in report["truth"]["classes"].items()} == {"tree": 0, "car": 100}
    assert report["not_asked"] == {}


def test_vocabulary_that_shares_no_class_with_the_data_gives_a_report_that_says_so(run, capsys):
    code, report = evaluate(run, "--vocabulary", words(run, labels=["tree", "road"]), "--no-teacher")
    assert code == 0
    assert report["truth"]["mean_iou"] is None
    assert report["not_asked"] == {"car": 60, "truck": 40}
    said = "None of the classes that occur in the data has a label in the vocabulary."
    assert said in capsys.readouterr().out
    assert said in (run / "evaluation.html").read_text()


def test_threshold_leaves_points_unlabelled_and_the_curve_does_not_depend_on_it(run):
    plain, strict = (measure(run, threshold=threshold) for threshold in (-1.0, 1.0))
    assert plain["unlabelled"]["share"] == 0.0
    assert strict["unlabelled"]["share"] == 100.0
    assert strict["unlabelled"]["accuracy_of_the_rest"] is None
    assert strict["unlabelled"]["curve"] == plain["unlabelled"]["curve"]


def test_rings_are_left_out_where_a_cloud_is_of_many_views(run, monkeypatch):
    read = KittiSequences.without_images
    many = lambda source, index: replace(read(source, index), from_one_sensor=False)  # noqa: E731
    monkeypatch.setattr(KittiSequences, "without_images", many)
    assert measure(run, teacher=False)["distance"] == []


def test_student_agrees_with_a_teacher_that_says_nothing_of_these_words_by_saying_nothing(run):
    other = words(run, labels=["tree", "road"])  # the teacher knows these 60 points as car
    silent, talking = (measure(run, vocabulary=other, threshold=threshold) for threshold in (1.0, -1.0))
    assert (silent["supervised_points"], talking["supervised_points"]) == (60, 60)
    assert (silent["teacher_agreement"], talking["teacher_agreement"]) == (100.0, 0.0)


def test_repeats_are_the_same_for_the_same_seed(run):
    first, again, once = (measure(run, repeats=repeats, seed=4)["unlabelled"]["curve"] for repeats in (3, 3, 1))
    assert first == again
    assert first != once


def test_settings_choose_other_parts_of_the_data(run, capsys):
    assert evaluate(run, "--set", "evaluation.split=07")[0] == 2
    assert "sequences/07/velodyne: no scans" in capsys.readouterr().err


def test_page_needs_nothing_else_and_escapes_what_it_shows(run):
    evaluate(run, "--submission", run / "submission", "--vocabulary", words(run, labels=["car", "building"]))
    page = (run / "evaluation.html").read_text()
    assert "a&lt;b&gt;&amp;c" in page
    assert "a<b>" not in page
    assert not re.findall(r"<(script|link|iframe|object)|https?:|src=\"(?!data:image/png;base64,)|url\(", page)
    assert page.count("<img ") == 5  # two samples, distance, confusions, thresholds
    assert "For the official tool" in page


def test_page_can_do_without_pictures_of_samples(run):
    evaluate(run, "--pictures", "0")
    assert (run / "evaluation.html").read_text().count("<img ") == 3


def test_data_without_truth_is_shown_and_written_all_the_same(run):
    for path in (run / "root" / "sequences" / "08" / "labels").iterdir():
        path.unlink()
    (run / "root" / "sequences" / "08" / "labels").rmdir()
    code, report = evaluate(run, "--no-teacher", "--submission", run / "submission")
    assert code == 0
    assert "truth" not in report
    assert set(report["submission"]) == {"layout", "folder", "points"}
    assert (run / "submission" / "sequences" / "08" / "predictions" / "000001.label").stat().st_size == 4 * 60
    assert (run / "evaluation.html").read_text().count("<img ") == 2


def test_report_is_there_where_the_page_cannot_be_drawn(run, monkeypatch):
    def fail(findings):
        raise RuntimeError("no font")

    monkeypatch.setattr(command, "page", fail)
    with pytest.raises(RuntimeError, match="no font"):
        evaluate(run)
    assert json.loads((run / "evaluation.json").read_text())["samples"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "found.html"], "--out: the report is JSON, and its page would be found.html. .* found.json"),
        (["--threshold", "2"], "--threshold: expected a cosine similarity from -1 to 1, got 2.0"),
        (["--repeats", "0"], "--repeats: expected 1 to 100, got 0"),
        (["--pictures", "-1"], "--pictures: expected 0 to 50, got -1"),
        (["--seed", "-1"], "--seed: expected 0 or more, got -1"),
        (["--vocabulary", "nowhere.yaml"], "vocabulary nowhere.yaml: cannot be read"),
        (["--data", "kitti:nowhere"], "nowhere/sequences/08/velodyne: no scans"),
        (["--set", "evaluation.splot=08"], "Did you mean 'evaluation.split'"),
        (["--set", "teacher.kind=masks"], "it looks at images, the data has none.*Or measure the student alone"),
        (["--data", "street:1", "--submission", "out"], "data of kind 'street' has no official layout"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(run, arguments, message, capsys):
    assert evaluate(run, *arguments)[0] == 2
    assert re.search(message, capsys.readouterr().err.strip().splitlines()[-1])


def test_words_that_are_no_classes_are_named_before_anything_is_written(run, capsys):
    other = words(run, labels=["car", "tree"])
    assert evaluate(run, "--vocabulary", other, "--submission", run / "submission")[0] == 2
    assert "--submission: 'tree' of the vocabulary is no class of SemanticKITTI" in capsys.readouterr().err
    assert not (run / "submission").exists()


def test_unlabelled_data_and_a_teacher_of_true_names_do_not_go_together(run, capsys):
    for path in (run / "root" / "sequences" / "08" / "labels").iterdir():
        path.unlink()
    (run / "root" / "sequences" / "08" / "labels").rmdir()
    assert evaluate(run)[0] == 2
    assert "08_000000 has no point labels. Or measure the student alone: --no-teacher." in capsys.readouterr().err
