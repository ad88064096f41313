"""Features of masks and superpixels: means of unit features, by hand and on 23 real masks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ov3d_perception.errors import DataError
from ov3d_trainer.clip_dense.mask_retrieval import compare_with_crops, measure_masks
from ov3d_trainer.clip_dense.pooling import pool_over_masks, pool_over_segments
from ov3d_trainer.config import TeacherConfig

MODEL = {
    "embed_dim": 8,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 16, "head_width": 8, "layers": 2},
    "text_cfg": {"context_length": 4, "vocab_size": 49408, "width": 4, "heads": 1, "layers": 1},
}

# Two cells side by side over an image of 2 x 4 pixels, features along the axes, one of them not of unit length.
GRID = np.array([[[3.0, 0.0]], [[0.0, 1.0]]])


def unit(*numbers: float) -> np.ndarray:
    return np.array(numbers) / np.linalg.norm(numbers)


def masks_of(*rows: list[list[int]]) -> np.ndarray:
    return np.array(rows, bool)


def test_mask_is_the_mean_of_unit_features_over_its_pixels():
    masks = masks_of([[1, 1, 1, 0], [0, 0, 0, 0]], [[0, 0, 0, 1], [0, 0, 1, 1]], [[1, 1, 1, 1], [1, 1, 1, 1]])
    wanted = [unit(2, 1), [0, 1], unit(1, 1)]  # a feature of length 3 counts like one of length 1
    found = pool_over_masks(GRID, masks)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-6)


def test_pixel_has_the_feature_of_the_cell_that_its_middle_lies_in():
    # Three columns over two cells: the middle of column 1 lies on the border and belongs to the right cell.
    masks = masks_of([[1, 0, 0]], [[0, 1, 0]], [[0, 0, 1]])
    np.testing.assert_allclose(pool_over_masks(GRID, masks), [[1, 0], [0, 1], [0, 1]], atol=1e-6)


def test_segments_are_masks_that_do_not_overlap():
    segments = np.array([[0, 0, 1, 1], [0, -1, 2, 0]])
    found = pool_over_segments(GRID, segments)
    np.testing.assert_allclose(found, [unit(3, 1), [0, 1], [0, 1]], atol=1e-6)
    np.testing.assert_array_equal(found, pool_over_masks(GRID, np.stack([segments == row for row in range(3)])))


def test_mask_without_a_pixel_is_an_error():
    empty = np.zeros((2, 2, 4), bool)
    empty[0, 0, 0] = True
    with pytest.raises(DataError, match=r"mask 1 has no pixel"):
        pool_over_masks(GRID, empty)
    with pytest.raises(DataError, match="segment 1 has no pixel"):
        pool_over_segments(GRID, np.array([[0, 2]]))


def test_shapes_that_do_not_fit_are_an_error():
    with pytest.raises(DataError, match=r"features \(2, 2\)"):
        pool_over_masks(np.eye(2), np.ones((1, 2, 4), bool))
    with pytest.raises(DataError, match="an image of"):
        pool_over_masks(GRID, np.ones((2, 4), bool))


@pytest.fixture(scope="module")
def pair(real_data: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """One real image with 23 masks; features of a real CLIP, pooled densely by its publisher, and of crops."""
    files = [real_data / "clip_dense" / name for name in ("dense_test_pair_000.npz", "test_pair_000.npz")]
    dense, crops = (dict(np.load(path)) for path in files)
    np.testing.assert_array_equal(dense["masks"], crops["masks"])
    return dense, crops


def rows_of_unit_length(vectors: np.ndarray) -> np.ndarray:
    vectors = vectors.astype(np.float64)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def painted(masks: np.ndarray, features: np.ndarray, cell_px: int) -> np.ndarray:
    """A grid (D, h, w): every cell has the feature of the smallest mask at its middle, zero where there is none."""
    rows, columns = (np.arange(cell_px // 2, size, cell_px) for size in masks.shape[1:])
    grid = np.zeros((len(rows), len(columns), features.shape[1]))
    for mask in np.argsort(-masks.sum(axis=(1, 2))):
        grid[masks[mask][rows[:, None], columns[None]]] = features[mask]
    return grid.transpose(2, 0, 1)


def test_real_dense_features_resemble_those_of_their_crops(pair):
    """A property of the data that pooled features of ours would be held to; it says nothing about our pooling."""
    found = compare_with_crops(*(one["features"] for one in pair))
    assert (found.masks, found.found) == (23, 15)
    assert found.cosine == pytest.approx(0.727, abs=5e-4)
    assert found.between == pytest.approx(0.602, abs=5e-4)


def test_own_crop_is_found_where_it_is_the_nearest():
    found = compare_with_crops(np.array([[2.0, 0.0], [3.0, 4.0]]), np.array([[0.0, 1.0], [0.0, 7.0]]))
    assert (found.masks, found.found) == (2, 0 + 1)  # the first mask's crops tie at 0, and its own comes first
    assert found.cosine == pytest.approx((0.0 + 0.8) / 2)
    assert found.between == pytest.approx((0.0 + 0.8) / 2)


def test_tower_is_measured_on_the_real_masks(pair, real_data: Path, tmp_path: Path):
    """With random weights: a number for every edit, and none that could be right by accident."""
    (tmp_path / "mask_tower.json").write_text(json.dumps(MODEL))
    teacher = TeacherConfig(
        model=str(tmp_path / "mask_tower.json"), pretrained="", short_side=120, window=64, stride=32
    )
    found = measure_masks(teacher, real_data / "clip_dense" / "test_pair_000.npz", ("plain", "naclip"))
    assert list(found) == ["plain", "naclip"]
    assert all(one.masks == 23 and one.found < 23 and one.cosine < 1 for one in found.values())


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"masks": None}, "expected an .npz file"),
        ({"masks": np.ones((2, 4, 5), bool)}, "do not fit together"),
        ({"bboxes": np.array([[0, 0, 4, 4], [1, 1, 6, 3]])}, "empty or outside the image of 4 rows, 4 columns"),
    ],
)
def test_files_of_masks_that_do_not_fit_are_refused(tmp_path: Path, change, complaint):
    arrays = {
        "img": np.zeros((4, 4, 3), np.uint8),
        "masks": np.ones((2, 4, 4), bool),
        "bboxes": np.tile([0, 0, 4, 4], (2, 1)),
    }
    arrays = {name: value for name, value in {**arrays, **change}.items() if value is not None}
    np.savez(tmp_path / "masks.npz", **arrays)
    with pytest.raises(DataError, match=complaint):
        measure_masks(TeacherConfig(), tmp_path / "masks.npz", ("naclip",))


def test_features_painted_into_real_masks_come_back_from_their_own_mask(pair):
    masks, features = pair[0]["masks"], rows_of_unit_length(pair[1]["features"])
    found = pool_over_masks(painted(masks, features, 4), masks)
    cosine = found @ features.T
    lost = np.flatnonzero(cosine.argmax(axis=1) != np.arange(23))
    assert lost.tolist() == [13]  # masks 6 and 20, which are smaller, cover it


def test_mean_colour_of_real_masks_equals_a_loop_over_pixels(pair):
    image, masks = pair[0]["img"].astype(np.float64) + 1.0, pair[0]["masks"]
    found = pool_over_masks(image.transpose(2, 0, 1), masks)
    for row, mask in enumerate(masks):
        wanted = rows_of_unit_length(image[mask]).mean(axis=0)
        np.testing.assert_allclose(found[row], wanted / np.linalg.norm(wanted), atol=1e-6)
