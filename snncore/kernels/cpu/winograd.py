"""Dense 3x3 convolution with stride 1 by Winograd's minimal filtering: F(4x4, 3x3) with 4, F(2x2, 3x3) with 2.25 times
fewer multiplications than the direct sum (Lavin and Gray, CVPR 2016).

    y = A^T [ sum over channels of (G w G^T) * (B^T x B) ] A        on tiles of m x m outputs, a = m + 2

The a * a products over channels are matrix products [tiles, K] @ [K, N], done here by a register tile of `ROWS` x
`COLUMNS` floats: no call into a BLAS, whose threads would meet those of `prange`. A group of images at a time, so that
what lies between the transforms stays in the level-2 and level-3 caches.

Error against the direct sum in float32, relative to the largest entry: about 1e-5 for F(4x4), which is right for
gradients, and 5e-7 for F(2x2), as good as the direct sum, which a forward pass needs: spikes depend on it.
"""

import math

import numpy as np
from numba import prange

from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.cpu.memory import aligned, round_up, scratch
from snncore.kernels.cpu.simd import AVX512, make_gemm_tile, make_tile_transform

INPUT_4 = ((4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0),
           (0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1))  # fmt: skip
OUTPUT_4 = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))
FILTER_4 = ((1 / 4, 0, 0), (-1 / 6, -1 / 6, -1 / 6), (-1 / 6, 1 / 6, -1 / 6),
            (1 / 24, 1 / 12, 1 / 6), (1 / 24, -1 / 12, 1 / 6), (0, 0, 1))  # fmt: skip
INPUT_2 = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
OUTPUT_2 = ((1, 1, 1, 0), (0, 1, -1, -1))
FILTER_2 = ((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1))

LANES = 16 if AVX512 else 8  # channels in a transform
ROWS, COLUMNS = (6, 64) if AVX512 else (6, 16)  # of a register tile: 24 or 12 sums
GROUP_BYTES = 4 << 20  # most of transformed input, for a group of images
FLOAT = 4  # bytes
SKEW = 80  # floats between the matrices of two tile positions, or their rows would all fall into one set of the cache

input_4, input_2 = make_tile_transform(INPUT_4, LANES), make_tile_transform(INPUT_2, LANES)
output_4, output_2 = make_tile_transform(OUTPUT_4, LANES), make_tile_transform(OUTPUT_2, LANES)
filter_4, filter_2 = make_tile_transform(FILTER_4, LANES), make_tile_transform(FILTER_2, LANES)
gemm_tile = make_gemm_tile(ROWS, COLUMNS)


