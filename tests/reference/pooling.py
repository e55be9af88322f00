"""Max and average pooling of images [M, H, W, C] and their gradients, window by window."""

import numpy as np


def _windows(shape, kernel, stride):
    """Yield (i, j, taps): output pixel and the list of input pixels under its window, in reading order."""
    for i in range((shape[1] - kernel[0]) // stride[0] + 1):
        for j in range((shape[2] - kernel[1]) // stride[1] + 1):
            yield (
                i,
                j,
                [(i * stride[0] + ky, j * stride[1] + kx) for ky in range(kernel[0]) for kx in range(kernel[1])],
            )


def _output(shape, kernel, stride):
    ho, wo = ((n - k) // s + 1 for n, k, s in zip(shape[1:3], kernel, stride, strict=True))
    return shape[0], ho, wo, shape[3]


def max_pool(x, kernel, stride):
    out = np.zeros(_output(x.shape, kernel, stride))
    for i, j, taps in _windows(x.shape, kernel, stride):
        for m, c in np.ndindex(x.shape[0], x.shape[3]):
            out[m, i, j, c] = max(x[m, y, xx, c] for y, xx in taps)
    return out


def max_pool_gradient(x, gy, kernel, stride):
    """The first largest entry in reading order takes gy."""
    gx = np.zeros(x.shape)
    for i, j, taps in _windows(x.shape, kernel, stride):
        for m, c in np.ndindex(x.shape[0], x.shape[3]):
            y, xx = max(taps, key=lambda p, m=m, c=c: x[m, p[0], p[1], c])  # max() keeps the first of equal ones
            gx[m, y, xx, c] += gy[m, i, j, c]
    return gx


def avg_pool(x, kernel, stride):
    out = np.zeros(_output(x.shape, kernel, stride))
    for i, j, taps in _windows(x.shape, kernel, stride):
        for m, c in np.ndindex(x.shape[0], x.shape[3]):
            out[m, i, j, c] = sum(float(x[m, y, xx, c]) for y, xx in taps) / len(taps)
    return out


def avg_pool_gradient(shape, gy, kernel, stride):
    gx = np.zeros(shape)
    for i, j, taps in _windows(shape, kernel, stride):
        for y, xx in taps:
            gx[:, y, xx] += gy[:, i, j] / len(taps)
    return gx
