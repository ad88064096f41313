"""What the exported network is fed beside the text: voxel features, and the index in one of two forms.

*Pairs*, for CPUs: the tables of `sparse_index` with the `scatter_places` that go with them. *Dense*, for GPUs:
`neighbour_tables`.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from .inputs import InputSpec
from .neighbour_tables import neighbour_table_names, neighbour_tables
from .scatter_places import place_names, scatter_places
from .sparse_index import table_names
from .types import NetworkInputs


def index_names(spec: InputSpec, *, dense: bool) -> tuple[str, ...]:
    """Return the names of all index tables that a network of this form takes."""
    if dense:
        return neighbour_table_names(spec.levels, spec.stem_kernel)
    return (*table_names(spec.levels, spec.stem_kernel), *place_names(spec.levels))


def network_feeds(inputs: NetworkInputs, spec: InputSpec, *, dense: bool) -> dict[str, NDArray[Any]]:
    """Return the arrays by the names of the graph's inputs, `text` left out."""
    voxels = len(inputs.features)
    if dense:
        return {
            "features": inputs.features,
            **neighbour_tables(inputs.index, voxels, spec.levels, spec.stem_kernel),
        }
    return {"features": inputs.features, **inputs.index, **scatter_places(inputs.index, voxels, spec.levels)}
