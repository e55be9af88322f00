"""The environment variable SNNCORE_KERNELS, read at every call so that a program may change it."""

import os

from snncore.backend import BackendError

CHOICES = ("auto", "reference", "dense", "event")


def kernel_choice() -> str:
    """Return the value of SNNCORE_KERNELS, `auto` if it is not set; raises BackendError for one that is not known."""
    choice = os.environ.get("SNNCORE_KERNELS", "auto")
    if choice not in CHOICES:
        raise BackendError(f"SNNCORE_KERNELS: expected one of {', '.join(CHOICES)}, found {choice!r}")
    return choice
