"""The exported graph says what torch says, on every size of cloud, in operators that any onnxruntime has."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch

from ov3d_export.int8_form import round_per_channel
from ov3d_export.student_graph import fold_norm, student_graph
from ov3d_perception.artifact import takes_neighbour_tables
from ov3d_perception.inputs import InputSpec, build_inputs
from ov3d_perception.network_feeds import index_names, network_feeds
from ov3d_perception.scatter_places import scatter_places
from ov3d_perception.sparse_index import build_sparse_index
from ov3d_perception.types import Frame, NetworkInputs, Voxels
from ov3d_trainer.network.backends import index_tensors
from ov3d_trainer.network.layers import VoxelNorm
from ov3d_trainer.network.model import SparseUNet, UNetConfig, unet_config

TOLERANCE = 1e-4  # the export's own promise; what is measured here is some 1e-6
TABLE_FORMS = [("table", False, TOLERANCE), ("table", True, 0.05)]  # float16: 5e-4 in each of some twenty layers
SHAPE = {"channels": (4, 6, 8, 10, 8, 6, 6, 4), "layers": (1, 2, 1, 1, 1, 1, 1, 2), "stem_channels": 4}


def trained_like(config, variance=(0.05, 0.4)):
    """A network whose batch norms are not neutral, as after training; low variances let its numbers grow."""
    model = SparseUNet(config, seed=1)
    generator = torch.Generator().manual_seed(2)
    for module in model.modules():
        if isinstance(module, VoxelNorm):
            for tensor, low, high in (
                (module.running_mean, -0.2, 0.2),
                (module.running_var, *variance),
                (module.weight.data, 0.5, 1.5),
                (module.bias.data, -0.2, 0.2),
            ):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) * (high - low) + low)
    model.final.bias.data.normal_(generator=generator)
    if model.anchors is not None:
        model.anchors.text.copy_(
            torch.nn.functional.normalize(torch.randn(model.anchors.text.shape, generator=generator))
        )
    return model.eval()


def small_config(stem_kernel=3, embedding_dim=16, anchors=0, second_kernel=3, last_relu=True):
    return UNetConfig(
        architecture="test",
        in_features=3,
        embedding_dim=embedding_dim,
        stem_kernel=stem_kernel,
        anchors=anchors,
        second_kernel=second_kernel,
        last_relu=last_relu,
        **SHAPE,
    )


def open_graph(graph, threads=1):
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.enable_mem_reuse = False  # planning buffers takes most of the time to load
    return ort.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])


def some_cloud(count, stem_kernel=3, seed=0):
    generator = np.random.default_rng(seed)
    cells = np.sort(generator.choice(20**3, size=count, replace=False))
    coords = (np.stack(np.unravel_index(cells, (20, 20, 20)), axis=1) - 10).astype(np.int32)
    features = generator.normal(size=(count, 3)).astype(np.float32)
    return features, build_sparse_index(coords, 5, stem_kernel)


def some_text(count, dim=16, seed=0):
    text = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return text / np.linalg.norm(text, axis=1, keepdims=True)


def torch_embedding(model, features, index):
    with torch.inference_mode():
        return model(torch.from_numpy(features), index_tensors(index)).numpy()


def feeds_of(features, index, config, dense=False):
    spec = InputSpec(levels=config.levels, stem_kernel=config.stem_kernel)
    voxels = Voxels(coords=np.empty((len(features), 3), np.int32), voxel_of_point=np.empty(0, np.int64))
    return network_feeds(NetworkInputs(features=features, index=index, voxels=voxels), spec, dense=dense)


def assert_graph_equals_torch(model, session, features, index, text, tolerance=TOLERANCE):
    feeds = feeds_of(features, index, model.config, dense=takes_neighbour_tables(session))
    compact, basis, similarity = session.run(["compact", "basis", "similarity"], {"text": text, **feeds})
    expected = torch_embedding(model, features, index)
    assert compact.shape == (len(features), len(basis))
    assert similarity.shape == (len(features), len(text))
    assert len(basis) <= basis.shape[1]
    np.testing.assert_allclose(compact @ basis, expected, rtol=0, atol=tolerance)
    np.testing.assert_allclose(similarity, expected @ text.T, rtol=0, atol=tolerance)


@pytest.mark.parametrize(("form", "half", "tolerance"), [("pairs", False, TOLERANCE), *TABLE_FORMS])
@pytest.mark.parametrize(("stem_kernel", "anchors", "second"), [(3, 0, 3), (5, 0, 1), (3, 4, 3), (3, 30, 1)])
def test_one_session_takes_any_number_of_voxels_and_queries(stem_kernel, anchors, second, form, half, tolerance):
    model = trained_like(
        small_config(stem_kernel, anchors=anchors, second_kernel=second), (1.0, 4.0) if half else (0.05, 0.4)
    )
    session = open_graph(student_graph(model, form, half=half))
    for voxels, queries in ((300, 4), (0, 3), (1, 1), (2, 9), (700, 0), (0, 0)):
        features, index = some_cloud(voxels, stem_kernel)
        assert_graph_equals_torch(model, session, features, index, some_text(queries), tolerance)


def test_network_that_ends_in_a_sum_keeps_its_negative_numbers():
    model = trained_like(small_config(last_relu=False))
    features, index = some_cloud(100)
    assert_graph_equals_torch(model, open_graph(student_graph(model)), features, index, some_text(2))
    cut = torch_embedding(trained_like(small_config()), features, index)  # the same weights, with ReLU
    assert abs(torch_embedding(model, features, index) - cut).max() > 0.01


def test_weights_are_rounded_per_output_channel():
    # Largest: 2.54 in channel 0, one step 0.02; channel 1 is empty, and its step is 1.
    weight = np.zeros((2, 2, 2), dtype=np.float32)
    weight[:, :, 0] = [[2.54, -1.2], [0.037, 0.009]]
    rounded, step = round_per_channel(weight)
    np.testing.assert_allclose(step, [0.02, 1.0], rtol=1e-6)
    np.testing.assert_array_equal(rounded[:, :, 0], [[127, -60], [2, 0]])
    np.testing.assert_array_equal(rounded[:, :, 1], 0)


def test_form_in_integers_is_near_the_exact_one():
    # Rounding to 256 levels costs some 0.4 % of the largest number of an array, in each of nine layers or so.
    shape = {"channels": (16,) * 8, "layers": (1,) * 8, "stem_channels": 16}
    config = UNetConfig(architecture="test", in_features=3, embedding_dim=16, **shape)
    model = trained_like(config, (1.0, 4.0))
    session = open_graph(student_graph(model, "int8"), threads=2)
    for voxels in (2000, 0, 1, 2):
        features, index = some_cloud(voxels)
        compact, basis = session.run(
            ["compact", "basis"], {"text": some_text(1), **feeds_of(features, index, model.config)}
        )
        cosine = (compact @ basis * torch_embedding(model, features, index)).sum(axis=1)
        assert (cosine > 0.999).all()
        assert voxels < 2000 or (cosine < 1 - 2e-6).any()  # it does compute in integers


def test_embedding_narrower_than_the_last_stage_works():
    model = trained_like(small_config(embedding_dim=3))
    session = open_graph(student_graph(model))
    features, index = some_cloud(100)
    assert_graph_equals_torch(model, session, features, index, some_text(2, dim=3))


def test_several_threads_give_what_one_gives():
    # A race in ScatterND would show as differences of some per cent; another cut of a product as 1e-6.
    graph = student_graph(trained_like(small_config()))
    features, index = some_cloud(4000)
    feed = {"text": some_text(2), **feeds_of(features, index, small_config())}
    (expected,) = open_graph(graph, threads=1).run(["compact"], feed)
    session = open_graph(graph, threads=4)
    for _ in range(5):
        np.testing.assert_allclose(session.run(["compact"], feed)[0], expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("name", "form"), [("narrow", "pairs"), ("light", "table"), ("MinkUNet14A", "pairs")])
def test_graph_equals_torch_on_the_real_sweep_and_on_tiny_clouds(real_data, name, form):
    (path,) = (real_data / "nuscenes_scene-0061").glob("*.bin")
    rows = np.fromfile(path, dtype=np.float32).reshape(-1, 5)
    model = trained_like(unet_config(name, in_features=3, embedding_dim=512))
    session = open_graph(student_graph(model, form), threads=2)
    for count in (len(rows), 0, 1, 2):
        frame = Frame(
            points=rows[:count, :3].copy(), intensity=rows[:count, 3].copy(), stamp_ns=0, frame_id="LIDAR_TOP"
        )
        inputs = build_inputs(frame, InputSpec())
        assert_graph_equals_torch(model, session, inputs.features, inputs.index, some_text(5, dim=512))


@pytest.mark.parametrize(("form", "half"), [("pairs", False), ("table", True)])
def test_graph_keeps_to_what_onnxruntime_1_23_reads(form, half):
    graph = student_graph(trained_like(small_config()), form, half=half)
    onnx.checker.check_model(graph, full_check=True)
    assert graph.ir_version <= 10
    assert [(opset.domain, opset.version <= 20) for opset in graph.opset_import] == [("", True)]
    assert {node.domain for node in graph.graph.node} == {""}
    assert not graph.functions


@pytest.mark.parametrize("form", ["pairs", "table"])
def test_graph_takes_features_text_and_the_tables_and_nothing_else(form):
    for stem_kernel in (3, 5):
        graph = student_graph(trained_like(small_config(stem_kernel)), form).graph
        names = index_names(InputSpec(stem_kernel=stem_kernel), dense=form == "table")
        assert [value.name for value in graph.input] == ["features", *names, "text"]
        assert [value.name for value in graph.output] == ["compact", "basis", "similarity"]
        assert [axis.dim_param or axis.dim_value for axis in graph.output[2].type.tensor_type.shape.dim] == ["V", "Q"]


def test_no_scatter_writes_a_row_twice():
    # onnxruntime's CPU provider races on repeated indices: within each group of each table all rows must differ.
    _, index = some_cloud(1500, stem_kernel=5)
    tables = [(f"level{level}_pair", ("source", "target")) for level in range(5)]
    tables += [("stem_pair", ("source", "target")), *((f"down{level}", ("child", "parent")) for level in range(4))]
    for prefix, parts in tables:
        for part in parts:
            for group in np.split(index[f"{prefix}_{part}"], np.cumsum(index[f"{prefix}_count"])[:-1]):
                assert len(np.unique(group)) == len(group)
    places = scatter_places(index, 1500)
    for level in range(5):
        for part in ("target_place", "source_place"):
            for group in np.split(places[f"level{level}_{part}"], np.cumsum(index[f"level{level}_pair_count"])[:-1]):
                assert len(np.unique(group)) == len(group)


def test_folded_norm_equals_convolution_and_norm():
    # Both sides in double precision but for the folded weights, which are float32: relative error 6e-8 per product.
    generator = torch.Generator().manual_seed(0)
    norm = VoxelNorm(6).double().eval()
    for tensor in (norm.running_mean, norm.weight.data, norm.bias.data):
        tensor.normal_(generator=generator)
    norm.running_var.uniform_(0.01, 2.0, generator=generator)
    weight = torch.randn(27, 5, 6, dtype=torch.float64, generator=generator)
    rows = torch.randn(40, 5, dtype=torch.float64, generator=generator)
    folded, bias = fold_norm(weight, norm)
    for offset in (0, 13, 26):
        expected = norm(rows @ weight[offset]).detach().numpy()
        np.testing.assert_allclose(rows.numpy() @ folded[offset] + bias, expected, rtol=0, atol=5e-5)


def test_export_leaves_the_module_as_it_was():
    model = trained_like(small_config())
    before = {name: value.clone() for name, value in model.state_dict().items()}
    student_graph(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
