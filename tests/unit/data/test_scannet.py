"""A room written as a ScanNet scan reads back as it was; damaged files are refused by name and reason."""

import csv
import io
import json
import struct
import zlib
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.geometry import transform_points
from ov3d_perception.projection import not_occluded, project
from ov3d_trainer.data.sample import UNKNOWN
from ov3d_trainer.data.scannet.categories import all_categories, raw_category
from ov3d_trainer.data.scannet.label_map import BENCHMARK_NYU40, COLUMNS, LABEL_MAP_FILE, NYU40, read_label_map
from ov3d_trainer.data.scannet.ply import read_ply
from ov3d_trainer.data.scannet.reader import ScanNetScan, ScanNetScans, read_scan, sample_of
from ov3d_trainer.data.scannet.sens import SensReader
from ov3d_trainer.data.scannet.writer import scan_name, write_room
from ov3d_trainer.data.simulate.room.kinds import ROOM_KINDS
from ov3d_trainer.data.simulate.room.scan import FLOOR_Z_M, RoomScan, scan_room
from ov3d_trainer.data.simulate.words import with_article, words_of

SIZE = (64, 48)
SEED, VIEWS, NUMBER = 5, 6, 12
NAME = "scene0012_00"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scannet")
    assert write_room(out, SEED, NUMBER, VIEWS, image_size=SIZE) == out / "scans" / NAME
    return out


@pytest.fixture(scope="module")
def folder(root: Path) -> Path:
    return root / "scans" / NAME


@pytest.fixture(scope="module")
def room() -> RoomScan:
    return scan_room(SEED, VIEWS, image_size=SIZE)


@pytest.fixture(scope="module")
def scan(root: Path, folder: Path) -> ScanNetScan:
    return read_scan(folder, root / LABEL_MAP_FILE)


@pytest.fixture
def copied(folder: Path, tmp_path: Path) -> Path:
    return Path(copytree(folder, tmp_path / NAME))


def test_the_official_files_are_there(root: Path, folder: Path) -> None:
    assert {path.name for path in folder.iterdir()} == {
        f"{NAME}.sens",
        f"{NAME}_vh_clean_2.ply",
        f"{NAME}_vh_clean_2.labels.ply",
        f"{NAME}_vh_clean_2.0.010000.segs.json",
        f"{NAME}.aggregation.json",
        f"{NAME}.txt",
        f"{NAME}_objects.json",
    }
    assert (root / LABEL_MAP_FILE).is_file()
    assert scan_name(3, 1) == "scene0003_01"


def test_frames_round_trip(folder: Path, room: RoomScan, scan: ScanNetScan) -> None:
    """Colour within what JPEG loses, depth to the millimetre, stamps a 30th of a second apart."""
    with SensReader(folder / f"{NAME}.sens") as recording:
        assert recording.header.color_size == recording.header.depth_size == SIZE
        assert recording.header.depth_shift == 1000
        assert recording.header.color_intrinsics[0, 0] == pytest.approx(0.9 * SIZE[0])
        frames = list(recording.frames())
    assert len(frames) == len(room.shots) == VIEWS
    for number, (frame, shot) in enumerate(zip(frames, room.shots, strict=True)):
        assert frame.index == number
        assert shot.image is not None
        assert np.abs(frame.depth_m - shot.depth_m).max() <= 0.00051
        assert np.abs(frame.color.astype(int) - shot.image).mean() < 8
        assert frame.color_us == number * 33_333
        assert np.allclose(frame.scan_from_camera[:3, :3] @ frame.scan_from_camera[:3, :3].T, np.eye(3), atol=1e-5)


def test_depth_pixels_fall_on_the_mesh(folder: Path, scan: ScanNetScan) -> None:
    """Unprojected by intrinsics and pose of the file: half are within 3 cm of a vertex (edges: 6.5 cm)."""
    with SensReader(folder / f"{NAME}.sens") as recording:
        frame = next(recording.frames(wanted=[2]))
        matrix = recording.header.depth_intrinsics
    row, column = np.nonzero(frame.depth_m)
    picked = np.random.default_rng(0).choice(len(row), 200, replace=False)
    row, column = row[picked], column[picked]
    depth = frame.depth_m[row, column].astype(float)
    ahead = [(column - matrix[0, 2]) / matrix[0, 0] * depth, (row - matrix[1, 2]) / matrix[1, 1] * depth, depth]
    points = transform_points(frame.scan_from_camera, np.stack(ahead, axis=1))
    nearest = [np.linalg.norm(scan.vertices - point, axis=1).min() for point in points]
    assert np.median(nearest) < 0.03


