"""Labels worked out by hand: the tiny student's embedding is the direction of a voxel, its words are directions."""

import logging
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest import mock

import numpy as np
import onnxruntime as ort
import pytest

from ov3d_perception.artifact import open_bundle
from ov3d_perception.engine import (
    CPU_PROVIDER,
    CUDA_PROVIDER,
    Engine,
    label_voxels,
    most_voxels,
    resolve_providers,
)
from ov3d_perception.errors import ConfigError, DataError, FrameError, ModelError
from ov3d_perception.inputs import InputSpec
from ov3d_perception.queries import LabelSpec, QuerySet, make_queries
from tests.unit.engine.tiny_student import (
    WORDS,
    Directions,
    card_with,
    make_frame,
    write_bundle,
    write_student,
)

NAN = float("nan")


@pytest.fixture(scope="module")
def engine(tiny_bundle: Path) -> Engine:
    return Engine(tiny_bundle, providers="cpu", threads=1)


def ask(*labels: str | LabelSpec, **options: object) -> QuerySet:
    return make_queries(labels, Directions(), **options)  # type: ignore[arg-type]


def test_each_point_gets_the_label_of_its_direction_and_its_cosine(engine: Engine) -> None:
    frame = make_frame((10.5, 0, 0), (0, 0, 9.5), (3, 4, 0))
    prediction = engine.infer(frame, ask("east", "north", "up", version=3))
    assert prediction.label.tolist() == [1, 3, 2]
    assert prediction.label.dtype == np.uint16
    # (3, 4, 0) / 5 = (0.6, 0.8, 0): cosine 0.8 to north
    np.testing.assert_allclose(prediction.score, [1.0, 1.0, 0.8], atol=1e-6)
    assert prediction.queries_version == 3


def test_points_of_one_voxel_share_its_mean_direction(engine: Engine) -> None:
    # both in voxel (3, 4, 0); mean (3.5, 4.2, 0.4); length 5.4818 -> cosine to north 4.2 / 5.4818 = 0.76617
    prediction = engine.infer(make_frame((3.2, 4.1, 0.3), (3.8, 4.3, 0.5)), ask("north"))
    np.testing.assert_allclose(prediction.score, [0.76617, 0.76617], atol=1e-4)


def test_points_come_back_in_order_and_invalid_ones_unlabelled(engine: Engine) -> None:
    frame = make_frame((0, 20, 0), (NAN, 0, 0), (20, 0, 0), (60, 0, 0), (0, float("inf"), 0))  # 60 m > max_range_m
    prediction = engine.infer(frame, ask("east", "north"))
    assert prediction.label.tolist() == [2, 0, 1, 0, 0]
    assert prediction.score.tolist() == [1.0, 0.0, 1.0, 0.0, 0.0]


@pytest.mark.parametrize("points", [(), ((NAN, NAN, NAN), (NAN, 0.0, 0.0))], ids=["no points", "only NaN"])
def test_cloud_without_valid_points_is_unlabelled(engine: Engine, points: tuple[tuple[float, float, float]]) -> None:
    queries, others = ask("east", LabelSpec(name="up", synonyms=("north",))), ask("west", background=["up"])
    features = engine.encode(make_frame(*points), queries)
    for wanted in (queries, others):
        prediction = engine.label(features, wanted)
        assert prediction.label.tolist() == [0] * len(points)
        assert prediction.score.tolist() == [0.0] * len(points)


def test_label_is_as_similar_as_its_best_synonym(engine: Engine) -> None:
    queries = ask("north", LabelSpec(name="east", synonyms=("north-east",)))
    prediction = engine.infer(make_frame((3, 4, 0)), queries)  # cosines: north 0.8, east 0.6, north-east 1.0
    assert prediction.label.tolist() == [2]
    np.testing.assert_allclose(prediction.score, [1.0], atol=1e-6)


def test_background_word_wins_over_a_less_similar_label(engine: Engine) -> None:
    frame = make_frame((3, 4, 0), (20, 0, 0))
    prediction = engine.infer(frame, ask("east", background=["north"]))
    assert prediction.label.tolist() == [0, 1]
    np.testing.assert_allclose(prediction.score, [0.6, 1.0], atol=1e-6)  # of the best label, also where it lost


