"""The inner loops behind the functions: the same signatures in each module, and the choice between them."""

import os
from types import ModuleType

from snncore.backend import Array, BackendError
from snncore.kernels import reference

__all__ = ["kernels_for"]

CHOICES = ("auto", "reference")


def kernels_for(*arrays: Array) -> ModuleType:
    """Return the module whose kernels run on `arrays`.

    The environment variable SNNCORE_KERNELS forces a set: `auto` (default) or `reference`. Today both mean
    `snncore.kernels.reference`, plain array code that runs on NumPy and CuPy arrays alike.
    Raises BackendError for another value.
    """
    choice = os.environ.get("SNNCORE_KERNELS", "auto")
    if choice not in CHOICES:
        raise BackendError(f"SNNCORE_KERNELS: expected one of {', '.join(CHOICES)}, found {choice!r}")
    return reference
