"""The real segmenter's masks on the real keyframe (skips without the data)."""

from dataclasses import replace

import numpy as np
import pytest

from ov3d_perception.text.bank import BankEncoder
from ov3d_trainer.config import TeacherConfig
from ov3d_trainer.data.boxes import points_in_box
from ov3d_trainer.data.keyframe import Keyframe
from ov3d_trainer.teacher import make_teacher
from ov3d_trainer.words.vocabulary import read_vocabulary

WORDS = ("building", "pole", "tree", "person", "car", "truck")


@pytest.fixture(scope="module")
def sample(real_data):
    return Keyframe(real_data / "nuscenes_scene-0061")[0]


def supervise(sample, configs, **options):
    words = read_vocabulary(configs / "cityscapes_vocabulary.yaml")
    bank = BankEncoder(WORDS, np.eye(len(WORDS), dtype=np.float32), "test:axes")
    teacher = make_teacher(TeacherConfig(kind="masks", **options), words, bank, sample)
    return teacher, teacher.supervise(sample)


def test_masks_call_most_supervised_points_in_car_boxes_car(sample, configs):
    teacher, supervision = supervise(sample, configs)
    inside = np.any([points_in_box(sample.frame.points, box) for box in sample.boxes if box.category == "car"], axis=0)
    taught = supervision.target[inside & (supervision.weight > 0)]
    assert len(taught) > 30
    assert np.mean(taught == teacher.targets.names.index("car")) > 0.7  # the data's README: about 4 of 5


def test_words_without_a_row_are_reported_and_supervise_nothing(sample, configs):
    teacher, supervision = supervise(sample, configs)
    assert {"road", "sidewalk", "wall", "fence", "sky"} <= set(teacher.targets.not_queryable)
    assert set(np.unique(supervision.target)) <= {-1, *range(len(WORDS))}
    assert 5_000 < len(supervision.supervised) < 20_000  # of 34,688: most of the ground has no row


def test_stricter_options_supervise_fewer_points(sample, configs):
    counts = [
        len(supervise(sample, configs, **options)[1].supervised)
        for options in ({"occlusion_test": False}, {}, {"erosion_px": 2}, {"erosion_px": 2, "min_confidence": 0.8})
    ]
    assert counts == sorted(counts, reverse=True)
    assert len(set(counts)) == len(counts)


def test_masks_in_a_folder_of_ones_own_teach_the_same(sample, configs, real_data, tmp_path):
    source = real_data / "nuscenes_scene-0061" / "masks"
    folder = tmp_path / sample.name
    folder.mkdir()
    for path in source.glob("*.png"):
        (folder / path.name).symlink_to(path)
    (tmp_path / "labels.json").symlink_to(source / "labels.json")
    alone = replace(sample, view_labels={}, view_label_names=())
    _, own = supervise(sample, configs)
    _, outside = supervise(alone, configs, path=str(tmp_path))
    np.testing.assert_array_equal(outside.target, own.target)
    np.testing.assert_array_equal(outside.weight, own.weight)
