"""The simulated room is reproducible, furnished with many kinds, and its points, pixels and objects agree."""

import re
from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from ov3d_perception.errors import ConfigError
from ov3d_perception.geometry import invert_transform, transform_points
from ov3d_perception.projection import project
from ov3d_trainer.data.sample import Sample
from ov3d_trainer.data.simulate import KINDS, VIEW_KINDS, SimulatedRoom
from ov3d_trainer.data.simulate.colors import COLORS
from ov3d_trainer.data.simulate.kinds import KIND_OF
from ov3d_trainer.data.simulate.mesh import Surface, box
from ov3d_trainer.data.simulate.room.kinds import ROOM_KINDS
from ov3d_trainer.data.simulate.room.layouts import LAYOUTS
from ov3d_trainer.data.simulate.room.oddities import ODDITIES
from ov3d_trainer.data.simulate.room.piece import Piece, Top
from ov3d_trainer.data.simulate.room.scan import FLOOR_Z_M, RoomScan, build_space, scan_room
from ov3d_trainer.data.simulate.room.space import Space
from ov3d_trainer.data.simulate.words import all_words

SIZE = (160, 120)


@pytest.fixture(scope="module")
def sample() -> Sample:
    return SimulatedRoom(3, 4, image_size=SIZE, layout="living room")[0]


@pytest.fixture(scope="module")
def scan() -> RoomScan:
    return scan_room(3, 4, image_size=SIZE, layout="living room")


def kinds_in(space: Space) -> set[str]:
    return {thing.kind for thing in space.things()}


def test_sample_is_complete(sample: Sample) -> None:
    frame = sample.frame
    assert 30_000 < len(frame.points) < 150_000
    assert frame.points.dtype == np.float32
    assert frame.frame_id == "room"
    assert frame.colors is not None
    assert frame.colors.shape == frame.points.shape
    assert len(frame.cameras) == len(sample.view_labels) == 4
    assert all(view.image.shape == (SIZE[1], SIZE[0], 3) for view in frame.cameras)
    assert sample.point_labels is not None
    assert sample.point_instances is not None
    assert 0 <= sample.point_labels.min() <= sample.point_labels.max() < len(KINDS)
    assert sample.view_label_names == VIEW_KINDS
    assert sample.point_label_names == KINDS


def test_same_seed_gives_identical_arrays(sample: Sample) -> None:
    again = SimulatedRoom(3, 4, image_size=SIZE, layout="living room")[0]
    other = SimulatedRoom(4, 4, image_size=SIZE, layout="living room")[0]
    assert np.array_equal(sample.frame.points, again.frame.points)
    assert np.array_equal(sample.frame.cameras[2].image, again.frame.cameras[2].image)
    assert sample.objects == again.objects
    assert not np.array_equal(sample.frame.points[:1000], other.frame.points[:1000])


def test_intensity_is_luminance(sample: Sample) -> None:
    assert sample.frame.colors is not None
    red, green, blue = sample.frame.colors[7].astype(float)
    assert sample.frame.intensity[7] == pytest.approx(0.3 * red + 0.59 * green + 0.11 * blue, abs=1e-3)


def test_floor_points_lie_on_the_floor(sample: Sample) -> None:
    """Fused depth of at most 7 m has an error of at most 8 cm here; nearly all is far better."""
    heights = sample.frame.points[sample.point_labels == KINDS.index("floor"), 2]
    assert len(heights) > 2_000
    assert abs(float(np.median(heights)) - FLOOR_Z_M) < 0.01
    assert float(np.quantile(np.abs(heights - FLOOR_Z_M), 0.95)) < 0.05


def test_points_are_one_per_cell(sample: Sample) -> None:
    """Means of what one 3 cm cell holds: noise moves some into the next cell, so one in five may share a cell."""
    cells = np.unique(np.floor(sample.frame.points / 0.03).astype(int), axis=0)
    assert len(cells) > 0.8 * len(sample.frame.points)


def test_labels_of_pixels_and_points_agree(sample: Sample, scan: RoomScan) -> None:
    """A point that lies where the depth image has a surface is of that pixel's kind, but for edges of things."""
    assert sample.point_labels is not None
    same: list[NDArray[np.bool_]] = []
    for view, shot in zip(sample.frame.cameras, scan.shots, strict=True):
        projection = project(sample.frame.points, view, min_depth_m=0.3)
        pixels = np.rint(projection.pixels).astype(int)
        column, row = np.clip(pixels[:, 0], 0, SIZE[0] - 1), np.clip(pixels[:, 1], 0, SIZE[1] - 1)
        met = projection.visible & (np.abs(shot.depth_m[row, column] - projection.depth_m) < 0.03)
        labels = sample.view_labels[view.name].labels[row, column]
        same.append((labels == sample.point_labels)[met])
    together = np.concatenate(same)
    assert len(together) > 10_000
    assert together.mean() > 0.97


