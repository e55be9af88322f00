"""Convolution in groups of channels and with gaps between the taps, one tap of the window at a time.

Images [M, H, W, Ci], weights [kh, kw, Ci / groups, Co]. The channels fall into groups, of which the weights tell the
number; channels k * Co / groups and up of the output see the k-th group of the input alone.
"""

from collections.abc import Iterator

import numpy as np

from snncore.backend import Array, array_module
from snncore.kernels.reference.conv import conv_output_size
from snncore.kernels.reference.linear import rows_of

Pair = tuple[int, int]


def _padded(x: Array, padding: Pair) -> Array:
    ph, pw = padding
    return array_module(x).pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0)))


def _taps(padded: Array, kernel: Pair, out: Pair, stride: Pair, dilation: Pair) -> Iterator[tuple[Pair, Array]]:
    """Yield (ky, kx) and the view [M, Ho, Wo, C] of what lies under that tap of every window."""
    rows, cols = ((n - 1) * s + 1 for n, s in zip(out, stride, strict=True))  # from the first window to the last
    for ky, kx in np.ndindex(*kernel):
        i, j = ky * dilation[0], kx * dilation[1]
        yield (ky, kx), padded[:, i : i + rows : stride[0], j : j + cols : stride[1]]


def _by_group(x: Array, groups: int) -> Array:
    """Return x [..., C] as [M, groups, C / groups], also where M is 0."""
    rows = rows_of(x)
    return rows.reshape(len(rows), groups, rows.shape[1] // groups)


def _mix(x: Array, w: Array) -> Array:
    """y [..., Co] = x [..., Ci] @ w [Ci / groups, Co], each group by its part of w."""
    ci, co = w.shape
    groups = x.shape[-1] // ci
    if groups == 1:
        return x.astype(w.dtype, copy=False) @ w
    if ci == 1:  # depthwise: a product for each entry of y
        y = x[..., None] * w.reshape(groups, -1)
    else:
        rows = _by_group(x.astype(w.dtype, copy=False), groups).swapaxes(0, 1)  # [groups, M, Ci / groups]
        y = (rows @ w.reshape(ci, groups, -1).swapaxes(0, 1)).swapaxes(0, 1)  # [M, groups, Co / groups]
    return y.reshape(*x.shape[:-1], co)


def _meet(x: Array, gy: Array, groups: int) -> Array:
    """gw [Ci / groups, Co]: sum over pixels of x^T gy, in each group."""
    x = _by_group(x.astype(gy.dtype, copy=False), groups)  # [M, groups, Ci / groups]
    gy = _by_group(gy, groups)  # [M, groups, Co / groups]
    if x.shape[2] == 1:
        return (x * gy).sum(axis=0).reshape(1, -1)
    return (x.transpose(1, 2, 0) @ gy.swapaxes(0, 1)).swapaxes(0, 1).reshape(x.shape[2], -1)


def grouped_conv_forward(x: Array, w: Array, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """y[m, i, j] = sum over ky, kx of x[m, i * sy + ky * dy - ph, j * sx + kx * dx - pw] @ w[ky, kx], by group."""
    kernel, sizes = w.shape[:2], zip(x.shape[1:3], w.shape, stride, padding, dilation, strict=False)
    ho, wo = (conv_output_size(n, d * (k - 1) + 1, s, p) for n, k, s, p, d in sizes)
    y = array_module(x).zeros((len(x), ho, wo, w.shape[3]), w.dtype)
    for tap, under in _taps(_padded(x, padding), kernel, (ho, wo), stride, dilation):
        y += _mix(under, w[tap])
    return y


def grouped_conv_backward_weight(
    x: Array, gy: Array, kernel: Pair, groups: int, stride: Pair, padding: Pair, dilation: Pair
) -> Array:
    """gw[ky, kx] = sum over images and pixels of x[m, i * sy + ky * dy - ph, ...]^T gy[m, i, j], by group."""
    gw = array_module(x).empty((*kernel, x.shape[-1] // groups, gy.shape[-1]), gy.dtype)
    for tap, under in _taps(_padded(x, padding), kernel, gy.shape[1:3], stride, dilation):
        gw[tap] = _meet(under, gy, groups)
    return gw


def grouped_conv_backward_input(
    gy: Array, w: Array, shape: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair
) -> Array:
    """Gradient of the input [M, H, W, Ci]: each tap hands gy @ w[ky, kx]^T back to where it was."""
    xp = array_module(gy)
    (kh, kw, ci, co), (m, h, width, channels), (ph, pw) = w.shape, shape, padding
    groups = channels // ci
    turned = w.reshape(kh, kw, ci, groups, -1).transpose(0, 1, 4, 3, 2).reshape(kh, kw, co // groups, channels)
    gx = xp.zeros((m, h + 2 * ph, width + 2 * pw, channels), gy.dtype)
    for tap, under in _taps(gx, (kh, kw), gy.shape[1:3], stride, dilation):
        under += _mix(gy, turned[tap])
    return xp.ascontiguousarray(gx[:, ph : ph + h, pw : pw + width])
