"""Two million points go through every form of the graph, and all forms say the same."""

import numpy as np
import pytest

from ov3d_export.student_graph import student_graph
from ov3d_perception.artifact import takes_neighbour_tables
from ov3d_perception.inputs import InputSpec, build_inputs
from ov3d_perception.network_feeds import network_feeds
from ov3d_perception.types import Frame
from ov3d_trainer.network.model import UNetConfig
from tests.unit.export.test_student_graph import open_graph, some_text, trained_like

POINTS = 2_000_000
SPEC = InputSpec(voxel_size_m=0.1, max_range_m=200.0, levels=3)
NETWORK = UNetConfig(
    architecture="test", in_features=3, embedding_dim=8, stem_channels=8, channels=(8,) * 4, layers=(1,) * 4, levels=3
)


@pytest.fixture(scope="module")
def inputs():
    """Ground with hills, 200 m x 200 m: 1.5 million voxels."""
    generator = np.random.default_rng(0)
    points = generator.uniform(-100, 100, size=(POINTS, 3)).astype(np.float32)
    points[:, 2] = np.sin(points[:, 0] / 10) + np.cos(points[:, 1] / 7)
    intensity = generator.uniform(0, 255, size=POINTS).astype(np.float32)
    return build_inputs(Frame(points=points, intensity=intensity, stamp_ns=0, frame_id="lidar"), SPEC)


def similarity_of(inputs, form, half=False):
    model = trained_like(NETWORK, (1.0, 4.0))
    session = open_graph(student_graph(model, form, half=half), threads=2)
    feeds = network_feeds(inputs, SPEC, dense=takes_neighbour_tables(session))
    (similarity,) = session.run(["similarity"], {"text": some_text(4, dim=8), **feeds})
    assert similarity.shape == (len(inputs.features), 4)
    return similarity


def test_all_forms_agree_on_two_million_points(inputs):
    assert len(inputs.features) > 1_000_000
    pairs = similarity_of(inputs, "pairs")
    label = pairs.argmax(axis=1)
    np.testing.assert_allclose(similarity_of(inputs, "table"), pairs, rtol=0, atol=1e-4)
    assert (similarity_of(inputs, "table", half=True).argmax(axis=1) == label).mean() >= 0.999
    assert (similarity_of(inputs, "int8").argmax(axis=1) == label).mean() >= 0.99
