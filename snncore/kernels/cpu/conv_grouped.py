"""Convolution in groups of channels by the kernels of ordinary ones, and depthwise convolution by kernels of its own.

| groups                       | kernel                                                                          |
| ---------------------------- | ------------------------------------------------------------------------------- |
| one                          | `conv`                                                                          |
| of `LEAST` channels and more | `conv` for each: the choice by the density of its own spikes, as everywhere     |
| depthwise, Co = Ci           | here: a row of pixels stays in the level-1 cache while the taps go by           |
| others                       | the reference, and with gaps between the taps too, unless it is depthwise       |

A group costs some 0.1 ms beyond its work, for its calls, and a copy of its input and output channels.

The depthwise forward pass and input gradient add in the order of the reference, without fused multiply-add: the same
bits. The weight gradient is summed in `CHUNKS` parts, added in their order, with any number of threads.
"""

import numpy as np
from numba import prange

from snncore.kernels import reference
from snncore.kernels.cpu import conv
from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.cpu.finite import are_finite
from snncore.kernels.cpu.memory import aligned
from snncore.kernels.reference.conv import conv_output_size

LEAST = 16  # channels of a group, in and out, from which a call for each pays
CHUNKS = 8
Pair = tuple[int, int]


def way_of(x_dtype: np.dtype, w_dtype: np.dtype, per_group: Pair, groups: int, dilation: Pair) -> str:
    """Return which kernel runs: "groups", "depthwise" or "reference"; per_group: channels of a group, in and out."""
    if w_dtype != np.float32 or x_dtype not in (np.uint8, np.float32) or groups == 0:
        return "reference"
    if dilation == (1, 1) and (groups == 1 or min(per_group) >= LEAST):
        return "groups"
    return "depthwise" if per_group == (1, 1) else "reference"


def parts_of(x: np.ndarray, groups: int) -> list[np.ndarray]:
    """Return [..., C] in groups of channels, each an array of its own."""
    if groups == 1:
        return [x]
    return [np.ascontiguousarray(part) for part in np.split(x, groups, axis=-1)]


@compiled(parallel=True, exact=True)
def depthwise_rows(x, w, stride, padding, dilation, y):
    """y [M, Ho, Wo, C] from x [M, H, W, C] and w [kh, kw, C]."""
    _, height, width, channels = x.shape
    images, out_height, out_width, _ = y.shape
    kh, kw, _ = w.shape
    for item in prange(images * out_height):
        m, i = item // out_height, item % out_height
        y[m, i] = 0
        for ky in range(kh):
            r = i * stride[0] + ky * dilation[0] - padding[0]
            if r < 0 or r >= height:
                continue
            for kx in range(kw):
                tap = w[ky, kx]
                left = kx * dilation[1] - padding[1]
                for j in range(out_width):
                    if 0 <= j * stride[1] + left < width:
                        under, out = x[m, r, j * stride[1] + left], y[m, i, j]
                        for c in range(channels):
                            out[c] += np.float32(under[c]) * tap[c]


