"""Batch normalisation over all axes but the last, with sums in float64."""

from typing import Any, NamedTuple

import numpy as np

from snncore.backend import Array, array_module
from snncore.kernels import reference
from snncore.kernels.cuda.binned import BLOCK, grid_of
from snncore.kernels.cuda.largest import remember
from snncore.kernels.cuda.module import THREADS, Double, blocks_for, grid_over_rows, launch, ready
from snncore.kernels.cuda.reduce import sum_partials
from snncore.kernels.cuda.tensor_cores import BYTES, wanted
from snncore.kernels.reference.batch_norm import Moments


class Running(NamedTuple):
    """Running statistics, which a batch moves, and how; the arguments of `batch_norm_settle` after the moments."""

    mean: Array
    var: Array
    momentum: float
    eps: float


def batch_norm_statistics(x: Array, settle: Running | None = None) -> Any:
    """As `reference.batch_norm_statistics`, in one pass over x.

    settle: go on to what `batch_norm_settle` does with these; returns (moments, inv_std) then.
    """
    if not ready(x) or (settle and not ready(settle.mean, settle.var)):
        moments = reference.batch_norm_statistics(x)
        return (moments, batch_norm_settle(moments, *settle)) if settle else moments
    xp = array_module(x)
    x = xp.ascontiguousarray(x)
    channels = x.shape[-1]
    rows = x.size // channels
    grid = grid_over_rows(rows, channels)
    partial = xp.empty((grid[0], 3, channels), np.float64)
    mean, var = xp.empty(channels, np.float64), xp.empty(channels, np.float64)
    launch("batch_norm", "bn_moments", grid, BLOCK, x, partial, np.int64(rows), channels)
    moments, (inv_std, running) = Moments(rows, mean, var), settling(settle, rows, mean)
    launch("batch_norm", "bn_merge_moments", grid[1:], (32, 32), partial, mean, var, grid[0], channels, *running)
    return moments if settle is None else (moments, inv_std)


def settling(settle: Running | None, rows: int, mean: Array) -> tuple[Array, tuple]:
    """Return (inv_std, the last arguments of a kernel that finds moments of so many rows, and settles if it is to)."""
    if settle is None:  # arrays that are not used
        return mean, (False, mean.view(np.float32), mean.view(np.float32), mean, *map(Double, (0, 0, 0)))
    inv_std = array_module(mean).empty(mean.shape, np.float64)
    factors = map(Double, (settle.momentum, settle.eps, rows / (rows - 1)))
    return inv_std, (True, settle.mean, settle.var, inv_std, *factors)


def batch_norm_settle(moments: Moments, running_mean: Array, running_var: Array, momentum: float, eps: float) -> Array:
    """As `reference.batch_norm_settle`, bit for bit, in one launch."""
    count, mean, var = moments
    if not ready(running_mean, running_var) or not ready(mean, var, dtype=np.float64):
        return reference.batch_norm_settle(moments, running_mean, running_var, momentum, eps)
    inv_std = array_module(mean).empty(mean.shape, np.float64)
    arrays = (mean, var, running_mean, running_var, inv_std)
    settings = (mean.size, *map(Double, (momentum, eps, count / (count - 1))))
    launch("batch_norm", "bn_settle", blocks_for(mean.size), (THREADS,), *arrays, *settings)
    return inv_std


def batch_norm_forward(x: Array, mean: Array, inv_std: Array, gamma: Array, beta: Array) -> Array:
    """As `reference.batch_norm_forward`, bit for bit."""
    if not ready(x, gamma, beta) or not ready(mean, inv_std, dtype=np.float64):
        return reference.batch_norm_forward(x, mean, inv_std, gamma, beta)
    xp = array_module(x)
    x, gamma, beta = (xp.ascontiguousarray(a) for a in (x, gamma, beta))
    y, channels = xp.empty(x.shape, x.dtype), x.shape[-1]
    rows = x.size // channels
    grid = grid_over_rows(rows, channels)
    launch("batch_norm", "bn_forward", grid, BLOCK, x, mean, inv_std, gamma, beta, y, np.int64(rows), channels)
    return y


def batch_norm_gradient_sums(
    gy: Array, x: Array, mean: Array, inv_std: Array, out: tuple[Array, Array] | None = None
) -> Array:
    """As `reference.batch_norm_gradient_sums`, in one pass over gy and x. out: gbeta and ggamma, to be filled.

    The sums [2, C] are followed by a row of zeros, for `room_for_largest`.
    """
    if not ready(gy, x, *(out or ())) or not ready(mean, inv_std, dtype=np.float64):
        return put_both(reference.batch_norm_gradient_sums(gy, x, mean, inv_std), out)
    xp = array_module(x)
    gy, x = (xp.ascontiguousarray(a) for a in (gy, x))
    channels = x.shape[-1]
    rows = x.size // channels
    grid = grid_over_rows(rows, channels)
    partial = xp.empty((grid[0], 2 * channels), np.float64)
    launch("batch_norm", "bn_gradient_sums", grid, BLOCK, gy, x, mean, inv_std, partial, np.int64(rows), channels)
    return sum_partials(partial, out, channels).reshape(3, channels)


def put_both(sums: Array, out: tuple[Array, Array] | None) -> Array:
    """Return the sums [2, C], written to out if there is one."""
    for gradient, of_it in zip(out or (), sums, strict=False):
        gradient[...] = of_it
    return sums


def batch_norm_backward(
    gy: Array, x: Array, mean: Array, inv_std: Array, gamma: Array, sums: Array, count: int | None
) -> Array:
    """As `reference.batch_norm_backward`, in one pass over gy and x."""
    return apply_sums(gy, x, mean, inv_std, gamma, sums, count, None)


def room_for_largest(sums: Array) -> tuple[Array, bool]:
    """Return where the largest magnitudes of the gradient of x are gathered, uint32 [C] zeros, and whether they are.

    They are where the gradient of the weights before is taken in integers: in the third row of the sums, if they have
    one, which is then used up.
    """
    xp, channels = array_module(sums), sums.shape[-1]
    finds = wanted(xp, BYTES)
    if finds and len(sums) < 3:
        return xp.zeros(channels, np.uint32), True
    return sums[-1].view(np.uint32)[:channels], finds  # which is not used, if not


def apply_sums(
    gy: Array,
    x: Array,
    mean: Array,
    inv_std: Array,
    gamma: Array,
    sums: Array,
    count: int | None,
    gx: Array | None,
) -> Array:
    """Gradient of x, written to gx, which may be gy; to an array of its own if there is none."""
    if not ready(gy, x, gamma) or not ready(mean, inv_std, sums, dtype=np.float64):
        return reference.batch_norm_backward(gy, x, mean, inv_std, gamma, sums, count)
    xp = array_module(x)
    gy, x, gamma, sums = (xp.ascontiguousarray(a) for a in (gy, x, gamma, sums))
    gx = xp.empty(x.shape, x.dtype) if gx is None else gx
    channels = x.shape[-1]
    rows = x.size // channels
    largest, finds = room_for_largest(sums)
    args = (gy, x, mean, inv_std, gamma, sums, gx, np.int64(rows), channels, np.int64(count or 0), count is not None)
    launch("batch_norm", "bn_backward", grid_of(rows, channels), BLOCK, *args, largest, finds)
    if finds:
        remember(gx, largest)
    return gx
