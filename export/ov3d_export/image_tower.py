"""The image tower as an ONNX graph, operator by operator: standard operators (opset 18), any image size."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from ov3d_perception.errors import ModelError
from ov3d_perception.image_tower import CARD_KEY, FEATURE, IMAGE, IMAGE_FILE, PIXELS, ImageCard
from ov3d_perception.image_tower import ImageTower as ImageTowerSession
from ov3d_trainer.image_tower.checkpoint import TowerCheckpoint, build_tower, load_tower
from ov3d_trainer.image_tower.network import MEAN, ROUND, STD, STRIDE, Block, ConvNorm, ImageTower, UpStage
from ov3d_trainer.teacher.pixel_text import hidden_at

from .graph_builder import IR_VERSION, OPSET, GraphBuilder

TOLERANCE = 5e-3
"""Largest difference of one number of a unit vector: the weights are stored as float16, which keeps three digits."""

_CHECKED_SIZES = ((97, 130), (225, 400))
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTowerExport:
    """What an export made: the file, its size and the largest difference from torch."""

    path: Path
    bytes: int
    difference: float


def export_image_tower(checkpoint: TowerCheckpoint | Path | str, folder: Path | str) -> ImageTowerExport:
    """Write `image.onnx` into a folder and compare it with torch; `ModelError` where they differ."""
    if not isinstance(checkpoint, TowerCheckpoint):
        checkpoint = load_tower(checkpoint)
    model = build_tower(checkpoint)
    card = ImageCard(
        text_space=checkpoint.text_space,
        embedding_dim=checkpoint.network.embedding_dim,
        image_width=checkpoint.network.image_width,
        source={"trainer": str(checkpoint.training.get("trainer", ""))},
    )
    graph = image_graph(model)
    helper.set_model_props(graph, {CARD_KEY: card.to_json()})
    onnx.checker.check_model(graph, full_check=True)
    target = Path(folder) / IMAGE_FILE
    target.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(graph, target)
    difference = largest_difference(model, target)
    if difference > TOLERANCE:
        target.unlink()
        raise ModelError(
            f"{IMAGE_FILE}: differs from torch by {difference:.1e}, at most {TOLERANCE:.0e} is allowed. Not written."
        )
    _log.info("exported %s: %d bytes, largest difference from torch %.1e", target, target.stat().st_size, difference)
    return ImageTowerExport(path=target, bytes=target.stat().st_size, difference=difference)


def largest_difference(model: ImageTower, path: Path) -> float:
    """Return how far graph and network differ at most, over random images of two sizes."""
    session = ImageTowerSession(path, providers="cpu", threads=1)
    generator = np.random.default_rng(0)
    worst = 0.0
    for height, width in _CHECKED_SIZES:
        image = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
        pixels = generator.uniform(-3, max(height, width) + 3, (400, 2)).astype(np.float32)
        with torch.inference_mode():
            wanted = model.project(hidden_at(model, image, pixels)).numpy()
        worst = max(worst, float(np.abs(session.features(image, pixels) - wanted).max()))
    return worst


def image_graph(model: ImageTower) -> onnx.ModelProto:
    """Return the graph of a trained tower; normalisation layers and the colours' mean and deviation are folded in."""
    builder = _Builder()
    x = builder.add("Cast", [IMAGE], to=TensorProto.FLOAT)
    x = builder.add("Sub", [x, builder.small(255.0 * np.array(MEAN))])
    x = builder.add("Div", [x, builder.small(255.0 * np.array(STD))])
    x = builder.add("Unsqueeze", [builder.add("Transpose", [x], perm=[2, 0, 1]), builder.integers(0)])
    x = builder.shrink(x, model.config.image_width)
    for layer in model.stem:
        x = builder.conv(x, cast(ConvNorm, layer))
    skipped = []
    for stage in model.down:
        skipped.append(x)
        for block in cast(torch.nn.Sequential, stage):
            x = builder.block(x, cast(Block, block))
    x = builder.context(x, model.context.summary)
    for stage in model.up:
        x = builder.up(x, skipped.pop(), cast(UpStage, stage))
    builder.read(x, model)
    graph = helper.make_graph(
        builder.nodes,
        "ov3d_image_tower",
        [
            helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, ["H", "W", 3]),
            helper.make_tensor_value_info(PIXELS, TensorProto.FLOAT, ["P", 2]),
        ],
        [helper.make_tensor_value_info(FEATURE, TensorProto.FLOAT, ["P", model.config.embedding_dim])],
        builder.initializers,
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION, producer_name="ov3d_export"
    )


