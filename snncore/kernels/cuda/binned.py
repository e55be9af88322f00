"""Sums over a batch that are the same in any order: those of `reference/binned.py`, to the bit."""

from typing import Any

import numpy as np

from snncore.backend import Array, array_module
from snncore.kernels import reference
from snncore.kernels.cuda.batch_norm import BLOCK, Running, batch_norm_settle
from snncore.kernels.cuda.module import Double, grid_over_rows, launch, ready
from snncore.kernels.reference.batch_norm import Moments
from snncore.kernels.reference.binned import BINS, check_entries

ALL_BLOCKS = 512  # of a grid: no more than a large GPU holds at once, so that each adds its sums once and is done


def grid_of(rows: int, channels: int) -> tuple[int, int]:
    """Return the grid of a kernel whose blocks (32, 8) add up by atomics: lanes along channels, warps along rows."""
    blocks, groups = grid_over_rows(rows, channels)
    return max(1, min(blocks, ALL_BLOCKS // groups)), groups


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


def binned_moments(x: Array, settle: Running | None = None) -> Any:
    """As `reference.binned_moments`, in three passes over x and with nothing but them.

    settle: go on to what `batch_norm_settle` does with these; returns (moments, inv_std) then.
    """
    if not ready(x) or (settle and not ready(settle.mean, settle.var)):
        moments = reference.binned_moments(x)
        return (moments, batch_norm_settle(moments, *settle)) if settle else moments
    xp, channels = array_module(x), x.shape[-1]
    x, rows = xp.ascontiguousarray(x), x.size // channels
    check_entries(rows)
    grid, n = grid_of(rows, channels), np.int64(rows)
    work = xp.zeros((2 * BINS + 1) * channels + grid[1], np.float64)  # as `binned_moments` has it in binned.cu
    largest = work[2 * BINS * channels :].view(np.uint32)
    mean, var = xp.empty(channels, np.float64), xp.empty(channels, np.float64)
    launch("binned", "binned_largest", grid, BLOCK, x, largest, n, channels)
    launch("binned", "binned_mean", grid, BLOCK, x, work, n, channels)
    moments = Moments(rows, mean, var)
    inv_std = mean if settle is None else xp.empty(channels, np.float64)
    if settle is None:  # arrays that are not used
        running = (False, largest.view(np.float32), largest.view(np.float32), inv_std, *map(Double, (0, 0, 0)))
    else:
        factors = map(Double, (settle.momentum, settle.eps, rows / (rows - 1)))
        running = (True, settle.mean, settle.var, inv_std, *factors)
    launch("binned", "binned_moments", grid, BLOCK, x, work, mean, var, n, channels, *running)
    return moments if settle is None else (moments, inv_std)