@compiled(parallel=True)
def transform_filter(w, m, u, step):
    """u: a * a matrices [N / COLUMNS, K, COLUMNS], `step` floats apart, from w [3, 3, K, N]."""
    k, n = w.shape[2:]
    a = m + 2
    plane = k * n * FLOAT
    source, target = w.ctypes.data, u.ctypes.data
    for i in prange(k * n // LANES):
        row, column = i * LANES // n, i * LANES % n
        at = source + i * LANES * FLOAT
        place = target + ((column // COLUMNS * k + row) * COLUMNS + column % COLUMNS) * FLOAT
        if m == 4:
            filter_4(at, 3 * plane, plane, place, a * step * FLOAT, step * FLOAT)
        else:
            filter_2(at, 3 * plane, plane, place, a * step * FLOAT, step * FLOAT)


@compiled(parallel=True)
def turn(w, turned):
    """turned [kh, kw, Co, Ci] = w [kh, kw, Ci, Co] turned by 180 degrees and transposed, in squares of 16 channels."""
    kh, kw, rows, columns = w.shape
    across = (rows + 15) // 16
    for item in prange(kh * kw * across):
        tap, first = item // across, item % across * 16
        source, target = w[kh - 1 - tap // kw, kw - 1 - tap % kw], turned[tap // kw, tap % kw]
        for c in range(0, columns, 16):
            for i in range(first, min(rows, first + 16)):
                for j in range(c, min(columns, c + 16)):
                    target[j, i] = source[i, j]


def turned_weights(w: np.ndarray) -> np.ndarray:
    """Return w [kh, kw, Ci, Co] as the input gradient needs it: [kh, kw, Co, Ci], turned by 180 degrees."""
    turned = aligned((*w.shape[:2], w.shape[3], w.shape[2]), w.dtype)
    turn(np.ascontiguousarray(w), turned)
    return turned


@compiled(parallel=True)
def transform_input(x, m, padding, tiles_y, tiles_x, v, step):
    """v: a * a matrices [tiles, K], `step` floats apart, from the images x [M, H, W, C]; channels beyond C are zero."""
    images, height, width, channels = x.shape
    a = m + 2
    deep = v.shape[2]
    target = v.ctypes.data
    for item in prange(images * tiles_y):
        image, ty = item // tiles_y, item % tiles_y
        # a strip of a rows with its border, in which every tile of this row of tiles lies whole
        room = np.empty(a * (tiles_x * m + 2) * deep + 16, np.float32)
        skip = (-room.ctypes.data % 64) // FLOAT
        strip = room[skip : skip + a * (tiles_x * m + 2) * deep].reshape(a, tiles_x * m + 2, deep)
        for r in range(a):
            i = ty * m + r - padding[0]
            if i < 0 or i >= height:
                strip[r] = 0
                continue
            strip[r, : padding[1]] = 0
            for j in range(min(width, tiles_x * m + 2 - padding[1])):
                for c in range(channels):
                    strip[r, padding[1] + j, c] = x[image, i, j, c]
                for c in range(channels, deep):
                    strip[r, padding[1] + j, c] = 0
            strip[r, padding[1] + width :] = 0
        source = strip.ctypes.data
        row = (tiles_x * m + 2) * deep * FLOAT
        for tx in range(tiles_x):
            at = target + (item * tiles_x + tx) * deep * FLOAT
            for c in range(0, deep, LANES):
                corner = source + (tx * m * deep + c) * FLOAT
                if m == 4:
                    input_4(corner, row, deep * FLOAT, at + c * FLOAT, a * step * FLOAT, step * FLOAT)
                else:
                    input_2(corner, row, deep * FLOAT, at + c * FLOAT, a * step * FLOAT, step * FLOAT)


@compiled(parallel=True)
def multiply(v, v_step, u, u_step, products, step, tiles):
    """products[p] [tiles, N] = v[p] [tiles, K] @ u[p] [K, N] for each position p of a tile."""
    positions, blocks, k, _ = u.shape
    n = blocks * COLUMNS
    left, right, target = v.ctypes.data, u.ctypes.data, products.ctypes.data
    for item in prange(positions * blocks):
        p, block = item // blocks, item % blocks
        w = right + (p * u_step + block * k * COLUMNS) * FLOAT
        for t in range(0, tiles, ROWS):
            place = target + (p * step + t * n + block * COLUMNS) * FLOAT
            gemm_tile(place, n * FLOAT, left + (p * v_step + t * k) * FLOAT, k * FLOAT, w, COLUMNS * FLOAT, k)


@compiled(parallel=True)
def transform_output(products, step, m, tiles_y, tiles_x, y):
    """y [M, Ho, Wo, N'] from the products; of the last tiles and channels, what lies in y."""
    images, height, width, channels = y.shape
    a = m + 2
    n = products.shape[2]
    source, target = products.ctypes.data, y.ctypes.data
    whole = n == channels and height == tiles_y * m and width == tiles_x * m
    for item in prange(images * tiles_y):
        image, ty = item // tiles_y, item % tiles_y
        tile = np.empty((m, m, LANES), np.float32)
        scratch = tile.ctypes.data
        for tx in range(tiles_x):
            at = source + (item * tiles_x + tx) * n * FLOAT
            place = target + (((image * height + ty * m) * width + tx * m) * channels) * FLOAT
            for c in range(0, n, LANES):
                if whole:
                    dst, row, column = place + c * FLOAT, width * channels * FLOAT, channels * FLOAT
                else:
                    dst, row, column = scratch, m * LANES * FLOAT, LANES * FLOAT
                if m == 4:
                    output_4(at + c * FLOAT, a * step * FLOAT, step * FLOAT, dst, row, column)
                else:
                    output_2(at + c * FLOAT, a * step * FLOAT, step * FLOAT, dst, row, column)
                if not whole:
                    for i in range(min(m, height - ty * m)):
                        for j in range(min(m, width - tx * m)):
                            for d in range(min(LANES, channels - c)):
                                y[image, ty * m + i, tx * m + j, c + d] = tile[i, j, d]


def as_matrices(name: str, count: int, step: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return scratch memory as `count` arrays of a shape, `step` floats apart."""
    room = scratch(name, count * step)
    strides = [FLOAT * math.prod(shape[i + 1 :]) for i in range(len(shape))]
    return np.lib.stride_tricks.as_strided(room, (count, *shape), (step * FLOAT, *strides))


def conv3x3(x: np.ndarray, w: np.ndarray, padding: tuple[int, int], m: int) -> np.ndarray:
    """y [M, Ho, Wo, Co] = x [M, H, W, Ci] convolved with w [3, 3, Ci, Co], stride 1, padding 0 to 2 on either axis."""
    images, height, width, channels_in = x.shape
    channels_out = w.shape[3]
    out = (height + 2 * padding[0] - 2, width + 2 * padding[1] - 2)
    tiles_y, tiles_x = -(-out[0] // m), -(-out[1] // m)
    k, n = round_up(channels_in, LANES), round_up(channels_out, COLUMNS)
    if (k, n) != (channels_in, channels_out):
        w = np.pad(w, ((0, 0), (0, 0), (0, k - channels_in), (0, n - channels_out)))
    positions = (m + 2) ** 2
    u_step = k * n + SKEW
    u = as_matrices("filter", positions, u_step, (n // COLUMNS, k, COLUMNS))
    transform_filter(np.ascontiguousarray(w), m, u, u_step)
    y = aligned((images, *out, channels_out), np.float32)
    x = np.ascontiguousarray(x)
    # Each group reads the whole filter, and what it holds is to stay in the cache: as much of one as of the other.
    room = min(GROUP_BYTES, positions * k * n * FLOAT)
    most = max(1, min(images, room // (positions * tiles_y * tiles_x * k * FLOAT)))
    group = -(-images // -(-images // most))  # of one size
    rows = round_up(group * tiles_y * tiles_x, ROWS)
    v_step, step = rows * k + SKEW, rows * n + SKEW
    v = as_matrices("input", positions, v_step, (rows, k))
    products = as_matrices("products", positions, step, (rows, n))
    for first in range(0, images, group):
        part = slice(first, min(images, first + group))
        tiles = (part.stop - first) * tiles_y * tiles_x
        transform_input(x[part], m, padding, tiles_y, tiles_x, v, v_step)
        multiply(v, v_step, u, u_step, products, step, tiles)
        transform_output(products, step, m, tiles_y, tiles_x, y[part])
    return y
