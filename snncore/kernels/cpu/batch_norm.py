"""Batch normalisation that no LIF follows, in single passes; its statistics are those of `batch_norm_lif`.

Layout, blocks and groups as there: an item of `prange` is a block of whole positions, or a group of `GROUP` blocks
whose sums are kept in float32, for any number of threads. The forward pass keeps every operation of the reference: the
same bits.
"""

import numpy as np
from numba import prange

from snncore.kernels import reference
from snncore.kernels.cpu.batch_norm_lif import GROUP, block_length, by_channel, repeated, runs_here
from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.cpu.memory import aligned


@compiled(parallel=True, exact=True)
def normalise(x, mean, scale, shift, y):
    """y = (x - mean) * scale + shift: x and y [n], the constants [length]."""
    n, length = len(x), len(mean)
    for block in prange((n + length - 1) // length):
        first, last = block * length, min(n, (block + 1) * length)
        part, out = x[first:last], y[first:last]
        for i in range(last - first):
            out[i] = (part[i] - mean[i]) * scale[i] + shift[i]


@compiled(parallel=True)
def gradient_sums(gy, x, mean, parts):
    """By group of blocks, sums of gy and of gy * (x - mean), parts [2, groups, length]; gy and x [n]."""
    n, length = len(x), len(mean)
    for group in prange(parts.shape[1]):
        one, two = parts[0, group], parts[1, group]
        one[:] = 0
        two[:] = 0
        for block in range(group * GROUP, min((group + 1) * GROUP, (n + length - 1) // length)):
            first, last = block * length, min(n, (block + 1) * length)
            g, part = gy[first:last], x[first:last]
            for i in range(last - first):
                one[i] += g[i]
                two[i] += g[i] * (part[i] - mean[i])


@compiled(parallel=True)
def through(gy, x, mean, a, b, d, gx):
    """gx = a * gy + b * (x - mean) + d: gy, x and gx [n], the constants [length]."""
    n, length = len(x), len(mean)
    for block in prange((n + length - 1) // length):
        first, last = block * length, min(n, (block + 1) * length)
        g, part, out = gy[first:last], x[first:last], gx[first:last]
        for i in range(last - first):
            out[i] = a[i] * g[i] + (b[i] * (part[i] - mean[i]) + d[i])


def batch_norm_forward(
    x: np.ndarray, mean: np.ndarray, inv_std: np.ndarray, gamma: np.ndarray, beta: np.ndarray
) -> np.ndarray:
    """y as `reference.batch_norm_forward`."""
    if not runs_here(x, gamma, beta):
        return reference.batch_norm_forward(x, mean, inv_std, gamma, beta)
    flat = np.ascontiguousarray(x).reshape(-1)
    y = aligned(x.shape, np.float32)
    length = block_length(x.shape[-1], flat.size)
    normalise(flat, *repeated(length, mean, gamma * inv_std, beta), y.reshape(-1))
    return y


def batch_norm_gradient_sums(gy: np.ndarray, x: np.ndarray, mean: np.ndarray, inv_std: np.ndarray) -> np.ndarray:
    """Sums as `reference.batch_norm_gradient_sums`."""
    if not runs_here(x, gy):
        return reference.batch_norm_gradient_sums(gy, x, mean, inv_std)
    channels = x.shape[-1]
    gy, flat = np.ascontiguousarray(gy).reshape(-1), np.ascontiguousarray(x).reshape(-1)
    length = block_length(channels, flat.size)
    parts = np.empty((2, -(-flat.size // (length * GROUP)), length), np.float32)
    gradient_sums(gy, flat, repeated(length, mean)[0], parts)
    sums = by_channel(parts, channels)
    sums[1] *= inv_std
    return sums


def batch_norm_backward(
    gy: np.ndarray,
    x: np.ndarray,
    mean: np.ndarray,
    inv_std: np.ndarray,
    gamma: np.ndarray,
    sums: np.ndarray,
    count: int | None,
) -> np.ndarray:
    """Gradient of x as `reference.batch_norm_backward`."""
    if count is None or not runs_here(x, gamma, gy):
        return reference.batch_norm_backward(gy, x, mean, inv_std, gamma, sums, count)
    a = gamma * inv_std
    constants = mean, a, -a * inv_std * sums[1] / count, -a * sums[0] / count
    flat = np.ascontiguousarray(x).reshape(-1)
    gx = aligned(x.shape, np.float32)
    length = block_length(x.shape[-1], flat.size)
    through(np.ascontiguousarray(gy).reshape(-1), flat, *repeated(length, *constants), gx.reshape(-1))
    return gx
