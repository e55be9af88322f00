"""Weight gradient of a convolution from lists of spikes: a sum of rows of the output gradient, no product.

Output channels in blocks of `width` that stay in registers; the rows come from a tile of gradients with a border of
zeros, which fills a level-1 cache: a band of rows of a large image, or many small images.

    for images or band of rows, channel:  gw[:, :, channel] += sum over listed pixels of the rows of gy around
    (windows 3 wide: pixels that are neighbours are one, whose row is the sum of theirs)

Any kernel and padding, with stride 1. The forward pass: `conv_event`.
"""

import math

import numpy as np
from numba import prange

from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.cpu.conv_event import FLOAT, add_events, width_of
from snncore.kernels.cpu.events import Spikes, list_by_channel
from snncore.kernels.cpu.memory import aligned, scratch
from snncore.kernels.cpu.simd import AVX512
from snncore.kernels.cpu.simd_gather import make_copy, make_gather, make_gather_window, make_neighbour_sums

TILE = 1 << 15  # bytes of the rows of gradients that are gathered from: a level-1 cache
FEWEST = 5  # pairs of neighbours that both spike, at each pixel, for which the sums of neighbouring gradients are made
CHUNKS = 8  # parts into which the images are cut for the weight gradient, whatever the number of threads

gather_three_64, gather_three_32, gather_three_16 = make_gather(64, 3), make_gather(32, 3), make_gather(16, 3)
window_32, window_16 = make_gather_window(32), make_gather_window(16)
copy_64, copy_32, copy_16 = make_copy(64), make_copy(32), make_copy(16)
neighbours_64, neighbours_32, neighbours_16 = (make_neighbour_sums(width) for width in (64, 32, 16))
NINE = AVX512  # nine sums of 32 floats need 18 registers of 16 floats, or 36 of 8


@compiled()
def add_three(width, dst, dst_step, base, base_step, index, n):
    if width == 64:
        gather_three_64(dst, dst_step, base, base_step, index, n)
    elif width == 32:
        gather_three_32(dst, dst_step, base, base_step, index, n)
    else:
        gather_three_16(dst, dst_step, base, base_step, index, n)


@compiled()
def add_window(width, dst, base, row_step, index, n):
    if width == 32:
        window_32(dst, base, row_step, index, n)
    else:
        window_16(dst, base, row_step, index, n)


@compiled()
def copy_rows(width, dst, src, src_step, n):
    if width == 64:
        copy_64(dst, src, src_step, n)
    elif width == 32:
        copy_32(dst, src, src_step, n)
    else:
        copy_16(dst, src, src_step, n)


@compiled()
def add_neighbours(width, dst, src, n):
    if width == 64:
        neighbours_64(dst, src, n)
    elif width == 32:
        neighbours_32(dst, src, n)
    else:
        neighbours_16(dst, src, n)