def test_background_word_loses_a_tie(engine: Engine) -> None:
    queries = ask("east", background=["north"])
    label, _ = label_voxels(np.array([[0.5, 0.5]], dtype=np.float32), queries)
    assert label.tolist() == [1]


def test_voxel_lost_to_the_background_keeps_the_score_of_its_best_label() -> None:
    similarity = [[0.2, 0.6, 0.5], [0.2, 0.6, 0.7], [0.9, 0.1, NAN], [NAN, 0.1, 0.2]]  # east, north; background up
    label, score = label_voxels(np.array(similarity, dtype=np.float32), ask("east", "north", background=["up"]))
    assert label.tolist() == [2, 0, 0, 0]
    np.testing.assert_allclose(score, [0.6, 0.6, 0.9, 0.0])


def test_point_below_the_threshold_is_unlabelled_and_at_it_labelled() -> None:
    similarity = np.array([[0.5], [0.499], [-1.0]], dtype=np.float32)
    label, score = label_voxels(similarity, ask("east", threshold=0.5))
    assert label.tolist() == [1, 0, 0]
    np.testing.assert_array_equal(score, similarity[:, 0])


def test_similarity_that_is_not_a_number_is_unlabelled() -> None:
    label, score = label_voxels(np.array([[NAN, NAN]], dtype=np.float32), ask("east", "north", threshold=-1.0))
    assert (label.tolist(), score.tolist()) == ([0], [0.0])


def test_new_words_are_answered_without_running_the_network(engine: Engine) -> None:
    features = engine.encode(make_frame((3, 4, 0), (0, 0, 9)), ask("east", version=1))
    later = ask("up", "north", version=2)
    with mock.patch.object(engine, "_run", side_effect=AssertionError("network ran")):
        prediction = engine.label(features, later)
    assert prediction.label.tolist() == [2, 1]
    assert prediction.queries_version == 2
    np.testing.assert_array_equal(prediction.label, engine.infer(make_frame((3, 4, 0), (0, 0, 9)), later).label)


def test_kept_similarity_is_not_taken_for_other_words_of_the_same_version(engine: Engine) -> None:
    features = engine.encode(make_frame((0, 20, 0)), ask("east", version=1))
    assert engine.label(features, ask("north", version=1)).score.tolist() == [1.0]


def test_result_says_how_long_each_stage_took(engine: Engine) -> None:
    features = engine.encode(make_frame((1, 2, 3)), ask("east"))
    assert set(features.timings_ms) == {"inputs", "network"}
    assert set(engine.label(features, ask("up")).timings_ms) == {"labels"}
    assert set(engine.infer(make_frame((1, 2, 3)), ask("up")).timings_ms) == {"inputs", "network", "labels"}


def test_encoding_and_labelling_in_two_threads_agree_with_one(engine: Engine) -> None:
    rng = np.random.default_rng(0)
    frames = [make_frame(*map(tuple, rng.uniform(-30, 30, (200, 3)))) for _ in range(8)]
    queries, others = ask("east", "north", "up"), ask("west", "up")
    expected = [engine.infer(frame, others).label for frame in frames]
    with ThreadPoolExecutor(2) as pool:
        encoded = [pool.submit(engine.encode, frame, queries) for frame in frames]
        labelled = [pool.submit(engine.label, future.result(), others) for future in encoded]
    for future, label in zip(labelled, expected, strict=True):
        np.testing.assert_array_equal(future.result().label, label)


def test_queries_of_another_text_space_are_refused(engine: Engine) -> None:
    encoder = Directions()
    encoder.space = "clip"
    with pytest.raises(ModelError, match="made in text space 'clip'"):
        engine.infer(make_frame((1, 2, 3)), make_queries(["east"], encoder))


