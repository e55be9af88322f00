"""Max and average pooling of images [M, H, W, C] and their gradients, window by window."""

import numpy as np


def _windows(shape, kernel, stride, padding=(0, 0)):
    """Yield (i, j, taps): output pixel and the list of image pixels under its window, in reading order."""
    _, ho, wo, _ = _output(shape, kernel, stride, padding)
    for i in range(ho):
        for j in range(wo):
            rows = range(i * stride[0] - padding[0], i * stride[0] - padding[0] + kernel[0])
            cols = range(j * stride[1] - padding[1], j * stride[1] - padding[1] + kernel[1])
            yield i, j, [(y, x) for y in rows if 0 <= y < shape[1] for x in cols if 0 <= x < shape[2]]


def _output(shape, kernel, stride, padding=(0, 0)):
    ho, wo = ((n + 2 * p - k) // s + 1 for n, k, s, p in zip(shape[1:3], kernel, stride, padding, strict=True))
    return shape[0], ho, wo, shape[3]


def max_pool(x, kernel, stride, padding=(0, 0)):
    out = np.zeros(_output(x.shape, kernel, stride, padding))
    for i, j, taps in _windows(x.shape, kernel, stride, padding):
        for m, c in np.ndindex(x.shape[0], x.shape[3]):
            out[m, i, j, c] = max(x[m, y, xx, c] for y, xx in taps)
    return out


def max_pool_gradient(x, gy, kernel, stride, padding=(0, 0)):
    """The first largest entry in reading order takes gy."""
    gx = np.zeros(x.shape)
    for i, j, taps in _windows(x.shape, kernel, stride, padding):
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
