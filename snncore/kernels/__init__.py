"""The inner loops behind the functions: the same signatures in each module, and the choice between them."""

from types import ModuleType

import numpy as np

from snncore.backend import Array, array_module
from snncore.kernels import reference
from snncore.kernels.choice import kernel_choice

__all__ = ["kernels_for"]


def kernels_for(*arrays: Array) -> ModuleType:
    """Return the module whose kernels run on `arrays`.

    The environment variable SNNCORE_KERNELS forces a set: `auto` (default), on CuPy arrays the ones in CUDA C;
    `reference`, plain array code that runs on NumPy and CuPy arrays alike.
    Raises BackendError for another value.
    """
    if kernel_choice() != "reference" and array_module(*arrays) is not np:
        from snncore.kernels import cuda

        return cuda
    return reference
