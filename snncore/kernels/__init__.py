"""The inner loops behind the functions: the same signatures in each set, and the choice between the sets.

A set is a module. `cpu.x` and `cuda.x` are the set's own kernel x where it has one, and else `reference.x`.
"""

from types import ModuleType

import numpy as np

from snncore.backend import Array, BackendError, array_module
from snncore.kernels import reference
from snncore.kernels.choice import kernel_choice, runs_compiled

__all__ = ["kernels_for"]


def kernels_for(*arrays: Array) -> ModuleType:
    """Return the module whose kernels run on `arrays`.

    The environment variable SNNCORE_KERNELS forces a set: `auto` (default), those in CUDA C on CuPy arrays and the
    compiled ones on NumPy's, which choose between event-driven and dense convolution by the density of the spikes;
    `event` or `dense`, the same with that choice made; `reference`, plain array code for either.
    Raises BackendError for another value, and if Numba is needed and cannot be loaded.
    """
    if kernel_choice() == "reference":
        return reference
    if array_module(*arrays) is not np:
        from snncore.kernels import cuda

        return cuda
    if not runs_compiled():
        return reference
    try:
        from snncore.kernels import cpu  # imports Numba, which takes half a second
    except (ImportError, ValueError) as error:  # another NumPy than it knows, or NUMBA_NUM_THREADS=0
        why = str(error).rstrip(".")
        raise BackendError(f"Numba cannot be loaded: {why}; SNNCORE_KERNELS=reference runs without it") from None
    return cpu
