"""Batch normalisation over all axes but the last, with sums in float64.

Each way has two halves, sums over the batch and what is done to each entry with them, so that the sums of parts of a
batch can be put together in between: forward `batch_norm_statistics` and `batch_norm_forward`, back
`batch_norm_gradient_sums` and `batch_norm_backward`.
"""

import math
from typing import NamedTuple

import numpy as np

from snncore.backend import Array, array_module


class Moments(NamedTuple):
    """Of a batch or a part of one: entries a channel, their mean and their (biased) variance, each [C] float64.

    The sum of squared deviations, M2, is entries * var.
    """

    entries: int
    mean: Array
    var: Array


def channel_sum(x: Array) -> Array:
    """Sum over all axes but the last, [C] float64: short sums in the type of x, their total in float64."""
    x = x if x.ndim > 1 else x[None]
    return x.sum(axis=-2).sum(axis=tuple(range(x.ndim - 2)), dtype=np.float64)


def batch_norm_statistics(x: Array) -> Moments:
    """Moments over all axes but the last; zeros of no entries."""
    count = math.prod(x.shape[:-1])
    mean = channel_sum(x) / max(1, count)
    centred = x - mean.astype(x.dtype)
    return Moments(count, mean, channel_sum(centred * centred) / max(1, count))


def batch_norm_settle(moments: Moments, running_mean: Array, running_var: Array, momentum: float, eps: float) -> Array:
    """Return inv_std = 1 / sqrt(var + eps), [C] float64, and move the running statistics, in place.

    running += momentum * (batch - running), computed in float64, with the unbiased variance of the batch.
    """
    count, mean, var = moments
    running_mean += momentum * (mean - running_mean)
    running_var += momentum * (var * (count / (count - 1)) - running_var)
    return 1 / (var + eps) ** 0.5


def batch_norm_forward(x: Array, mean: Array, inv_std: Array, gamma: Array, beta: Array) -> Array:
    """y = gamma * (x - mean) * inv_std + beta, with mean and inv_std [C] float64, as the type of x."""
    y = x - mean.astype(x.dtype)
    y *= (gamma * inv_std).astype(x.dtype)
    y += beta
    return y


def normalised(x: Array, mean: Array, inv_std: Array) -> Array:
    """z = (x - mean) * inv_std, as the type of x."""
    z = x - mean.astype(x.dtype)
    z *= inv_std.astype(x.dtype)
    return z


def batch_norm_gradient_sums(gy: Array, x: Array, mean: Array, inv_std: Array) -> Array:
    """Sums of gy and of gy * z, z = (x - mean) * inv_std: [2, C] float64, the gradients of beta and of gamma."""
    sums = array_module(x).empty((2, x.shape[-1]), np.float64)
    z = normalised(x, mean, inv_std)
    sums[0] = channel_sum(gy)
    z *= gy
    sums[1] = channel_sum(z)
    return sums


def batch_norm_backward(
    gy: Array, x: Array, mean: Array, inv_std: Array, gamma: Array, sums: Array, count: int | None
) -> Array:
    """Gradient of x, from the sums [2, C] of all `count` entries that mean and inv_std were taken of.

        gx = gamma * inv_std * (gy - sums[0] / count - z * sums[1] / count),  z = (x - mean) * inv_std

    count None: mean and inv_std are constants, and gx = gamma * inv_std * gy.
    """
    scale = (gamma * inv_std).astype(x.dtype)
    if count is None:
        return gy * scale
    gx = normalised(x, mean, inv_std)
    gx *= (sums[1] / count).astype(x.dtype)
    array_module(gx).subtract(gy, gx, out=gx)
    gx -= (sums[0] / count).astype(x.dtype)
    gx *= scale
    return gx