@compiled(parallel=True, exact=True)
def depthwise_back(gy, w, stride, padding, dilation, gx):
    """gx [M, H, W, C] from gy [M, Ho, Wo, C] and w [kh, kw, C]."""
    _, out_height, out_width, channels = gy.shape
    images, height, width, _ = gx.shape
    kh, kw, _ = w.shape
    for item in prange(images * height):
        m, r = item // height, item % height
        gx[m, r] = 0
        for ky in range(kh):
            above = r + padding[0] - ky * dilation[0]
            if above < 0 or above % stride[0] or above // stride[0] >= out_height:
                continue
            for kx in range(kw):
                tap = w[ky, kx]
                left = kx * dilation[1] - padding[1]
                for j in range(out_width):
                    if 0 <= j * stride[1] + left < width:
                        g, out = gy[m, above // stride[0], j], gx[m, r, j * stride[1] + left]
                        for c in range(channels):
                            out[c] += g[c] * tap[c]


@compiled(parallel=True)
def depthwise_weight(x, gy, stride, padding, dilation, gw):
    """gw [chunks, kh, kw, C] of zeros; what lies outside the image counts as zeros, which a NaN of gy makes NaN."""
    _, height, width, channels = x.shape
    images, out_height, out_width, _ = gy.shape
    chunks, kh, kw, _ = gw.shape
    total = images * out_height
    for chunk in prange(chunks):
        for item in range(total * chunk // chunks, total * (chunk + 1) // chunks):
            m, i = item // out_height, item % out_height
            for ky in range(kh):
                r = i * stride[0] + ky * dilation[0] - padding[0]
                for kx in range(kw):
                    sums = gw[chunk, ky, kx]
                    left = kx * dilation[1] - padding[1]
                    for j in range(out_width):
                        col, g = j * stride[1] + left, gy[m, i, j]
                        if 0 <= r < height and 0 <= col < width:
                            under = x[m, r, col]
                            for c in range(channels):
                                sums[c] += np.float32(under[c]) * g[c]
                        else:
                            for c in range(channels):
                                sums[c] += np.float32(0) * g[c]


def grouped_conv_forward(x: np.ndarray, w: np.ndarray, stride: Pair, padding: Pair, dilation: Pair) -> np.ndarray:
    """y [M, Ho, Wo, Co] as `reference.grouped_conv_forward`."""
    kh, kw, ci, co = w.shape
    groups = x.shape[-1] // ci
    way = way_of(x.dtype, w.dtype, (ci, co // max(1, groups)), groups, dilation)
    if way == "reference" or not x.size or not are_finite(w):
        return reference.grouped_conv_forward(x, w, stride, padding, dilation)
    if groups == 1 and way == "groups":
        return conv.conv_forward(x, w, stride, padding)
    sizes = zip(x.shape[1:3], (kh, kw), stride, padding, dilation, strict=True)
    out = (conv_output_size(n, d * (k - 1) + 1, s, p) for n, k, s, p, d in sizes)
    y = aligned((len(x), *out, co), np.float32)
    if way == "depthwise":
        weights = np.ascontiguousarray(w).reshape(kh, kw, co)
        depthwise_rows(np.ascontiguousarray(x), weights, stride, padding, dilation, y)
        return y
    for x_part, w_part, y_part in zip(parts_of(x, groups), parts_of(w, groups), _views(y, groups), strict=True):
        y_part[...] = conv.conv_forward(x_part, w_part, stride, padding)
    return y


def grouped_conv_backward_weight(
    x: np.ndarray, gy: np.ndarray, kernel: Pair, groups: int, stride: Pair, padding: Pair, dilation: Pair
) -> np.ndarray:
    """gw [kh, kw, Ci / groups, Co] as `reference.grouped_conv_backward_weight`."""
    ci, co = x.shape[-1] // groups, gy.shape[-1]
    way = way_of(x.dtype, gy.dtype, (ci, co // groups), groups, dilation)
    if way == "reference" or not x.size:
        return reference.grouped_conv_backward_weight(x, gy, kernel, groups, stride, padding, dilation)
    if way == "depthwise":
        sums = np.zeros((CHUNKS, *kernel, co), np.float32)
        depthwise_weight(np.ascontiguousarray(x), np.ascontiguousarray(gy), stride, padding, dilation, sums)
        return sums.sum(axis=0).reshape(*kernel, 1, co)
    pairs = zip(parts_of(x, groups), parts_of(gy, groups), strict=True)
    parts = [conv.conv_backward_weight(one, two, kernel, stride, padding) for one, two in pairs]
    return parts[0] if groups == 1 else np.concatenate(parts, axis=-1)


def grouped_conv_backward_input(
    gy: np.ndarray, w: np.ndarray, shape: tuple[int, ...], stride: Pair, padding: Pair, dilation: Pair
) -> np.ndarray:
    """gx [M, H, W, Ci] as `reference.grouped_conv_backward_input`."""
    kh, kw, ci, co = w.shape
    groups = shape[-1] // ci
    way = way_of(gy.dtype, w.dtype, (ci, co // max(1, groups)), groups, dilation)
    if way == "reference" or not gy.size or gy.dtype != np.float32 or not are_finite(w):
        return reference.grouped_conv_backward_input(gy, w, shape, stride, padding, dilation)
    if groups == 1 and way == "groups":
        return conv.conv_backward_input(gy, w, shape, stride, padding)
    gx = aligned(shape, np.float32)
    if way == "depthwise":
        weights = np.ascontiguousarray(w).reshape(kh, kw, co)
        depthwise_back(np.ascontiguousarray(gy), weights, stride, padding, dilation, gx)
        return gx
    part = (*shape[:3], ci)
    for g_part, w_part, x_part in zip(parts_of(gy, groups), parts_of(w, groups), _views(gx, groups), strict=True):
        x_part[...] = conv.conv_backward_input(g_part, w_part, part, stride, padding)
    return gx


def _views(y: np.ndarray, groups: int) -> list[np.ndarray]:
    return np.split(y, groups, axis=-1)