class _Builder(GraphBuilder):
    """Adds the layers of the tower; large weights are stored as float16 and widened when the graph is loaded."""

    def half(self, values: torch.Tensor) -> str:
        name = f"weight_{len(self.initializers)}"
        stored = values.detach().numpy().astype(np.float16)
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(stored), name))
        return self.add("Cast", [name], to=TensorProto.FLOAT)

    def small(self, values: np.ndarray | torch.Tensor) -> str:  # type: ignore[type-arg]
        return self.weight(np.asarray(values.detach() if isinstance(values, torch.Tensor) else values, np.float32))

    def conv(self, x: str, layer: ConvNorm) -> str:
        """Convolution with the normalisation after it folded in."""
        norm = layer.norm
        assert norm.running_var is not None
        assert norm.running_mean is not None
        scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        weight = layer.conv.weight * scale[:, None, None, None]
        x = self.add(
            "Conv",
            [x, self.half(weight), self.small(norm.bias - norm.running_mean * scale)],
            strides=list(layer.conv.stride),
            pads=[int(layer.conv.padding[0])] * 4,
        )
        return self.add("Relu", [x]) if layer.active else x

    def block(self, x: str, block: Block) -> str:
        """Residual block."""
        skip = self.conv(x, block.skip) if isinstance(block.skip, ConvNorm) else x
        return self.add("Relu", [self.add("Add", [self.conv(self.conv(x, block.first), block.second), skip])])

    def context(self, x: str, summary: torch.nn.Conv2d) -> str:
        """The whole image's mean, through a linear layer, added to every cell."""
        assert summary.bias is not None
        mean = self.add("GlobalAveragePool", [x])
        shift = self.add("Conv", [mean, self.half(summary.weight), self.small(summary.bias)])
        return self.add("Relu", [self.add("Add", [x, shift])])

    def up(self, x: str, finer: str, stage: UpStage) -> str:
        """Narrowed, bilinear to the finer level's size, joined with it, convolved."""
        x = self.conv(x, stage.narrow)
        channels = self.add("Shape", [x], start=0, end=2)
        size = self.add("Concat", [channels, self.add("Shape", [finer], start=2, end=4)], axis=0)
        wide = self.add("Resize", [x, "", "", size], mode="linear", coordinate_transformation_mode="half_pixel")
        return self.conv(self.add("Concat", [wide, finer], axis=1), stage.join)

    def shrink(self, x: str, width: int) -> str:
        """Bring wider images to the width, and note by how much pixels (u, v) shrink; see `ImageTower.shrink`."""
        before = self.size_of(x)
        x = self.resize(self.resize(x, 2 * width, antialias=1, exclude_outside=1), width)
        self.shrunk = self.add("Gather", [self.add("Div", [self.size_of(x), before]), self.integers(1, 0)], axis=0)
        return x

    def size_of(self, x: str) -> str:
        """Rows and columns as floats."""
        return self.add("Cast", [self.add("Shape", [x], start=2, end=4)], to=TensorProto.FLOAT)

    def resize(self, x: str, width: int, **filtering: Any) -> str:
        """Bring wider images to a width."""
        before, one = self.size_of(x), self.small(np.ones(1))
        columns = self.add("Gather", [before, self.integers(1)], axis=0)
        ratio = self.add("Min", [self.add("Div", [self.small(np.array([width])), columns]), one])
        half, step = self.small(np.array([0.5])), self.small(np.array([ROUND, 1]))
        steps = self.add("Div", [self.add("Mul", [before, ratio]), step])
        after = self.add("Mul", [self.add("Max", [self.add("Floor", [self.add("Add", [steps, half])]), one]), step])
        after = self.add("Where", [self.add("Less", [ratio, one]), after, before])
        channels, size = self.add("Shape", [x], start=0, end=2), self.add("Cast", [after], to=TensorProto.INT64)
        sizes = self.add("Concat", [channels, size], axis=0)
        return self.add(
            "Resize", [x, "", "", sizes], mode="linear", coordinate_transformation_mode="half_pixel", **filtering
        )

    def read(self, hidden: str, model: ImageTower) -> None:
        """Read between the cells next to the pixels, project to unit length and draw to the anchors."""
        half = self.small(np.array([0.5]))
        shrunk = self.add("Sub", [self.add("Mul", [self.add("Add", [PIXELS, half]), self.shrunk]), half])
        cells = self.add("Div", [shrunk, self.small(np.array([STRIDE]))])
        size = self.add("Gather", [self.add("Shape", [hidden], start=2, end=4), self.integers(1, 0)], axis=0)
        one = self.small(np.ones(1))
        last = self.add("Max", [self.add("Sub", [self.add("Cast", [size], to=TensorProto.FLOAT), one]), one])
        place = self.add("Sub", [self.add("Mul", [self.add("Div", [cells, last]), self.small(np.array([2.0]))]), one])
        grid = self.add("Unsqueeze", [place, self.integers(0, 1)])
        read = self.add(
            "GridSample", [hidden, grid], mode="bilinear", padding_mode="border", align_corners=1
        )  # (1, C, 1, P)
        flat = self.add("Reshape", [read, self.integers(model.config.hidden, -1)])
        picked = self.add("Transpose", [flat], perm=[1, 0])
        wide = self.add("Gemm", [picked, self.small(model.final.weight.T), self.small(model.final.bias)])
        if model.anchors is None:
            self.unit(wide, FEATURE)
            return
        feature, text = self.unit(wide), self.small(model.anchors.text)
        cosine = self.add("MatMul", [feature, self.add("Transpose", [text], perm=[1, 0])])
        likeness = self.add(
            "Softmax", [self.add("Div", [cosine, self.small(np.array([model.anchors.temperature]))])], axis=1
        )
        self.unit(self.add("Add", [feature, self.add("MatMul", [likeness, text])]), FEATURE)

    def unit(self, rows: str, output: str | None = None) -> str:
        """Scale rows to unit length, as torch does: by at least 1e-12."""
        length = self.add("ReduceL2", [rows, self.integers(1)], keepdims=1)
        return self.add("Div", [rows, self.add("Max", [length, self.small(np.array([1e-12]))])], output=output)
