"""Convolution forward and weight gradient from lists of spikes: a sum of rows of weights, or of gradients, no product.

Layout: output channels in blocks of `WIDTH` that stay in registers; input channels in blocks of 64, so that the rows of
weights under one kernel row (3 * 64 * 64 * 4 = 48 KiB for 3 columns) stay in the level-1 or level-2 cache while
`PIXELS` output pixels go by.

    forward:  for pixels, output block, input block, ky:  y[pixel] += sum over listed events of w[ky, kx, channel]
              (windows 3 wide, with AVX-512: pixels by pairs, and a row of weights that both list is read once)
    weights:  for images or band of rows, channel: gw[:, :, channel] += sum over listed pixels of the rows of gy around
              (windows 3 wide: pixels that are neighbours are one, whose row is the sum of theirs)

The first takes any kernel, stride and padding; the second any kernel and padding with stride 1.
"""

import math

import numpy as np
from numba import prange

from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.cpu.events import BLOCK, Spikes, list_by_channel, list_by_pair, list_by_pixel
from snncore.kernels.cpu.memory import aligned, round_up, scratch
from snncore.kernels.cpu.order import step_through
from snncore.kernels.cpu.simd import AVX512
from snncore.kernels.cpu.simd_gather import make_copy, make_gather, make_gather_window, make_neighbour_sums, make_row
from snncore.kernels.reference.conv import conv_output_size

PIXELS = 512  # output pixels that one block of weights serves in a row: 128 KiB of sums, half a level-2 cache
TILE = 1 << 15  # bytes of the rows of gradients that are gathered from: a level-1 cache
FEWEST = 5  # pairs of neighbours that both spike, at each pixel, for which the sums of neighbouring gradients are made
CHUNKS = 8  # parts into which the images are cut for the weight gradient, whatever the number of threads
FLOAT = 4  # bytes

gather_64, gather_32, gather_16 = make_gather(64, 1), make_gather(32, 1), make_gather(16, 1)
gather_three_64, gather_three_32, gather_three_16 = make_gather(64, 3), make_gather(32, 3), make_gather(16, 3)
window_32, window_16 = make_gather_window(32), make_gather_window(16)
copy_64, copy_32, copy_16 = make_copy(64), make_copy(32), make_copy(16)
neighbours_64, neighbours_32, neighbours_16 = (make_neighbour_sums(width) for width in (64, 32, 16))
row_64, row_32, row_16 = make_row(64), make_row(32), make_row(16)
NINE = AVX512  # nine sums of 32 floats need 18 registers of 16 floats, or 36 of 8
ROLL_64 = AVX512  # three sums of 64 floats need 12 registers of 16 floats, or 24 of 8, which AVX2 does not have


def width_of(channels: int, widest: int = 64) -> int:
    """Floats in a block of output channels: of 64, 32 and 16 the widest that wastes least."""
    return min((w for w in (64, 32, 16) if w <= widest), key=lambda w: (round_up(channels, w), -w))


@compiled(inline=True)
def add_events(width, dst, base, index, n):
    if width == 64:
        gather_64(dst, 0, base, 0, index, n)
    elif width == 32:
        gather_32(dst, 0, base, 0, index, n)
    else:
        gather_16(dst, 0, base, 0, index, n)


@compiled(inline=True)
def add_three(width, dst, dst_step, base, base_step, index, n):
    if width == 64:
        gather_three_64(dst, dst_step, base, base_step, index, n)
    elif width == 32:
        gather_three_32(dst, dst_step, base, base_step, index, n)
    else:
        gather_three_16(dst, dst_step, base, base_step, index, n)


@compiled(inline=True)
def add_window(width, dst, base, row_step, index, n):
    if width == 32:
        window_32(dst, base, row_step, index, n)
    else:
        window_16(dst, base, row_step, index, n)


@compiled(inline=True)
def add_row(width, dst, dst_step, slab, slab_step, index, pointers, n):
    if width == 64:
        row_64(dst, dst_step, slab, slab_step, index, pointers, n)
    elif width == 32:
        row_32(dst, dst_step, slab, slab_step, index, pointers, n)
    else:
        row_16(dst, dst_step, slab, slab_step, index, pointers, n)


@compiled(inline=True)
def copy_rows(width, dst, src, src_step, n):
    if width == 64:
        copy_64(dst, src, src_step, n)
    elif width == 32:
        copy_32(dst, src, src_step, n)
    else:
        copy_16(dst, src, src_step, n)


@compiled(inline=True)
def add_neighbours(width, dst, src, n):
    if width == 64:
        neighbours_64(dst, src, n)
    elif width == 32:
        neighbours_32(dst, src, n)
    else:
        neighbours_16(dst, src, n)


