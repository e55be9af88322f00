"""Which sums a layer runs: those of float32, in the order of a kernel, or exact ones."""

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from snncore.backend import Array, array_module
from snncore.context import context
from snncore.kernels.choice import arithmetic_choice
from snncore.kernels.reference.exact import takes

__all__ = ["integer_product", "sum_steps", "summing"]


def summing(kernels: ModuleType, name: str, x: Array, w: Array) -> Callable[..., Array]:
    """Return the kernel `name` for input x and weights w [..., Ci, Co], or `exact_` and that name.

    Exact arithmetic is for float32 weights outside of relaxed mode; a backward pass, which sums gradients, has none:
    its derivative is that of the float32 weights, straight through their rounding to integers.
    """
    if arithmetic_choice() != "exact" or w.dtype != np.float32 or context.relaxed or not takes(x.dtype, w):
        return getattr(kernels, name)
    return getattr(kernels, f"exact_{name}")


def integer_product(a: Array, b: Array, out: Any = np.float32) -> Array:
    """Return the product a @ b of two trains of spikes in the float type `out`.

    Float32 sums of integers are exact below 2^24, which binary spikes do not reach. In exact arithmetic larger ones are
    summed in float64, exact below 2^53, and rounded once; on a GPU, where a look at them would wait, all that may be.
    """
    dtype = np.dtype(out)
    if dtype == np.float32 and arithmetic_choice() == "exact" and a.size and b.size:
        on_host = array_module(a, b) is np
        largest = a.shape[-1] * math.prod(int(abs(x).max()) if on_host else _largest(x.dtype) for x in (a, b))
        dtype = np.dtype(np.float32 if largest < 1 << 24 else np.float64)
    return (a.astype(dtype) @ b.astype(dtype)).astype(out, copy=False)


def _largest(dtype: np.dtype) -> int:
    return 1 if dtype.kind == "b" else int(np.iinfo(dtype).max) + 1


def sum_steps(x: Array, keepdims: bool, dtype: np.dtype) -> Array:
    """Return the sum of floats x over the first axis, one after the other, as NumPy adds them; CuPy adds by halves."""
    total = x[0].astype(dtype)
    for part in x[1:]:
        total += part
    return total[None] if keepdims else total