def test_cloud_without_colours_is_a_data_error_for_a_model_that_takes_them(tmp_path: Path) -> None:
    inputs = InputSpec(voxel_size_m=1.0, features=("red", "green", "blue"), levels=2)
    engine = Engine(write_bundle(tmp_path / "colour", card_with(inputs=inputs)), providers="cpu", threads=1)
    with pytest.raises(DataError, match="this cloud has none"):
        engine.infer(make_frame((1, 2, 3)), ask("east"))


def test_failed_run_is_a_frame_error_so_that_the_next_sweep_may_pass(engine: Engine) -> None:
    with pytest.raises(FrameError, match="run on CPUExecutionProvider failed for 1 voxels"):
        engine._run({"features": np.zeros((1, 2), dtype=np.float32)}, np.zeros((1, 3), dtype=np.float32))
    assert engine.infer(make_frame((20, 0, 0)), ask("east")).label.tolist() == [1]


def test_features_kept_of_a_sweep_are_its_unit_vectors(engine: Engine) -> None:
    features = engine.encode(make_frame((3, 4, 0), (0, 0, 9)), ask("east"))
    rows = features.row_of_point
    np.testing.assert_allclose(features.embedding[rows], [[0.6, 0.8, 0], [0, 0, 1]], atol=1e-6)
    text = np.array([[0, 1, 0], [0, 0, 1]], dtype=np.float32)
    np.testing.assert_allclose(features.similarity_to(text)[rows], [[0.8, 0], [0, 1]], atol=1e-6)


def test_a_thousand_words_label_as_a_few_do(engine: Engine) -> None:
    # All but two are background, and none of them is nearer to the points than "east" and "north".
    words = {f"down {number}": (0.0, 0.0, -1.0) for number in range(1000)}
    with mock.patch.dict(WORDS, words):
        many = make_queries(["east", "north"], Directions(), background=list(words))
    frame = make_frame((20, 0, 0), (0, 20, 0), (0, 0, -20), (np.nan, 0, 0))
    assert engine.encode(frame, many).similarity is not None
    with mock.patch("ov3d_perception.engine.MOST_SIMILARITIES", 3000):  # 3 voxels, 1002 phrases
        features = engine.encode(frame, many)
    assert features.similarity is None
    found = engine.label(features, many)
    np.testing.assert_array_equal(found.label, engine.infer(frame, many).label)
    assert found.label.tolist() == [1, 2, 0, 0]
    np.testing.assert_allclose(found.score, [1, 1, 0, 0], atol=1e-6)
    np.testing.assert_array_equal(engine.label(features, ask("east", threshold=0.5)).label, [1, 0, 0, 0])


def test_blocks_of_rows_are_those_of_the_whole(engine: Engine) -> None:
    frame = make_frame(*((x, y, 1) for x in range(-20, 20) for y in range(-20, 20)))
    features = engine.encode(frame, ask("east"))
    text = np.random.default_rng(0).normal(size=(900, 3)).astype(np.float32)
    blocks = [block() for block in features.blocks(text)]
    assert len(blocks) > 1
    np.testing.assert_allclose(np.concatenate(blocks), features.embedding @ text.T, atol=1e-5)
    np.testing.assert_array_equal(np.concatenate(blocks), features.similarity_to(text))


def test_form_for_gpus_is_taken_where_its_provider_runs_and_only_with_the_same_card(tmp_path: Path) -> None:
    # The CPU's provider stands for a GPU's.
    folder = write_bundle(tmp_path / "bundle")
    write_student(folder / "student_gpu.onnx", card_with(name="another"))
    bundle = open_bundle(folder)
    assert bundle.gpu_student_path == folder / "student_gpu.onnx"
    with (
        mock.patch("ov3d_perception.engine.GPU_PROVIDERS", {CPU_PROVIDER}),
    ):
        with pytest.raises(ModelError, match=r"student_gpu\.onnx: its card is not that of student\.onnx"):
            Engine(bundle)
        write_student(folder / "student_gpu.onnx")
        (folder / "student.onnx").unlink()
        assert Engine(bundle).infer(make_frame((20, 0, 0)), ask("east")).label.tolist() == [1]


