"""What augmentation changes, and what it leaves alone."""

import numpy as np
import pytest

from ov3d_perception.errors import ConfigError
from ov3d_perception.types import Frame
from ov3d_trainer.config import load_config
from ov3d_trainer.training.augment import augment, change_colors, read_between, smooth_noise
from ov3d_trainer.training.augmentation import AugmentationConfig


def make_frame(points, colors=None):
    points = np.array(points, dtype=np.float32)
    return Frame(
        points=points,
        intensity=np.full(len(points), 9.0, np.float32),
        colors=None if colors is None else np.array(colors, np.uint8),
        stamp_ns=0,
        frame_id="lidar",
    )


def cloud(count=4000, seed=0):
    generator = np.random.default_rng(seed)
    return make_frame(generator.uniform(-4, 4, (count, 3)), generator.integers(0, 256, (count, 3)))


def left(frame):
    return np.isfinite(frame.points).all(axis=1)


def test_grid_is_read_between_its_nodes():
    grid = np.zeros((2, 2, 2, 1))
    grid[1, :, :] = 4.0
    grid[1, 1, 1] = 12.0
    places = np.array([[0, 0, 0], [1, 0, 0], [0.25, 0.5, 0], [0.5, 0.5, 0.5], [1, 1, 1]])
    # middle: (4 x 0 + 3 x 4 + 12) / 8 = 3
    assert read_between(grid, places)[:, 0].tolist() == [0, 4, 1, 3, 12]


