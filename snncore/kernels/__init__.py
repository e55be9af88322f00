"""The inner loops behind the functions: the same signatures in each module, and the choice between them."""

import os
from types import ModuleType

from snncore.backend import Array, BackendError, array_module
from snncore.kernels import reference

__all__ = ["CHOICES", "kernels_for"]

CHOICES = ("auto", "reference", "dense", "event")


def kernels_for(*arrays: Array) -> ModuleType:
    """Return the module whose kernels run on `arrays`.

    The environment variable SNNCORE_KERNELS forces a set: `auto` (default), the compiled ones on the CPU, with the
    choice between event-driven and dense convolution by density; `event` or `dense`, the same with that choice made;
    `reference`, plain array code.
    Raises BackendError for another value.
    """
    choice = os.environ.get("SNNCORE_KERNELS", "auto")
    if choice not in CHOICES:
        raise BackendError(f"SNNCORE_KERNELS: expected one of {', '.join(CHOICES)}, found {choice!r}")
    if choice == "reference":
        return reference
    from snncore.kernels import cpu

    return cpu
