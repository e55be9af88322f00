"""Which kernels run, and in which arithmetic: chosen in this thread, else by environment variables, read per call.

| in a thread      | environment variable   |
| ---------------- | ---------------------- |
| `use_kernels`    | SNNCORE_KERNELS        |
| `arithmetic`     | SNNCORE_ARITHMETIC     |
| `input_gradient` | SNNCORE_INPUT_GRADIENT |
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
    "INPUT_GRADIENTS",
    "arithmetic",
    "arithmetic_choice",
    "input_gradient",
    "input_gradient_choice",
    "kernel_choice",
    "runs_compiled",
    "use_kernels",
]

CHOICES = ("auto", "reference", "dense", "event")
ARITHMETICS = ("float32", "exact")
INPUT_GRADIENTS = ("auto", "tf32x3", "float32")
_said = False


def kernel_choice() -> str:
    """Return one of CHOICES, `auto` if nothing is said; raises BackendError for a value that is not known."""
    if context.kernels is not None:
        return context.kernels
    return _known("SNNCORE_KERNELS", os.environ.get("SNNCORE_KERNELS", "auto"), CHOICES)


def use_kernels(choice: str | None) -> AbstractContextManager[None]:
    """Make one of CHOICES the kernels of this thread in a `with` block; None asks the environment variable again.

    Raises BackendError for a value that is not known.
    """
    return changed("kernels", None if choice is None else _known("use_kernels", choice, CHOICES))


def arithmetic_choice() -> str:
    """Return one of ARITHMETICS, `float32` if nothing is said; raises BackendError for a value that is not known."""
    if context.arithmetic is not None:
        return context.arithmetic
    return _known("SNNCORE_ARITHMETIC", os.environ.get("SNNCORE_ARITHMETIC", "float32"), ARITHMETICS)


def arithmetic(choice: str | None) -> AbstractContextManager[None]:
    """Make one of ARITHMETICS that of the layers with weights, for this thread in a `with` block.

    `float32`: sums of float32 numbers, in the order of the kernel that runs. `exact`: sums that no kernel, number of
    threads or batch changes; see docs/exact.md. None asks the environment variable SNNCORE_ARITHMETIC again.
    Raises BackendError for a value that is not known.
    """
    return changed("arithmetic", None if choice is None else _known("arithmetic", choice, ARITHMETICS))


def input_gradient_choice() -> str:
    """Return one of INPUT_GRADIENTS, `auto` if nothing is said; raises BackendError for a value that is not known."""
    if context.input_gradient is not None:
        return context.input_gradient
    return _known("SNNCORE_INPUT_GRADIENT", os.environ.get("SNNCORE_INPUT_GRADIENT", "auto"), INPUT_GRADIENTS)


def input_gradient(choice: str | None) -> AbstractContextManager[None]:
    """Make one of INPUT_GRADIENTS how a GPU takes the gradient of a convolution's input, for this thread in a block.

    `tf32x3`: on tensor cores, each float32 as the sum of two numbers in TF32 (`kernels.cuda.tf32`), on cards that can.
    `float32`: columns and a product by cuBLAS. `auto`: the first on cards where it should take less time. None asks
    the environment variable SNNCORE_INPUT_GRADIENT again. Raises BackendError for a value that is not known.
    """
    known = None if choice is None else _known("input_gradient", choice, INPUT_GRADIENTS)
    return changed("input_gradient", known)


def runs_compiled() -> bool:
    """Whether Numba may compile; with NUMBA_DISABLE_JIT it may not, and one sentence on stderr says what runs."""
    global _said
    off = os.environ.get("NUMBA_DISABLE_JIT", "").strip() not in ("", "0")
    if off and not _said:
        _said = True
        print("snncore: NUMBA_DISABLE_JIT is set, so the reference kernels run", file=sys.stderr, flush=True)
    return not off


def _known(name: str, choice: str, choices: tuple[str, ...]) -> str:
    if choice not in choices:
        raise BackendError(f"{name}: {one_of(choice, choices)}")
    return choice