@compiled(parallel=True)
def weight_sums(pointers, index, gy, kernel, padding, band, stack, pitch, size, pairs, width, chunks, gw):
    """Add the part of each stack of images to gw [co, chunks, Ci, kh, kw, width]; lists of `list_by_channel`.

    size: floats in a tile of rows of gy. pairs: whether behind it lies another, of the sums of each row and the next.
    """
    stacks, bands = pointers.shape[:2]
    channels_in = pointers.shape[2] - 1
    images, out_height, out_width, channels_out = gy.shape
    kh, kw = kernel
    # Row r, column c of an image in the tile are those of gy less `above` and `left`; what is not there is zero.
    above, left = padding[0] - (kh - 1), padding[1] - (kw - 1)
    start, stop = max(0, left), min(out_width, left + pitch[1])
    rows = (stack - 1) * pitch[0] + band + kh - 1
    lists, target, gradients = index.ctypes.data, gw.ctypes.data, gy.ctypes.data
    for item in prange(gw.shape[0] * chunks):
        co, chunk = item // chunks, item % chunks
        room = np.empty((size * 2 if pairs else size) + 16, np.float32)
        skip = (-room.ctypes.data % 64) // FLOAT  # to the next cache line
        tile = room[skip : skip + rows * pitch[1] * width].reshape(rows, pitch[1], width)
        room[:] = 0
        gw[co, chunk] = 0
        corner = tile.ctypes.data
        used = min(width, channels_out - co * width)
        for group in range(stacks * chunk // chunks, stacks * (chunk + 1) // chunks):
            for k in range(bands):
                for m in range(group * stack, min(images, (group + 1) * stack)):
                    for r in range(band + kh - 1):
                        i, row = k * band + r + above, tile[(m - group * stack) * pitch[0] + r]
                        if 0 <= i < out_height and used == width:
                            pixel = (m * out_height + i) * out_width + start
                            source = gradients + (pixel * channels_out + co * width) * FLOAT
                            place = row.ctypes.data + (start - left) * width * FLOAT
                            copy_rows(width, place, source, channels_out * FLOAT, stop - start)
                        elif 0 <= i < out_height:
                            row[start - left : stop - left, :used] = gy[
                                m, i, start:stop, co * width : co * width + used
                            ]
                        elif bands > 1:
                            row[:] = 0
                if pairs:
                    add_neighbours(width, corner + size * FLOAT, corner, size // width - 1)
                for c in range(channels_in):
                    begin = np.int64(pointers[group, k, c])
                    n = np.int64(pointers[group, k, c + 1]) - begin
                    if n == 0:
                        continue
                    if NINE and kh == 3 and kw == 3:
                        place = target + (item * channels_in + c) * 9 * width * FLOAT
                        base = corner + (2 * pitch[1] + 2) * width * FLOAT
                        add_window(width, place, base, pitch[1] * width * FLOAT, lists + begin * 4, n)
                        continue
                    for ky in range(kh):
                        place = target + (((item * channels_in + c) * kh + ky) * kw) * width * FLOAT
                        base = corner + ((kh - 1 - ky) * pitch[1] + kw - 1) * width * FLOAT
                        if kw == 3:
                            add_three(width, place, width * FLOAT, base, -width * FLOAT, lists + begin * 4, n)
                            continue
                        for kx in range(kw):
                            at = place + kx * width * FLOAT
                            add_events(width, at, base - kx * width * FLOAT, lists + begin * 4, n)


@compiled(parallel=True)
def add_chunks(gw, total):
    """Sum gw [co, chunks, Ci, kh, kw, width] over its chunks, in their order, into total [kh, kw, Ci, Co]."""
    blocks, chunks, channels_in, kh, kw, width = gw.shape
    for item in prange(blocks * channels_in):
        co, c = item // channels_in, item % channels_in
        for ky in range(kh):
            for kx in range(kw):
                row = total[ky, kx, c, co * width : min(total.shape[3], (co + 1) * width)]
                for k in range(chunks):
                    part = gw[co, k, c, ky, kx]
                    for i in range(len(row)):
                        row[i] = part[i] if k == 0 else row[i] + part[i]


def pairs_a_pixel(x: np.ndarray) -> float:
    """Mean over pixels of the channels of x [M, H, W, C] active there and in the next column; of about 8 images."""
    some = x[:: max(1, len(x) // 8)]
    return int(np.count_nonzero(np.minimum(some[:, :, 1:], some[:, :, :-1]))) / max(1, math.prod(some.shape[:3]))


def conv_backward_weight(
    spikes: Spikes, gy: np.ndarray, kernel: tuple[int, int], padding: tuple[int, int]
) -> np.ndarray:
    """gw [kh, kw, Ci, Co] as `reference.conv_backward_weight` with stride 1, in time proportional to the spikes."""
    images, height, width_in, channels_in = spikes.x.shape
    channels_out = gy.shape[-1]
    width = width_of(channels_out, 64 if AVX512 and kernel != (3, 3) else 32)
    # Neighbours share the zeros between them, those to the right of a row and to the left of the next.
    pitch = height + min(padding[0], kernel[0] - 1), width_in + min(padding[1], kernel[1] - 1)
    pairs = kernel[1] == 3 and pairs_a_pixel(spikes.x) >= FEWEST
    rows = max(1, TILE // (pitch[1] * width * FLOAT))
    stack, band = max(1, rows // pitch[0]), min(height, rows)
    starts = spikes.starts()
    pointers = np.empty((-(-images // stack), -(-height // band), channels_in + 1), np.int32)
    index = np.empty(max(1, starts[-1]), np.int32)
    size = (((stack - 1) * pitch[0] + band + kernel[0] - 1) * pitch[1] + kernel[1]) * width
    tiles = band, stack, pitch
    list_by_channel(spikes.x, starts, spikes.largest, *tiles, width * FLOAT, size * FLOAT * pairs, pointers, index)
    blocks = -(-channels_out // width)
    chunks = max(1, min(len(pointers), CHUNKS // blocks))
    shape = (blocks, chunks, channels_in, *kernel, width)
    gw = scratch(math.prod(shape))[0].reshape(shape)
    weight_sums(pointers, index, np.ascontiguousarray(gy), kernel, padding, *tiles, size, pairs, width, chunks, gw)
    total = aligned((*kernel, channels_in, channels_out), np.float32)
    add_chunks(gw, total)
    return total
