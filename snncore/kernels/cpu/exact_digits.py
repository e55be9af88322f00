"""Exact dense convolution of spikes by dot products of bytes (AVX-512 VNNI): im2col and a register tile.

The integer of a weight is written with four digits to the base 256, each a signed byte,

    q = d0 + 256 d1 + 256^2 d2 + 256^3 d3,    -128 <= d < 128

so that spikes stay the bytes they are and one instruction adds 64 products to 16 sums of 32 bits. A sum over k of
x * d is below k * 255 * 128, which leaves 32 bits above `DEEPEST` terms only. The four sums are joined in float64,
exactly, and rounded to float32 once. The windows of a few output pixels, of whichever images, are written out; a
register tile holds the four digits of 16 output channels.
"""

import numba
import numpy as np
from numba import prange

from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.cpu.exact_bytes import CHANNELS, DIGITS, LANES, lay_windows, padded, write_sums
from snncore.kernels.cpu.exact_weights import Packed, powers
from snncore.kernels.cpu.memory import aligned, round_up
from snncore.kernels.cpu.simd import VNNI, make_dot_tile
from snncore.kernels.reference.conv import conv_output_size

__all__ = ["DEEPEST", "VNNI", "conv_forward", "pack"]

ROWS = 6  # of DIGITS registers each: 24 sums of 16 lanes
PIXELS = 96  # output pixels of an item of work, at most; a multiple of ROWS
DEEPEST = (1 << 31) // (255 * 128) - 4
f32, i32 = np.float32, np.int32
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


@compiled(exact=True)
def multiply_windows(memory, start, pixel, last, w, scale, y):
    """Write output pixels `pixel` to `last` of y [pixels, Co], whose windows lie at `start`, by register tiles."""
    quarters = w.shape[1]
    room, part = np.empty(ROWS * LANES + 16, np.int32), np.empty(CHANNELS, np.float32)
    skip = -room.ctypes.data % 64 // 4  # to the next cache line
    product = room[skip : skip + ROWS * LANES]
    left, right, out = memory.ctypes.data + start, w.ctypes.data, product.ctypes.data
    for channel in range(0, y.shape[1], CHANNELS):
        for n in range(0, last - pixel, ROWS):
            tile(out, LANES * 4, left + n * 4 * quarters, 4 * quarters, right, quarters)
            write_sums(product, 0, scale, channel, y, pixel + n, min(ROWS, last - pixel - n), part)
        right += quarters * LANES * 4


@compiled(parallel=True, exact=True)
def multiply_bytes(x, w, scale, kernel, stride, padding, out, per_item, y):
    """y [pixels, Co] from x [M, H, W, Ci] uint8 and w [blocks, K / 4, LANES, 4]; scale [blocks * 16].

    per_item: output pixels of an item of work, of any images, a multiple of ROWS.
    """
    row, strip, pixels = 4 * w.shape[1], kernel[1] * x.shape[3], len(y)
    for item in prange((pixels + per_item - 1) // per_item):
        first = item * per_item
        last = min(pixels, first + per_item)
        memory = np.zeros(per_item * row + 64, np.uint8)
        start = -memory.ctypes.data % 64  # the next cache line
        lay_windows(x, first, last, out, kernel, stride, padding, row, strip, memory, start)
        multiply_windows(memory, start, first, last, w, scale, y)


def conv_forward(x: np.ndarray, packed: Packed, kernel: Pair, stride: Pair, padding: Pair) -> np.ndarray:
    """y [M, Ho, Wo, Co] as `reference.exact_conv_forward`; x uint8, packed from `pack`, of at most DEEPEST terms."""
    height, width = (conv_output_size(*sizes) for sizes in zip(x.shape[1:3], kernel, stride, padding, strict=True))
    y = aligned((len(x), height, width, len(packed.scale)), np.float32)
    flat = y.reshape(-1, len(packed.scale))
    per_item = min(PIXELS, round_up(-(-len(flat) // (2 * numba.get_num_threads())), ROWS))
    multiply_bytes(
        *(np.ascontiguousarray(x), packed.weights, padded(packed.scale)),
        *(kernel, stride, padding, (height, width), per_item, flat),
    )
    return y
