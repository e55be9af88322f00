"""The inner loops behind the functions: the same signatures in each module, and the choice between them."""

from types import ModuleType

import numpy as np

from snncore.backend import Array, array_module
from snncore.kernels import reference
from snncore.kernels.choice import kernel_choice

__all__ = ["kernels_for"]


def kernels_for(*arrays: Array) -> ModuleType:
    """Return the module whose kernels run on `arrays`.

    The environment variable SNNCORE_KERNELS forces a set: `auto` (default), the compiled ones on the CPU, which choose
    between event-driven and dense convolution by the density of the spikes; `event` or `dense`, the same with that
    choice made; `reference`, plain array code, which is also what runs on CuPy arrays.
    Raises BackendError for another value.
    """
    if kernel_choice() == "reference" or array_module(*arrays) is not np:
        return reference
    from snncore.kernels import cpu  # imports Numba, which takes half a second

    return cpu