def test_instances_have_the_kind_of_their_object(sample: Sample) -> None:
    assert sample.point_instances is not None
    kinds = np.array([KINDS.index(thing.kind) for thing in sample.objects])
    assert np.array_equal(kinds[sample.point_instances], sample.point_labels)
    for labels in sample.view_labels.values():
        assert labels.instances is not None
        assert np.array_equal(kinds[labels.instances], labels.labels)


def test_boxes_hold_the_points_of_their_object(sample: Sample) -> None:
    assert sample.point_instances is not None
    keys = [thing.key for thing in sample.objects]
    checked = 0
    for found in sample.boxes:
        points = sample.frame.points[sample.point_instances == keys.index(found.key)]
        if len(points) < 50:
            continue
        turned = np.array(
            [[np.cos(found.yaw_rad), -np.sin(found.yaw_rad)], [np.sin(found.yaw_rad), np.cos(found.yaw_rad)]]
        )
        local = np.column_stack([(points[:, :2] - found.center_m[:2]) @ turned, points[:, 2] - found.center_m[2]])
        assert (np.abs(local) < found.size_lwh_m / 2 + 0.05).all(axis=1).mean() > 0.95
        checked += 1
    assert checked >= 8


def test_depth_is_the_distance_to_the_surface(scan: RoomScan) -> None:
    """Median error below 1 cm, growing with depth: at 3 m sigma is 1.2 + 1.9 * 2.6^2 = 14 mm."""
    near, far = [], []
    for shot in scan.shots:
        ahead = shot.rays @ shot.room_from_camera[:3, 2]
        error = np.abs(shot.depth_m.ravel() - shot.hits.distance_m * ahead)
        valid = shot.depth_m.ravel() > 0
        assert 0.5 < valid.mean() < 1.0
        near.append(error[valid & (shot.depth_m.ravel() < 1.5)])
        far.append(error[valid & (shot.depth_m.ravel() > 3.0)])
    assert np.median(np.concatenate(near)) < 0.004
    assert 0.006 < np.median(np.concatenate(far)) < 0.05


def test_depth_image_and_pose_give_back_the_room(scan: RoomScan) -> None:
    """Depth pixels unprojected by intrinsics and pose lie within the walls."""
    shot = scan.shots[0]
    row, column = np.nonzero(shot.depth_m)
    depth = shot.depth_m[row, column].astype(float)
    matrix = shot.intrinsics
    x = (column - matrix[0, 2]) / matrix[0, 0] * depth
    y = (row - matrix[1, 2]) / matrix[1, 1] * depth
    points = transform_points(shot.room_from_camera, np.stack([x, y, depth], axis=1))
    low, high = scan.mesh.vertices.min(axis=0), scan.mesh.vertices.max(axis=0)
    assert ((points > low - 0.15) & (points < high + 0.15)).all(axis=1).mean() > 0.99


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_every_layout_has_what_its_name_promises(layout: str) -> None:
    promised = {
        "living room": {"sofa", "tv"},
        "bedroom": {"bed", "pillow"},
        "kitchen": {"kitchen cabinet", "refrigerator"},
        "bathroom": {"toilet", "sink"},
        "office": {"desk", "office chair"},
        "meeting room": {"dining table", "office chair"},
        "dining room": {"dining table", "chair"},
        "store room": {"box"},
        "studio": {"bed", "kitchen cabinet"},
    }[layout]
    found = Counter(kind for seed in range(6) for kind in kinds_in(build_space(seed, layout)) & promised)
    assert {kind: found[kind] for kind in promised if found[kind] < 4} == {}


def test_every_seen_kind_occurs_and_no_unseen_one() -> None:
    rooms = [kinds_in(build_space(seed, layout)) for seed in range(12) for layout in LAYOUTS]
    found = set().union(*rooms)
    seen = {kind.name for kind in ROOM_KINDS if not kind.unseen}
    assert len(seen) >= 40
    assert seen - found == set()
    assert found - seen == set()


def test_unseen_rooms_have_every_unseen_kind() -> None:
    rooms = [kinds_in(build_space(seed, layout, unseen=True)) for seed in range(5) for layout in LAYOUTS]
    unseen = {kind.name for kind in ROOM_KINDS if kind.unseen}
    assert len(unseen) >= 4
    assert set(ODDITIES) == unseen
    assert unseen - set().union(*rooms) == set()


