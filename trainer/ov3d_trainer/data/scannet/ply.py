"""Triangle meshes in `.ply` files, as ScanNet has them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ov3d_perception.errors import ConfigError, DataError

_HEADER_BYTES = 10_000
_MOST_ELEMENTS = 50_000_000
_TYPES = {"f4": "float", "u1": "uchar", "u2": "ushort"}


@dataclass(frozen=True, slots=True, kw_only=True)
class PlyMesh:
    """Vertex properties (V,) by name, and triangles (F, 3) int32, rows of the vertices."""

    vertices: dict[str, NDArray[Any]]
    faces: NDArray[np.int32]


def read_ply(path: Path, properties: tuple[str, ...]) -> PlyMesh:
    """Read the named vertex properties and the triangles of a mesh; raises `DataError`."""
    try:
        from plyfile import PlyData
    except ImportError as error:
        raise ConfigError(f"{path}: reading .ply needs plyfile. Run: pip install plyfile") from error
    _check_header(path)
    try:
        content = PlyData.read(str(path), known_list_len={"face": {"vertex_indices": 3}})
        vertex, face = content["vertex"], content["face"]
        faces = np.asarray(face["vertex_indices"])
        if faces.dtype == object:  # text files
            faces = np.stack(faces.tolist()) if len(faces) else np.zeros((0, 3), np.int32)
    except Exception as error:  # the parser raises whatever its parts raise
        raise DataError(f"{path}: is not a readable mesh of triangles: {error}. Is it complete?") from error
    missing = [name for name in properties if name not in vertex.data.dtype.names]
    if missing:
        raise DataError(
            f"{path}: vertices without {', '.join(missing)}; they have {', '.join(vertex.data.dtype.names)}."
        )
    columns = {name: np.asarray(vertex[name]) for name in properties}
    if any(column.dtype.kind not in "fiu" or not np.isfinite(column).all() for column in columns.values()):
        raise DataError(f"{path}: {', '.join(properties)}: expected finite numbers. Copy the file again.")
    if faces.dtype.kind not in "iuf" or faces.ndim != 2 or faces.shape[1] != 3:
        raise DataError(f"{path}: expected triangles, got faces {faces.dtype} {faces.shape}.")
    if len(faces) and (faces.min() < 0 or faces.max() >= len(vertex.data)):
        raise DataError(f"{path}: a face names vertex {faces.max()} of {len(vertex.data)}. Copy the file again.")
    return PlyMesh(vertices=columns, faces=faces.astype(np.int32))


def write_ply(path: Path, vertices: NDArray[Any], faces: NDArray[np.int32]) -> None:
    """Write a binary mesh: one vertex property per field of the structured array `vertices`, and triangles (F, 3)."""
    properties = [f"property {_TYPES[vertices.dtype[name].str[1:]]} {name}\n" for name in vertices.dtype.names or ()]
    head = f"ply\nformat binary_little_endian 1.0\nelement vertex {len(vertices)}\n{''.join(properties)}"
    head += f"element face {len(faces)}\nproperty list uchar int vertex_indices\nend_header\n"
    packed = np.empty(len(faces), dtype=[("count", "u1"), ("rows", "<i4", (3,))])
    packed["count"], packed["rows"] = 3, faces
    with path.open("wb") as stream:
        stream.write(head.encode("ascii"))
        stream.write(vertices.tobytes())
        stream.write(packed.tobytes())


def _check_header(path: Path) -> None:
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEADER_BYTES)
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error}). A ScanNet scan has this file.") from error
    for element in (rb"vertex", rb"face"):
        found = re.search(rb"^element\s+" + element + rb"\s+(\d{1,12})\s*$", head, flags=re.MULTILINE)
        if found is None or int(found[1]) > _MOST_ELEMENTS:
            count = "no" if found is None else f"{int(found[1]):,}"
            raise DataError(
                f"{path}: {count} {element.decode()} elements in the header, expected 0 to {_MOST_ELEMENTS:,}. Damaged?"
            )
