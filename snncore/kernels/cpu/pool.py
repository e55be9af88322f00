"""Max pooling, on spikes as bytes or on floats: an item of `prange` is an image."""

import numpy as np
from numba import prange

from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.cpu.memory import aligned
from snncore.kernels.reference.conv import conv_output_size


@compiled(parallel=True)
def take_largest(x, kernel, stride, y):
    for m in prange(len(y)):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                out = y[m, i, j]
                out[:] = x[m, i * stride[0], j * stride[1]]
                for ky in range(kernel[0]):
                    for kx in range(kernel[1]):
                        tap = x[m, i * stride[0] + ky, j * stride[1] + kx]
                        for c in range(len(out)):
                            larger = (tap[c] > out[c]) | (tap[c] != tap[c])  # a NaN stays, as in numpy.maximum
                            out[c] = tap[c] if larger else out[c]


def max_pool_forward(x: np.ndarray, kernel: tuple[int, int], stride: tuple[int, int]) -> np.ndarray:
    """Largest entry of each window [M, Ho, Wo, C], as `reference.max_pool_forward`."""
    out = (conv_output_size(n, k, s, 0) for n, k, s in zip(x.shape[1:3], kernel, stride, strict=True))
    y = aligned((len(x), *out, x.shape[3]), x.dtype)
    take_largest(np.ascontiguousarray(x), kernel, stride, y)
    return y


@compiled(parallel=True)
def give_to_largest(gy, x, y, kernel, stride, gx):
    for m in prange(len(y)):
        gx[m] = 0
        free = np.empty(y.shape[3], np.bool_)  # channels whose gradient no tap has taken yet
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                free[:] = True
                g, out = gy[m, i, j], y[m, i, j]
                for ky in range(kernel[0]):
                    for kx in range(kernel[1]):
                        tap = x[m, i * stride[0] + ky, j * stride[1] + kx]
                        target = gx[m, i * stride[0] + ky, j * stride[1] + kx]
                        for c in range(len(out)):
                            hit = free[c] & (tap[c] == out[c])
                            free[c] &= not hit
                            target[c] += g[c] if hit else 0


def max_pool_backward(
    gy: np.ndarray, x: np.ndarray, y: np.ndarray, kernel: tuple[int, int], stride: tuple[int, int]
) -> np.ndarray:
    """Give gy to the first largest entry of each window, as `reference.max_pool_backward`."""
    gx = aligned(x.shape, gy.dtype)
    gy, x, y = (np.ascontiguousarray(a) for a in (gy, x, y))
    give_to_largest(gy, x, y.reshape(gy.shape), kernel, stride, gx)
    return gx
