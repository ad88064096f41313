"""Both implementations of the input stage."""

import pytest


@pytest.fixture(params=[False, True], ids=["numpy", "numba"])
def compiled(request: pytest.FixtureRequest) -> bool:
    """Which kernels a test runs on: it runs on each."""
    if request.param:
        pytest.importorskip("numba", reason="numba is not installed: only numpy's kernels are tested")
    return bool(request.param)
