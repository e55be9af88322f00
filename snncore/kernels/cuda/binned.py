"""Sums over a batch that are the same in any order: those of `reference/binned.py`, to the bit."""

import numpy as np

from snncore.backend import Array, array_module
from snncore.kernels import reference
from snncore.kernels.cuda.largest import remembered
from snncore.kernels.cuda.module import LANES, ROWS, grid_over_rows, launch, ready
from snncore.kernels.reference.binned import BINS

BLOCK = (LANES, ROWS)
ALL_BLOCKS = 512  # of a grid: no more than a large GPU holds at once, so that each adds its sums once and is done


def grid_of(rows: int, channels: int) -> tuple[int, int]:
    """Return the grid of a kernel with blocks BLOCK over rows whose result no order, and so no grid, changes."""
    blocks, groups = grid_over_rows(rows, channels)
    return max(1, min(blocks, ALL_BLOCKS // groups)), groups


def binned_largest(x: Array) -> Array:
    """As `reference.binned_largest`, in one pass over x."""
    if not ready(x):
        return reference.binned_largest(x)
    return largest_bits(x).view(np.float32).astype(np.float64)


def largest_bits(x: Array) -> Array:
    """Return the bits of the largest magnitude of each channel of x [..., C] float32: uint32 [C], of an infinity if
    an entry is NaN. Nothing is launched where the kernel that wrote x has found them.
    """
    known = remembered(x)
    if known is not None:
        return known
    xp, channels = array_module(x), x.shape[-1]
    x, rows = xp.ascontiguousarray(x), x.size // channels
    bits = xp.zeros(channels, np.uint32)
    launch("binned", "binned_largest", grid_of(rows, channels), BLOCK, x, bits, np.int64(rows), channels)
    return bits


def binned_sums(x: Array, top: Array, centre: Array | None = None) -> Array:
    """As `reference.binned_sums`, in one pass over x."""
    if not ready(x) or not ready(top, centre, dtype=np.float64):
        return reference.binned_sums(x, top, centre)
    xp, channels = array_module(x), x.shape[-1]
    x, rows = xp.ascontiguousarray(x), x.size // channels
    sums = xp.zeros((BINS, channels), np.float64)
    arrays = (x, top, top if centre is None else centre, sums)
    launch(
        "binned", "binned_sums", grid_of(rows, channels), BLOCK, *arrays, np.int64(rows), channels, centre is not None
    )
    return sums
