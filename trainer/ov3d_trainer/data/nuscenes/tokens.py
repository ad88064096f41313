"""Tokens, channels and names of files in a nuScenes data root."""

from __future__ import annotations

import hashlib

VERSION = "v1.0-mini"
"""Name of the tables' folder; the official evaluation looks its splits up by it."""

LIDAR = "LIDAR_TOP"
"""The lidar's channel."""


def token(*parts: object) -> str:
    """Return 32 hexadecimal digits that the parts determine."""
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:32]


def lidarseg_file(sample_data_token: str) -> str:
    """Return where the labels of a sweep lie below the root."""
    return f"lidarseg/{VERSION}/{sample_data_token}_lidarseg.bin"
