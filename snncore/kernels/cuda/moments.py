"""Mean and variance of a batch, the same bits in any order, and what follows from them."""

from typing import Any

import numpy as np

from snncore.backend import Array, array_module
from snncore.kernels import reference
from snncore.kernels.cuda.batch_norm import Running, batch_norm_settle, settling
from snncore.kernels.cuda.binned import BLOCK, grid_of
from snncore.kernels.cuda.module import launch, ready
from snncore.kernels.reference.batch_norm import Moments
from snncore.kernels.reference.binned import BINS, check_entries


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
    moments, (inv_std, running) = Moments(rows, mean, var), settling(settle, rows, mean)
    launch("binned", "binned_moments", grid, BLOCK, x, work, mean, var, n, channels, *running)
    return moments if settle is None else (moments, inv_std)
