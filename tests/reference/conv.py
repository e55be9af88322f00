"""Convolution of images [M, H, W, Ci] with weights [kh, kw, Ci / groups, Co] and its gradients, product by product."""

import numpy as np


def output_size(size, kernel, stride, padding, dilation=1):
    """Windows along an axis, found by trying: the first reaches from -padding, the last may not leave the padding."""
    last_taps = range(dilation * (kernel - 1), size + 2 * padding, stride)
    return len(last_taps)


def _taps(shape, kernel, stride, padding, dilation):
    """Yield (i, j, ky, kx, y, x): output pixel, tap, and the input pixel under it, if it lies in the image."""
    (_, height, width, _), (kh, kw), (sy, sx), (ph, pw), (dy, dx) = shape, kernel, stride, padding, dilation
    for i in range(output_size(height, kh, sy, ph, dy)):
        for j in range(output_size(width, kw, sx, pw, dx)):
            for ky in range(kh):
                for kx in range(kw):
                    y, x = i * sy + ky * dy - ph, j * sx + kx * dx - pw
                    if 0 <= y < height and 0 <= x < width:
                        yield i, j, ky, kx, y, x


def group(o, x, w):
    """The channels of x that output channel o sees: those of its group."""
    groups = x.shape[-1] // w.shape[2]
    k = o // (w.shape[3] // groups)
    return range(k * w.shape[2], (k + 1) * w.shape[2])


def conv2d(x, w, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    """y[m, i, j, o] = sum over taps and channels of the group of o of x[m, y, x, c] w[ky, kx, c, o]."""
    x, w = x.astype(np.float64), w.astype(np.float64)
    kernel, co = w.shape[:2], w.shape[3]
    ho, wo = (output_size(*axis) for axis in zip(x.shape[1:3], kernel, stride, padding, dilation, strict=True))
    out = np.zeros((len(x), ho, wo, co))
    for i, j, ky, kx, y, xx in _taps(x.shape, kernel, stride, padding, dilation):
        for m in range(len(x)):
            for o in range(co):
                out[m, i, j, o] += sum(x[m, y, xx, c] * w[ky, kx, k, o] for k, c in enumerate(group(o, x, w)))
    return out


def conv2d_gradients(x, w, gy, stride=(1, 1), padding=(0, 0), dilation=(1, 1)):
    """Gradients (gx, gw): every product of the forward pass gives each of its factors the other one times gy."""
    x, w = x.astype(np.float64), w.astype(np.float64)
    gx, gw = np.zeros(x.shape), np.zeros(w.shape)
    for i, j, ky, kx, y, xx in _taps(x.shape, w.shape[:2], stride, padding, dilation):
        for m in range(len(x)):
            for o in range(w.shape[-1]):
                for k, c in enumerate(group(o, x, w)):
                    gx[m, y, xx, c] += w[ky, kx, k, o] * gy[m, i, j, o]
                    gw[ky, kx, k, o] += x[m, y, xx, c] * gy[m, i, j, o]
    return gx, gw
