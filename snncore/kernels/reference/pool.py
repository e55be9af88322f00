"""Max and average pooling over windows without padding: images [M, H, W, C]."""

from collections.abc import Iterator

import numpy as np

from snncore.backend import Array, array_module
from snncore.kernels.reference.conv import conv_output_size


def _taps(x: Array, kernel: tuple[int, int], stride: tuple[int, int]) -> Iterator[Array]:
    """Yield, for each tap of the window in reading order, the view of x [M, Ho, Wo, C] that lies under it."""
    ho, wo = (conv_output_size(n, k, s, 0) for n, k, s in zip(x.shape[1:3], kernel, stride, strict=True))
    for ky in range(kernel[0]):
        for kx in range(kernel[1]):
            yield x[:, ky : ky + stride[0] * ho : stride[0], kx : kx + stride[1] * wo : stride[1]]


def max_pool_forward(x: Array, kernel: tuple[int, int], stride: tuple[int, int]) -> Array:
    """Largest entry of each window; spikes stay spikes."""
    xp = array_module(x)
    taps = _taps(x, kernel, stride)
    y = next(taps).copy()
    for tap in taps:
        xp.maximum(y, tap, out=y)
    return y


def max_pool_backward(gy: Array, x: Array, y: Array, kernel: tuple[int, int], stride: tuple[int, int]) -> Array:
    """Give gy to the first largest entry of each window, in reading order."""
    xp = array_module(x)
    gx = xp.zeros(x.shape, gy.dtype)
    free = xp.ones(y.shape, bool)
    for tap, g in zip(_taps(x, kernel, stride), _taps(gx, kernel, stride), strict=True):
        hit = (tap == y) & free
        free &= ~hit
        g += gy * hit
    return gx


def avg_pool_forward(x: Array, kernel: tuple[int, int], stride: tuple[int, int], dtype: np.dtype) -> Array:
    """Mean of each window, as `dtype`."""
    total = sum(tap.astype(dtype) for tap in _taps(x, kernel, stride))
    return total / (kernel[0] * kernel[1])


def avg_pool_backward(gy: Array, shape: tuple[int, ...], kernel: tuple[int, int], stride: tuple[int, int]) -> Array:
    """Give each entry of a window an equal part of gy."""
    gx = array_module(gy).zeros(shape, gy.dtype)
    part = gy / (kernel[0] * kernel[1])
    for g in _taps(gx, kernel, stride):
        g += part
    return gx