def test_objects_round_trip(scan: ScanNetScan, room: RoomScan) -> None:
    """Every object that a camera saw is there with its category, and its vertices are where it stands."""
    assert scan.object_rows is not None
    assert scan.nyu40 is not None
    assert (scan.object_rows != UNKNOWN).all()
    assert len(scan.objects) >= 15
    for row, found in enumerate(scan.objects):
        thing = room.things[found.id]
        wanted = raw_category(thing.kind)
        assert (found.raw_category, found.category) == (wanted.name, wanted)
        of_object = scan.object_rows == row
        assert of_object.any()
        assert (scan.nyu40[of_object] == wanted.nyu40).all()
        floor_frame = transform_points(scan.aligned_from_scan, scan.vertices[of_object].astype(float))
        placed = transform_points(thing.global_from_object, thing.mesh.vertices) - np.array([0, 0, FLOOR_Z_M])
        assert (floor_frame > placed.min(axis=0) - 0.001).all()
        assert (floor_frame < placed.max(axis=0) + 0.001).all()


def test_alignment_turns_walls_parallel_to_the_axes(scan: ScanNetScan) -> None:
    """In the scan's own frame they are not; the floor is level in both."""
    assert scan.nyu40 is not None
    floor = scan.vertices[scan.nyu40 == 2]
    assert np.ptp(floor[:, 2]) < 0.001
    aligned = transform_points(scan.aligned_from_scan, scan.vertices.astype(float))
    spread = np.ptp(aligned[scan.nyu40 == 1], axis=0)[:2].prod()
    turned = np.ptp(scan.vertices[scan.nyu40 == 1], axis=0)[:2].prod()
    assert spread < 0.95 * turned


def test_mesh_is_fine_and_whole(scan: ScanNetScan) -> None:
    corners = scan.vertices[scan.faces]
    edges = np.linalg.norm(corners - np.roll(corners, 1, axis=1), axis=2)
    assert edges.max() < 0.066
    assert np.unique(scan.faces).size == len(scan.vertices)
    assert 20_000 < len(scan.vertices) < 300_000


def test_descriptions_name_every_object(folder: Path, scan: ScanNetScan, room: RoomScan) -> None:
    described = json.loads((folder / f"{NAME}_objects.json").read_text())
    assert [entry["objectId"] for entry in described] == [found.id for found in scan.objects]
    for entry in described:
        thing = room.things[entry["objectId"]]
        assert (entry["name"], entry["color"]) == (thing.kind, thing.color)
        assert entry["synonyms"] == list(words_of(thing.kind).synonyms)
        assert entry["caption"] == with_article(f"{thing.color} {thing.kind}".strip())


def test_label_map_has_the_official_columns_and_all_benchmark_classes(root: Path) -> None:
    with (root / LABEL_MAP_FILE).open(newline="") as stream:
        assert tuple(next(csv.reader(stream, delimiter="\t"))) == COLUMNS
    table = read_label_map(root / LABEL_MAP_FILE)
    assert {kind.scannet for kind in ROOM_KINDS} == set(table)
    assert len({entry.id for entry in table.values()}) == len(table) == len(all_categories())
    assert set(BENCHMARK_NYU40) <= {entry.nyu40 for entry in table.values()}
    assert NYU40[table["couch"].nyu40] == "sofa"
    assert NYU40[table["refrigerator"].nyu40] == "refridgerator"


def test_scans_are_samples(root: Path, scan: ScanNetScan) -> None:
    """Points in the aligned frame 1.5 m above the floor; views see the mesh where their labels say."""
    source = ScanNetScans(root, views=3)
    sample = source[0]
    assert len(source) == 1
    assert sample.name == NAME
    assert len(sample.frame.cameras) == 3
    assert not sample.from_one_sensor
    assert sample.point_labels is not None
    floor = sample.frame.points[sample.point_labels == 2]
    assert np.median(floor[:, 2]) == pytest.approx(-1.5, abs=0.02)
    assert np.allclose(sample.frame.points[:, :2].min(axis=0), -sample.frame.points[:, :2].max(axis=0), atol=1e-3)
    assert sample.objects[0].kind == scan.objects[0].raw_category
    shades: list[NDArray[np.float64]] = []
    for view in sample.frame.cameras:
        projection = project(sample.frame.points, view, min_depth_m=0.3)
        seen = np.flatnonzero(not_occluded(projection, SIZE))
        column, row = np.rint(projection.pixels[seen]).astype(int).T
        inside = (column < SIZE[0]) & (row < SIZE[1])
        image = view.image[row[inside], column[inside]].mean(axis=1)
        assert sample.frame.colors is not None
        shades.append(np.corrcoef(image, sample.frame.colors[seen[inside]].mean(axis=1))[0, 1])
    assert np.mean(shades) > 0.4
    with pytest.raises(DataError, match="scene9999_00"):
        ScanNetScans(root, names=["scene9999_00"])


