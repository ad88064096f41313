"""Cloud files: every format round-trips, and damaged or ambiguous files say what is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ov3d_perception.clouds import read_cloud
from ov3d_perception.errors import ConfigError, DataError

XYZ = np.array([[1.5, -2.0, 0.25], [10.0, 20.0, -1.0], [-3.0, 4.0, 1.0], [7.0, 8.0, 9.0]], np.float32)
NUSCENES = np.column_stack([XYZ, [12, 255, 0, 99], [0, 31, 5, 7]]).astype(np.float32)
KITTI = np.column_stack([XYZ, [0.1, 0.25, 0.0, 0.99]]).astype(np.float32)


def test_nuscenes_file_gives_ring_stamp_and_frame_from_its_name(tmp_path: Path) -> None:
    path = tmp_path / "n015-2018-07-24-11-22-45+0800__LIDAR_TOP__1532402927647951.pcd.bin"
    path.write_bytes(NUSCENES.tobytes())
    frame = read_cloud(path)
    np.testing.assert_array_equal(frame.points, XYZ)
    np.testing.assert_array_equal(frame.intensity, NUSCENES[:, 3])
    np.testing.assert_array_equal(frame.ring, [0, 31, 5, 7])
    assert frame.stamp_ns == 1_532_402_927_647_951_000
    assert frame.frame_id == "LIDAR_TOP"


def test_plain_bin_is_told_by_size_and_values(tmp_path: Path) -> None:
    for name, rows in (("nuscenes", NUSCENES), ("kitti", KITTI)):
        path = tmp_path / f"{name}.bin"
        path.write_bytes(rows.tobytes())
        frame = read_cloud(path)
        np.testing.assert_array_equal(frame.points, XYZ)
        assert (frame.ring is None) == (name == "kitti")


def test_plain_bin_of_a_size_that_fits_both_is_told_by_values(tmp_path: Path) -> None:
    for name, rows in (("nuscenes", np.tile(NUSCENES, (4, 1))), ("kitti", np.tile(KITTI, (5, 1)))):
        assert rows.nbytes == 320  # divides by 16 and by 20
        path = tmp_path / f"{name}.bin"
        path.write_bytes(rows.tobytes())
        frame = read_cloud(path)
        np.testing.assert_array_equal(frame.points[:4], XYZ)
        assert len(frame.points) == len(rows)


def test_ambiguous_bin_asks_for_its_kind(tmp_path: Path) -> None:
    path = tmp_path / "zeros.bin"
    path.write_bytes(bytes(80))  # four nuScenes or five KITTI points, all zero
    with pytest.raises(DataError, match="kind='nuscenes' or kind='kitti'"):
        read_cloud(path)
    assert len(read_cloud(path, kind="nuscenes").points) == 4
    assert len(read_cloud(path, kind="kitti").points) == 5


def test_values_that_fit_neither_layout_ask_for_the_kind(tmp_path: Path) -> None:
    path = tmp_path / "far.bin"
    path.write_bytes((KITTI * 1e6).tobytes())
    with pytest.raises(DataError, match="fit neither"):
        read_cloud(path)


def test_stated_kind_wins_over_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "cloud.pcd.bin"
    path.write_bytes(KITTI.tobytes())
    np.testing.assert_array_equal(read_cloud(path, kind="kitti").points, XYZ)


@pytest.mark.parametrize("name", ["cut.pcd.bin", "cut.bin"])
def test_truncated_bin_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(NUSCENES.tobytes()[:-1])
    with pytest.raises(DataError, match="truncated"):
        read_cloud(path)


@pytest.mark.parametrize("name", ["a.bin", "a.pcd", "a.ply", "a.npy", "a.pcd.bin"])
def test_empty_and_missing_files_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError, match="no such file"):
        read_cloud(tmp_path / name)
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(DataError, match="empty"):
        read_cloud(tmp_path / name)


@pytest.mark.parametrize("name", ["a.pcd", "a.ply", "a.npy"])
def test_rubbish_is_refused(tmp_path: Path, name: str) -> None:
    for content in (b"\x00" * 100, b"ply\nelement vertex 5\nPOINTS 5\nend_header\n"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=r"a\.\w+"):
            read_cloud(tmp_path / name)


def test_unknown_kind_and_suffix_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "cloud.xyz"
    path.write_text("1 2 3")
    with pytest.raises(DataError, match="unknown suffix"):
        read_cloud(path)
    with pytest.raises(ConfigError, match="Choose from auto"):
        read_cloud(path, kind="las")


def test_nan_points_stay_in_place(tmp_path: Path) -> None:
    rows = NUSCENES.copy()
    rows[1, :3] = np.nan
    path = tmp_path / "nan.bin"
    path.write_bytes(rows.tobytes())
    frame = read_cloud(path)
    np.testing.assert_array_equal(np.isnan(frame.points).any(axis=1), [False, True, False, False])


@pytest.mark.parametrize("columns", [3, 4, 5])
def test_npy_columns_are_coordinates_intensity_ring(tmp_path: Path, columns: int) -> None:
    path = tmp_path / "cloud.npy"
    np.save(path, NUSCENES[:, :columns].astype(np.float64))
    frame = read_cloud(path)
    np.testing.assert_array_equal(frame.points, XYZ)
    np.testing.assert_array_equal(frame.intensity, NUSCENES[:, 3] if columns > 3 else np.zeros(4))
    assert (frame.ring is not None) == (columns == 5)


def test_npy_with_too_many_columns_asks_for_names(tmp_path: Path) -> None:
    path = tmp_path / "cloud.npy"
    np.save(path, np.zeros((4, 6), np.float32))
    with pytest.raises(DataError, match="named fields"):
        read_cloud(path)


def test_structured_npy_goes_by_names(tmp_path: Path) -> None:
    rows = np.zeros(4, dtype=[("red", "u1"), ("z", "f8"), ("y", "f4"), ("x", "f4"), ("green", "u1"), ("blue", "u1")])
    for axis, name in enumerate("xyz"):
        rows[name] = XYZ[:, axis]
    rows["red"], rows["green"], rows["blue"] = 1, 2, 3
    path = tmp_path / "cloud.npy"
    np.save(path, rows)
    frame = read_cloud(path)
    np.testing.assert_array_equal(frame.points, XYZ)
    np.testing.assert_array_equal(frame.colors, np.tile([1, 2, 3], (4, 1)))


def test_pickled_npy_is_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "cloud.npy"
    np.save(path, np.array([{"x": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="not a readable"):
        read_cloud(path)


@pytest.mark.parametrize("text", [False, True])
def test_ply_keeps_points_colours_and_intensity(tmp_path: Path, text: bool) -> None:
    plyfile = pytest.importorskip("plyfile")
    vertices = np.zeros(4, dtype=[("x", "f4"), ("y", "f4"), ("z", "f4"), ("scalar_Intensity", "f4"), ("red", "u1")])
    vertices = np.zeros(4, dtype=[*vertices.dtype.descr, ("green", "u1"), ("blue", "u1")])
    for axis, name in enumerate("xyz"):
        vertices[name] = XYZ[:, axis]
    vertices["scalar_Intensity"], vertices["green"] = [1, 2, 3, 4], 200
    path = tmp_path / "cloud.ply"
    plyfile.PlyData([plyfile.PlyElement.describe(vertices, "vertex")], text=text).write(str(path))
    frame = read_cloud(path)
    np.testing.assert_array_equal(frame.points, XYZ)
    np.testing.assert_array_equal(frame.intensity, [1, 2, 3, 4])
    np.testing.assert_array_equal(frame.colors, np.tile([0, 200, 0], (4, 1)))


@pytest.mark.parametrize("encoding", ["ascii", "binary", "binary_compressed"])
def test_pcd_keeps_points_and_intensity(tmp_path: Path, encoding: str) -> None:
    pypcd4 = pytest.importorskip("pypcd4")
    path = tmp_path / "cloud.pcd"
    pypcd4.PointCloud.from_xyzi_points(KITTI).save(path, encoding=pypcd4.Encoding(encoding))
    frame = read_cloud(path)
    np.testing.assert_allclose(frame.points, XYZ, atol=1e-6)  # ascii is written with ten digits
    np.testing.assert_allclose(frame.intensity, KITTI[:, 3], atol=1e-6)


@pytest.mark.parametrize("name", ["big.pcd", "big.ply", "big.bin"])
def test_cloud_larger_than_the_limit_is_refused_by_its_header(tmp_path: Path, name: str) -> None:
    header = {
        "big.pcd": b"VERSION .7\nFIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\nWIDTH 99999999\nPOINTS 99999999\n",
        "big.ply": b"ply\nformat ascii 1.0\nelement vertex 99999999\nend_header\n",
        "big.bin": KITTI.tobytes(),
    }[name]
    (tmp_path / name).write_bytes(header)
    with pytest.raises(DataError, match="expected at most"):
        read_cloud(tmp_path / name, max_points=3)


def test_real_nuscenes_sweep_and_kitti_scan_are_told_apart(real_data: Path, tmp_path: Path) -> None:
    frame = read_cloud(real_data / "nuscenes_scene-0061" / "LIDAR_TOP.pcd.bin")
    assert len(frame.points) == 34_688
    assert frame.ring is not None
    assert frame.ring.max() == 31
    plain = tmp_path / "sweep.bin"
    plain.write_bytes((real_data / "nuscenes_scene-0061" / "LIDAR_TOP.pcd.bin").read_bytes())
    np.testing.assert_array_equal(read_cloud(plain).points, frame.points)
    (scan,) = (path for path in (real_data / "semantickitti").rglob("*.bin"))
    frame = read_cloud(scan)
    assert len(frame.points) == 123_389
    assert frame.ring is None
    assert frame.intensity.max() <= 1.0


def test_npy_whose_columns_are_text_is_refused(tmp_path: Path) -> None:
    rows = np.array([(0.0, 1.0, "up")], dtype=[("x", "f4"), ("y", "f4"), ("z", "U4")])
    np.save(tmp_path / "cloud.npy", rows)
    with pytest.raises(DataError, match="z must be numbers"):
        read_cloud(tmp_path / "cloud.npy")
