"""Which kernels run: `use_kernels` in this thread, else the environment variable SNNCORE_KERNELS, read per call."""

import os
import sys
from contextlib import AbstractContextManager

from snncore.backend import BackendError
from snncore.context import changed, context

__all__ = ["CHOICES", "kernel_choice", "runs_compiled", "use_kernels"]

CHOICES = ("auto", "reference", "dense", "event")
_said = False


def kernel_choice() -> str:
    """Return one of CHOICES, `auto` if nothing is said; raises BackendError for a value that is not known."""
    if context.kernels is not None:
        return context.kernels
    return _known("SNNCORE_KERNELS", os.environ.get("SNNCORE_KERNELS", "auto"))


def use_kernels(choice: str | None) -> AbstractContextManager[None]:
    """Make one of CHOICES the kernels of this thread in a `with` block; None asks the environment variable again.

    Raises BackendError for a value that is not known.
    """
    return changed("kernels", None if choice is None else _known("use_kernels", choice))


def runs_compiled() -> bool:
    """Whether Numba may compile; with NUMBA_DISABLE_JIT it may not, and one sentence on stderr says what runs."""
    global _said
    off = os.environ.get("NUMBA_DISABLE_JIT", "").strip() not in ("", "0")
    if off and not _said:
        _said = True
        print("snncore: NUMBA_DISABLE_JIT is set, so the reference kernels run", file=sys.stderr, flush=True)
    return not off


def _known(name: str, choice: str) -> str:
    if choice not in CHOICES:
        raise BackendError(f"{name}: expected one of {', '.join(CHOICES)}, found {choice!r}")
    return choice
