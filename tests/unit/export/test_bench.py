"""The bench as a command: every measurement on tiny sweeps, the record, its page and its plots."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ov3d_export.bench import bench_command, gpu, worker
from ov3d_export.bench.graphs import SPEC, bundle_of, graph_file, random_network
from ov3d_export.bench.machine import describe_machine
from ov3d_export.bench.page import number, page, times
from ov3d_export.bench.peer_times import AS_NODE, INT8, MINKOWSKI, OURS, SPCONV, TORCH
from ov3d_export.bench.plan import check_parts, plan, read_record, run_plan, updated, write_record
from ov3d_export.bench.plots import figures
from ov3d_export.bench.settings import BenchSettings, quick
from ov3d_export.bench.stages import STAGES
from ov3d_export.bench.sweeps import load_sweep, sweep_names
from ov3d_export.cli import main
from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.sparse_index import build_sparse_index
from ov3d_trainer.network.backends import index_tensors
from ov3d_trainer.network.model import SparseUNet, unet_config
from tests.unit.engine.tiny_student import write_bundle

POINTS = 300


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Settings for a bundle whose network is a formula, and a data folder with one small sweep."""
    folder = tmp_path_factory.mktemp("bench")
    generator = np.random.default_rng(0)
    rows = generator.uniform(-20, 20, (POINTS, 5)).astype(np.float32)
    rows[:, 3:] = np.abs(np.rint(rows[:, 3:]))
    path = folder / "data" / "nuscenes_scene-0061" / "LIDAR_TOP.pcd.bin"
    path.parent.mkdir(parents=True)
    rows.tofile(path)
    return BenchSettings(
        bundle=write_bundle(folder / "bundle"),
        data=folder / "data",
        graphs=folder / "graphs",
        threads=(1,),
        voxel_m=(0.5,),
        sweeps=2,
        rounds=2,
        queries=(1, 10),
        points=(400, 1000),
        scaling_voxel_m=(0.5,),
        architectures=("light",),
        peer_architectures=("light",),
        embedding_dim=8,
        gpu_sweeps=1,
        training_steps=1,
    )


@pytest.fixture(scope="module")
def record(tiny):
    """A whole run, in this process."""
    jobs = plan(tiny, check_parts(["stages", "words", "scaling", "threads", "sizes", "peers", "gpu"]))
    jobs = [job for job in jobs if job.arguments.get("sweep", "nuScenes") == "nuScenes"]
    lines = []
    found = run_plan(tiny, jobs, lambda job: worker.measure(job.name, tiny, job.arguments), progress=lines.append)
    assert len(lines) == len(jobs)
    assert lines[0] == f"[1/{len(jobs)}] stages: threads 1, voxel_size_m 0.5, sweep nuScenes"
    return found


def test_every_stage_is_measured_or_says_why_not(record):
    own, card = record["stages"]
    assert (own["voxel_size_m"], card["voxel_size_m"]) == (0.5, 1.0)
    for entry in (own, card):
        assert entry["points"] == POINTS
        assert set(entry["stages"]) == {*STAGES, "end_to_end"}
        for name, found in entry["stages"].items():
            assert found.get("runs") == 2 or name in ("receive", "publish")
        assert entry["voxels"] > 0
        assert entry["peak_memory_mb"] > 10
    # east, north and up, of three numbers each, are compared with every voxel: all that this network multiplies
    assert card["gflop"] == pytest.approx(2e-9 * 3 * 3 * card["voxels"], rel=0.1)


def test_sizes_and_peers_are_of_the_same_network(record):
    (sizes,), (peers,) = record["sizes"], record["peers"]
    assert [(row["architecture"], row["form"]) for row in sizes["rows"]] == [
        ("light", form) for form in ("pairs", "int8", "table")
    ]
    assert sizes["rows"][0]["gflop"] == sizes["rows"][1]["gflop"] < sizes["rows"][2]["gflop"]
    assert set(peers["rows"]) == {OURS, INT8, AS_NODE, TORCH, MINKOWSKI, SPCONV}
    assert peers["rows"][OURS]["times_ours"] == 1.0
    assert peers["rows"][TORCH]["difference"] < 1e-4


def test_more_points_are_held_against_the_reference(record):
    small, large = record["scaling"]
    assert (small["points"], large["points"]) == (400, 1000)
    assert large["voxels"] > small["voxels"]
    expected = large["total"]["p50_ms"] / large["voxels"] / (large["reference"]["p50_ms"] / large["reference_voxels"])
    assert large["per_voxel"] == pytest.approx(expected, rel=0.5)  # median of ratios, ratio of medians


