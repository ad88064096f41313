"""Which kernels prepare a sweep: numba's where it is installed, else numpy's; results are equal to the bit.

Functions that lead to kernels take `compiled`: None for that choice, True to insist on numba, False for numpy.
"""

from __future__ import annotations

import functools
import importlib
import logging
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import numpy_kernels
from .errors import ConfigError

_HINT = (
    "Install `ov3d_perception[fast]` (numba); where it is installed, delete what it keeps: the .nbi and .nbc files in "
    "`__pycache__` of ov3d_perception, or the folder NUMBA_CACHE_DIR."
)

logger = logging.getLogger(__name__)


def kernels(compiled: bool | None) -> ModuleType:
    """Return the module with the kernels; `ConfigError` where numba is insisted on but cannot be imported."""
    if compiled is False:
        return numpy_kernels
    module, reason = _numba_kernels()
    if module is not None:
        return module
    if compiled:
        raise ConfigError(f"compiled=True: numba cannot be used ({reason}). {_HINT}")
    return numpy_kernels


@functools.cache
def _numba_kernels() -> tuple[ModuleType | None, str]:
    """Return the compiled kernels, tried out once on next to nothing, or the reason why there are none."""
    try:
        module = importlib.import_module(".numba_kernels", __package__)
        module.run_each_once()
    except Exception as error:  # numba's own, its compiler's, and those of a cache that a power cut left half written
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        logger.warning("numba cannot be used (%s): sweeps are prepared by numpy, which takes longer. %s", reason, _HINT)
        return None, reason
    return module, ""


def plain(array: NDArray[Any], dtype: Any) -> NDArray[Any]:
    """Return the array as kernels take it: of this type, C-contiguous and writable; a copy only where it is not."""
    return np.require(array, dtype, ["C", "W"])
