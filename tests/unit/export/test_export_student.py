"""The export command: a bundle that opens, or an error and nothing at all."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from onnx import numpy_helper

from ov3d_export import student as student_module
from ov3d_export.cli import main
from ov3d_export.parity import HALF_COSINE, INT8_COSINE, check_parity
from ov3d_export.student import export_student
from ov3d_export.student_graph import student_graph
from ov3d_perception.artifact import CARD_KEY, ModelCard, open_bundle
from ov3d_perception.errors import ConfigError, DataError, ModelError
from ov3d_perception.inputs import InputSpec
from ov3d_perception.queries import LabelSpec
from ov3d_perception.types import Frame
from ov3d_trainer.checkpoint import Checkpoint, Vocabulary, save_checkpoint
from ov3d_trainer.network.model import SparseUNet, UNetConfig

NETWORK = UNetConfig(
    architecture="test",
    in_features=3,
    embedding_dim=8,
    stem_channels=4,
    channels=(4, 5, 5, 4),
    layers=(1,) * 4,
    levels=3,
)


def make_checkpoint(**changes):
    values = {
        "network": NETWORK,
        "inputs": InputSpec(levels=3, voxel_size_m=0.5),
        "text_space": "tests/words",
        "vocabulary": Vocabulary(labels=(LabelSpec(name="car", synonyms=("auto",)),), threshold=0.2),
        "model_state": SparseUNet(NETWORK, seed=1).state_dict(),
        "training": {"loss": 0.5},
        "step": 12,
    }
    return Checkpoint(**{**values, **changes})


def make_frame(count=400, distance_m=0.0):
    generator = np.random.default_rng(0)
    points = generator.uniform(-6, 6, size=(count, 3)).astype(np.float32) + np.float32(distance_m)
    intensity = generator.uniform(0, 255, size=count).astype(np.float32)
    return Frame(points=points, intensity=intensity, stamp_ns=0, frame_id="lidar")


@pytest.fixture
def bank(tmp_path):
    from ov3d_perception.text.bank import write_bank

    vectors = np.eye(8, dtype=np.float32)[:2]
    write_bank(tmp_path / "words.npz", ("car", "auto"), vectors, "tests/words")
    return tmp_path / "words.npz"


def corrupted(graph):
    """Change one number of one weight of the first convolution: a fault no checker of graphs can see."""
    stored = next(tensor for tensor in graph.graph.initializer if len(tensor.dims) == 2)
    values = numpy_helper.to_array(stored).copy()
    values[0, 0] += 1.0
    stored.CopyFrom(numpy_helper.from_array(values, stored.name))
    return graph


def test_bundle_opens_and_its_card_tells_where_it_came_from(tmp_path, bank):
    result = export_student(
        make_checkpoint(), tmp_path / "bundle", text=bank, parity_frames=[make_frame()], name="mini", notes="a test"
    )
    bundle = open_bundle(tmp_path / "bundle")
    card = bundle.card
    assert sorted(path.name for path in bundle.directory.iterdir()) == [
        "bank.npz",
        "student.onnx",
        "student_gpu.onnx",
    ]
    assert (card.name, card.notes, card.architecture, card.embedding_dim) == ("mini", "a test", "test", 8)
    assert (card.text_space, card.threshold, card.training) == ("tests/words", 0.2, {"step": 12, "loss": 0.5})
    assert card.labels == (LabelSpec(name="car", synonyms=("auto",)),)
    assert card.inputs == InputSpec(levels=3, voxel_size_m=0.5)
    assert result.card == card
    assert result.parity.clouds == 4
    assert max(result.parity.embedding, result.parity.similarity) < 1e-5


def test_graph_that_differs_from_torch_is_not_exported(tmp_path, monkeypatch):
    original = student_module.student_graph
    monkeypatch.setattr(student_module, "student_graph", lambda *form, **options: corrupted(original(*form, **options)))
    with pytest.raises(ModelError, match="differs from torch"):
        export_student(make_checkpoint(), tmp_path / "bundle", parity_frames=[make_frame()])
    assert list(tmp_path.iterdir()) == []


def test_failed_export_leaves_the_bundle_that_was_there(tmp_path, monkeypatch):
    out = tmp_path / "bundle"
    export_student(make_checkpoint(), out, parity_frames=[make_frame()])
    before = (out / "student.onnx").read_bytes()
    original = student_module.student_graph
    monkeypatch.setattr(student_module, "student_graph", lambda *form, **options: corrupted(original(*form, **options)))
    with pytest.raises(ModelError):
        export_student(make_checkpoint(step=99), out, parity_frames=[make_frame()])
    assert (out / "student.onnx").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


def test_weights_that_are_not_finite_fail_the_gate(tmp_path):
    state = SparseUNet(NETWORK).state_dict()
    state["up.0.conv.weight"][0, 0, 0] = torch.nan
    state["up.1.blocks.0.conv2.weight"][:] = torch.nan
    with pytest.raises(ModelError, match="nan"):
        export_student(make_checkpoint(model_state=state), tmp_path / "bundle", parity_frames=[make_frame()])


def test_graph_without_an_embedding_of_the_right_shape_fails_the_gate(tmp_path):
    model = SparseUNet(NETWORK).eval()
    wider = SparseUNet(UNetConfig.from_dict({**NETWORK.to_dict(), "embedding_dim": 9})).eval()
    graph = student_module.student_graph(wider)
    onnx.save(graph, tmp_path / "student.onnx")
    with pytest.raises(Exception, match=r"(?i)invalid dimensions"):
        check_parity(model, tmp_path / "student.onnx", make_checkpoint().inputs, [make_frame()])


@pytest.mark.parametrize("frames", [[], [make_frame(0)], [make_frame(2)], [make_frame(50, distance_m=500.0)]])
def test_frames_that_prove_nothing_are_refused(tmp_path, frames):
    with pytest.raises(DataError, match="--frame"):
        export_student(make_checkpoint(), tmp_path / "bundle", parity_frames=frames)
    assert not (tmp_path / "bundle").exists()


def test_second_export_keeps_the_text_side_unless_it_brings_one(tmp_path, bank):
    out = tmp_path / "bundle"
    export_student(make_checkpoint(), out, text=bank, parity_frames=[make_frame()])
    export_student(make_checkpoint(step=13), out, parity_frames=[make_frame()])
    assert open_bundle(out).card.training["step"] == 13
    assert (out / "bank.npz").read_bytes() == bank.read_bytes()


def test_text_of_another_space_is_refused(tmp_path, bank):
    with pytest.raises(ModelError, match="other/space"):
        export_student(
            make_checkpoint(text_space="other/space"), tmp_path / "bundle", text=bank, parity_frames=[make_frame()]
        )
    assert not (tmp_path / "bundle").exists()


def test_missing_text_side_is_refused(tmp_path):
    with pytest.raises(ModelError, match="text side"):
        export_student(make_checkpoint(), tmp_path / "bundle", text=tmp_path / "no", parity_frames=[make_frame()])


def test_folder_with_other_peoples_files_is_never_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ConfigError, match=r"thesis\.tex"):
        export_student(make_checkpoint(), tmp_path, parity_frames=[make_frame()])
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_command_writes_a_bundle_from_a_checkpoint_and_a_cloud(tmp_path, bank, capsys):
    save_checkpoint(tmp_path / "last.pt", make_checkpoint())
    frame = make_frame()
    np.hstack([frame.points, frame.intensity[:, None], np.zeros((400, 1), np.float32)]).tofile(tmp_path / "a.pcd.bin")
    arguments = ["student", str(tmp_path / "last.pt"), "--out", str(tmp_path / "bundle"), "--text", str(bank)]
    assert main([*arguments, "--frame", str(tmp_path / "a.pcd.bin")]) == 0
    assert "Largest difference" in capsys.readouterr().out
    session = ort.InferenceSession(tmp_path / "bundle" / "student.onnx")
    assert ModelCard.from_json(session.get_modelmeta().custom_metadata_map[CARD_KEY]).name == NETWORK.architecture


def test_command_says_one_line_and_returns_two_when_it_cannot(tmp_path, capsys):
    assert main(["student", str(tmp_path / "none.pt"), "--out", str(tmp_path / "bundle")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ModelError: ")
    assert error.count("\n") == 1


def test_card_with_words_that_its_own_text_side_lacks_is_not_exported(tmp_path, bank):
    checkpoint = make_checkpoint(vocabulary=Vocabulary(labels=(LabelSpec(name="car"), LabelSpec(name="wombat"))))
    with pytest.raises(ModelError, match=r"own words cannot be asked for.*wombat"):
        export_student(checkpoint, tmp_path / "bundle", text=bank, parity_frames=[make_frame()])
    assert not (tmp_path / "bundle").exists()


def test_network_that_takes_colours_is_compared_on_clouds_without_any(tmp_path, bank):
    spec = InputSpec(levels=3, voxel_size_m=0.5, features=("one", "red", "blue"))
    report = export_student(
        make_checkpoint(inputs=spec), tmp_path / "bundle", parity_frames=[make_frame()], text=bank
    ).parity
    assert report.clouds == 4
    assert report.embedding < 1e-5


@pytest.mark.parametrize(("form", "half", "limit"), [("int8", False, INT8_COSINE), ("table", True, HALF_COSINE)])
def test_rounded_graph_of_other_weights_fails_the_gate(tmp_path, form, half, limit):
    model, other = (SparseUNet(NETWORK, seed=seed).eval() for seed in (1, 2))
    spec = make_checkpoint().inputs
    onnx.save(student_graph(model, form, half=half), tmp_path / "student.onnx")
    report = check_parity(model, tmp_path / "student.onnx", spec, [make_frame()], least_cosine=limit)
    assert limit <= report.cosine < 1
    with pytest.raises(ModelError, match="reach a cosine of"):
        check_parity(other, tmp_path / "student.onnx", spec, [make_frame()], least_cosine=limit)


def test_numbers_beyond_float16_leave_the_form_for_gpus_out_and_say_how(tmp_path):
    state = SparseUNet(NETWORK, seed=1).state_dict()
    state["stem.conv.weight"] *= 1e6
    with pytest.raises(ModelError, match=r"student_gpu\.onnx.*too large for float16.*--no-gpu"):
        export_student(make_checkpoint(model_state=state), tmp_path / "bundle", parity_frames=[make_frame()])
    export_student(make_checkpoint(model_state=state), tmp_path / "bundle", parity_frames=[make_frame()], gpu=False)
    assert open_bundle_files(tmp_path / "bundle") == ["student.onnx"]


def test_student_in_integers_is_exported_on_request(tmp_path, bank):
    result = export_student(make_checkpoint(), tmp_path / "bundle", text=bank, parity_frames=[make_frame()], int8=True)
    assert 0.98 <= result.parity.cosine < 1
    graph = onnx.load(tmp_path / "bundle" / "student.onnx").graph
    assert any(node.op_type == "MatMulInteger" for node in graph.node)
    stem = next(node for node in graph.node if node.input[0] == "features")
    assert stem.op_type == "Gemm"  # raw features are not rounded


def open_bundle_files(folder):
    return sorted(path.name for path in folder.iterdir())
