"""Names that come from data and become parts of paths. No torch here."""

from __future__ import annotations

from ov3d_perception.errors import DataError


def plain_name(name: str, what: str) -> str:
    """Return `name` if it is the name of one file or folder; `DataError` where it would lead elsewhere.

    `what` says in the message whose name it is.
    """
    if name in ("", ".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise DataError(f"{what} {name!r}: cannot be the name of a file. Rename it in the data set.")
    return name
