"""A bundle small enough to work out its answers by hand: what lies above the sensor is "above", the rest "below".

`student.onnx` takes the height z and the constant one per voxel and points the embedding along axis 0 where z > 0,
along axis 1 where z < 0, a little towards axis 2 everywhere. `bank.npz` knows six words:

| word | vector | similarity to z = +1 m (1, 0, 0.1)/|.| | to z = -1 m |
| above, high | axis 0 | 0.995 | 0 |
| below | axis 1 | 0 | 0.995 |
| thing | axis 2 | 0.0995 | 0.0995 |
| upward | (0.8, 0, 0.6, 0) | 0.856 | 0.0597 |
| nothing | axis 3 | 0 | 0 |
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ov3d_perception.artifact import CARD_KEY, ModelCard
from ov3d_perception.inputs import InputSpec
from ov3d_perception.network_feeds import index_names
from ov3d_perception.queries import LabelSpec
from ov3d_perception.text.bank import write_bank

SPACE = "hand-made"
WORDS = {
    "above": (1, 0, 0, 0),
    "high": (1, 0, 0, 0),
    "below": (0, 1, 0, 0),
    "thing": (0, 0, 1, 0),
    "upward": (0.8, 0, 0.6, 0),
    "nothing": (0, 0, 0, 1),
}
SPEC = InputSpec(voxel_size_m=0.1, features=("z", "one"), intensity_scale=255.0, levels=2)


def card(**changes: object) -> ModelCard:
    """The bundle's card, with changes."""
    values: dict[str, object] = {
        "name": "hand-made",
        "ov3d_version": "0.1.0",
        "architecture": "by hand",
        "embedding_dim": 4,
        "inputs": SPEC,
        "text_space": SPACE,
        "labels": (LabelSpec(name="above"), LabelSpec(name="below")),
        "threshold": 0.5,
    }
    return ModelCard(**{**values, **changes})  # type: ignore[arg-type]


def write_bundle(folder: Path, **changes: object) -> Path:
    """Write `student.onnx` and `bank.npz` into the folder and return it; `changes` go into the card."""
    model = student()
    model.metadata_props.add(key=CARD_KEY, value=card(**changes).to_json())
    onnx.save(model, folder / "student.onnx")
    write_bank(folder / "bank.npz", list(WORDS), np.array(list(WORDS.values()), dtype=np.float32), SPACE)
    return folder


def student() -> onnx.ModelProto:
    """The network: embedding = unit((relu(z), relu(-z), 0.1, 0)), similarity = embedding @ text.T."""
    weights = np.array([[1, -1, 0, 0], [0, 0, 0.1, 0]], dtype=np.float32)  # rows z, one
    nodes = [
        helper.make_node("MatMul", ["features", "weights"], ["mixed"]),
        helper.make_node("Relu", ["mixed"], ["positive"]),
        helper.make_node("LpNormalization", ["positive"], ["compact"], axis=1, p=2),
        helper.make_node("Transpose", ["text"], ["columns"], perm=[1, 0]),
        helper.make_node("MatMul", ["compact", "columns"], ["similarity"]),
    ]
    nodes.append(helper.make_node("Identity", ["axes"], ["basis"]))
    inputs = [
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["voxels", 2]),
        helper.make_tensor_value_info("text", TensorProto.FLOAT, ["queries", 4]),
    ]
    for name in index_names(SPEC, dense=False):
        inputs.append(helper.make_tensor_value_info(name, TensorProto.INT64, None))  # of any shape
    outputs = [
        helper.make_tensor_value_info("compact", TensorProto.FLOAT, ["voxels", 4]),
        helper.make_tensor_value_info("basis", TensorProto.FLOAT, [4, 4]),
        helper.make_tensor_value_info("similarity", TensorProto.FLOAT, ["voxels", "queries"]),
    ]
    constants = [
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(np.eye(4, dtype=np.float32), "axes"),
    ]
    graph = helper.make_graph(nodes, "hand_made", inputs, outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
