"""The input gradient by three products in TF32, in NumPy: the same numbers added in the same order as tf32.cu.

How a tensor core adds eight products is not said. `one_by_one` is what the shim does; `truncated` is the most careless
way that fits what was found on cards (Fasi et al. 2021, "Numerical behavior of NVIDIA tensor cores"): all terms are cut
to 24 bits below the largest of them before they are added, and so is the sum.
"""

import numpy as np

DEEP, EIGHT = 16, 8


def round_tf32(x):
    """float32 to the nearest number of 10 bits of mantissa, halves away from zero; not finite: as it is, cut."""
    bits = np.asarray(x, np.float32).view(np.uint32)
    carried = np.where(np.isfinite(x), bits + np.uint32(0x1000), bits)
    return (carried & np.uint32(0xFFFFE000)).view(np.float32)


def split(x):
    """(high, low)."""
    high = round_tf32(x)
    with np.errstate(invalid="ignore"):
        return high, round_tf32(x - high)


def one_by_one(sums, a, b):
    """sums [M, N] + a [M, 8] @ b [8, N], rounded after each term."""
    for k in range(EIGHT):
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


def steps(gy, w, shape, stride, padding):
    """Yield (place, [(a [M, 16], b [16, Ci]), ...]) of gx [M, H, W, Ci], by pixels with the same taps, step by step."""
    (kh, kw, _, co), (sy, sx), (ph, pw), (ho, wo) = w.shape, stride, padding, gy.shape[1:3]
    deep = -(-co // DEEP) * DEEP
    gy = np.pad(gy, ((0, 0),) * 3 + ((0, deep - co),))
    w = np.pad(w, ((0, 0),) * 3 + ((0, deep - co),))
    for ay, ax in np.ndindex(sy, sx):
        place = (slice(None), slice(ay, None, sy), slice(ax, None, sx))
        y, x = np.arange(shape[1])[ay::sy] + ph, np.arange(shape[2])[ax::sx] + pw
        found = []
        for part in range(0, deep, DEEP):
            for ky, kx in np.ndindex(kh, kw):
                if (ay + ph - ky) % sy or (ax + pw - kx) % sx:
                    continue
                oy, ox = (y - ky) // sy, (x - kx) // sx
                inside = ((oy >= 0) & (oy < ho))[:, None] & ((ox >= 0) & (ox < wo))
                at = gy[:, np.clip(oy, 0, ho - 1)][:, :, np.clip(ox, 0, wo - 1), part : part + DEEP]
                a = np.where(inside[..., None], at, np.float32(0)).reshape(-1, DEEP)
                found.append((a, w[ky, kx, :, part : part + DEEP].T))
        yield place, found


def input_gradient(gy, w, shape, stride, padding, add=one_by_one):
    """gx as `conv_backward_input` of snncore.kernels.cuda.tf32."""
    gx = np.zeros(shape, np.float32)
    with np.errstate(invalid="ignore", over="ignore"):
        for place, found in steps(gy, w, shape, stride, padding):
            sums = np.zeros_like(gx[place]).reshape(-1, shape[3])
            for a, b in found:
                (high, low), (w_high, w_low) = split(a), split(b)
                for k in range(0, DEEP, EIGHT):
                    here = slice(k, k + EIGHT)
                    eight = np.zeros_like(sums)
                    for left, right in ((low, w_high), (high, w_low), (high, w_high)):
                        eight = add(eight, left[:, here], right[here])
                    sums = sums + eight
            gx[place] = sums.reshape(gx[place].shape)
    return gx


def float32_gradient(gy, w, shape, stride, padding):
    """gx as a float32 product has it: one fused multiply-add a term, in the same order."""
    gx = np.zeros(shape, np.float32)
    for place, found in steps(gy, w, shape, stride, padding):
        sums = np.zeros_like(gx[place]).reshape(-1, shape[3])
        for a, b in found:
            for k in range(DEEP):
                sums = (sums.astype(np.float64) + a[:, k, None].astype(np.float64) * b[k]).astype(np.float32)
        gx[place] = sums.reshape(gx[place].shape)
    return gx
