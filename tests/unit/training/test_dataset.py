import json
from dataclasses import replace

import numpy as np
import pytest

from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.projection import project
from ov3d_trainer.config import SourceConfig
from ov3d_trainer.data.cache import CachedSource
from ov3d_trainer.data.dataset import Shrunk, open_source, parse_seeds
from ov3d_trainer.data.sample import Box
from ov3d_trainer.data.sample_files import read_sample, write_sample
from ov3d_trainer.data.worlds import Rooms, Streets
from tests.unit.training.hand_made import make_sample, make_view


class OneSample:
    """Counts how often it is asked."""

    def __init__(self):
        self.asked = 0

    def __len__(self):
        return 1

    def __getitem__(self, index):
        self.asked += 1
        return make_sample([[1, 2, 3], [np.nan, 0, 0]], point_labels=[1, -1], point_names=("tree", "car"))

    def key(self, index):
        return "only"


def test_images_of_any_recorded_data_are_shrunk_with_their_intrinsics():
    class One:
        def __len__(self):
            return 1

        def key(self, index):
            return "one"

        def __getitem__(self, index):
            return make_sample([[0, 4, 0]], views=[make_view(width=80, height=40)])

        def without_images(self, index):
            return make_sample([[0, 4, 0]])

    shrunk = Shrunk(source=One(), width=20)
    (view,) = shrunk[0].frame.cameras
    assert view.image.shape == (10, 20, 3)
    # the point falls on u = 4 of 80 columns, which is (4 + 0.5) / 4 - 0.5 of 20
    pixel = project(shrunk[0].frame.points, view).pixels[0]
    np.testing.assert_allclose(pixel, [(4.0 + 0.5) / 4 - 0.5, (2.0 + 0.5) / 4 - 0.5], atol=1e-5)
    assert Shrunk(source=One(), width=200)[0].frame.cameras[0].image.shape == (40, 80, 3)
    assert (len(shrunk), shrunk.key(0), shrunk.without_images(0).frame.cameras) == (1, "one", ())


def test_seeds_are_numbers_and_ranges():
    assert parse_seeds("0-2, 7") == (0, 1, 2, 7)
    for wrong in ("", "a", "3-1", "1-", "-3"):
        with pytest.raises(ConfigError, match=r"data\.seeds"):
            parse_seeds(wrong)


def test_cached_sample_is_made_once_and_reads_back_equal(tmp_path):
    source = OneSample()
    cached = CachedSource(source=source, folder=tmp_path / "cache")
    first, second = cached[0], cached[0]
    assert source.asked == 1
    np.testing.assert_array_equal(first.frame.points, second.frame.points)
    np.testing.assert_array_equal(second.point_labels, [1, -1])
    assert second.point_label_names == ("tree", "car")
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["only.npz"]


def test_boxes_survive_the_cache(tmp_path):
    from dataclasses import replace

    box = Box(category="car", center_m=np.array([1.0, 2, 3]), size_lwh_m=np.array([4.0, 2, 1.5]), yaw_rad=0.5)
    write_sample(tmp_path / "a.npz", replace(make_sample([[0, 0, 0]]), boxes=(box,)))
    (again,) = read_sample(tmp_path / "a.npz").boxes
    assert (again.category, again.yaw_rad) == ("car", 0.5)
    np.testing.assert_array_equal(again.center_m, box.center_m)
    np.testing.assert_array_equal(again.size_lwh_m, box.size_lwh_m)


def test_cloud_of_many_views_is_one_after_the_cache_too(tmp_path):
    one = make_sample([[0, 0, 0]])
    for sample in (one, replace(one, from_one_sensor=False)):
        write_sample(tmp_path / "a.npz", sample)
        assert read_sample(tmp_path / "a.npz").from_one_sensor == sample.from_one_sensor


def test_rooms_are_seen_from_many_places():
    assert not Rooms(seeds=(3,), views=1)[0].from_one_sensor


