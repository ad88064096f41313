"""The kinds of object in a simulated room."""

from __future__ import annotations

from ..kind import Kind

ROOM_KINDS: tuple[Kind, ...] = ()
