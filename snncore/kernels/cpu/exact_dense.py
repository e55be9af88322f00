"""Exact dense convolution by im2col and a register tile of float64: for many spikes, large ones, and analog input.

Blocks and layout are those of `conv_dense`. A sum of spikes times integers stays below 2^53, so float64 holds it; a sum
of analog input goes from the first term of the window to the last, and a product of two float32 numbers has no
rounding in float64: whether it is fused with the addition makes no difference.
"""

import numpy as np
from numba import prange

from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.cpu.conv_dense import PIXELS, fill_columns
from snncore.kernels.cpu.exact_weights import Packed
from snncore.kernels.cpu.memory import aligned
from snncore.kernels.cpu.simd import AVX512, DOUBLE, make_gemm_tile
from snncore.kernels.reference.conv import conv_output_size

ROWS, COLUMNS = (6, 32) if AVX512 else (6, 8)  # of a register tile: 24 or 12 sums
WORD = 8  # bytes
f32 = np.float32
tile = make_gemm_tile(ROWS, COLUMNS, element=DOUBLE)
Pair = tuple[int, int]


@compiled(parallel=True, exact=True)
def multiply_columns(x, w, scale, kernel, stride, padding, out_width, y):
    """y [images, pixels, Co] from x [M, H, W, Ci] and w [blocks, K, COLUMNS], K = kh * kw * Ci; scale [Co]."""
    blocks, deep, _ = w.shape
    images, pixels, channels_out = y.shape
    per_image = (pixels + PIXELS - 1) // PIXELS
    weights = w.ctypes.data
    for item in prange(images * per_image):
        m, first = item // per_image, item % per_image * PIXELS
        last = min(pixels, first + PIXELS)
        columns = np.zeros((PIXELS, deep), np.float64)
        product = np.empty((PIXELS, COLUMNS), np.float64)
        fill_columns(x, m, first, last, out_width, kernel, stride, padding, columns)
        left, out = columns.ctypes.data, product.ctypes.data
        for block in range(blocks):
            right = weights + block * deep * COLUMNS * WORD
            for r in range(0, last - first, ROWS):
                place, a = out + r * COLUMNS * WORD, left + r * deep * WORD
                tile(place, COLUMNS * WORD, a, deep * WORD, right, COLUMNS * WORD, deep)
            n = min(COLUMNS, channels_out - block * COLUMNS)
            factor = scale[block * COLUMNS : block * COLUMNS + n]
            for r in range(first, last):
                sums, target = product[r - first], y[m, r, block * COLUMNS : block * COLUMNS + n]
                for k in range(n):
                    target[k] = f32(sums[k]) * factor[k]


def conv_forward(x: np.ndarray, packed: Packed, kernel: Pair, stride: Pair, padding: Pair) -> np.ndarray:
    """y [M, Ho, Wo, Co] as `reference.exact_conv_forward`; x float32 or uint8, packed from `pack_for_tiles`."""
    out = tuple(conv_output_size(*sizes) for sizes in zip(x.shape[1:3], kernel, stride, padding, strict=True))
    y = aligned((len(x), *out, len(packed.scale)), np.float32)
    flat = y.reshape(len(x), out[0] * out[1], len(packed.scale))
    multiply_columns(np.ascontiguousarray(x), packed.weights, packed.scale, kernel, stride, padding, out[1], flat)
    return y
