"""numba's kernels and numpy's: equal to the bit on every cloud, each compiled once, and numpy's alone without numba."""

import importlib
import logging
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ov3d_perception import acceleration, numpy_kernels
from ov3d_perception.clouds import read_cloud
from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.inputs import FEATURES, InputSpec, build_inputs, warm_up
from ov3d_perception.sparse_index import build_sparse_index
from ov3d_perception.types import Frame, NetworkInputs
from ov3d_perception.voxels import mean_per_voxel, voxelize

KERNELS = (
    "voxelize",
    "unique_cells",
    "sum_per_voxel",
    "is_ascending",
    "row_starts",
    "find_pairs",
    "group_by_octant",
    "places_by_layer",
)
EVERY_FEATURE = InputSpec(features=tuple(FEATURES), stem_kernel=5)


@pytest.fixture
def numba_kernels() -> ModuleType:
    pytest.importorskip("numba", reason="numba is not installed: only numpy's kernels are tested")
    return importlib.import_module("ov3d_perception.numba_kernels")


@pytest.fixture
def without_numba(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, "numba", None)  # importing it fails
    monkeypatch.delitem(sys.modules, "ov3d_perception.numba_kernels", raising=False)
    acceleration._numba_kernels.cache_clear()
    yield
    acceleration._numba_kernels.cache_clear()


def frame_of(points: np.ndarray, seed: int = 0) -> Frame:
    generator = np.random.default_rng(seed)
    return Frame(
        points=points.astype(np.float32),
        intensity=generator.uniform(-10, 300, len(points)).astype(np.float32),
        colors=generator.integers(0, 256, (len(points), 3), dtype=np.uint8),
        stamp_ns=0,
        frame_id="lidar",
    )


def spoiled(points: np.ndarray, seed: int) -> np.ndarray:
    """Some numbers become NaN, infinite, or too large for any voxel."""
    generator = np.random.default_rng(seed)
    places = generator.random(points.shape) < 0.02
    return np.where(places, generator.choice([np.nan, np.inf, -np.inf, 1e18], points.shape), points)


def assert_equal(first: NetworkInputs, second: NetworkInputs) -> None:
    arrays: list[dict[str, np.ndarray]] = [
        {**one.index, "features": one.features, "coords": one.voxels.coords, "rows": one.voxels.voxel_of_point}
        for one in (first, second)
    ]
    assert list(arrays[0]) == list(arrays[1])
    for name, array in arrays[0].items():
        assert array.dtype == arrays[1][name].dtype, name
        np.testing.assert_array_equal(array, arrays[1][name], err_msg=name)


@pytest.mark.usefixtures("numba_kernels")
@pytest.mark.parametrize("scale_m", [0.2, 3.0, 40.0], ids=["dense", "sparse", "beyond the range"])
@pytest.mark.parametrize("count", [0, 1, 2, 5000])
def test_both_make_equal_inputs_of_random_clouds(count: int, scale_m: float) -> None:
    frame = frame_of(spoiled(np.random.default_rng(count).normal(0, scale_m, (count, 3)), seed=count))
    assert_equal(build_inputs(frame, EVERY_FEATURE, compiled=False), build_inputs(frame, EVERY_FEATURE, compiled=True))


@pytest.mark.usefixtures("numba_kernels")
@pytest.mark.parametrize("file", ["nuscenes_scene-0061/LIDAR_TOP.pcd.bin", "semantickitti/seq08_000000.bin"])
def test_both_make_equal_inputs_of_real_sweeps(real_data: Path, file: str) -> None:
    frame = read_cloud(real_data / file)
    frame = frame_of(frame.points)
    assert_equal(build_inputs(frame, EVERY_FEATURE, compiled=False), build_inputs(frame, EVERY_FEATURE, compiled=True))


def test_voxels_reach_from_one_end_of_the_axes_to_the_other(compiled: bool) -> None:
    most = 2.0**20 - 1
    points = np.array([[most] * 3, [-most] * 3, [-most, most, -most], [most + 1, 0, 0]], dtype=np.float32)
    voxels = voxelize(points, 1.0, compiled=compiled)
    np.testing.assert_array_equal(voxels.coords, [[-most] * 3, [-most, most, -most], [most] * 3])
    np.testing.assert_array_equal(voxels.voxel_of_point, [2, 0, 1, -1])


def test_distance_is_compared_in_double_precision(compiled: bool) -> None:
    # 3 m and 4 m give 5 m exactly; the next float32 after 4 lies 4.8e-7 m further out
    points = np.array([[3, 4, 0], [3, np.nextafter(np.float32(4), np.float32(5)), 0]], dtype=np.float32)
    voxels = voxelize(points, 10.0, max_range_m=5.0, compiled=compiled)
    np.testing.assert_array_equal(voxels.voxel_of_point, [0, -1])


