"""`build_inputs`: columns worked by hand, and a spec that survives the card."""

import numpy as np
import pytest

from ov3d_perception.errors import ConfigError, DataError
from ov3d_perception.inputs import InputSpec, build_inputs
from ov3d_perception.types import Frame


def _frame(points: list[list[float]], intensity: list[float], **more: object) -> Frame:
    return Frame(
        points=np.array(points, dtype=np.float32).reshape(-1, 3),
        intensity=np.array(intensity, dtype=np.float32),
        stamp_ns=0,
        frame_id="lidar",
        **more,
    )


def test_columns_worked_by_hand(compiled: bool) -> None:
    spec = InputSpec(voxel_size_m=1.0, features=("one", "intensity", "z", "offset_x", "range"), max_range_m=10.0)
    inputs = build_inputs(_frame([[0.2, 0, 3], [0.4, 0, 3]], [51.0, 255.0]), spec, compiled=compiled)
    # one voxel [0, 0, 3]: mean x 0.3, centre 0.5; mean intensity (0.2 + 1) / 2; range about 3 m of 10 m
    np.testing.assert_allclose(inputs.features, [[1.0, 0.6, 3.0, -0.2, 0.3]], atol=2e-3)


def test_kitti_intensity_of_scale_one_equals_nuscenes_of_scale_255() -> None:
    nuscenes = build_inputs(_frame([[1, 1, 1]], [127.5]), InputSpec(intensity_scale=255.0))
    kitti = build_inputs(_frame([[1, 1, 1]], [0.5]), InputSpec(intensity_scale=1.0))
    np.testing.assert_allclose(nuscenes.features, kitti.features)


def test_order_of_points_does_not_matter() -> None:
    generator = np.random.default_rng(0)
    points, intensity = generator.normal(0, 5, (500, 3)), generator.uniform(0, 255, 500)
    order = generator.permutation(500)
    first = build_inputs(_frame(points.tolist(), intensity.tolist()), InputSpec())
    second = build_inputs(_frame(points[order].tolist(), intensity[order].tolist()), InputSpec())
    np.testing.assert_array_equal(first.voxels.coords, second.voxels.coords)
    np.testing.assert_allclose(first.features, second.features, atol=1e-6)


def test_nan_intensity_becomes_zero_and_the_rest_stays_within_zero_and_one(compiled: bool) -> None:
    inputs = build_inputs(
        _frame([[1, 1, 1]] * 4, [np.nan, -5.0, np.inf, -np.inf]), InputSpec(features=("intensity",)), compiled=compiled
    )
    np.testing.assert_array_equal(inputs.features, [[0.25]])  # 0, 0, 1, 0


def test_colours_missing_from_the_cloud_are_named() -> None:
    with pytest.raises(DataError, match="takes colours"):
        build_inputs(_frame([[1, 1, 1]], [1.0]), InputSpec(features=("red",)))


def test_spec_survives_its_dictionary() -> None:
    spec = InputSpec(voxel_size_m=0.05, features=("one", "red"), stem_kernel=5)
    assert InputSpec.from_dict(spec.to_dict()) == spec


@pytest.mark.parametrize(
    "change",
    [{"voxel_size_m": 0.0}, {"features": ("colour",)}, {"features": ()}, {"levels": 0}, {"stem_kernel": 4}],
)
def test_impossible_spec_is_refused(change: dict) -> None:
    with pytest.raises(ConfigError, match="inputs"):
        InputSpec(**change)


def test_spec_with_a_missing_key_or_wrong_type_is_refused() -> None:
    values = InputSpec().to_dict()
    with pytest.raises(ConfigError, match="missing"):
        InputSpec.from_dict({key: value for key, value in values.items() if key != "levels"})
    with pytest.raises(ConfigError, match="levels"):
        InputSpec.from_dict({**values, "levels": "five"})