def test_without_a_device_every_row_says_so(record):
    (found,) = record["gpu"]
    assert found["device"] is None
    assert {row["not_measured"] for row in found["rows"]} == {"no CUDA device"}
    assert {row["backend"] for row in found["rows"]} == {"onnxruntime CUDA", "torch", "spconv_triton"}


def test_ways_of_the_gpu_table_run_on_a_cpu_too(tiny):
    frames = [load_sweep(tiny.data, "nuScenes").frame] * 2
    row = gpu.engine_row(tiny, "light", frames, providers="cpu")
    assert (row["backend"], row["network"]["runs"]) == ("onnxruntime CPU", 1)
    row = gpu.torch_row(tiny, "light", frames, backend="torch", precision="bf16", device="cpu")
    assert row["network"]["p50_ms"] < row["end_to_end"]["p50_ms"]
    row = gpu.torch_row(tiny, "light", frames, backend="nonsense", precision="fp32", device="cpu")
    assert "unknown 'nonsense'" in row["not_measured"]
    trained = gpu.training(tiny, frames, device="cpu", architecture="light")
    assert trained["rows"][0]["samples_per_s"] > 0
    assert "| torch | fp32 |" in trained["table"][2]


def test_record_comes_back_from_its_file(record, tmp_path):
    write_record(record, tmp_path / "bench.json")
    assert read_record(tmp_path / "bench.json") == json.loads(json.dumps(record))
    assert set(record["machine"]) == set(describe_machine())
    assert not {"bundle", "data", "graphs"} & set(record["settings"])  # folders of this machine
    (tmp_path / "other.json").write_text('{"format": 99}')
    with pytest.raises(DataError, match="no bench record of format 1"):
        read_record(tmp_path / "other.json")


def test_page_and_plots_show_every_part(record):
    text = page(record)
    for title in ("Stages", "Words", "More points", "More threads", "Sizes", "Peers", "GPU"):
        assert f"## {title}" in text
    assert "New texts: not measured: the bundle's text side is a bank of vectors." in text
    if "not_measured" in record["peers"][0]["rows"][MINKOWSKI]:
        assert "not measured: MinkowskiEngine is not installed (make peers)" in text
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        assert len({line.count("|") for line in table.splitlines()}) == 1, table
    assert set(figures(record)) == {"stages", "scaling", "words", "sizes", "peers"}
    assert figures({}) == {}


def test_a_peer_is_asked_for_the_same_vectors_and_one_that_is_missing_is_a_reason(tiny, monkeypatch):
    def minkowski_network(config, state):
        model = SparseUNet(config).eval()
        model.load_state_dict(state)

        def network(features, coords):
            index = index_tensors(build_sparse_index(coords, config.levels))
            with torch.inference_mode():
                return model(torch.from_numpy(features), index).numpy() + np.float32(0.25)

        return network

    def spconv_network(config, state):
        raise ConfigError("spconv: does not import")

    fake = SimpleNamespace(minkowski_network=minkowski_network, spconv_network=spconv_network)
    monkeypatch.setitem(sys.modules, "ov3d_export.bench.peers", fake)
    arguments = {"sweep": "nuScenes", "architecture": "light"}
    rows = worker.measure("peers", tiny, {**arguments, "threads": 1})["rows"]
    assert rows[MINKOWSKI]["difference"] == pytest.approx(0.25, abs=1e-4)
    assert rows[MINKOWSKI]["total"]["runs"] == 2
    assert rows[SPCONV] == {"not_measured": "spconv is not installed (make peers)"}
    rows = worker.measure("peers", tiny, {**arguments, "threads": 2})["rows"]
    assert rows[SPCONV] == {"not_measured": "wrong results with more than one thread"}


def test_numbers_have_the_digits_that_mean_something():
    assert [number(value) for value in (0.1234, 9.876, 12.34, 123.4)] == ["0.12", "9.88", "12.3", "123"]
    assert times({"p50_ms": 1.0, "p95_ms": 20.0, "max_ms": 300.0}) == "1.00 / 20.0 / 300"
    assert times({"not_measured": "no CUDA device"}) == "not measured: no CUDA device"


