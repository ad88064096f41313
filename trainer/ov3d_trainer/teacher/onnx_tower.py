"""Teacher `pixel_text` from an exported image tower, such as the one in a bundle: no torch weights are needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ov3d_perception.errors import ConfigError
from ov3d_perception.image_tower import ImageTower
from ov3d_perception.text.encoder import TextEncoder

from ..config import TeacherConfig
from ..data.sample import Sample
from ..supervision.lift import LiftOptions
from ..words.vocabulary import WordList
from .base import FeatureSupervision, Targets, feature_targets
from .views import mean_over_views


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxTowerTeacher:
    """Supervises every point that a camera sees with what the robot itself would read there.

    `targets` are the words of the vocabulary; codes are features.
    """

    tower: ImageTower
    targets: Targets
    lift: LiftOptions

    def supervise(self, sample: Sample) -> FeatureSupervision:
        """Run the tower on the sample's images and read it at the points."""
        width = self.targets.text.shape[1]
        return mean_over_views(sample, self.lift, width, lambda view, pixels: self.tower.features(view.image, pixels))


def open_onnx_tower_teacher(
    config: TeacherConfig, words: WordList, encoder: TextEncoder, lift: LiftOptions
) -> OnnxTowerTeacher:
    """Open `config.path`; `ConfigError` where it speaks another text space, or cannot do what is asked."""
    if config.flip or config.widths:
        raise ConfigError("teacher: an exported image tower reads images in one way. Unset teacher.flip and widths.")
    tower = ImageTower(Path(config.path), providers="cpu")
    if tower.card.text_space != encoder.space:
        raise ConfigError(
            f"teacher.path: {config.path} learnt the text space {tower.card.text_space!r}, `text` gives "
            f"{encoder.space!r}. Give the text side of the same bundle."
        )
    return OnnxTowerTeacher(tower=tower, targets=feature_targets(words, encoder), lift=lift)
