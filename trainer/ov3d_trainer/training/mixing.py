"""Two sweeps laid over each other, with what the teacher says about both (Mix3D, Nekrasov et al. 2021).

Objects then stand where their own scene would not have them, and context alone is no answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.types import Frame

from ..supervision.prepared import Prepared
from ..teacher.base import FeatureSupervision, Supervision


def mix_pairs(samples: Sequence[Prepared], chance: float, generators: Sequence[np.random.Generator]) -> list[Prepared]:
    """Lay the first and second sweep over each other, the third and fourth and so on, each pair with that chance.

    The first of a pair decides, by its generator; a last one without a partner stays alone.
    """
    mixed = []
    for first in range(0, len(samples), 2):
        pair = samples[first : first + 2]
        if len(pair) == 2 and generators[first].random() < chance:
            mixed.append(lay_over(*pair))
        else:
            mixed.extend(pair)
    return mixed


def lay_over(first: Prepared, second: Prepared) -> Prepared:
    """Return all points of both as they stand, those of `first` first, each with its own supervision.

    Cameras are left out; colours, rings and time offsets stay where both have them.
    """
    return Prepared(
        frame=_join_frames(first.frame, second.frame),
        supervision=join_supervision(first.supervision, second.supervision),
    )


def join_supervision(
    first: Supervision | FeatureSupervision, second: Supervision | FeatureSupervision
) -> Supervision | FeatureSupervision:
    """Return the supervision of the points of both, of one teacher; `TypeError` for two kinds of teacher."""
    if isinstance(first, Supervision) and isinstance(second, Supervision):
        return Supervision(
            target=np.concatenate([first.target, second.target]),
            weight=np.concatenate([first.weight, second.weight]),
            count=first.count,
        )
    if isinstance(first, FeatureSupervision) and isinstance(second, FeatureSupervision):
        return FeatureSupervision(
            points=first.points + second.points,
            rows=np.concatenate([first.rows, second.rows + first.points]),
            vectors=np.concatenate([first.vectors, second.vectors]),
            vector_of_row=np.concatenate([first.vector_of_row, second.vector_of_row + np.int32(len(first.vectors))]),
            weight=np.concatenate([first.weight, second.weight]),
        )
    raise TypeError(f"supervision of one teacher expected, got {type(first).__name__} and {type(second).__name__}")


def _join_frames(first: Frame, second: Frame) -> Frame:
    def both(one: NDArray[Any] | None, other: NDArray[Any] | None) -> NDArray[Any] | None:
        return None if one is None or other is None else np.concatenate([one, other])

    return replace(
        first,
        points=np.concatenate([first.points, second.points]),
        intensity=np.concatenate([first.intensity, second.intensity]),
        colors=both(first.colors, second.colors),
        ring=both(first.ring, second.ring),
        time_offset_s=both(first.time_offset_s, second.time_offset_s),
        cameras=(),
    )
