"""Batch normalisation over all axes but the last, with sums in float64."""

import numpy as np

from snncore.backend import Array


def channel_sum(x: Array) -> Array:
    """Sum over all axes but the last, [C] float64: short sums in the type of x, their total in float64."""
    return x.sum(axis=-2).sum(axis=tuple(range(x.ndim - 2)), dtype=np.float64)


def batch_norm_statistics(x: Array) -> tuple[Array, Array]:
    """Mean and (biased) variance over all axes but the last, each [C] float64."""
    count = x.size // x.shape[-1]
    mean = channel_sum(x) / count
    centred = x - mean.astype(x.dtype)
    return mean, channel_sum(centred * centred) / count


def batch_norm_forward(x: Array, mean: Array, inv_std: Array, gamma: Array, beta: Array) -> Array:
    """y = gamma * (x - mean) * inv_std + beta, with mean and inv_std [C] float64, as the type of x."""
    y = x - mean.astype(x.dtype)
    y *= (gamma * inv_std).astype(x.dtype)
    y += beta
    return y


def batch_norm_backward(
    gy: Array, x: Array, mean: Array, inv_std: Array, gamma: Array, training: bool
) -> tuple[Array, Array, Array]:
    """Gradients (gx, ggamma, gbeta); `training`: mean and inv_std are those of x.

    With z = (x - mean) * inv_std over n entries a channel: gbeta = sum gy, ggamma = sum gy z,
    gx = gamma * inv_std * (gy - gbeta / n - z * ggamma / n), or without training gamma * inv_std * gy.
    """
    z = x - mean.astype(x.dtype)
    z *= inv_std.astype(x.dtype)
    gbeta, ggamma = channel_sum(gy), channel_sum(gy * z)
    scale = (gamma * inv_std).astype(x.dtype)
    if training:
        count = x.size // x.shape[-1]
        z *= (ggamma / count).astype(x.dtype)
        gx = gy - z
        gx -= (gbeta / count).astype(x.dtype)
        gx *= scale
    else:
        gx = gy * scale
    return gx, ggamma.astype(gamma.dtype), gbeta.astype(gamma.dtype)
