"""Exact dense convolution of spikes by dot products of bytes (AVX-512 VNNI): im2col and a register tile.

The integer of a weight is written with four digits to the base 256, each a signed byte,

    q = d0 + 256 d1 + 256^2 d2 + 256^3 d3,    -128 <= d < 128

so that spikes stay the bytes they are and one instruction adds 64 products to 16 sums of 32 bits. A sum over k of
x * d is below k * 255 * 128, which leaves 32 bits above `DEEPEST` terms only. The four sums are joined in float64,
exactly, and rounded to float32 once. Blocks and layout are those of `conv_dense`; a register tile holds the four digits
of 16 output channels.
"""

import numpy as np
from numba import prange

from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.cpu.conv_dense import PIXELS, fill_columns
from snncore.kernels.cpu.exact_weights import Packed, powers
from snncore.kernels.cpu.memory import aligned, round_up
from snncore.kernels.cpu.simd import VNNI, make_dot_tile
from snncore.kernels.reference.conv import conv_output_size

__all__ = ["DEEPEST", "VNNI", "conv_forward", "pack"]

ROWS, DIGITS, CHANNELS = 6, 4, 16  # 24 sums of 16 lanes
LANES = DIGITS * CHANNELS
DEEPEST = (1 << 31) // (255 * 128) - 4
f32, f64, i32 = np.float32, np.float64, np.int32
tile = make_dot_tile(ROWS, DIGITS)
Pair = tuple[int, int]


@compiled(parallel=True, exact=True)
def write_digits(w, factors, packed):
    """packed [blocks, K / 4, LANES, 4], int8, from w [K, Co] * factors [Co]; lane = digit * CHANNELS + channel."""
    deep, channels_out = w.shape
    blocks, quarters, _, _ = packed.shape
    for item in prange(blocks * quarters):
        block, quarter = item // quarters, item % quarters
        place = packed[block, quarter]
        place[...] = 0
        first = block * CHANNELS
        for i in range(min(4, deep - 4 * quarter)):
            for o in range(min(CHANNELS, channels_out - first)):
                q = i32(np.rint(w[4 * quarter + i, first + o] * factors[first + o]))
                for digit in range(DIGITS):
                    low = i32(i32((q + 128) & 255) - 128)
                    place[digit * CHANNELS + o, i] = low
                    q = i32(i32(q - low) >> 8)


def pack(w: np.ndarray) -> Packed | None:
    """Return w [kh, kw, Ci, Co] as digits; None if w is not ordinary."""
    p = powers(w)
    if p is None:
        return None
    channels_out = w.shape[-1]
    flat = w.reshape(-1, channels_out)
    shape = round_up(channels_out, CHANNELS) // CHANNELS, round_up(len(flat), 4) // 4, LANES, 4
    packed = aligned(shape, np.int8)
    write_digits(flat, np.ldexp(f32(1), p), packed)
    return Packed(packed, np.ldexp(f32(1), -p), 0)


@compiled(parallel=True, exact=True)
def multiply_bytes(x, w, scale, kernel, stride, padding, out_width, y):
    """y [images, pixels, Co] from x [M, H, W, Ci] uint8 and w [blocks, K / 4, LANES, 4]; scale [Co]."""
    blocks, quarters, _, _ = w.shape
    images, pixels, channels_out = y.shape
    per_image = (pixels + PIXELS - 1) // PIXELS
    weights, deep = w.ctypes.data, 4 * quarters
    for item in prange(images * per_image):
        m, first = item // per_image, item % per_image * PIXELS
        last = min(pixels, first + PIXELS)
        columns = np.zeros((PIXELS, deep), np.uint8)
        product = np.empty((PIXELS, LANES), np.int32)
        fill_columns(x, m, first, last, out_width, kernel, stride, padding, columns)
        left, out = columns.ctypes.data, product.ctypes.data
        for block in range(blocks):
            right = weights + block * quarters * LANES * 4
            for r in range(0, last - first, ROWS):
                tile(out + r * LANES * 4, LANES * 4, left + r * deep, deep, right, quarters)
            n = min(CHANNELS, channels_out - block * CHANNELS)
            factor = scale[block * CHANNELS : block * CHANNELS + n]
            for r in range(first, last):
                sums, target = product[r - first], y[m, r, block * CHANNELS : block * CHANNELS + n]
                for k in range(n):
                    high = f64(sums[k + 48]) * 256.0 + f64(sums[k + 32])
                    total = (high * 256.0 + f64(sums[k + 16])) * 256.0 + f64(sums[k])
                    target[k] = f32(total) * factor[k]


def conv_forward(x: np.ndarray, packed: Packed, kernel: Pair, stride: Pair, padding: Pair) -> np.ndarray:
    """y [M, Ho, Wo, Co] as `reference.exact_conv_forward`; x uint8, packed from `pack`, of at most DEEPEST terms."""
    out = tuple(conv_output_size(*sizes) for sizes in zip(x.shape[1:3], kernel, stride, padding, strict=True))
    y = aligned((len(x), *out, len(packed.scale)), np.float32)
    flat = y.reshape(len(x), out[0] * out[1], len(packed.scale))
    multiply_bytes(np.ascontiguousarray(x), packed.weights, packed.scale, kernel, stride, padding, out[1], flat)
    return y
