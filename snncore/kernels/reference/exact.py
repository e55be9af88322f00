"""Layers with weights in exact arithmetic: sums that have no order, or one order, and one rounding.

Spikes are small integers. Each weight becomes an integer times a power of two of its output channel o,

    q[k, o] = rint(w[k, o] * 2^p_o),    y[o] = float32(sum over k of x[k] * q[k, o]) * 2^-p_o

The sum is one of integers below 2^53 and does not depend on its order; the one rounding is that of the sum to float32,
since a product with a power of two has none. p_o is the largest integer, at most 126, for which

    sum of positive q[k, o] < 2^30 and sum of negative q[k, o] > -2^30

in every block, which is 64 input channels under all taps of the window: sums of a block fit 32 bits for any spikes of
0, 1 and 2. p_o follows from the weights alone: neither the batch nor the largest spike in it changes a result; where
spikes are larger, sums are wider.

Analog input is no integer. There y[o] is the float64 sum of x[k] * w[k, o], whose products are exact, in the order of
the window (ky, then kx, then channel), rounded to float32 once.

docs/exact.md has the bounds and their proof. Weights that are not all ordinary (`are_ordinary`) are summed in float32.
"""

from typing import NamedTuple

import numpy as np

from snncore.backend import Array, array_module
from snncore.kernels.reference.conv import conv_forward, conv_output_size
from snncore.kernels.reference.grouped_conv import _padded, _taps, grouped_conv_forward
from snncore.kernels.reference.linear import linear_forward

BLOCK = 64  # input channels
LIMIT = 1 << 30  # of the sums of either sign in a block
MOST = 126  # a larger power of two has no float32 that divides by it
LARGEST = np.float32(1e30)  # of a weight: above it a sum may leave float32
Pair = tuple[int, int]


class FixedPoint(NamedTuple):
    """Weights as integers: w[..., o] = q[..., o] * 2^-p_o, up to half of 2^-p_o."""

    q: Array  # int32, shape of w
    scale: Array  # float32 [Co], 2^-p


def are_ordinary(w: Array) -> bool:
    """Whether there are weights, and none is NaN, infinite or above 1e30 in magnitude."""
    return bool(w.size and (abs(w) <= LARGEST).all())


def takes(dtype: np.dtype, w: Array) -> bool:
    """Whether input of this type is summed exactly: floats of at most 32 bits, and integers whose sums stay below 2^53.

    A sum is below largest * blocks * 2^30: bytes always fit, and 16 bits with up to 128 blocks.
    """
    if dtype.kind == "f":
        return dtype == np.float32
    largest = 1 if dtype.kind == "b" else int(np.iinfo(dtype).max) + 1
    return largest * -(-w.shape[-2] // BLOCK) <= 1 << 23


def fixed_point(w: Array) -> FixedPoint:
    """Return w, ordinary float32 [..., Ci, Co], as integers and a power of two for each output channel."""
    xp = array_module(w)
    ci, co = w.shape[-2:]
    taps = w.reshape(-1, ci, co)
    blocks = [taps[:, c : c + BLOCK] for c in range(0, ci, BLOCK)]

    def fits(p: Array) -> Array:
        return xp.stack([_either_sign(_integers(part, p)) < LIMIT for part in blocks]).all(axis=0)

    norm = xp.stack([_either_sign(part.astype(np.float64)) for part in blocks]).max(axis=0)  # [Co]
    p = xp.where(norm > 0, 31 - xp.frexp(norm)[1], MOST)  # 2^p * norm is 2^30 to 2^31: at most 2 above the right one
    for _ in range(2):
        p = xp.where(fits(p), p, p - 1)
    p = xp.minimum(p, MOST)
    return FixedPoint(_integers(w, p).astype(np.int32), xp.ldexp(xp.float32(1), -p))


def _either_sign(x: Array) -> Array:
    """Larger of the sums of positive and of negative entries of [taps, channels, Co], [Co]."""
    xp = array_module(x)
    return xp.maximum(xp.maximum(x, 0).sum(axis=(0, 1)), -xp.minimum(x, 0).sum(axis=(0, 1)))


def _integers(w: Array, p: Array) -> Array:
    xp = array_module(w)
    return xp.rint(xp.ldexp(w.astype(np.float64), p)).astype(np.int64)


def settle(total: Array, scale: Array) -> Array:
    """Return sums of integers, exact in float64 [..., Co], as float32(total) * scale."""
    return total.astype(np.float32) * scale


def exact_conv_forward(x: Array, w: Array, stride: Pair, padding: Pair) -> Array:
    """y as `conv_forward`, summed exactly; x integers that `takes` takes or float32, w float32."""
    if not are_ordinary(w):
        return conv_forward(x, w, stride, padding)
    if x.dtype.kind == "f":
        return in_order(x, w, stride, padding, (1, 1))
    fixed = fixed_point(w)
    return settle(conv_forward(x, fixed.q.astype(np.float64), stride, padding), fixed.scale)


def exact_grouped_conv_forward(x: Array, w: Array, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """y as `grouped_conv_forward`, summed exactly; a block is of 64 channels of a group."""
    if not are_ordinary(w):
        return grouped_conv_forward(x, w, stride, padding, dilation)
    if x.dtype.kind == "f":
        return in_order(x, w, stride, padding, dilation)
    fixed = fixed_point(w)
    return settle(grouped_conv_forward(x, fixed.q.astype(np.float64), stride, padding, dilation), fixed.scale)


def exact_linear_forward(x: Array, w: Array) -> Array:
    """y as `linear_forward`, summed exactly."""
    if not are_ordinary(w):
        return linear_forward(x, w)
    if x.dtype.kind == "f":
        rows = in_order(x.reshape(-1, 1, 1, x.shape[-1]), w[None, None], (1, 1), (0, 0), (1, 1))
        return rows.reshape(*x.shape[:-1], w.shape[1])
    fixed = fixed_point(w)
    return settle(linear_forward(x, fixed.q.astype(np.float64)), fixed.scale)


def in_order(x: Array, w: Array, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """Sum over ky, kx and channel, in this order, of exact products in float64; rounded to float32 at the end."""
    kernel, sizes = w.shape[:2], zip(x.shape[1:3], w.shape, stride, padding, dilation, strict=False)
    ho, wo = (conv_output_size(n, d * (k - 1) + 1, s, p) for n, k, s, p, d in sizes)
    ci, co = w.shape[2:]
    groups = x.shape[3] // ci
    xp = array_module(x)
    y = xp.zeros((len(x), ho, wo, groups, co // groups), np.float64)
    wide = w.astype(np.float64).reshape(*kernel, ci, groups, -1)
    for tap, under in _taps(_padded(x.astype(np.float64), padding), kernel, (ho, wo), stride, dilation):
        by_group = under.reshape(len(x), ho, wo, groups, ci)
        for c in range(ci):
            y += by_group[..., c, None] * wide[tap][c]  # [M, Ho, Wo, groups, Co / groups]
    return y.reshape(len(x), ho, wo, co).astype(np.float32)
