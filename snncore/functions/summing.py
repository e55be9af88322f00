"""Which kernel a layer with weights runs: that of float32 sums, or that of exact ones."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from snncore.backend import Array, BackendError, array_module
from snncore.context import context
from snncore.kernels.choice import arithmetic_choice
from snncore.kernels.reference.exact import takes

__all__ = ["integer_product", "summing"]


def summing(kernels: ModuleType, name: str, x: Array, w: Array) -> Callable[..., Array]:
    """Return the kernel `name` for input x and weights w [..., Ci, Co], or `exact_` and that name.

    Exact arithmetic is for float32 weights outside of relaxed mode; a backward pass, which sums gradients, has none:
    its derivative is that of the float32 weights, straight through their rounding to integers.
    Raises BackendError on a GPU, where there are no such kernels.
    """
    if arithmetic_choice() != "exact" or w.dtype != np.float32 or context.relaxed or not takes(x.dtype, w):
        return getattr(kernels, name)
    if array_module(x, w) is not np:
        raise BackendError("arithmetic: exact sums run on the CPU only, found arrays on a GPU; expected float32 there")
    return getattr(kernels, f"exact_{name}")


def integer_product(a: Array, b: Array, out: Any = np.float32) -> Array:
    """Return the product a @ b of two trains of spikes in the float type `out`.

    Float32 sums of integers are exact below 2^24, which binary spikes do not reach. In exact arithmetic larger ones are
    summed in float64, exact below 2^53, and rounded once.
    """
    dtype = np.dtype(out)
    if dtype == np.float32 and arithmetic_choice() == "exact" and array_module(a, b) is np and a.size and b.size:
        largest = int(abs(a).max()) * int(abs(b).max()) * a.shape[-1]
        dtype = np.dtype(np.float32 if largest < 1 << 24 else np.float64)
    return (a.astype(dtype) @ b.astype(dtype)).astype(out, copy=False)
