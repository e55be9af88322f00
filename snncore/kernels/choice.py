"""Which kernels run, and in which arithmetic: chosen in this thread, else by environment variables, read per call.

| in a thread   | environment variable |
| ------------- | -------------------- |
| `use_kernels` | SNNCORE_KERNELS      |
| `arithmetic`  | SNNCORE_ARITHMETIC   |
| `gradients`   | SNNCORE_GRADIENTS    |
"""

import os
import sys
from contextlib import AbstractContextManager

from snncore.backend import BackendError
from snncore.context import changed, context
from snncore.nearest import one_of

__all__ = [
    "ARITHMETICS",
    "CHOICES",
    "GRADIENTS",
    "arithmetic",
    "arithmetic_choice",
    "gradients",
    "gradients_choice",
    "kernel_choice",
    "runs_compiled",
    "use_kernels",
]

CHOICES = ("auto", "reference", "dense", "event")
ARITHMETICS = ("float32", "exact")
GRADIENTS = ("auto", "tensor", "cublas")
_said = False


def kernel_choice() -> str:
    """Return one of CHOICES, `auto` if nothing is said; raises BackendError for a value that is not known."""
    if context.kernels is not None:
        return context.kernels
    return _said_outside("SNNCORE_KERNELS", CHOICES)


def use_kernels(choice: str | None) -> AbstractContextManager[None]:
    """Make one of CHOICES the kernels of this thread in a `with` block; None asks the environment variable again.

    Raises BackendError for a value that is not known.
    """
    return changed("kernels", None if choice is None else _known("use_kernels", choice, CHOICES))


def arithmetic_choice() -> str:
    """Return one of ARITHMETICS, `float32` if nothing is said; raises BackendError for a value that is not known."""
    if context.arithmetic is not None:
        return context.arithmetic
    return _said_outside("SNNCORE_ARITHMETIC", ARITHMETICS)


def arithmetic(choice: str | None) -> AbstractContextManager[None]:
    """Make one of ARITHMETICS that of the layers with weights, for this thread in a `with` block.

    `float32`: sums of float32 numbers, in the order of the kernel that runs. `exact`: sums that no kernel, number of
    threads or batch changes; see docs/exact.md. None asks the environment variable SNNCORE_ARITHMETIC again.
    Raises BackendError for a value that is not known.
    """
    return changed("arithmetic", None if choice is None else _known("arithmetic", choice, ARITHMETICS))


def gradients_choice() -> str:
    """Return one of GRADIENTS, `auto` if nothing is said; raises BackendError for a value that is not known."""
    if context.gradients_by is not None:
        return context.gradients_by
    return _said_outside("SNNCORE_GRADIENTS", GRADIENTS)


def gradients(choice: str | None) -> AbstractContextManager[None]:
    """Make one of GRADIENTS how a GPU takes the gradients of convolutions, for this thread in a `with` block.

    `tensor`: on tensor cores where the card can, those of inputs as sums of two halves (`kernels.cuda.halves`),
    those of the weights of spikes in integers (`kernels.cuda.exact_gradient`). `cublas`: columns and products by
    cuBLAS. `auto`: tensor cores on the cards on which they were seen to be right and quicker, which are none so far.
    None asks the environment variable SNNCORE_GRADIENTS again. Raises BackendError for a value that is not known.
    """
    return changed("gradients_by", None if choice is None else _known("gradients", choice, GRADIENTS))


def runs_compiled() -> bool:
    """Whether Numba may compile; with NUMBA_DISABLE_JIT it may not, and one sentence on stderr says what runs."""
    global _said
    off = os.environ.get("NUMBA_DISABLE_JIT", "").strip() not in ("", "0")
    if off and not _said:
        _said = True
        print("snncore: NUMBA_DISABLE_JIT is set, so the reference kernels run", file=sys.stderr, flush=True)
    return not off


def _said_outside(variable: str, choices: tuple[str, ...]) -> str:
    """The value of an environment variable, or else the first of its choices."""
    return _known(variable, os.environ.get(variable, choices[0]), choices)


def _known(name: str, choice: str, choices: tuple[str, ...]) -> str:
    if choice not in choices:
        raise BackendError(f"{name}: {one_of(choice, choices)}")
    return choice
