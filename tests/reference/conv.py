"""Convolution of images [M, H, W, Ci] with weights [kh, kw, Ci, Co] and its two gradients, one product at a time."""

import numpy as np


def _taps(shape, kernel, stride, padding):
    """Yield (i, j, ky, kx, y, x): output pixel, tap, and the input pixel under it, if it lies in the image."""
    (_, height, width, _), (kh, kw), (sy, sx), (ph, pw) = shape, kernel, stride, padding
    for i in range((height + 2 * ph - kh) // sy + 1):
        for j in range((width + 2 * pw - kw) // sx + 1):
            for ky in range(kh):
                for kx in range(kw):
                    y, x = i * sy + ky - ph, j * sx + kx - pw
                    if 0 <= y < height and 0 <= x < width:
                        yield i, j, ky, kx, y, x


def conv2d(x, w, stride=(1, 1), padding=(0, 0)):
    """y[m, i, j, o] = sum over taps and channels of x[m, y, x, c] w[ky, kx, c, o]."""
    x, w = x.astype(np.float64), w.astype(np.float64)
    kh, kw, _, co = w.shape
    ho, wo = ((n + 2 * p - k) // s + 1 for n, p, k, s in zip(x.shape[1:3], padding, (kh, kw), stride, strict=True))
    out = np.zeros((len(x), ho, wo, co))
    for i, j, ky, kx, y, xx in _taps(x.shape, (kh, kw), stride, padding):
        for m in range(len(x)):
            for o in range(co):
                out[m, i, j, o] += sum(x[m, y, xx, c] * w[ky, kx, c, o] for c in range(x.shape[-1]))
    return out


def conv2d_gradients(x, w, gy, stride=(1, 1), padding=(0, 0)):
    """Gradients (gx, gw): every product of the forward pass gives each of its factors the other one times gy."""
    x, w = x.astype(np.float64), w.astype(np.float64)
    gx, gw = np.zeros(x.shape), np.zeros(w.shape)
    for i, j, ky, kx, y, xx in _taps(x.shape, w.shape[:2], stride, padding):
        for m in range(len(x)):
            for o in range(w.shape[-1]):
                gx[m, y, xx] += w[ky, kx, :, o] * gy[m, i, j, o]
                gw[ky, kx, :, o] += x[m, y, xx] * gy[m, i, j, o]
    return gx, gw
