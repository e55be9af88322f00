"""Dense 3x3 convolution with stride 1 by Winograd's minimal filtering: F(4x4, 3x3) with 4, F(2x2, 3x3) with 2.25 times
fewer multiplications than the direct sum (Lavin and Gray, CVPR 2016).

    y = A^T [ sum over channels of (G w G^T) * (B^T x B) ] A        on tiles of m x m outputs, a = m + 2

An image of 2x2 pixels with a border of zeros is one tile of its own, with a = 3: along an axis

    y0 = w1 x0 + w2 x1,  y1 = w0 x0 + w1 x1        is a product with a Toeplitz matrix, by three multiplications
                                                   (Winograd, Arithmetic Complexity of Computations, SIAM 1980)

so 9 for 4 outputs, where F(4x4) would do 36 and the direct sum 16.

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
from snncore.kernels.cpu.simd import AVX512, make_gemm_tile, make_tile_transform, make_transpose

INPUT_4 = ((4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0),
           (0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1))  # fmt: skip
OUTPUT_4 = ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1))
FILTER_4 = ((1 / 4, 0, 0), (-1 / 6, -1 / 6, -1 / 6), (-1 / 6, 1 / 6, -1 / 6),
            (1 / 24, 1 / 12, 1 / 6), (1 / 24, -1 / 12, 1 / 6), (0, 0, 1))  # fmt: skip
INPUT_2 = ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1))
OUTPUT_2 = ((1, 1, 1, 0), (0, 1, -1, -1))
FILTER_2 = ((1, 0, 0), (1 / 2, 1 / 2, 1 / 2), (1 / 2, -1 / 2, 1 / 2), (0, 0, 1))
INPUT_PAIR, OUTPUT_PAIR, FILTER_PAIR = (
    ((1, 1), (0, 1), (1, 0)),
    ((1, 1, 0), (1, 0, 1)),
    ((0, 1, 0), (0, -1, 1), (1, -1, 0)),
)

LANES = 16 if AVX512 else 8  # channels in a transform
ROWS, COLUMNS = (6, 64) if AVX512 else (6, 16)  # of a register tile: 24 or 12 sums
GROUP_BYTES = 4 << 20  # most of transformed input, for a group of images
FLOAT = 4  # bytes
SKEW = 80  # floats between the matrices of two tile positions, or their rows would all fall into one set of the cache

input_6, input_4, input_3 = (make_tile_transform(b, LANES) for b in (INPUT_4, INPUT_2, INPUT_PAIR))  # by a
output_6, output_4, output_3 = (make_tile_transform(a, LANES) for a in (OUTPUT_4, OUTPUT_2, OUTPUT_PAIR))
filter_6, filter_4, filter_3 = (make_tile_transform(g, LANES) for g in (FILTER_4, FILTER_2, FILTER_PAIR))
transpose = make_transpose(LANES)
gemm_tile = make_gemm_tile(ROWS, COLUMNS)


@compiled(inline=True)
def filter_at(a, source, row, column, target, step):
    """Transform the filters of LANES channels; row, column: bytes from a tap to the next."""
    if a == 6:
        filter_6(source, row, column, target, a * step * FLOAT, step * FLOAT)
    elif a == 4:
        filter_4(source, row, column, target, a * step * FLOAT, step * FLOAT)
    else:
        filter_3(source, row, column, target, a * step * FLOAT, step * FLOAT)


@compiled(parallel=True)
def transform_filter(w, a, u, step):
    """u: a * a matrices [N / COLUMNS, K, COLUMNS], `step` floats apart, from w [3, 3, K, N]."""
    k, n = w.shape[2:]
    plane = k * n * FLOAT
    source, target = w.ctypes.data, u.ctypes.data
    for i in prange(k * n // LANES):
        row, column = i * LANES // n, i * LANES % n
        place = target + ((column // COLUMNS * k + row) * COLUMNS + column % COLUMNS) * FLOAT
        filter_at(a, source + i * LANES * FLOAT, 3 * plane, plane, place, step)


@compiled(parallel=True)
def transform_turned(w, a, u, step):
    """The same from w [3, 3, N, K] turned by 180 degrees and transposed, in squares of LANES channels."""
    n, k = w.shape[2:]
    plane = LANES * LANES * FLOAT
    source, target = w.ctypes.data, u.ctypes.data
    across = k // LANES
    for item in prange(n // LANES * across):
        column, row = item // across * LANES, item % across * LANES
        room = np.empty(9 * LANES * LANES + 16, np.float32)
        taps = room.ctypes.data + -room.ctypes.data % 64
        for tap in range(9):
            square = source + ((tap * n + column) * k + row) * FLOAT
            transpose(taps + tap * plane, LANES * FLOAT, square, k * FLOAT)
        for i in range(LANES):
            place = target + ((column // COLUMNS * k + row + i) * COLUMNS + column % COLUMNS) * FLOAT
            filter_at(a, taps + 8 * plane + i * LANES * FLOAT, -3 * plane, -plane, place, step)


@compiled(parallel=True)
def transform_input(x, m, a, padding, tiles_y, tiles_x, v, step):
    """v: a * a matrices [tiles, K], `step` floats apart, from the images x [M, H, W, C]; channels beyond C are zero."""
    images, height, width, channels = x.shape
    side = 2 if a == 3 else a  # of an input tile
    deep = v.shape[2]
    target = v.ctypes.data
    for item in prange(images * tiles_y):
        image, ty = item // tiles_y, item % tiles_y
        # a strip of rows with its border, in which every tile of this row of tiles lies whole
        along = tiles_x * m + side - m
        room = np.empty(side * along * deep + 16, np.float32)
        skip = (-room.ctypes.data % 64) // FLOAT
        strip = room[skip : skip + side * along * deep].reshape(side, along, deep)
        for r in range(side):
            i = ty * m + r - padding[0]
            if i < 0 or i >= height:
                strip[r] = 0
                continue
            strip[r, : padding[1]] = 0
            for j in range(min(width, along - padding[1])):
                for c in range(channels):
                    strip[r, padding[1] + j, c] = x[image, i, j, c]
                for c in range(channels, deep):
                    strip[r, padding[1] + j, c] = 0
            strip[r, padding[1] + width :] = 0
        source = strip.ctypes.data
        row = along * deep * FLOAT
        for tx in range(tiles_x):
            at = target + (item * tiles_x + tx) * deep * FLOAT
            for c in range(0, deep, LANES):
                corner = source + (tx * m * deep + c) * FLOAT
                if a == 6:
                    input_6(corner, row, deep * FLOAT, at + c * FLOAT, a * step * FLOAT, step * FLOAT)
                elif a == 4:
                    input_4(corner, row, deep * FLOAT, at + c * FLOAT, a * step * FLOAT, step * FLOAT)
                else:
                    input_3(corner, row, deep * FLOAT, at + c * FLOAT, a * step * FLOAT, step * FLOAT)


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
def transform_output(products, step, m, a, tiles_y, tiles_x, y):
    """y [M, Ho, Wo, N'] from the products; of the last tiles and channels, what lies in y."""
    images, height, width, channels = y.shape
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
                if a == 6:
                    output_6(at + c * FLOAT, a * step * FLOAT, step * FLOAT, dst, row, column)
                elif a == 4:
                    output_4(at + c * FLOAT, a * step * FLOAT, step * FLOAT, dst, row, column)
                else:
                    output_3(at + c * FLOAT, a * step * FLOAT, step * FLOAT, dst, row, column)
                if not whole:
                    for i in range(min(m, height - ty * m)):
                        for j in range(min(m, width - tx * m)):
                            for d in range(min(LANES, channels - c)):
                                y[image, ty * m + i, tx * m + j, c + d] = tile[i, j, d]


def as_matrices(room: np.ndarray, count: int, step: int, shape: tuple[int, ...]) -> np.ndarray:
    """Return scratch memory as `count` arrays of a shape, `step` floats apart."""
    strides = [FLOAT * math.prod(shape[i + 1 :]) for i in range(len(shape))]
    return np.lib.stride_tricks.as_strided(room, (count, *shape), (step * FLOAT, *strides))


def conv3x3(x: np.ndarray, w: np.ndarray, padding: tuple[int, int], m: int, turned: bool = False) -> np.ndarray:
    """y [M, Ho, Wo, Co] = x [M, H, W, Ci] convolved with w [3, 3, Ci, Co], stride 1, padding 0 to 2 on either axis.

    turned: with w [3, 3, Co, Ci] turned by 180 degrees and transposed, as the input gradient needs it.
    """
    images, height, width, channels_in = x.shape
    channels_out = w.shape[2 if turned else 3]
    out = (height + 2 * padding[0] - 2, width + 2 * padding[1] - 2)
    a = m + 2
    if (height, width, *padding) == (2, 2, 1, 1):
        m, a, padding = 2, 3, (0, 0)
    tiles_y, tiles_x = -(-out[0] // m), -(-out[1] // m)
    k, n = round_up(channels_in, LANES), round_up(channels_out, COLUMNS)
    if (k, n) != (channels_in, channels_out):
        more = ((0, k - channels_in), (0, n - channels_out))
        w = np.pad(w, ((0, 0), (0, 0), *(reversed(more) if turned else more)))
    positions = a**2
    u_step = k * n + SKEW
    y = aligned((images, *out, channels_out), np.float32)
    x = np.ascontiguousarray(x)
    # Each group reads the whole filter, and what it holds is to stay in the cache: as much of one as of the other.
    room = min(GROUP_BYTES, positions * k * n * FLOAT)
    most = max(1, min(images, room // (positions * tiles_y * tiles_x * k * FLOAT)))
    group = -(-images // -(-images // most))  # of one size
    rows = round_up(group * tiles_y * tiles_x, ROWS)
    v_step, step = rows * k + SKEW, rows * n + SKEW
    rooms = scratch(*(positions * each for each in (u_step, v_step, step)))
    shapes = (n // COLUMNS, k, COLUMNS), (rows, k), (rows, n)
    matrices = zip(rooms, (u_step, v_step, step), shapes, strict=True)
    u, v, products = (as_matrices(room, positions, each, shape) for room, each, shape in matrices)
    (transform_turned if turned else transform_filter)(np.ascontiguousarray(w), a, u, u_step)
    for first in range(0, images, group):
        part = slice(first, min(images, first + group))
        tiles = (part.stop - first) * tiles_y * tiles_x
        transform_input(x[part], m, a, padding, tiles_y, tiles_x, v, v_step)
        multiply(v, v_step, u, u_step, products, step, tiles)
        transform_output(products, step, m, a, tiles_y, tiles_x, y[part])
    return y
