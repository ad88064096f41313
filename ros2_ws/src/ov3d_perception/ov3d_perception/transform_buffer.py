"""A small transform tree: static and moving transforms, interpolated between samples and never extrapolated.

Serves bags, and nodes on a ROS without tf2_ros. Frames form a tree by child; transforms are (4, 4) float64
`parent_from_child`, stamps integer nanoseconds.
"""

from __future__ import annotations

import bisect
import threading
from collections.abc import Collection
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from .errors import FrameError
from .geometry import check_transform, interpolate_transform, invert_transform
from .types import FloatArray

DEFAULT_MAX_GAP_S = 1.0
_MAX_DEPTH = 64  # longer chains are cycles


@dataclass(slots=True, kw_only=True)
class _Edge:
    """How one child hangs on its parent: one static transform or samples in order of their stamps."""

    parent: str
    static: NDArray[np.float64] | None = None
    stamps_ns: list[int] = field(default_factory=list)
    samples: list[NDArray[np.float64]] = field(default_factory=list)


class TransformBuffer:
    """Holds transforms as they arrive and answers where one frame was, relative to another, at given stamps.

    Safe to fill and ask from several threads.
    """

    def __init__(
        self,
        *,
        rigid_frames: Collection[str] = (),
        max_gap_s: float = DEFAULT_MAX_GAP_S,
        max_age_s: float | None = None,
    ) -> None:
        """Start empty.

        `rigid_frames` are child frames declared to be bolted to their parent although they arrive as moving
        transforms (some converters repeat the mounts of sensors on /tf): their nearest sample is held. Samples further
        apart than `max_gap_s` are not interpolated. `max_age_s` bounds the memory: samples that much older than their
        edge's newest are dropped (None keeps all).
        """
        self._rigid = frozenset(rigid_frames)
        self._max_gap_ns = round(max_gap_s * 1e9)
        self._max_age_ns = None if max_age_s is None else round(max_age_s * 1e9)
        self._edges: dict[str, _Edge] = {}
        self._lock = threading.Lock()

    def set_static(self, parent: str, child: str, parent_from_child: FloatArray) -> None:
        """Set a transform that holds at every stamp; `GeometryError` for a matrix that is not rigid."""
        check_transform(f"transform {parent} <- {child}", parent_from_child)
        with self._lock:
            self._edges[child] = _Edge(parent=parent, static=parent_from_child.astype(np.float64))

    def add(self, parent: str, child: str, stamp_ns: int, parent_from_child: FloatArray) -> None:
        """Add one sample of a moving transform, in any order of stamps; a repeated stamp replaces the sample.

        A child that comes with another parent than before forgets its old samples. Raises `GeometryError` for a
        matrix that is not rigid.
        """
        check_transform(f"transform {parent} <- {child} at {stamp_ns} ns", parent_from_child)
        with self._lock:
            edge = self._edges.get(child)
            if edge is None or edge.parent != parent or edge.static is not None:
                edge = self._edges[child] = _Edge(parent=parent)
            place = bisect.bisect_left(edge.stamps_ns, stamp_ns)
            if place < len(edge.stamps_ns) and edge.stamps_ns[place] == stamp_ns:
                edge.samples[place] = parent_from_child.astype(np.float64)
            else:
                edge.stamps_ns.insert(place, stamp_ns)
                edge.samples.insert(place, parent_from_child.astype(np.float64))
            if self._max_age_ns is not None:
                stale = bisect.bisect_left(edge.stamps_ns, edge.stamps_ns[-1] - self._max_age_ns)
                del edge.stamps_ns[:stale], edge.samples[:stale]

    def clear(self) -> None:
        """Forget the moving transforms, for example when a bag starts again; static ones stay."""
        with self._lock:
            self._edges = {child: edge for child, edge in self._edges.items() if edge.static is not None}

    def lookup(
        self, target: str, target_ns: int, source: str, source_ns: int, *, fixed_frame: str
    ) -> NDArray[np.float64]:
        """Return `target_from_source` (4, 4): source frame at `source_ns` to target frame at `target_ns`.

        Motion between the two stamps is measured against `fixed_frame`, as in tf2's lookup with a fixed frame. With
        equal stamps no fixed frame is needed. Raises `FrameError`, naming frames and stamps, when a transform is
        missing, lies outside the recorded stamps or in a gap.
        """
        with self._lock:
            if target_ns == source_ns:
                return self._at(target, source, source_ns)
            target_from_fixed = self._at(target, fixed_frame, target_ns)
            return target_from_fixed @ self._at(fixed_frame, source, source_ns)

    def _at(self, target: str, source: str, stamp_ns: int) -> NDArray[np.float64]:
        target_chain, source_chain = self._ancestors(target), self._ancestors(source)
        common = next((frame for frame in source_chain if frame in target_chain), None)
        if common is None:
            known = ", ".join(sorted({*self._edges, *(edge.parent for edge in self._edges.values())})) or "none"
            raise FrameError(
                f"no transform {target} <- {source} at {stamp_ns} ns: the frames are not connected. Known frames: "
                f"{known}. Check the frame names and that /tf and /tf_static arrive."
            )
        common_from_target = self._climb(target_chain[: target_chain.index(common)], stamp_ns)
        common_from_source = self._climb(source_chain[: source_chain.index(common)], stamp_ns)
        return invert_transform(common_from_target) @ common_from_source

    def _ancestors(self, frame: str) -> list[str]:
        chain = [frame]
        while chain[-1] in self._edges:
            chain.append(self._edges[chain[-1]].parent)
            if len(chain) > _MAX_DEPTH:
                raise FrameError(f"transforms above {frame} form a cycle: {' -> '.join(chain[:8])} ... Fix the tree.")
        return chain

    def _climb(self, children: list[str], stamp_ns: int) -> NDArray[np.float64]:
        """Multiply the transforms from the first child up to the parent of the last."""
        ancestor_from_frame: NDArray[np.float64] = np.eye(4)
        for child in children:
            ancestor_from_frame = self._sample(child, stamp_ns) @ ancestor_from_frame
        return ancestor_from_frame

    def _sample(self, child: str, stamp_ns: int) -> NDArray[np.float64]:
        edge = self._edges[child]
        if edge.static is not None:
            return edge.static
        stamps_ns = edge.stamps_ns
        after = bisect.bisect_left(stamps_ns, stamp_ns)
        if after < len(stamps_ns) and stamps_ns[after] == stamp_ns:
            return edge.samples[after]
        if child in self._rigid:
            return edge.samples[min(after, len(stamps_ns) - 1)]
        name = f"transform {edge.parent} <- {child} at {stamp_ns} ns"
        if after in (0, len(stamps_ns)):
            raise FrameError(
                f"{name} would be extrapolated: recorded from {stamps_ns[0]} to {stamps_ns[-1]} ns. Wait for newer "
                f"transforms, or declare {child} rigid if it is a sensor bolted to {edge.parent}."
            )
        gap_ns = stamps_ns[after] - stamps_ns[after - 1]
        if gap_ns > self._max_gap_ns:
            raise FrameError(
                f"{name} lies in a gap of {gap_ns * 1e-9:.3f} s between {stamps_ns[after - 1]} and {stamps_ns[after]} "
                f"ns, expected at most {self._max_gap_ns * 1e-9:.3f} s. Publish the pose more often."
            )
        fraction = (stamp_ns - stamps_ns[after - 1]) / gap_ns
        return interpolate_transform(edge.samples[after - 1], edge.samples[after], fraction)
