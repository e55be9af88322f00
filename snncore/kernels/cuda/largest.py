"""Largest magnitudes of gradients, found by the kernel that writes them for the one that asks: a pass over memory less.

The gradient of weights in integers needs those of each channel of the gradient of its output (exact_gradient.py), which
batch normalisation has just written. They are kept by the memory that the gradient lies in, for as long as its array
lives. This is sound because nobody changes a gradient that is on its way (`snncore.tape.Function`).
"""

import weakref
from typing import Any

from snncore.backend import Array

__all__ = ["remember", "remembered"]

_found: dict[int, tuple[Any, Array]] = {}  # by address: the array, weakly, and the bits of its largest magnitudes


def remember(x: Array, bits: Array) -> None:
    """Keep bits, uint32 [C], of the largest magnitude of each channel of x float32 [..., C], which is contiguous."""
    address = x.data.ptr

    def forget(gone: Any) -> None:
        if address in _found and _found[address][0] is gone:
            del _found[address]

    _found[address] = weakref.ref(x, forget), bits


def remembered(x: Array) -> Array | None:
    """Return what was kept of an array that has the entries of x in the same order, in whatever shape [..., C]."""
    whole, bits = _found.get(x.data.ptr, (lambda: None, None))
    kept = whole()
    same = kept is not None and (kept.size, kept.shape[-1], kept.dtype) == (x.size, x.shape[-1], x.dtype)
    return bits if same and x.flags.c_contiguous else None
