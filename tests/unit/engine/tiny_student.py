"""A bundle whose answers can be worked out by hand.

Its network gives each voxel the direction of its mean point, seen from the sensor: the point (3, 4, 0) has the
embedding (0.6, 0.8, 0). The words of its bank are directions too, so a similarity is the cosine of an angle in space.
The index tables are taken and ignored.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from ov3d_perception.artifact import CARD_KEY, ModelCard
from ov3d_perception.errors import QueryError
from ov3d_perception.inputs import InputSpec
from ov3d_perception.network_feeds import index_names
from ov3d_perception.queries import LabelSpec
from ov3d_perception.types import Frame

SPACE = "directions"
WORDS: dict[str, tuple[float, float, float]] = {
    "east": (1.0, 0.0, 0.0),
    "north": (0.0, 1.0, 0.0),
    "up": (0.0, 0.0, 1.0),
    "west": (-1.0, 0.0, 0.0),
    "north-east": (0.6, 0.8, 0.0),
}
CARD = ModelCard(
    name="tiny",
    ov3d_version="0.1.0",
    architecture="by hand",
    embedding_dim=3,
    inputs=InputSpec(voxel_size_m=1.0, features=("x", "y", "z"), levels=2, max_range_m=50.0),
    text_space=SPACE,
    labels=(LabelSpec(name="east"), LabelSpec(name="north")),
    background=("up",),
    threshold=0.5,
    training={"steps": 0},
)


class Directions:
    """Text encoder of the directions; counts its calls."""

    space = SPACE
    dim = 3
    supports_templates = False

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        self.asked.extend(texts)
        unknown = [text for text in texts if text not in WORDS]
        if unknown:
            raise QueryError(f"{unknown[0]!r} is not in the bank.")
        return np.array([WORDS[text] for text in texts], dtype=np.float32)


def make_frame(*points: tuple[float, float, float]) -> Frame:
    array = np.array(points, dtype=np.float32).reshape(-1, 3)
    return Frame(points=array, intensity=np.zeros(len(array), dtype=np.float32), stamp_ns=7, frame_id="lidar")


def write_student(
    path: Path,
    card: ModelCard | str | None = CARD,
    *,
    features: int | str = 3,
    text: int | str = 3,
    embedding: int | str = 3,
    levels: int = 2,
    feature_type: int = TensorProto.FLOAT,
) -> None:
    """Write student.onnx; the graph's widths are given apart from the card, so that they can disagree."""
    value = helper.make_tensor_value_info
    inputs = [value("features", feature_type, ["V", features]), value("text", TensorProto.FLOAT, ["Q", text])]
    names = index_names(InputSpec(levels=levels), dense=False)
    inputs += [value(name, TensorProto.INT64, None) for name in names]  # of any shape
    outputs = [
        value("compact", TensorProto.FLOAT, ["V", embedding]),
        value("basis", TensorProto.FLOAT, [3, embedding]),
        value("similarity", TensorProto.FLOAT, ["V", "Q"]),
    ]
    nodes = [
        helper.make_node("Cast", ["features"], ["position"], to=TensorProto.FLOAT),
        helper.make_node("ReduceL2", ["position"], ["length"], axes=[1], keepdims=1),
        helper.make_node("Max", ["length", "tiny"], ["divisor"]),
        helper.make_node("Div", ["position", "divisor"], ["compact"]),
        helper.make_node("Transpose", ["text"], ["columns"], perm=[1, 0]),
        helper.make_node("MatMul", ["compact", "columns"], ["similarity"]),
    ]
    nodes.append(helper.make_node("Identity", ["axes"], ["basis"]))
    constants = [helper.make_tensor("tiny", TensorProto.FLOAT, [], [1e-6])]
    constants.append(numpy_helper.from_array(np.eye(3, dtype=np.float32), "axes"))
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if card is not None:
        helper.set_model_props(model, {CARD_KEY: card if isinstance(card, str) else card.to_json()})
    onnx.save(model, str(path))


def write_bank(path: Path, *, space: str = SPACE) -> None:
    vectors = np.array(list(WORDS.values()), dtype=np.float32)
    np.savez(path, names=np.array(list(WORDS)), vectors=vectors, space=np.array(space))


def write_bundle(folder: Path, card: ModelCard = CARD) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    write_student(folder / "student.onnx", card, text=card.embedding_dim)
    write_bank(folder / "bank.npz")
    return folder


def card_with(**changes: object) -> ModelCard:
    return replace(CARD, **changes)  # type: ignore[arg-type]
