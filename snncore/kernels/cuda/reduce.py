"""The second half of sums over many blocks."""

import numpy as np

from snncore.backend import Array, array_module
from snncore.kernels.cuda.module import THREADS, blocks_for, launch


def sum_partials(partial: Array) -> Array:
    """Return the sum over the first axis of [rows, K] float64, in the order of the rows."""
    xp = array_module(partial)
    rows, columns = partial.shape
    out = xp.empty(columns, np.float64)
    launch("reduce", "sum_partials", blocks_for(columns, 32), (32, 32), partial, out, rows, columns)
    return out


def sum_chunks(partial: Array) -> Array:
    """Return the sum over the first axis of [rows, ...] float32, added in float64 in the order of the rows."""
    xp = array_module(partial)
    out = xp.empty(partial.shape[1:], np.float32)
    launch("reduce", "sum_chunks", blocks_for(out.size), (THREADS,), partial, out, len(partial), np.int64(out.size))
    return out
