"""Which kernels run, and in which arithmetic: chosen in this thread, else by environment variables, read per call.

| in a thread    | environment variable |
| -------------- | -------------------- |
| `use_kernels`  | SNNCORE_KERNELS      |
| `arithmetic`   | SNNCORE_ARITHMETIC   |
| `tensor_cores` | SNNCORE_TENSOR_CORES |
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
    "TENSOR_CORES",
    "arithmetic",
    "arithmetic_choice",
    "kernel_choice",
    "runs_compiled",
    "tensor_cores",
    "tensor_cores_choice",
    "use_kernels",
]

CHOICES = ("auto", "reference", "dense", "event")
ARITHMETICS = ("float32", "exact")
TENSOR_CORES = ("auto", "on", "off")
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


def tensor_cores_choice() -> str:
    """Return one of TENSOR_CORES, `auto` if nothing is said; raises BackendError for a value that is not known."""
    if context.tensor_cores is not None:
        return context.tensor_cores
    return _said_outside("SNNCORE_TENSOR_CORES", TENSOR_CORES)


def tensor_cores(choice: str | None) -> AbstractContextManager[None]:
    """Make one of TENSOR_CORES whether a GPU takes convolutions on tensor cores, for this thread in a `with` block.

    `on`: where the card can, to the accuracy of float32 or better, in both arithmetics (`kernels.cuda.tensor_cores`).
    `off`: in float32, columns and products by cuBLAS; exact sums of spikes are on tensor cores all the same. `auto`: on
    the cards on which they were seen to be right and quicker. None asks the environment variable SNNCORE_TENSOR_CORES
    again. Raises BackendError for a value that is not known.
    """
    return changed("tensor_cores", None if choice is None else _known("tensor_cores", choice, TENSOR_CORES))


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
