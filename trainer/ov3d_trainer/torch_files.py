"""What others saved with torch: tensors and numpy arrays in plain containers, and nothing that runs."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy._core import multiarray

from ov3d_perception.errors import DataError

_MOST_BYTES = 8_000_000_000
_ARRAY_PARTS: list[Any] = [
    np.ndarray,
    np.dtype,
    *{type(np.dtype(code)) for code in "?bBhHiIlLqQefd"},
    *((getattr(multiarray, name), f"numpy.{core}.multiarray.{name}")
      for name in ("_reconstruct", "scalar") for core in ("core", "_core")),
]  # fmt: skip
"""All that numpy 1 and 2 name in a pickled array of numbers: constructors that take sizes, types and bytes."""
_one_at_a_time = threading.Lock()


def load_arrays(path: Path) -> Any:
    """Return what `torch.save` wrote, tensors as numpy arrays; tuples, lists and dicts stay.

    Read with `weights_only`, arrays of numbers allowed besides: a file that names any other function or class is
    refused, and nothing in it is run. Raises `DataError` for that, and for files that are missing, damaged or huge.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{path}: larger than {_MOST_BYTES:,} bytes. Is it the right file?")
        with _one_at_a_time, torch.serialization.safe_globals(_ARRAY_PARTS):  # the list is torch's, not the thread's
            return _as_arrays(torch.load(path, map_location="cpu", weights_only=True))
    except FileNotFoundError:
        raise DataError(f"{path}: no such file. Unpack the archive that holds it.") from None
    except DataError:
        raise
    except Exception as error:  # archives and unpicklers share no base class
        raise DataError(f"{path}: expected tensors or arrays saved by torch, got {_reason(error)}.") from error


def _reason(error: Exception) -> str:
    """Say what is wrong with a file; torch's own words advise to trust it."""
    foreign = re.search(r"GLOBAL (\S+)", str(error))
    if foreign is not None:
        return f"one that names {foreign[1]}: refused, for it could run anything. Get the file from its publisher"
    return f"something else ({type(error).__name__}). Copy the file again"


def _as_arrays(content: Any) -> Any:
    if isinstance(content, torch.Tensor):
        return (content.float() if content.dtype == torch.bfloat16 else content).detach().numpy()
    if isinstance(content, dict):
        return {key: _as_arrays(value) for key, value in content.items()}
    if isinstance(content, tuple | list):
        return type(content)(_as_arrays(value) for value in content)
    return content