def test_all_surfaces_of_a_piece_are_of_its_kind() -> None:
    """Also in unseen rooms, over all layouts: what a pixel shows is what its object is."""
    for seed in range(3):
        for layout in LAYOUTS:
            for thing in build_space(seed, layout, unseen=True).things():
                assert set(thing.mesh.kind.tolist()) == {KINDS.index(thing.kind)}, thing.kind


def test_colors_are_words_and_many_things_have_one() -> None:
    things = [thing for seed in range(4) for thing in build_space(seed, "studio").things()]
    assert {thing.color for thing in things} <= {*COLORS, ""}
    assert sum(bool(thing.color) for thing in things) > 0.5 * len(things)


def test_things_do_not_stand_in_each_other() -> None:
    """Two pieces of furniture on the floor share no more than a fifth of the smaller one's box."""
    upright = {
        "sofa",
        "bed",
        "wardrobe",
        "bookshelf",
        "refrigerator",
        "desk",
        "cabinet",
        "dresser",
        "piano",
        "tv stand",
    }
    for seed in range(6):
        spots = [spot for spot in build_space(seed, "studio").spots if spot.piece.kind in upright]
        boxes = [corners_of(spot.piece, spot.transform) for spot in spots]
        for number, first in enumerate(boxes):
            for second in boxes[number + 1 :]:
                shared = np.minimum(first[1], second[1]) - np.maximum(first[0], second[0])
                volume = np.prod(np.clip(shared, 0, None))
                assert volume <= 0.2 * min(np.prod(first[1] - first[0]), np.prod(second[1] - second[0]))


def corners_of(piece: Piece, transform: NDArray[np.float64]) -> NDArray[np.float64]:
    vertices = transform_points(transform, piece.mesh.vertices)
    return np.stack([vertices.min(axis=0), vertices.max(axis=0)])


def test_a_thing_is_put_on_top_of_its_host() -> None:
    space = Space(np.random.default_rng(0), 4.0, 4.0, 2.5)
    wood = Surface("table", "wood", (120, 90, 60))
    table = Piece(kind="table", mesh=box(wood, (1, 1, 0.7), (0, 0, 0)), tops=(Top(0.7, (-0.5, -0.5), (0.5, 0.5)),))
    cup = Piece(kind="cup", mesh=box(Surface("cup", "ceramic", (200, 0, 0)), (0.1, 0.1, 0.1), (0, 0, 0)))
    host = space.free_standing(table, yaw=0.0)
    assert host is not None
    spots = [space.on(host, cup) for _ in range(3)]
    assert all(spot is not None for spot in spots)
    heights = [corners_of(spot.piece, spot.transform)[0, 2] for spot in spots if spot is not None]
    assert heights == pytest.approx([0.7] * 3)
    assert space.free_standing(Piece(kind="table", mesh=box(wood, (5, 5, 1), (0, 0, 0)))) is None


def test_camera_poses_are_inside_and_upright(scan: RoomScan) -> None:
    for shot in scan.shots:
        eye, down = shot.room_from_camera[:3, 3], shot.room_from_camera[:3, 1]
        assert 1.1 < eye[2] - FLOOR_Z_M < 1.8
        assert down[2] < -0.5
        assert np.allclose(invert_transform(shot.room_from_camera) @ shot.room_from_camera, np.eye(4), atol=1e-9)


def test_words_of_rooms_are_complete_and_held_out_words_occur_nowhere_else() -> None:
    words = all_words()
    for kind in ROOM_KINDS:
        assert len(words[kind.name].synonyms) >= 3, kind.name
        assert len(words[kind.name].held_out) >= 2, kind.name
        assert 1 <= len(words[kind.name].phrases) <= 3, kind.name
    spoken = [text for entry in words.values() for text in (*entry.names, *entry.phrases)]
    held_out = [text for entry in words.values() for text in entry.held_out]
    leaks = [(held, text) for held in held_out for text in spoken if re.search(rf"\b{re.escape(held)}(s|es)?\b", text)]
    assert leaks == []
    assert len(set(held_out)) == len(held_out)


def test_every_room_kind_has_a_scannet_category() -> None:
    assert [kind.name for kind in ROOM_KINDS if not KIND_OF[kind.name].scannet] == []


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(ConfigError, match="seed=-1"):
        SimulatedRoom(-1, 4)
    with pytest.raises(ConfigError, match="views=0"):
        SimulatedRoom(0, 0)
    with pytest.raises(ConfigError, match="cellar"):
        SimulatedRoom(0, 4, layout="cellar")
    with pytest.raises(IndexError):
        SimulatedRoom(0, 4)[1]