def test_more_voxels_than_a_gpu_counts_are_refused_by_name(engine: Engine) -> None:
    frame = make_frame((20, 0, 0), (0, 20, 0))
    with mock.patch.object(engine, "_most_voxels", 1), pytest.raises(FrameError, match=r"2 voxels, at most 1 fit"):
        engine.encode(frame, ask("east"))
    session = mock.Mock(**{"get_modelmeta.return_value.custom_metadata_map": {"ov3d_table_row": "3456"}})
    assert most_voxels(session) == 2**29 // 3456  # MinkUNet34C: 27 neighbours of 128 numbers


def test_features_that_are_no_numbers_are_reported_once(engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    broken = np.array([[np.nan, 0, 0], [1, 0, 0]], dtype=np.float32)
    with mock.patch.object(engine, "_run", return_value=(broken, broken[:, :1])):
        for _ in range(2):
            features = engine.encode(make_frame((20, 0, 0), (0, 20, 0)), ask("east", threshold=0.5))
    assert [record.message[:38] for record in caplog.records] == ["1 of 2 voxels have features that are n"]
    assert engine.label(features, ask("east", threshold=0.5)).label.tolist().count(0) == 1


def test_engine_says_which_provider_runs(engine: Engine) -> None:
    assert engine.provider == CPU_PROVIDER


def test_auto_prefers_cuda_where_onnxruntime_has_it() -> None:
    with mock.patch.object(ort, "get_available_providers", return_value=[CUDA_PROVIDER, CPU_PROVIDER]):
        assert resolve_providers("auto") == [CUDA_PROVIDER, CPU_PROVIDER]
        assert resolve_providers("cpu") == [CPU_PROVIDER]
    with mock.patch.object(ort, "get_available_providers", return_value=[CPU_PROVIDER]):
        assert resolve_providers("auto") == [CPU_PROVIDER]


def test_explicit_cuda_without_cuda_says_what_to_install(tiny_bundle: Path) -> None:
    with (
        mock.patch.object(ort, "get_available_providers", return_value=[CPU_PROVIDER]),
        pytest.raises(ModelError, match=r"has no CUDAExecutionProvider.*onnxruntime-gpu"),
    ):
        Engine(tiny_bundle, providers="cuda")


def _session_that_falls_back(path: str, options: ort.SessionOptions, providers: list[str]) -> ort.InferenceSession:
    return _REAL_SESSION(path, options, providers=[CPU_PROVIDER])


_REAL_SESSION = ort.InferenceSession


def test_silent_fallback_to_the_cpu_is_reported(tiny_bundle: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        mock.patch.object(ort, "get_available_providers", return_value=[CUDA_PROVIDER, CPU_PROVIDER]),
        mock.patch.object(ort, "InferenceSession", side_effect=_session_that_falls_back),
        caplog.at_level(logging.WARNING),
    ):
        engine = Engine(tiny_bundle, providers="auto")
        with pytest.raises(ModelError, match="CUDAExecutionProvider was asked for, but CPUExecutionProvider runs"):
            Engine(tiny_bundle, providers="cuda")
    assert engine.provider == CPU_PROVIDER
    assert "CUDAExecutionProvider was asked for, but CPUExecutionProvider runs" in caplog.text


def test_unknown_provider_is_named(tiny_bundle: Path) -> None:
    with pytest.raises(ConfigError, match="got 'gpu'"):
        Engine(tiny_bundle, providers="gpu")
    with pytest.raises(ConfigError, match="the list is empty"):
        Engine(tiny_bundle, providers=[])
    with pytest.raises(ModelError, match="has no NoSuchProvider"):
        Engine(tiny_bundle, providers=["NoSuchProvider"])


def test_zero_threads_are_refused(tiny_bundle: Path) -> None:
    with pytest.raises(ConfigError, match="threads: expected at least 1"):
        Engine(tiny_bundle, threads=0)


def test_student_exchanged_after_opening_is_refused(tmp_path: Path) -> None:
    from ov3d_perception.artifact import open_bundle
    from tests.unit.engine.tiny_student import write_student

    bundle = open_bundle(write_bundle(tmp_path / "bundle"))
    write_student(bundle.student_path, levels=3)
    with pytest.raises(ModelError, match="card says 2 levels"):
        Engine(bundle)