def test_elastic_noise_has_the_deviation_of_two_means_of_three():
    # one mean of three twice: weights 1 2 3 2 1 / 9, squares 19 / 81 = 0.235; along three axes 0.235^1.5 = 0.114
    nodes = np.stack(np.meshgrid(*[np.arange(40.0)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
    noise = smooth_noise(nodes, 1.0, np.random.default_rng(0)).reshape(40, 40, 40, 3)[4:-4, 4:-4, 4:-4]
    assert noise.std() == pytest.approx((19 / 81) ** 1.5, rel=0.05)
    assert abs(noise.mean()) < 0.01


def test_elastic_distortion_bends_space_without_tearing_it():
    pairs = np.repeat(np.random.default_rng(1).uniform(-4, 4, (200, 3)), 2, axis=0)
    pairs[1::2] += 0.001
    pairs[-1] = np.nan
    changed = augment(make_frame(pairs), AugmentationConfig(elastic=[[0.8, 1.6]]), np.random.default_rng(1)).points
    moved = changed - pairs
    assert np.nanmax(np.abs(moved)) > 0.1
    assert np.nanmax(np.abs(moved[1:-2:2] - moved[:-2:2])) < 0.01
    assert np.isnan(changed[-1]).all()


def test_elastic_grid_beyond_reason_is_refused():
    far = make_frame([[0, 0, 0], [500, 500, 50]])
    with pytest.raises(ConfigError, match=r"augmentation\.elastic: cells of 0\.2 m .* coarser"):
        augment(far, AugmentationConfig(elastic=[[0.2, 0.4]]), np.random.default_rng(0))
    assert smooth_noise(np.full((2, 3), np.nan), 0.2, np.random.default_rng(0)).tolist() == [[0, 0, 0]] * 2


def test_one_stray_point_does_not_stretch_the_elastic_grid():
    frame = cloud(50)
    points = np.concatenate([frame.points, [[5000, 5000, 200]]]).astype(np.float32)
    config = AugmentationConfig(elastic=[[0.2, 0.4]])
    with pytest.raises(ConfigError, match="elastic"):
        augment(make_frame(points), config, np.random.default_rng(0))
    changed = augment(make_frame(points), config, np.random.default_rng(0), reach_m=60.0)
    assert left(changed).tolist() == [True] * 50 + [False]


def test_translation_moves_all_points_alike_and_never_up():
    frame = cloud()
    moved = augment(frame, AugmentationConfig(translate_m=0.5), np.random.default_rng(3)).points - frame.points
    assert np.ptp(moved, axis=0).max() < 1e-5
    assert (np.abs(moved[0, :2]) > 0).all()
    assert (np.abs(moved[0, :2]) <= 0.5).all()
    assert moved[0, 2] == 0


def test_crop_keeps_a_square_around_one_of_the_points():
    frame = cloud()
    kept = left(augment(frame, AugmentationConfig(crop_m=2.0), np.random.default_rng(2)))
    points = frame.points[kept]
    assert 0 < kept.sum() < len(kept)
    assert (np.ptp(points[:, :2], axis=0) <= 2.0).all()
    assert np.ptp(points[:, 2]) > 7.5  # whole height
    # everything that lies within the kept points' bounds is kept
    within = ((frame.points >= points.min(axis=0)) & (frame.points <= points.max(axis=0))).all(axis=1)
    assert (kept == within).all()


def test_cuboids_are_emptied_and_nothing_else():
    frame = cloud()
    config = AugmentationConfig(cuboids=1, cuboid_m=3.0)
    shares = []
    for seed in range(8):
        kept = left(augment(frame, config, np.random.default_rng(seed)))
        gone = frame.points[~kept]
        shares.append(len(gone))
        if len(gone):
            assert (np.ptp(gone, axis=0) <= 3.0).all()
            within = ((frame.points >= gone.min(axis=0)) & (frame.points <= gone.max(axis=0))).all(axis=1)
            assert (within == ~kept).all()
    assert min(shares) == 0  # none to one cuboid
    assert max(shares) > 0


def test_colour_keys_change_colours_alone():
    frame = cloud()
    config = AugmentationConfig(color_contrast=1.0, color_shift=0.1, color_jitter=0.05)
    changed = augment(frame, config, np.random.default_rng(0))
    np.testing.assert_array_equal(changed.points, frame.points)
    np.testing.assert_array_equal(changed.intensity, frame.intensity)
    assert (changed.colors != frame.colors).any()
    assert augment(make_frame([[0, 0, 0]]), config, np.random.default_rng(0)).colors is None
    geometry = AugmentationConfig(rotate=True, drop=0.5, elastic=[[0.5, 0.5]], intensity=0.5, crop_m=3.0, cuboids=2)
    np.testing.assert_array_equal(augment(frame, geometry, np.random.default_rng(0)).colors, frame.colors)


def test_contrast_stretches_towards_the_full_range():
    colors = np.array([[50, 7, 0], [100, 7, 255]], np.uint8)
    generator = np.random.default_rng(4)
    blend = np.random.default_rng(4).random(2)[1]  # the first number decides whether
    changed = change_colors(colors, AugmentationConfig(color_contrast=1.0), generator)
    # red: 50 and 100 of a range 50..100 would become 0 and 255; green has no range, blue has the full one
    assert changed.tolist() == [[round(50 * (1 - blend)), 7, 0], [round(100 * (1 - blend) + 255 * blend), 7, 255]]


def test_shift_moves_a_channel_of_all_points_alike():
    colors = np.full((50, 3), 128, np.uint8)
    changed = change_colors(colors, AugmentationConfig(color_shift=0.1), np.random.default_rng(0)).astype(int)
    assert (changed == changed[0]).all()
    assert len(set(changed[0])) == 3
    assert np.abs(changed[0] - 128).max() <= 26  # 0.1 x 255


def test_jitter_has_the_asked_deviation():
    colors = np.full((20_000, 3), 128, np.uint8)
    changed = change_colors(colors, AugmentationConfig(color_jitter=0.05), np.random.default_rng(0))
    assert changed.std() == pytest.approx(0.05 * 255, rel=0.03)


@pytest.mark.parametrize(
    ("setting", "what"),
    [
        ("augmentation.elastic=[[0.2]]", r"augmentation\.elastic: expected pairs"),
        ("augmentation.elastic=[[0.2,0]]", r"augmentation\.elastic: expected pairs"),
        ("augmentation.mix=0.5", r"augmentation\.mix: expected a `batch` of 2"),
        ("augmentation.color_shift=2", r"augmentation\.color_shift: expected a share"),
        ("augmentation.crop_m=-1", r"augmentation\.crop_m: expected 0 or more"),
        ("augmentation.cuboid=3", "Did you mean 'augmentation.cuboid"),
    ],
)
def test_impossible_augmentation_is_refused(setting, what):
    with pytest.raises(ConfigError, match=what):
        load_config(None, [setting])
    assert load_config(None, ["augmentation.elastic=[[0.2,0.4],[0.8,1.6]]"]).augmentation.elastic[1] == [0.8, 1.6]
