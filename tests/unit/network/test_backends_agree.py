"""Every backend that can run here equals the torch backend in double precision, which equals a dense convolution.

How far it may be away follows from the arithmetic. All inputs are numbers of the dtype itself, so only products and
sums are rounded, each to at most a unit u of its size (2^-24, 2^-11, 2^-9 for float32, float16, bfloat16), and the size
of all together is what the same convolution gives for absolute values. The short dtypes round an offset's product and
the final sum, in between is float32; torch's product of matrices as small as these rounds up to twice more on a CPU
(seen: 2.7 u in all), hence 4 u. Float32 rounds each of up to 125 x 5 terms.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from ov3d_perception.sparse_index import build_sparse_index
from ov3d_trainer.network.backends import BACKENDS, LevelTables, SparseConvBackend, index_tensors, read_tables
from ov3d_trainer.network.backends.torch_pairs import TorchPairs
from ov3d_trainer.network.model import SparseUNet, UNetConfig
from tests.unit.network.backend_on_hand import open_or_skip, skip_if_interpreted

INPUTS, OUTPUTS = 5, 3
ON_TABLES = [name for name in BACKENDS if name != "minkowski"]  # which finds neighbours itself: tests/peers
BOUNDS = {None: 625 * 2.0**-24, torch.float16: 4 * 2.0**-11, torch.bfloat16: 4 * 2.0**-9}
CLOUDS = {
    "no voxel": np.empty((0, 3), np.int32),
    "one voxel": np.array([[-1, 0, 5]], np.int32),
    "two neighbours": np.array([[-1, 0, 0], [0, 0, 0]], np.int32),
    "random": np.unique(np.random.default_rng(0).integers(-4, 4, size=(120, 3)), axis=0).astype(np.int32),
}


class Case(NamedTuple):
    """One convolution over one cloud: `table` is the field of the tables, `rows` how many it reads."""

    kind: str
    table: Any
    offsets: int
    rows: int

    def run(self, backend: SparseConvBackend, features: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        result: torch.Tensor = getattr(backend, self.kind)(features, weight, self.table)
        return result


class Numbers(NamedTuple):
    """What goes in, or what comes out: result (or its gradient) and the gradients of features and weight."""

    features: torch.Tensor
    weight: torch.Tensor
    result: torch.Tensor


def tables_of(coords: np.ndarray, kernel: int, device: str = "cpu") -> LevelTables:
    return read_tables(index_tensors(build_sparse_index(coords, 2, kernel), device), 2, kernel)


def case_of(kind: str, coords: np.ndarray, kernel: int = 3, device: str = "cpu") -> Case:
    tables = tables_of(coords, kernel, device)
    if kind == "submanifold":
        return Case(kind, tables.stem, kernel**3, len(coords))
    children = tables.children[0]
    return Case(kind, children, 8, len(coords) if kind == "strided" else children.parents)


def drawn(case: Case, dtype: torch.dtype | None) -> Numbers:
    """Numbers that the dtype can hold; no two offsets have the same weights."""
    generator = torch.Generator().manual_seed(1)
    rows = case.table.parents if case.kind == "strided" else case.rows
    rows = len(case.table.child) if case.kind == "transposed" else rows
    shapes = ((case.rows, INPUTS), (case.offsets, INPUTS, OUTPUTS), (rows, OUTPUTS))
    return Numbers(*(torch.randn(shape, generator=generator).to(dtype or torch.float32).double() for shape in shapes))


def computed(case: Case, backend: SparseConvBackend, given: Numbers, device: str, dtype: torch.dtype | None) -> Numbers:
    """Convolve float32 numbers forward and backward, under autocast where a dtype is given."""
    features, weight = (part.float().to(device).requires_grad_() for part in given[:2])
    with torch.autocast(device, dtype=dtype or torch.bfloat16, enabled=dtype is not None):
        result = case.run(backend, features, weight)
    assert result.dtype == (dtype or torch.float32)
    result.backward(given.result.to(device, result.dtype))  # type: ignore[no-untyped-call]
    assert features.grad is not None
    assert weight.grad is not None
    return Numbers(*(part.detach().double().cpu() for part in (features.grad, weight.grad, result)))


def exact(case: Case, given: Numbers) -> Numbers:
    features, weight = (part.clone().requires_grad_() for part in given[:2])
    result = case.run(TorchPairs(), features, weight)
    gradients = torch.autograd.grad(result, (features, weight), given.result)
    return Numbers(*gradients, result.detach())


def excess(found: Numbers, given: Numbers, case: Case, dtype: torch.dtype | None) -> float:
    """Return by how much the worst number is farther away than it may be; 0 or less is right."""
    right, sizes = exact(case, given), exact(case, Numbers(*(part.abs() for part in given)))
    off = [(a - b).abs() - BOUNDS[dtype] * size for a, b, size in zip(found, right, sizes, strict=True)]
    return max((float(part.max()) for part in off if part.numel()), default=0.0)


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("cloud", CLOUDS)
@pytest.mark.parametrize("kind", ["submanifold", "strided", "transposed"])
@pytest.mark.parametrize("name", ON_TABLES)
def test_values_and_gradients_are_as_near_as_the_dtype_allows(name, kind, cloud, dtype, monkeypatch):
    backend, device = open_or_skip(name, monkeypatch)
    skip_if_interpreted(dtype, device, name)
    case = case_of(kind, CLOUDS[cloud])
    given = drawn(case, dtype)
    found = computed(case_of(kind, CLOUDS[cloud], device=device), backend, given, device, dtype)
    assert excess(found, given, case, dtype) <= 0.0


@pytest.mark.parametrize("name", ON_TABLES)
def test_a_kernel_of_125_offsets_agrees_too(name, monkeypatch):
    backend, device = open_or_skip(name, monkeypatch)
    case = case_of("submanifold", CLOUDS["random"], kernel=5)
    given = drawn(case, None)
    found = computed(case_of("submanifold", CLOUDS["random"], 5, device), backend, given, device, None)
    assert excess(found, given, case, None) <= 0.0


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("kind", ["submanifold", "strided", "transposed"])
def test_these_bounds_catch_a_kernel_the_other_way_round(kind, dtype):
    case = case_of(kind, CLOUDS["random"])
    given = drawn(case, dtype)
    flipped = exact(case, given._replace(weight=given.weight.flip(0)))
    assert excess(flipped, given, case, dtype) > 0.1


@pytest.mark.parametrize("name", ON_TABLES)
def test_the_same_pass_twice_gives_the_same_bits(name, monkeypatch):
    backend, device = open_or_skip(name, monkeypatch)
    case = case_of("submanifold", CLOUDS["random"], device=device)
    given = drawn(case, None)
    first, second = (computed(case, backend, given, device, None) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))


NETWORK = UNetConfig(
    architecture="tiny",
    in_features=2,
    embedding_dim=4,
    stem_channels=3,
    channels=(4, 5, 4, 3),
    layers=(1,) * 4,
    levels=3,
)


@pytest.mark.parametrize("name", ON_TABLES)
def test_a_network_and_its_gradients_are_the_same_with_the_weights_of_another_backend(name, monkeypatch):
    """Some 20 layers one after the other, with normalisations: a hundred times float32's unit of the largest number."""
    backend, device = open_or_skip(name, monkeypatch)
    coords = CLOUDS["random"]
    features = torch.randn(len(coords), 2, generator=torch.Generator().manual_seed(2))
    index = build_sparse_index(coords, 3, 3)
    saved = SparseUNet(NETWORK, seed=1).state_dict()
    found = []
    for model, place in ((SparseUNet(NETWORK), "cpu"), (SparseUNet(NETWORK).to(device), device)):
        model.load_state_dict(saved)
        model.backend = backend if found else model.backend
        vectors = model.train()(features.to(place), index_tensors(index, place))
        vectors[:, 0].sum().backward()
        parts = [part.grad.flatten() for part in model.parameters() if part.grad is not None]
        found.append((vectors.detach().cpu(), torch.cat(parts).cpu()))
    for right, other in zip(*found, strict=True):
        torch.testing.assert_close(other, right, rtol=0, atol=100 * 2.0**-24 * float(right.abs().max()))
