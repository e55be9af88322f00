"""Sums and products of spike trains, in a type that holds them: they may grow, and never wrap."""

import operator
from collections.abc import Callable

import numpy as np

from snncore.backend import Array, array_module

__all__ = ["combine_spikes"]


def combine_spikes(owner: str, operation: Callable, a: Array, b: Array) -> Array:
    """Return a + b or a * b (`operation` of the module `operator`) of two integer or bool arrays that broadcast.

    The type is the one that both have, uint8 for bool, as long as it holds what the largest entries of both would
    give; else the narrowest that does, unsigned unless an entry is negative. So the usual spikes stay bytes, and a
    count over more than 255 timesteps becomes uint16. To know the largest entries takes one fast pass over both.
    On a GPU nothing is looked at, for the host would have to wait: there the type stays, and a sum above it wraps.
    Raises OverflowError if 64 bits do not hold the result.
    """
    dtype = np.result_type(*(np.uint8 if x.dtype == bool else x.dtype for x in (a, b)))
    if array_module(a, b) is np and a.size and b.size:
        dtype = _type_that_holds(owner, operation, dtype, _ends(a), _ends(b))
    return operation(a.astype(dtype, copy=False), b.astype(dtype, copy=False))


def _ends(x: np.ndarray) -> tuple[int, int]:
    """Least and largest entry; 0 stands for the least of a type that has nothing below it."""
    return int(x.min()) if x.dtype.kind == "i" else 0, int(x.max())


def _type_that_holds(
    owner: str, operation: Callable, dtype: np.dtype, a: tuple[int, int], b: tuple[int, int]
) -> np.dtype:
    results = [operation(p, q) for p in a for q in b]
    low, high = min(results), max(results)
    kind = "u" if low >= 0 else "i"
    for candidate in (dtype, *(np.dtype(f"{kind}{size}") for size in (1, 2, 4, 8))):
        if candidate.kind in "iu" and np.iinfo(candidate).min <= low and high <= np.iinfo(candidate).max:
            return candidate
    sign = "+" if operation is operator.add else "*"
    raise OverflowError(f"{owner}: expected a {sign} b to fit 64 bits, found entries up to {a[1]} and {b[1]}")