def test_command_measures_in_processes_and_writes_everything(tiny, tmp_path, capsys):
    arguments = [
        "bench",
        "--bundle",
        str(tiny.bundle),
        "--data",
        str(tiny.data),
        "--threads",
        "1",
        "--out",
        str(tmp_path),
    ]
    assert main([*arguments, "--quick", "--only", "threads", "--voxel-size", "0.5"]) == 0
    assert "[1/1] threads: voxel_size_m 0.5, most 1" in capsys.readouterr().out
    first = read_record(tmp_path / "bench.json")
    assert first["threads"][0]["threads"][0]["speed_up"] == 1.0
    assert main([*arguments, "--only", "gpu", "--update"]) == 0
    both = read_record(tmp_path / "bench.json")
    assert both["threads"] == first["threads"]
    assert both["gpu"][0]["device"] == both["machine"]["gpu"]
    assert both["updates"][0]["parts"] == ["gpu"]
    assert "## More threads" in (tmp_path / "bench.md").read_text()
    assert main(["bench", "--page-of", str(tmp_path / "bench.json")]) == 0
    assert "## GPU" in capsys.readouterr().out


def test_command_starts_where_only_onnxruntime_is(tiny):
    code = "import sys; sys.modules.update(torch=None, onnx=None); from ov3d_export.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", code, "bench", "--bundle", str(tiny.bundle), "--data", str(tiny.data)]
    done = subprocess.run([*command, "--only", "gpu", "--json"], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["gpu"][0]["wall_s"] > 0
    assert done.stderr.startswith("[1/1] gpu")


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--only", "stages,nonsense"], "--only: unknown nonsense"),
        (["--threads", "0"], "must be positive"),
        (["--data", "nowhere"], "--data nowhere: no such folder"),
    ],
)
def test_what_cannot_be_measured_is_one_line(tiny, capsys, arguments, expected):
    assert main(["bench", "--bundle", str(tiny.bundle), *arguments]) == 2
    assert expected in capsys.readouterr().err


def test_a_measurement_that_dies_is_a_reason_and_not_the_end(tiny, monkeypatch):
    monkeypatch.setattr(worker, "TIMEOUT_S", 60.0)
    found = worker.run_isolated(
        "nonsense", tiny, {"threads": 1}, threads=1, environment={"PYTHONPATH": ":".join(sys.path)}
    )
    assert found["threads"] == 1
    assert found["not_measured"].startswith("ended with code 1: ValueError: measurement: unknown 'nonsense'")
    found = worker.measure("peers", tiny, {"threads": 1, "sweep": "the moon", "architecture": "light"})
    assert found["not_measured"].startswith("sweep the moon: not here.")


def test_settings_come_back_from_json_and_quick_ones_are_fewer(tiny):
    assert BenchSettings.from_dict(json.loads(json.dumps(tiny.to_dict()))) == tiny
    assert BenchSettings.from_dict({**tiny.to_dict(), "data": None}).data is None
    usual = bench_command.settings_of(
        bench_command_options("--bundle", str(tiny.bundle), "--full", "--threads", "1", "2"), tiny.graphs, None
    )
    assert usual.points[-1] == 2_000_000
    assert (usual.threads, usual.sweeps >= 50) == ((1, 2), True)
    assert (quick(usual).threads, quick(usual).points[-1]) == ((2,), 100_000)


def bench_command_options(*arguments):
    import argparse

    parser = argparse.ArgumentParser()
    bench_command.add_bench_command(parser.add_subparsers())
    return parser.parse_args(["bench", *arguments])


def test_updating_keeps_the_parts_that_were_not_measured_again():
    machine = {"machine": {}, "started": "now", "settings": {}}
    found = updated({**machine, "words": [1], "sizes": [2]}, {**machine, "words": [3], "format": 1})
    assert (found["words"], found["sizes"]) == ([3], [2])
    assert found["updates"][0]["parts"] == ["words"]


def test_without_data_there_are_simulated_sweeps_and_without_both_a_reason(monkeypatch, tmp_path):
    assert sweep_names(tmp_path) == ["simulated street", "simulated room"]
    monkeypatch.setitem(sys.modules, "ov3d_trainer.data.simulate", None)
    with pytest.raises(ConfigError, match="no sweep to measure with: give --data"):
        sweep_names(None)


def test_networks_are_the_same_every_time_and_graphs_are_written_once(tmp_path):
    first, second = (random_network("light", 8) for _ in range(2))
    assert first.config == unet_config("light", in_features=len(SPEC.features), embedding_dim=8)
    assert all((value == second.state_dict()[name]).all() for name, value in first.state_dict().items())
    path = graph_file(tmp_path, "light", 8, "pairs")
    before = path.stat().st_mtime_ns
    assert graph_file(tmp_path, "light", 8, "pairs").stat().st_mtime_ns == before
    assert bundle_of(tmp_path, "light", 8) == bundle_of(tmp_path, "light", 8)
