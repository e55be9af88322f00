"""Exact dense convolution of spikes on tiles of bytes (AMX): `exact_digits` with 16 x 16 sums an instruction.

Weights have the four signed digits of `exact_digits`, and so the sums have its bounds. 16 output pixels in a row are
a left tile, a digit of 16 output channels a right one, and 64 bytes of the window the depth of both. Under row ky of
the window lie kw * Ci bytes, one behind the other: a strip, cut into tiles; the weights behind its end are zeros, so
that it does not matter what a left tile reads there.

Where output rows are long, a left tile is read from a copy of the input with its padding, each row `stride` pixels
after the one before (`lay_band`). Where they are short, the windows are written out (`lay_windows`), so that a tile
holds pixels of several rows and images. Which of the two only decides where tiles start and how far their rows are
apart. A plan says that of each left tile: its byte in the copy, its first output pixel, and how many of its rows are
output pixels.

`configuration` is CONFIGURATION for AMX or PLAIN for its twin in plain integers (`amx_tiles`).
"""

import math

import numba
import numpy as np
from numba import prange

from snncore.kernels.cpu.amx_tiles import (
    BYTES,
    CONFIGURATION,
    ROWS,
    TILE,
    add_products,
    close_tiles,
    load_operands,
    open_tiles,
    store_sums,
    zero_sums,
)
from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.cpu.exact_bytes import CHANNELS, DIGITS, LANES, copy_bytes, lay_windows, padded, write_sums
from snncore.kernels.cpu.exact_digits import DEEPEST
from snncore.kernels.cpu.exact_weights import Packed, powers
from snncore.kernels.cpu.memory import aligned, round_up
from snncore.kernels.reference.conv import conv_output_size

__all__ = ["DEEPEST", "conv_forward", "pack"]

PIXELS = 128  # output pixels of an item of work, at most
FULL = 0.75  # of the rows of tiles that must be output pixels for `lay_band`
f32, i32 = np.float32, np.int32
Pair = tuple[int, int]