def test_scan_without_annotation_has_none(copied: Path) -> None:
    """As the benchmark's hidden test scans: no labels, no objects, no alignment."""
    for suffix in ("_vh_clean_2.labels.ply", ".aggregation.json", ".txt", ".sens"):
        (copied / f"{NAME}{suffix}").unlink()
    scan = read_scan(copied)
    assert scan.nyu40 is None
    assert scan.object_rows is None
    assert scan.objects == ()
    assert scan.sens is None
    assert np.array_equal(scan.aligned_from_scan, np.eye(4))


def hand_made_sens(*, poses: list[NDArray[np.float32]], color: int = 0, depth: int = 0, tail: bytes = b"") -> bytes:
    """A file of 4 x 2 colour and 2 x 2 depth pixels: frame k is of grey level k, depth 1000, 2000, 3000, 0 mm."""
    eye = np.eye(4, dtype="<f4").tobytes()
    head = struct.pack("<IQ4s", 4, 4, b"test") + eye * 4
    head += struct.pack("<iiIIIIfQ", color, depth, 4, 2, 2, 2, 1000.0, len(poses))
    depths = np.array([1000, 2000, 3000, 0], "<u2").tobytes()
    packed = zlib.compress(depths) if depth == 1 else depths
    for number, pose in enumerate(poses):
        stream = io.BytesIO()
        pixels = np.full((2, 4, 3), number, np.uint8)
        Image.fromarray(pixels).save(stream, "PNG")
        image = stream.getvalue() if color == 1 else pixels.tobytes()
        head += pose.astype("<f4").tobytes() + struct.pack("<4Q", 7, 9, len(image), len(packed)) + image + packed
    return head + tail


@pytest.mark.parametrize(("color", "depth"), [(0, 0), (1, 1), (0, 1)])
def test_raw_and_png_frames_are_read_and_lost_poses_skipped(tmp_path: Path, color: int, depth: int) -> None:
    lost = np.full((4, 4), -np.inf)
    poses = [np.eye(4, dtype=np.float32), lost.astype(np.float32), 2 * np.eye(4, dtype=np.float32)]
    path = tmp_path / "hand.sens"
    path.write_bytes(hand_made_sens(poses=poses, color=color, depth=depth, tail=struct.pack("<Q", 0)))
    with SensReader(path) as recording:
        frames = list(recording.frames())
        assert [index for index, _ in recording.poses()] == [0, 2]
        assert [frame.index for frame in recording.frames(wanted=[2])] == [2]
    assert [frame.index for frame in frames] == [0, 2]
    assert (frames[1].color == 2).all()
    assert np.array_equal(frames[0].depth_m, np.array([[1, 2], [3, 0]], np.float32))
    assert (frames[0].color_us, frames[0].depth_us) == (7, 9)


def test_view_with_a_pose_that_is_no_rotation_is_refused(copied: Path) -> None:
    twisted = np.diag([1, 1, 3, 1]).astype(np.float32)
    (copied / f"{NAME}.sens").write_bytes(hand_made_sens(poses=[twisted]))
    with pytest.raises(DataError, match="frame 0: camera_to_world"):
        sample_of(read_scan(copied), 1)


def broken(content: bytes, at: int, replacement: bytes) -> bytes:
    return content[:at] + replacement + content[at + len(replacement) :]


SIZES_AT = 4 + 8 + 4 + 256
FRAME_AT = SIZES_AT + 36