@compiled(parallel=True)
def forward_rows(pointers, index, weights, kw, stride, padding, roll, y):
    """Write y [M, Ho, Wo, co * width], channels by blocks of PIXELS pixels; weights as of `pack_weights`."""
    images, height, width_in = pointers.shape[1], pointers.shape[2], pointers.shape[3] - 1
    out_height, out_width, channels = y.shape[1:]
    blocks_out, blocks_in, kh, taps, width = weights.shape
    rows = max(1, PIXELS // out_width)
    total = images * out_height
    target, lists, ends, slabs = y.ctypes.data, index.ctypes.data, pointers.ctypes.data, weights.ctypes.data
    pixel_bytes, tap_bytes = channels * FLOAT, taps // kw * width * FLOAT
    # Many small images may be one group of rows: blocks of output channels are work for threads, too.
    groups = (total + rows - 1) // rows
    step = step_through(groups)
    for item in prange(groups * blocks_out):
        group, co = item // blocks_out * step % groups, item % blocks_out
        first, last = group * rows, min(total, (group + 1) * rows)
        for r in range(first, last):
            y[r // out_height, r % out_height, :, co * width : (co + 1) * width] = 0
        for ci in range(blocks_in):
            for ky in range(kh):
                slab = slabs + ((co * blocks_in + ci) * kh + ky) * taps * width * FLOAT
                for r in range(first, last):
                    m = r // out_height
                    i = (r % out_height) * stride[0] + ky - padding[0]
                    if i < 0 or i >= height:
                        continue
                    place = target + r * out_width * pixel_bytes + co * width * FLOAT
                    if roll:
                        line = ((ci * images + m) * height + i) * pointers.shape[3]
                        add_row(width, place, pixel_bytes, slab, tap_bytes, lists, ends + line * 4, out_width)
                        continue
                    for j in range(out_width):
                        left = j * stride[1] - padding[1]
                        start = np.int64(pointers[ci, m, i, min(width_in, max(0, left))])
                        stop = np.int64(pointers[ci, m, i, max(0, min(width_in, left + kw))])
                        base = slab - left * tap_bytes
                        add_events(width, place + j * pixel_bytes, base, lists + start * 4, stop - start)


@compiled(parallel=True)
def copy_blocks(w, block, packed):
    """Copy w [kh, kw, Ci, Co] into packed [co, ci, kh, kw * block, width], zeros where there is no such channel."""
    kh, kw, channels_in, channels_out = w.shape
    width = packed.shape[4]
    for item in prange(packed.shape[0] * packed.shape[1]):
        co, ci = item // packed.shape[1], item % packed.shape[1]
        used = min(width, channels_out - co * width)
        for ky in range(kh):
            for kx in range(kw):
                for c in range(block):
                    row = packed[co, ci, ky, kx * block + c]
                    row[used:] = 0
                    if ci * block + c < channels_in:
                        row[:used] = w[ky, kx, ci * block + c, co * width : co * width + used]
                    else:
                        row[:] = 0


def pack_weights(w: np.ndarray, width: int) -> np.ndarray:
    """Return w [kh, kw, Ci, Co] as [co, ci, kh, kw * block, width], with blocks of min(64, Ci) input channels."""
    kh, kw, channels_in, channels_out = w.shape
    block = min(BLOCK, channels_in)
    packed = aligned((-(-channels_out // width), -(-channels_in // block), kh, kw * block, width), np.float32)
    copy_blocks(np.ascontiguousarray(w), block, packed)
    return packed


def list_rows(
    spikes: Spikes, kw: int, stride: tuple[int, int], padding: tuple[int, int], width: int
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return (pointers, index, roll): lists of events for a window of kw columns and rows of `width` weights.

    roll: sums of neighbouring pixels stay in registers while a row goes by (`make_row`); the lists are then those of
    `list_by_pair` with AVX-512, and else of `list_by_pixel` with the same offsets for all columns. Without it the
    lists of a window are one stretch, for a gather, which tells the columns apart by the offset.
    """
    images, height, width_in, channels_in = spikes.x.shape
    starts = spikes.starts()
    roll = kw == 3 and stride[1] == 1 and padding[1] == 1 and (ROLL_64 or width < 64)
    lists = 3 * -(-width_in // 2) if roll and AVX512 else width_in
    pointers = np.empty((-(-channels_in // BLOCK), images, height, lists + 1), np.int32)
    index = np.empty(max(1, starts[-1]), np.int32)
    if roll and AVX512:
        list_by_pair(spikes.x, starts, width * FLOAT, pointers, index)
    else:
        column_step = 0 if roll else min(BLOCK, channels_in)
        list_by_pixel(spikes.x, starts, column_step, width * FLOAT, pointers, index)
    return pointers, index, roll


def conv_forward(spikes: Spikes, w: np.ndarray, stride: tuple[int, int], padding: tuple[int, int]) -> np.ndarray:
    """y [M, Ho, Wo, Co] as `reference.conv_forward`, in time proportional to the number of spikes."""
    kh, kw, _, channels_out = w.shape
    images, height, width_in, _ = spikes.x.shape
    width = width_of(channels_out)
    out = (conv_output_size(height, kh, stride[0], padding[0]), conv_output_size(width_in, kw, stride[1], padding[1]))
    pointers, index, roll = list_rows(spikes, kw, stride, padding, width)
    y = aligned((images, *out, round_up(channels_out, width)), np.float32)
    forward_rows(pointers, index, pack_weights(w, width), kw, stride, padding, roll, y)
    return y if y.shape[-1] == channels_out else np.ascontiguousarray(y[..., :channels_out])


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
