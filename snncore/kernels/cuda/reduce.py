"""The second half of sums over many blocks."""

import numpy as np

from snncore.backend import Array, array_module
from snncore.kernels.cuda.module import THREADS, blocks_for, launch


def sum_partials(partial: Array, gradients: tuple[Array, Array] | None = None, zeros: int = 0) -> Array:
    """Return the sum over the first axis of [rows, K] float64, in the order of the rows, and after it some zeros.

    gradients: two float32 arrays of K / 2 entries, to which the halves of the sum are written too. zeros: at most K.
    """
    xp = array_module(partial)
    rows, columns = partial.shape
    out = xp.empty(columns + zeros, np.float64)
    grid, block = blocks_for(columns, 32), (32, 32)
    if gradients is None:
        launch("reduce", "sum_partials", grid, block, partial, out, rows, columns, zeros)
    else:
        launch("reduce", "sum_gradients", grid, block, partial, out, *gradients, rows, columns // 2, zeros)
    return out


def sum_mlif(partial: Array, gw: Array | None, galpha: Array) -> None:
    """Sum partial [rows, 2, Q] float64 to gw [Q] float32, over the rows, and to galpha, over rows and Q."""
    rows, _, pixels = partial.shape
    blocks = 0 if gw is None else blocks_for(pixels, 32)[0]
    first = galpha if gw is None else gw
    launch("reduce", "sum_mlif", (blocks + 1,), (32, 32), partial, first, galpha, rows, pixels)


def sum_chunks(partial: Array, out: Array | None = None) -> Array:
    """Return the sum over the first axis of [rows, ...] float32, added in float64 in the order of the rows."""
    xp = array_module(partial)
    out = xp.empty(partial.shape[1:], np.float32) if out is None else out
    launch("reduce", "sum_chunks", blocks_for(out.size), (THREADS,), partial, out, len(partial), np.int64(out.size))
    return out