@compiled(parallel=True, exact=True)
def write_tiles(w, factors, packed):
    """packed [blocks, 2, kh, chunks, 2, 16, 64], int8, from w [kh, kw * Ci, Co] * factors [Co].

    Digit d of byte k and channel o of a strip: [block, d / 2, ky, k / 64, d % 2, k % 64 / 4, 4 o + k % 4].
    """
    strips, deep, channels_out = w.shape
    for item in prange(packed.shape[0] * strips):
        block, ky = item // strips, item % strips
        first = block * CHANNELS
        packed[block, :, ky] = 0
        for k in range(deep):
            chunk, row, byte = k // BYTES, k % BYTES // 4, k % 4
            for o in range(min(CHANNELS, channels_out - first)):
                q = i32(np.rint(w[ky, k, first + o] * factors[first + o]))
                for digit in range(DIGITS):
                    low = i32(i32((q + 128) & 255) - 128)
                    packed[block, digit // 2, ky, chunk, digit % 2, row, 4 * o + byte] = low
                    q = i32(i32(q - low) >> 8)


def pack(w: np.ndarray) -> Packed | None:
    """Return w [kh, kw, Ci, Co] as tiles of digits; None if w is not ordinary."""
    p = powers(w)
    if p is None:
        return None
    kh, kw, channels_in, channels_out = w.shape
    blocks, chunks = round_up(channels_out, CHANNELS) // CHANNELS, round_up(kw * channels_in, BYTES) // BYTES
    packed = aligned((blocks, 2, kh, chunks, 2, ROWS, BYTES), np.int8)
    write_tiles(w.reshape(kh, kw * channels_in, channels_out), np.ldexp(f32(1), p), packed)
    return Packed(packed, np.ldexp(f32(1), -p), 0)


@compiled(exact=True)
def plan_windows(pixel, last, step, start, plan):
    """Plan the tiles of windows that lie one behind the other; returns the number of tiles."""
    tiles = (last - pixel + ROWS - 1) // ROWS
    for n in range(tiles):
        plan[n, 0] = start + n * ROWS * step
        plan[n, 1], plan[n, 2] = pixel + n * ROWS, min(ROWS, last - pixel - n * ROWS)
    return tiles


@compiled(exact=True)
def lay_band(x, m, top, lines, out, kernel, stride, padding, pitch, memory, start, plan):
    """Copy what lies under output rows `top` to top + lines of image m into zeros, rows of `pitch` bytes, behind the
    padding; returns how many tiles that is."""
    _, height, width, channels = x.shape
    source, room, edge = x.ctypes.data, memory.ctypes.data + start, padding[1] * channels
    n = max(0, min(width * channels, pitch - edge))
    for line in range((lines - 1) * stride[0] + kernel[0]):
        row = top * stride[0] - padding[0] + line
        if 0 <= row < height:
            copy_bytes(room + line * pitch + edge, source + (m * height + row) * width * channels, n)
    across = (out[1] + ROWS - 1) // ROWS
    for n in range(lines * across):
        line, j = n // across, n % across * ROWS
        plan[n, 0] = start + line * stride[0] * pitch + j * stride[1] * channels
        plan[n, 1], plan[n, 2] = (m * out[0] + top + line) * out[1] + j, min(ROWS, out[1] - j)
    return lines * across


@compiled(exact=True)
def multiply_item(memory, plan, n, step, strip_step, w, strips, chunks, scale, configuration, y):
    """Write the output pixels of the n left tiles of a plan, by pairs: two tiles, 16 channels, two digits at a time."""
    room, part = np.empty(2 * ROWS * LANES + 16, np.int32), np.empty(CHANNELS, np.float32)
    skip = -room.ctypes.data % 64 // 4  # to the next cache line
    product = room[skip : skip + 2 * ROWS * LANES]  # [32, LANES]
    plan[n, 0], plan[n, 1], plan[n, 2] = plan[n - 1, 0], 0, 0  # the other half of the last pair where n is odd
    at, back = 0, 4 * strips * chunks * TILE
    tiles = open_tiles(configuration)
    for channel in range(0, y.shape[1], CHANNELS):
        for t in range(0, n, 2):
            first, second = plan[t, 0], plan[t + 1, 0]
            for half in range(2):
                zero_sums(tiles)
                for ky in range(strips):
                    for chunk in range(chunks):
                        k = ky * strip_step + chunk * BYTES
                        load_operands(tiles, memory, first + k, second + k, step, w, at)
                        add_products(tiles)
                        at += 2 * TILE
                store_sums(tiles, product, half * 2 * CHANNELS)
            at -= back  # the next pair has the same weights
            for i in range(2):
                write_sums(product, i * ROWS, scale, channel, y, plan[t + i, 1], plan[t + i, 2], part)
        at += back
    close_tiles(tiles)


@compiled(parallel=True, exact=True)
def multiply_tiles(x, w, scale, kernel, stride, padding, out, band, per_item, configuration, y):
    """y [pixels, Co] from x [M, H, W, Ci] uint8, w the bytes of `write_tiles`, scale [blocks * 16].

    band: output rows of an item of work, or 0 for items of `per_item` pixels with their windows written out.
    """
    images, channels, pixels = len(x), x.shape[3], len(y)
    strips, chunks = kernel[0], (kernel[1] * channels + BYTES - 1) // BYTES
    across = (out[1] + ROWS - 1) // ROWS  # tiles in an output row
    if band:
        pitch = ((across * ROWS - 1) * stride[1] + kernel[1]) * channels
        bands = (out[0] + band - 1) // band
        items, most, step = images * bands, band * across, stride[1] * channels
        size = ((band - 1) * stride[0] + strips) * pitch + BYTES
    else:
        pitch, bands = chunks * BYTES, 1
        items, most, step = (pixels + per_item - 1) // per_item, per_item // ROWS, strips * pitch
        size = per_item * step
    for item in prange(items):
        memory, plan = np.zeros(size + 64, np.uint8), np.empty((most + 1, 3), np.int64)
        start = -memory.ctypes.data % 64  # the next cache line
        if band:
            m, top = item // bands, item % bands * band
            n = lay_band(x, m, top, min(band, out[0] - top), out, kernel, stride, padding, pitch, memory, start, plan)
        else:
            first = item * per_item
            last = min(pixels, first + per_item)
            lay_windows(x, first, last, out, kernel, stride, padding, step, pitch, memory, start)
            n = plan_windows(first, last, step, start, plan)
        multiply_item(memory, plan, n, step, pitch, w, strips, chunks, scale, configuration, y)


def rows_of_an_item(out: Pair) -> int:
    """Output rows that one item of work takes from a band of the input; 0 where rows are too short for tiles."""
    if out[1] < FULL * round_up(out[1], ROWS):
        return 0
    return max(1, min(out[0], PIXELS // round_up(out[1], ROWS)))


def conv_forward(
    x: np.ndarray,
    packed: Packed,
    kernel: Pair,
    stride: Pair,
    padding: Pair,
    configuration: np.ndarray = CONFIGURATION,
) -> np.ndarray:
    """y [M, Ho, Wo, Co] as `reference.exact_conv_forward`; x uint8, packed from `pack`, of at most DEEPEST terms."""
    height, width = (conv_output_size(*sizes) for sizes in zip(x.shape[1:3], kernel, stride, padding, strict=True))
    out = height, width
    y = aligned((len(x), *out, len(packed.scale)), np.float32)
    pixels = math.prod(y.shape[:3])
    share = round_up(-(-pixels // (2 * numba.get_num_threads())), 2 * ROWS)
    multiply_tiles(
        *(np.ascontiguousarray(x), packed.weights.reshape(-1), padded(packed.scale), kernel, stride, padding, out),
        *(rows_of_an_item(out), min(PIXELS, share), configuration, y.reshape(pixels, -1)),
    )
    return y
