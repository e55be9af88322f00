"""Sums over a batch that are the same in any order: those of `reference/binned.py`, to the bit."""

import numpy as np

from snncore.backend import Array, array_module
from snncore.kernels import reference
from snncore.kernels.cuda.module import LANES, ROWS, grid_over_rows, launch, ready
from snncore.kernels.cuda.reduce import sum_partials
from snncore.kernels.reference.binned import BINS


def binned_largest(x: Array) -> Array:
    """As `reference.binned_largest`, in one pass over x."""
    if not ready(x):
        return reference.binned_largest(x)
    return largest_bits(x).view(np.float32).astype(np.float64)


def largest_bits(x: Array) -> Array:
    """Return the bits of the largest magnitude of each channel of x [..., C] float32: uint32 [C], of an infinity if
    an entry is NaN.
    """
    xp, channels = array_module(x), x.shape[-1]
    x, rows = xp.ascontiguousarray(x), x.size // channels
    bits = xp.zeros(channels, np.uint32)
    launch("binned", "binned_largest", grid_over_rows(rows, channels), (LANES, ROWS), x, bits, np.int64(rows), channels)
    return bits


def binned_sums(x: Array, top: Array, centre: Array | None = None) -> Array:
    """As `reference.binned_sums`, in one pass over x."""
    if not ready(x) or not ready(top, centre, dtype=np.float64):
        return reference.binned_sums(x, top, centre)
    xp, channels = array_module(x), x.shape[-1]
    x, rows = xp.ascontiguousarray(x), x.size // channels
    grid = grid_over_rows(rows, channels)
    partial = xp.empty((grid[0], BINS * channels), np.float64)
    arrays = (x, top, top if centre is None else centre, partial)
    launch("binned", "binned_sums", grid, (LANES, ROWS), *arrays, np.int64(rows), channels, centre is not None)
    return sum_partials(partial).reshape(BINS, channels)