@pytest.mark.parametrize(
    ("at", "replacement", "message"),
    [
        (0, struct.pack("<I", 3), "version 3, expected 4"),
        (4, struct.pack("<Q", 2**60), "sensor name"),
        (SIZES_AT, struct.pack("<i", 9), "compression 9 of colour"),
        (SIZES_AT + 4, struct.pack("<i", 2), "2 of depth"),
        (SIZES_AT + 8, struct.pack("<II", 2**31, 2**31), "colour images of"),
        (SIZES_AT + 24, struct.pack("<f", 0.0), "depth shift 0"),
        (SIZES_AT + 28, struct.pack("<Q", 2**40), "frames in"),
        (FRAME_AT + 80, struct.pack("<Q", 2**50), "are left"),
        (FRAME_AT + 80, struct.pack("<Q", 23), "23 bytes of raw colour"),
    ],
)
def test_damaged_recordings_are_refused(tmp_path: Path, at: int, replacement: bytes, message: str) -> None:
    path = tmp_path / "hand.sens"
    path.write_bytes(broken(hand_made_sens(poses=[np.eye(4, dtype=np.float32)], tail=bytes(64)), at, replacement))
    with pytest.raises(DataError, match=message), SensReader(path) as recording:
        list(recording.frames())


def test_bomb_in_a_depth_image_is_not_inflated(tmp_path: Path) -> None:
    content = hand_made_sens(poses=[np.eye(4, dtype=np.float32)], depth=1)
    bomb = zlib.compress(bytes(10_000_000))
    color_bytes = 24
    head = broken(content, FRAME_AT + 88, struct.pack("<Q", len(bomb)))[: FRAME_AT + 96 + color_bytes]
    path = tmp_path / "bomb.sens"
    path.write_bytes(head + bomb)
    with pytest.raises(DataError, match="9 bytes of depth, expected 8"), SensReader(path) as recording:
        list(recording.frames())


def test_recording_that_is_cut_short_is_refused(copied: Path) -> None:
    path = copied / f"{NAME}.sens"
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(DataError, match="Cut short"), SensReader(path) as recording:
        list(recording.frames())


def test_missing_mesh_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="scene0001_00_vh_clean_2"):
        read_scan(tmp_path / "scene0001_00")


def test_mesh_with_a_face_beyond_its_vertices_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "mesh.ply"
    rows = "0 0 0\n1 0 0\n0 1 0\n"
    head = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    path.write_text(f"{head}element face 1\nproperty list uchar int vertex_indices\nend_header\n{rows}3 0 1 2\n")
    assert read_ply(path, ("x", "y", "z")).faces.tolist() == [[0, 1, 2]]
    path.write_text(f"{head}element face 1\nproperty list uchar int vertex_indices\nend_header\n{rows}3 0 1 3\n")
    with pytest.raises(DataError, match="vertex 3 of 3"):
        read_ply(path, ("x", "y", "z"))
    path.write_text(head.replace("vertex 3", "vertex 99999999999") + "end_header\n")
    with pytest.raises(DataError, match="99,999,999,999 vertex"):
        read_ply(path, ("x", "y", "z"))


@pytest.mark.parametrize(
    ("suffix", "content", "message"),
    [
        ("_vh_clean_2.0.010000.segs.json", '{"segIndices": [1, 2]}', "2 segIndices, the mesh has"),
        ("_vh_clean_2.0.010000.segs.json", '{"segIndices": "abc"}', "expected a list of whole numbers"),
        (".aggregation.json", "[1, 2", "cannot be read as JSON"),
        (".aggregation.json", "[]", "expected a JSON object"),
        (".aggregation.json", '{"segGroups": [{"label": "bed"}]}', "segGroups.0."),
        (".txt", "axisAlignment = 1 2 3\n", "expected 16 numbers"),
        (".txt", f"axisAlignment = {' '.join(['2'] * 16)}\n", "expected a rotation"),
    ],
)
def test_damaged_annotation_is_refused(copied: Path, suffix: str, content: str, message: str) -> None:
    (copied / f"{NAME}{suffix}").write_text(content)
    with pytest.raises(DataError, match=message):
        read_scan(copied)


def test_label_map_with_other_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / LABEL_MAP_FILE
    path.write_text("id\tname\n1\twall\n")
    with pytest.raises(DataError, match="line 2: expected columns"):
        read_label_map(path)
    path.write_text("id\traw_category\tnyu40id\n1\twall\t77\n")
    with pytest.raises(DataError, match="nyu40id 77"):
        read_label_map(path)


def test_scene_numbers_beyond_the_official_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="10000"):
        write_room(tmp_path, 0, 10_000, 4)
