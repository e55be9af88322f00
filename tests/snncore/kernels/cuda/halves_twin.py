"""The input gradient by three products of halves, in NumPy: the same numbers added in the same order as halves.cu.

How a tensor core adds 16 products is not said. `one_by_one` is what the shim does; `truncated` is the most careless
way that fits what was found on cards (Fasi et al. 2021, "Numerical behavior of NVIDIA tensor cores"): all terms are cut
to 24 bits below the largest of them before they are added, and so is the sum.
"""

import numpy as np

DEEP, TOP, SHARE = 16, 14, 16
MOST_OF_PIXEL, MOST_OF_CHANNEL = 126 - SHARE, 126 + SHARE


def power(most, limit):
    """At which `most`, float32, lies from 2^14 on and below 2^15; at most the limit."""
    _, exponent = np.frexp(np.where(np.isfinite(most), most, 1))
    return np.where(most > 0, np.minimum(TOP + 1 - exponent, limit), limit)


def split(x, p):
    """(high, low) of x * 2^p, as float64."""
    scaled = np.ldexp(np.asarray(x, np.float64), p).astype(np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        high = scaled.astype(np.float16)
        return high.astype(np.float64), (scaled - high.astype(np.float32)).astype(np.float16).astype(np.float64)


def parts_of_gradient(gy):
    """((high, low), scale [..., 1]): each pixel by its own power."""
    most = abs(gy).max(-1, keepdims=True)
    p = power(most, MOST_OF_PIXEL)
    return split(gy, p), np.where(np.isfinite(most), np.ldexp(1.0, -p - SHARE), np.nan).astype(np.float32)


def parts_of_weights(w):
    """((high, low), scale [Ci]): each input channel by its own power."""
    most = abs(w).max((0, 1, 3))
    q = power(most, MOST_OF_CHANNEL)
    return split(w, q[:, None]), np.where(np.isfinite(most), np.ldexp(1.0, SHARE - q), np.nan).astype(np.float32)


def one_by_one(sums, a, b):
    """sums [M, N] + a [M, 16] @ b [16, N], rounded after each term."""
    for k in range(a.shape[1]):
        sums = (sums.astype(np.float64) + a[:, k, None].astype(np.float64) * b[k]).astype(np.float32)
    return sums


def truncated(sums, a, b):
    """The same, with all terms cut to 24 bits below the largest."""
    terms = np.concatenate([sums[None].astype(np.float64), a.T[:, :, None].astype(np.float64) * b[:, None]])
    _, exponent = np.frexp(np.abs(terms).max(0))
    unit = np.ldexp(1.0, exponent - 24)
    total = np.trunc(terms / unit).sum(0) * unit
    _, exponent = np.frexp(total)
    unit = np.ldexp(1.0, exponent - 24)
    return (np.trunc(total / unit) * unit).astype(np.float32)


def steps(gy, kernel, shape, stride, padding):
    """Yield (place, [(ky, kx, slice of channels, pick), ...]) of gx [M, H, W, Ci], by pixels with the same taps.

    pick(array [M, Ho, Wo, ...]) has [pixels, ...] of the window under that tap, zeros where there is none.
    """
    (kh, kw), (sy, sx), (ph, pw), (ho, wo), co = kernel, stride, padding, gy.shape[1:3], gy.shape[3]
    for ay, ax in np.ndindex(sy, sx):
        place = (slice(None), slice(ay, None, sy), slice(ax, None, sx))
        y, x = np.arange(shape[1])[ay::sy] + ph, np.arange(shape[2])[ax::sx] + pw
        found = []
        for first in range(0, co, DEEP):
            for ky, kx in np.ndindex(kh, kw):
                if (ay + ph - ky) % sy or (ax + pw - kx) % sx:
                    continue
                oy, ox = (y - ky) // sy, (x - kx) // sx
                inside = ((oy >= 0) & (oy < ho))[:, None] & ((ox >= 0) & (ox < wo))

                def pick(array, oy=oy, ox=ox, inside=inside):
                    at = array[:, np.clip(oy, 0, ho - 1)][:, :, np.clip(ox, 0, wo - 1)]
                    return np.where(inside[..., None], at, np.zeros((), at.dtype)).reshape(-1, array.shape[3])

                found.append((ky, kx, slice(first, first + DEEP), pick))
        yield place, found


def input_gradient(gy, w, shape, stride, padding, add=one_by_one):
    """gx as `conv_backward_input` of snncore.kernels.cuda.halves."""
    gx = np.zeros(shape, np.float32)
    (high, low), scale = parts_of_gradient(gy)
    (w_high, w_low), w_scale = parts_of_weights(w)
    with np.errstate(invalid="ignore", over="ignore"):
        for place, found in steps(gy, w.shape[:2], shape, stride, padding):
            sums = np.zeros_like(gx[place]).reshape(-1, shape[3])
            for ky, kx, part, pick in found:
                sixteen = np.zeros_like(sums)
                for left, right in ((low, w_high), (high, w_low), (high, w_high)):
                    sixteen = add(sixteen, pick(left[..., part]), right[ky, kx, :, part].T)
                sums = (sums + sixteen.astype(np.float64) * pick(scale)).astype(np.float32)
            gx[place] = (sums * w_scale).reshape(gx[place].shape)
    return gx


def float32_gradient(gy, w, shape, stride, padding):
    """gx as a float32 product has it: one fused multiply-add a term, in the same order."""
    gx = np.zeros(shape, np.float32)
    for place, found in steps(gy, w.shape[:2], shape, stride, padding):
        sums = np.zeros_like(gx[place]).reshape(-1, shape[3])
        for ky, kx, part, pick in found:
            sums = one_by_one(sums, pick(gy[..., part]), w[ky, kx, :, part].T)
        gx[place] = sums.reshape(gx[place].shape)
    return gx
