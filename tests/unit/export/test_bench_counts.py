"""What the bench counts and sums up: operations, turns, percentiles, sweeps of a size."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from ov3d_export.bench.gemm import GFLOP, GemmRate
from ov3d_export.bench.operations import count_operations, executed, read_profile
from ov3d_export.bench.sweeps import of_size, turned, varied
from ov3d_export.bench.timing import median_ratio, summary, take_turns
from ov3d_export.student_graph import student_graph
from ov3d_perception.inputs import InputSpec
from ov3d_perception.network_feeds import network_feeds
from ov3d_perception.sparse_index import build_sparse_index
from ov3d_perception.types import Frame, NetworkInputs, Voxels
from ov3d_trainer.network.model import SparseUNet, UNetConfig

# Three voxels: two neighbours, so one pair, and one far away; two parents that are no neighbours.
COORDS = np.array([(0, 0, 0), (0, 0, 1), (4, 0, 0)], dtype=np.int32)
INDEX = build_sparse_index(COORDS, 2)
QUERIES = 5


def config_of(**changes):
    shape = {"stem_channels": 3, "channels": (4, 3), "layers": (1, 1), "levels": 2}
    return UNetConfig(architecture="tiny", in_features=2, embedding_dim=8, **{**shape, **changes})


def test_operations_of_the_pairs_form_are_those_worked_by_hand():
    found = count_operations(config_of(), INDEX, 3, queries=QUERIES)
    assert found == {
        "stem": 2 * (3 + 2) * 2 * 3,  # three centres, one pair in both directions
        "strided": 2 * 3 * 3 * 3,  # every voxel goes to its parent
        "submanifold": 2 * (2 * 3 * 4 + 2 * 4 * 4 + 5 * 6 * 3 + 5 * 3 * 3),  # two parents below, 3 + 3 channels above
        "shortcut": 2 * (2 * 3 * 4 + 3 * 6 * 3),
        "transposed": 2 * 3 * 4 * 3,
        "last": 2 * 3 * 3 * 4,  # 3 channels and a bias span 4 of the 8 dimensions
        "similarity": 2 * 4 * QUERIES * (8 + 3),  # words to 4 numbers each, then three voxels
        "total": 60 + 54 + 382 + 156 + 72 + 72 + 440,
    }


def test_operations_of_the_table_form_include_the_neighbours_that_are_missing():
    found = count_operations(config_of(), INDEX, 3, queries=QUERIES, form="table")
    assert found["stem"] == 2 * 27 * 3 * 2 * 3
    assert found["strided"] == 2 * 8 * 2 * 3 * 3  # two parents of eight octants
    assert found["transposed"] == 2 * 8 * 2 * 4 * 3
    assert found["submanifold"] == 2 * 27 * (2 * 3 * 4 + 2 * 4 * 4 + 3 * 6 * 3 + 3 * 3 * 3)


@pytest.mark.parametrize("form", ["pairs", "int8", "table"])
@pytest.mark.parametrize(
    "changes",
    [{}, {"stem_kernel": 5, "second_kernel": 1}, {"anchors": 2}, {"anchors": 30}, {"layers": (2, 3)}],
)
def test_onnxruntime_does_as_many_operations_as_are_counted(tmp_path, form, changes):
    config = config_of(**changes)
    index = build_sparse_index(COORDS, 2, config.stem_kernel)
    graph = student_graph(SparseUNet(config).eval(), form).SerializeToString()
    voxels = Voxels(coords=COORDS, voxel_of_point=np.arange(3))
    inputs = NetworkInputs(features=np.ones((3, 2), np.float32), index=index, voxels=voxels)
    spec = InputSpec(features=("one", "z"), levels=2, stem_kernel=config.stem_kernel)
    feeds = {**network_feeds(inputs, spec, dense=form == "table"), "text": np.ones((QUERIES, 8), np.float32)}
    found = executed(graph, feeds, tmp_path)
    assert found["operations"] == count_operations(config, index, 3, queries=QUERIES, form=form)["total"]
    assert found["operators"]["Gather"]["calls"] > 0


def test_a_profile_is_read_from_its_last_run_on():
    def kernel(start, left, out, name="MatMul"):
        shapes = {"input_type_shape": [{"float": left}, {"float": [9, 9]}], "output_type_shape": [{"float": out}]}
        return {"name": "node_kernel_time", "ts": start, "dur": 500, "args": {"op_name": name, **shapes}}

    run = [{"name": "model_run", "ts": start, "dur": 1} for start in (0, 100)]
    events = [*run, kernel(1, [50, 50], [50, 50]), kernel(101, [2, 3], [2, 7]), kernel(102, [2, 3], [2, 7], "Relu")]
    found = read_profile(events)
    assert found["operations"] == 2 * 2 * 3 * 7
    assert found["operators"] == {"MatMul": {"ms": 0.5, "calls": 1}, "Relu": {"ms": 0.5, "calls": 1}}


def test_functions_take_turns_in_an_order_that_turns_round():
    order: list[str] = []
    ticks = itertools.count()  # a call takes one tick
    functions = {name: (lambda name=name: order.append(name)) for name in "abc"}
    found = take_turns(functions, 2, warm_up=1, settle_s=0.0, clock=lambda: float(next(ticks)))
    assert "".join(order) == "cba" + "abc" + "cba"
    assert found == {"a": [1.0, 1.0], "b": [1.0, 1.0], "c": [1.0, 1.0]}


def test_summary_and_ratio_are_medians():
    found = summary([0.001, 0.003, 0.002, 0.004, 0.100])
    assert found["p50_ms"] == pytest.approx(3.0)
    assert found["p95_ms"] == pytest.approx(80.8)  # 0.8 of the way from the fourth to the fifth
    assert (found["max_ms"], found["runs"]) == (pytest.approx(100.0), 5)
    assert median_ratio([2, 30, 4], [1, 10, 1]) == 3.0  # of 2, 3 and 4


def test_rate_of_products_is_the_best_library(monkeypatch):
    rate = GemmRate(1)
    rate._seconds = {"numpy": [1.0, 3.0, 2.0], "torch": [0.5, 0.5, 9.0]}
    found = rate.result()
    assert found["libraries"] == {"numpy": pytest.approx(GFLOP / 2), "torch": pytest.approx(GFLOP / 0.5)}
    assert found["gflop_per_s"] == pytest.approx(GFLOP / 0.5)


def ring(points, radius_m=10.0):
    angle = np.linspace(-np.pi, np.pi, points, endpoint=False)
    xyz = np.stack([radius_m * np.cos(angle), radius_m * np.sin(angle), np.zeros(points)], axis=1)
    return Frame(points=xyz.astype(np.float32), intensity=np.arange(points, dtype=np.float32), stamp_ns=5, frame_id="l")


def test_a_small_cloud_is_a_sector_and_a_large_one_is_copies_apart():
    generator = np.random.default_rng(0)
    small = of_size(ring(100), 25, generator)
    assert small.points[:, 0].max() < 0.01  # a quarter turn from -pi on: behind, to the right
    assert small.points[:, 1].max() < 0.01
    large = of_size(ring(100), 350, generator)
    assert len(large.points) == len(large.intensity) == 350
    centres = {tuple(np.round(large.points[at : at + 100].mean(axis=0), 3).tolist()) for at in (0, 100, 200)}
    assert centres == {(-130.0, -130.0, 0.0), (0.0, -130.0, 0.0), (-130.0, 0.0, 0.0)}


def test_a_varied_sweep_loses_points_and_keeps_distances():
    frame = ring(2000)
    first, second = itertools.islice(varied(frame, np.random.default_rng(1)), 2)
    for found in (first, second):
        assert 1850 < len(found.points) < 1950  # 5 % of 2,000 are 100
        np.testing.assert_allclose(np.linalg.norm(found.points, axis=1), 10.0, rtol=1e-5)
        kept = found.intensity.astype(int)
        assert not np.allclose(found.points, frame.points[kept], atol=1e-3)
    assert len(first.points) != len(second.points) or not np.allclose(first.points, second.points)


def test_a_quarter_turn_takes_x_to_y():
    frame = Frame(points=np.array([[1, 0, 2]], np.float32), intensity=np.zeros(1, np.float32), stamp_ns=0, frame_id="l")
    np.testing.assert_allclose(turned(frame, np.pi / 2).points, [[0, 1, 2]], atol=1e-6)
