"""Convolution by im2col and matrix products: images [M, H, W, Ci], weights [kh, kw, Ci, Co]."""

from collections.abc import Iterator

import numpy as np

from snncore.backend import Array, array_module

COLUMN_BYTES = 1 << 22  # of one im2col buffer: a few images at a time, small enough for a cache


def conv_output_size(size: int, kernel: int, stride: int, padding: int) -> int:
    """Number of windows along one axis."""
    return (size + 2 * padding - kernel) // stride + 1


def _pad(x: Array, ph: int, pw: int) -> Array:
    return array_module(x).pad(x, ((0, 0), (ph, ph), (pw, pw), (0, 0))) if ph or pw else x


def _columns(x: Array, kernel: tuple, stride: tuple, padding: tuple, dtype: np.dtype) -> Iterator[tuple[slice, Array]]:
    """Yield (images, columns) by blocks: columns [m, Ho, Wo, kh * kw * Ci] holds the window under each output pixel."""
    xp = array_module(x)
    (kh, kw), (sy, sx), (ph, pw) = kernel, stride, padding
    m, h, w, ci = x.shape
    ho, wo = conv_output_size(h, kh, sy, ph), conv_output_size(w, kw, sx, pw)
    block = max(1, COLUMN_BYTES // (ho * wo * kh * kw * ci * dtype.itemsize))
    for start in range(0, m, block):
        images = slice(start, min(start + block, m))
        padded = _pad(x[images], ph, pw)
        columns = xp.empty((len(padded), ho, wo, kh, kw, ci), dtype)
        for ky in range(kh):
            for kx in range(kw):
                columns[:, :, :, ky, kx] = padded[:, ky : ky + sy * ho : sy, kx : kx + sx * wo : sx]
        yield images, columns.reshape(-1, kh * kw * ci)  # [m * Ho * Wo, kh * kw * Ci]


def conv_forward(x: Array, w: Array, stride: tuple[int, int], padding: tuple[int, int]) -> Array:
    """y[m, i, j] = sum over ky, kx of x[m, i * sy + ky - ph, j * sx + kx - pw] @ w[ky, kx]; x spikes or float."""
    kh, kw, ci, co = w.shape
    m, h, width, _ = x.shape
    ho, wo = conv_output_size(h, kh, stride[0], padding[0]), conv_output_size(width, kw, stride[1], padding[1])
    y = array_module(x).empty((m, ho, wo, co), w.dtype)
    flat = w.reshape(kh * kw * ci, co)
    for images, columns in _columns(x, (kh, kw), stride, padding, w.dtype):
        y[images] = (columns @ flat).reshape(-1, ho, wo, co)
    return y


def conv_backward_weight(
    x: Array, gy: Array, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int]
) -> Array:
    """gw[ky, kx] = sum over images and pixels of x[m, i * sy + ky - ph, j * sx + kx - pw]^T gy[m, i, j]."""
    ci, co = x.shape[-1], gy.shape[-1]
    gw = array_module(x).zeros((kernel[0] * kernel[1] * ci, co), gy.dtype)
    for images, columns in _columns(x, kernel, stride, padding, gy.dtype):
        gw += columns.T @ gy[images].reshape(-1, co)
    return gw.reshape(*kernel, ci, co)


def conv_backward_input(
    gy: Array, w: Array, shape: tuple[int, ...], stride: tuple[int, int], padding: tuple[int, int]
) -> Array:
    """Gradient of the input [M, H, W, Ci]: the convolution of gy, spread by the stride, with the turned weights."""
    xp = array_module(gy)
    kh, kw, _, co = w.shape
    turned = xp.ascontiguousarray(w[::-1, ::-1].transpose(0, 1, 3, 2))  # [kh, kw, Co, Ci]
    (sy, sx), (ph, pw) = stride, padding
    if stride == (1, 1) and ph < kh and pw < kw:
        return conv_forward(gy, turned, (1, 1), (kh - 1 - ph, kw - 1 - pw))
    m, h, width, ci = shape
    ho, wo = gy.shape[1:3]
    spread = xp.zeros((m, (ho - 1) * sy + 1, (wo - 1) * sx + 1, co), gy.dtype)
    spread[:, ::sy, ::sx] = gy
    full = conv_forward(spread, turned, (1, 1), (kh - 1, kw - 1))
    padded = xp.zeros((m, h + 2 * ph, width + 2 * pw, ci), gy.dtype)  # rows that no window reached stay zero
    padded[:, : full.shape[1], : full.shape[2]] = full
    return xp.ascontiguousarray(padded[:, ph : ph + h, pw : pw + width])