@pytest.mark.parametrize("kind", [np.float32, np.float64, np.uint8, np.int64])
def test_means_of_every_type_are_equal(numba_kernels: ModuleType, kind: type) -> None:
    generator = np.random.default_rng(3)
    voxels = voxelize(spoiled(generator.normal(0, 1, (2000, 3)), seed=1).astype(np.float32), 0.5, max_range_m=4.0)
    values: np.ndarray = (generator.random((2000, 4)) * 200).astype(kind)
    for chosen in (values, values[:, 2], values[:, ::2]):
        means = [mean_per_voxel(chosen, voxels, compiled=compiled) for compiled in (False, True)]
        np.testing.assert_array_equal(means[0], means[1])


def test_no_kernel_is_compiled_after_the_warm_up_not_even_for_read_only_or_strided_points(
    numba_kernels: ModuleType,
) -> None:
    kernels = [getattr(numba_kernels, name) for name in KERNELS]
    warm_up(EVERY_FEATURE)
    before = [len(one.signatures) for one in kernels]
    wide = np.random.default_rng(0).normal(0, 2, (3000, 5)).astype(np.float32)
    for points in (wide[:, :3], np.ascontiguousarray(wide[:, 1:4])):
        points.flags.writeable = False
        inputs = build_inputs(replace(frame_of(points), points=points), EVERY_FEATURE)
        assert len(inputs.voxels.coords) > 1000
    assert min(before) > 0
    assert [len(one.signatures) for one in kernels] == before


def test_arrays_that_do_not_belong_together_are_refused_before_a_kernel_reads_beyond_them(compiled: bool) -> None:
    voxels = voxelize(np.array([[0, 0, 0], [5, 0, 0]], dtype=np.float32), 1.0, compiled=compiled)
    with pytest.raises(DataError, match="3 values, 2 points"):
        mean_per_voxel(np.ones(3, dtype=np.float32), voxels, compiled=compiled)
    with pytest.raises(DataError, match="voxels up to 1 and 1 voxels"):
        mean_per_voxel(np.ones(2), replace(voxels, coords=voxels.coords[:1]), compiled=compiled)
    with pytest.raises(DataError, match=r"\(N, 3\), got \(4, 2\)"):
        voxelize(np.ones((4, 2), dtype=np.float32), 1.0, compiled=compiled)


@pytest.mark.usefixtures("without_numba")
def test_without_numba_numpy_runs_and_says_so_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        assert acceleration.kernels(None) is numpy_kernels
        inputs = build_inputs(frame_of(np.ones((1, 3))), EVERY_FEATURE)
    assert len(inputs.voxels.coords) == 1
    assert len(caplog.messages) == 1
    assert "numba cannot be used" in caplog.messages[0]
    assert "Install `ov3d_perception[fast]`" in caplog.messages[0]


@pytest.mark.usefixtures("without_numba")
def test_asking_for_kernels_that_cannot_run_is_refused() -> None:
    with pytest.raises(ConfigError, match="numba cannot be used"):
        voxelize(np.ones((1, 3), dtype=np.float32), 0.1, compiled=True)


def test_kernels_are_compiled_anew_where_no_folder_can_keep_them(
    numba_kernels: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = numba_kernels.njit

    def njit(*, cache: bool = False, **options: object) -> object:
        if cache:
            raise RuntimeError("cannot cache function: no locator available for file")
        return real(**options)

    monkeypatch.setattr(numba_kernels, "njit", njit)
    doubled = numba_kernels._kernel(lambda number: 2 * number)
    assert doubled(4) == 8
    assert len(doubled.signatures) == 1


def test_compiled_code_that_a_power_cut_left_half_written_is_not_used(
    numba_kernels: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> None:
        raise EOFError("Ran out of input")  # what numba raises for an empty index file

    monkeypatch.setattr(numba_kernels, "run_each_once", broken)
    acceleration._numba_kernels.cache_clear()
    try:
        assert acceleration.kernels(None) is numpy_kernels
    finally:
        acceleration._numba_kernels.cache_clear()
    assert "EOFError: Ran out of input" in caplog.messages[0]
    assert ".nbi" in caplog.messages[0]


def test_coordinates_of_another_shape_or_type_are_refused(compiled: bool) -> None:
    for coords in (np.zeros((1, 2), np.int32), np.zeros((1, 3)), np.zeros(3, np.int32)):
        with pytest.raises(DataError, match=r"expected integer coordinates \(V, 3\)"):
            build_sparse_index(coords, compiled=compiled)
