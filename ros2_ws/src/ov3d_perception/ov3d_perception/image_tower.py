"""The image tower of a bundle through onnxruntime: features of chosen pixels in the bundle's text space, without torch.

`image.onnx` takes `image` (H, W, 3) uint8 RGB and `pixels` (P, 2) float32 (u, v), and gives `feature` (P, D) float32,
unit length: dense features are only spelled out where somebody asks, so that a sweep needs no (H, W, D) array.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from .engine import open_session, resolve_providers
from .errors import FrameError, ModelError

IMAGE_FILE = "image.onnx"
CARD_KEY = "ov3d_image"
CARD_FORMAT = 2
IMAGE, PIXELS, FEATURE = "image", "pixels", "feature"
_HINT = "Export it again with `python -m ov3d_export image-tower`."
_TYPES = {"format": int, "text_space": str, "embedding_dim": int, "image_width": int, "source": dict}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageCard:
    """What must be known about an image tower, as JSON under `CARD_KEY` in `image.onnx`.

    The graph shrinks wider images to `image_width` pixels; `source` says where the weights come from (free strings).
    """

    format: int = CARD_FORMAT
    text_space: str
    embedding_dim: int
    image_width: int
    source: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the card as JSON text."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> ImageCard:
        """Read a card; `ModelError` for broken JSON, another format, missing or mistyped entries."""
        try:
            values = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{IMAGE_FILE}: its card is not valid JSON ({error}). {_HINT}") from error
        if not isinstance(values, dict) or values.get("format") != CARD_FORMAT:
            raise ModelError(f"{IMAGE_FILE}: its card is not of format {CARD_FORMAT}. {_HINT}")
        for name, wanted in _TYPES.items():
            if type(values.get(name)) is not wanted:
                raise ModelError(f"{IMAGE_FILE}: card entry {name} must be {wanted.__name__}. {_HINT}")
        return cls(**{name: values[name] for name in _TYPES})


class ImageTower:
    """A loaded image tower; owns an onnxruntime session and may be used from several threads."""

    def __init__(
        self, path: Path | str, *, providers: Sequence[str] | str = "auto", threads: int | None = None
    ) -> None:
        """Load `image.onnx`; `providers` and `threads` as for `Engine`. `ModelError` for a bad file."""
        file = Path(path)
        if not file.is_file():
            raise ModelError(f"{file}: no such file. {_HINT}")
        self._session = open_session(file, resolve_providers(providers), threads)
        text = self._session.get_modelmeta().custom_metadata_map.get(CARD_KEY)
        if text is None:
            raise ModelError(f"{file.name}: no card in its metadata (key {CARD_KEY}). {_HINT}")
        self.card = ImageCard.from_json(text)
        _check_graph(self._session, self.card)

    def features(self, image: NDArray[np.uint8], pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (P, D), unit length, at pixels (P, 2) of an image (H, W, 3) uint8 RGB; outside counts as the border.

        Raises `FrameError` when the run fails (out of memory); the next image may be fine.
        """
        if len(pixels) == 0:
            return np.zeros((0, self.card.embedding_dim), np.float32)
        try:
            feeds = {IMAGE: np.ascontiguousarray(image), PIXELS: np.ascontiguousarray(pixels, dtype=np.float32)}
            feature: NDArray[np.float32] = self._session.run([FEATURE], feeds)[0]
        except Exception as error:  # onnxruntime's exceptions share no base class
            reason = " ".join(str(error).split())
            raise FrameError(
                f"{IMAGE_FILE}: run failed for an image {image.shape} ({reason}). Use smaller images or free memory."
            ) from error
        return feature


def _check_graph(session: ort.InferenceSession, card: ImageCard) -> None:
    inputs = {value.name: (value.type, len(value.shape)) for value in session.get_inputs()}
    outputs = {value.name: value for value in session.get_outputs()}
    wanted = {IMAGE: ("tensor(uint8)", 3), PIXELS: ("tensor(float)", 2)}
    if inputs != wanted or set(outputs) != {FEATURE}:
        raise ModelError(f"{IMAGE_FILE}: expected inputs {wanted} and output {FEATURE}, got {inputs}. {_HINT}")
    width = outputs[FEATURE].shape[-1]
    if isinstance(width, int) and width != card.embedding_dim:
        raise ModelError(f"{IMAGE_FILE}: card says {card.embedding_dim} numbers, graph gives {width}. {_HINT}")