@pytest.mark.parametrize(("frame_id", "expected"), [("room", False), ("lidar", True)])
def test_older_cached_samples_tell_rooms_by_their_frame(tmp_path, frame_id, expected):
    one = make_sample([[0, 0, 0]])
    write_sample(tmp_path / "a.npz", replace(one, frame=replace(one.frame, frame_id=frame_id)))
    with np.load(tmp_path / "a.npz") as archive:
        arrays = dict(archive)
    facts = json.loads(str(arrays.pop("facts")))
    del facts["from_one_sensor"]
    np.savez(tmp_path / "old.npz", facts=np.array(json.dumps(facts)), **arrays)
    assert read_sample(tmp_path / "old.npz").from_one_sensor is expected


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\x03\x04 cut off"])
def test_damaged_cache_file_says_what_to_do(tmp_path, content):
    (tmp_path / "bad.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"bad\.npz.*Delete it"):
        read_sample(tmp_path / "bad.npz")


def test_truncated_cache_file_says_what_to_do(tmp_path):
    write_sample(tmp_path / "a.npz", make_sample(np.zeros((500, 3))))
    whole = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match="Delete it"):
        read_sample(tmp_path / "a.npz")


def test_streets_are_listed_seed_by_seed():
    streets = Streets(seeds=(5, 9), frames=3, interval_s=1.0, cameras=False)
    assert [streets.key(index) for index in (0, 2, 3)] == ["000005_0000", "000005_0002", "000009_0000"]
    assert len(streets) == 6
    with pytest.raises(IndexError):
        streets[6]


def test_unknown_or_incomplete_sources_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"data\.kind.*street, room, worlds, keyframe"):
        open_source(SourceConfig(kind="lake"))
    with pytest.raises(ConfigError, match=r"data\.path"):
        open_source(SourceConfig(kind="keyframe"))
    with pytest.raises(ConfigError, match=r"data\.seeds"):
        open_source(SourceConfig(kind="worlds", seeds="1"), tmp_path)


def test_images_labels_and_objects_survive_the_cache(tmp_path):
    from dataclasses import replace

    from ov3d_trainer.data.sample import LabelImage, Place, SceneObject

    sample = make_sample([[0, 0, 5], [0, 0, 6]], views=[make_view(width=12, height=8)])
    ramp = np.tile(np.arange(0, 240, 20, dtype=np.uint8)[None, :, None], (8, 1, 3))
    view = replace(sample.frame.cameras[0], image=ramp)
    labels = LabelImage(
        labels=np.arange(96, dtype=np.int32).reshape(8, 12) - 1,
        instances=np.full((8, 12), 10_000, np.int32),
        confidence=np.linspace(0, 1, 96, dtype=np.float32).reshape(8, 12),
    )
    red_van = SceneObject(kind="van", color="red", state="parked", key="segment 1 thing 2")
    full = replace(
        sample,
        frame=replace(sample.frame, cameras=(view,)),
        view_labels={"front": labels},
        view_label_names=("van",) * 96,
        point_instances=np.array([0, -1], np.int32),
        objects=(red_van,),
        place=Place(recording="drive", world_from_lidar=np.arange(16.0).reshape(4, 4)),
    )
    write_sample(tmp_path / "a.npz", full)
    again = read_sample(tmp_path / "a.npz")
    (seen,) = again.frame.cameras
    assert np.abs(seen.image.astype(int) - ramp).max() <= 6  # JPEG at quality 92
    np.testing.assert_array_equal(seen.camera_from_lidar, view.camera_from_lidar)
    np.testing.assert_array_equal(seen.intrinsics, view.intrinsics)
    for name in ("labels", "instances", "confidence"):
        np.testing.assert_array_equal(getattr(again.view_labels["front"], name), getattr(labels, name))
    assert again.objects == (red_van,)
    assert again.place is not None
    assert again.place.recording == "drive"
    np.testing.assert_array_equal(again.place.world_from_lidar, np.arange(16.0).reshape(4, 4))
    np.testing.assert_array_equal(again.point_instances, [0, -1])
    assert read_sample(tmp_path / "a.npz", cameras=False).frame.cameras == ()
