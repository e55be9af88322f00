"""Convolution forward and weight gradient from lists of spikes: a sum of rows of weights, or of gradients, no product.

Layout: output channels in blocks of `WIDTH` that stay in registers; input channels in blocks of 64, so that the rows of
weights under one kernel row (3 * 64 * 64 * 4 = 48 KiB for 3 columns) stay in the level-1 or level-2 cache while
`PIXELS` output pixels go by.

    forward:  for pixels, output block, input block, ky:  y[pixel] += sum over listed events of w[ky, kx, channel]
    weights:  for image, band of rows, channel, ky, kx:   gw[ky, kx, channel] += sum over listed pixels of gy[pixel]

The first takes any kernel, stride and padding; the second any kernel and padding with stride 1.
"""

import numpy as np
from numba import prange

from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.cpu.events import BLOCK, Spikes, list_by_channel, list_by_pixel
from snncore.kernels.cpu.memory import aligned, round_up
from snncore.kernels.cpu.simd import AVX512, make_gather, make_row_of_three
from snncore.kernels.reference.conv import conv_output_size

PIXELS = 512  # output pixels that one block of weights serves in a row: 128 KiB of sums, half a level-2 cache
CHUNKS = 8  # parts into which the images are cut for the weight gradient, whatever the number of threads
FLOAT = 4  # bytes

gather_64, gather_32, gather_16 = make_gather(64, 1), make_gather(32, 1), make_gather(16, 1)
gather_three_64, gather_three_32, gather_three_16 = make_gather(64, 3), make_gather(32, 3), make_gather(16, 3)
row_64, row_32, row_16 = make_row_of_three(64), make_row_of_three(32), make_row_of_three(16)
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
def add_row(width, dst, dst_step, slab, slab_step, index, pointers, n):
    if width == 64:
        row_64(dst, dst_step, slab, slab_step, index, pointers, n)
    elif width == 32:
        row_32(dst, dst_step, slab, slab_step, index, pointers, n)
    else:
        row_16(dst, dst_step, slab, slab_step, index, pointers, n)


@compiled(parallel=True)
def forward_rows(pointers, index, weights, kw, stride, padding, roll, y):
    """Write y [M, Ho, Wo, co * width], rows of PIXELS pixels at a time; weights as `pack_weights` returns them."""
    images, height, width_in = pointers.shape[1], pointers.shape[2], pointers.shape[3] - 1
    out_height, out_width, channels = y.shape[1:]
    blocks_out, blocks_in, kh, taps, width = weights.shape
    rows = max(1, PIXELS // out_width)
    total = images * out_height
    target, lists, ends, slabs = y.ctypes.data, index.ctypes.data, pointers.ctypes.data, weights.ctypes.data
    pixel_bytes, tap_bytes = channels * FLOAT, taps // kw * width * FLOAT
    for group in prange((total + rows - 1) // rows):
        first, last = group * rows, min(total, (group + 1) * rows)
        for co in range(blocks_out):
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
                            line = ((ci * images + m) * height + i) * (width_in + 1)
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


def conv_forward(spikes: Spikes, w: np.ndarray, stride: tuple[int, int], padding: tuple[int, int]) -> np.ndarray:
    """y [M, Ho, Wo, Co] as `reference.conv_forward`, in time proportional to the number of spikes."""
    kh, kw, channels_in, channels_out = w.shape
    images, height, width_in, _ = spikes.x.shape
    width = width_of(channels_out)
    out = (conv_output_size(height, kh, stride[0], padding[0]), conv_output_size(width_in, kw, stride[1], padding[1]))
    weights = pack_weights(w, width)
    starts = spikes.starts()
    pointers = np.empty((weights.shape[1], images, height, width_in + 1), np.int32)
    index = np.empty(max(1, starts[-1]), np.int32)
    roll = kw == 3 and stride[1] == 1 and padding[1] == 1 and (ROLL_64 or width < 64)
    column_step = 0 if roll else min(BLOCK, channels_in)  # a gather tells its columns apart by the offset
    list_by_pixel(spikes.x, starts, column_step, width * FLOAT, pointers, index)
    y = aligned((images, *out, round_up(channels_out, width)), np.float32)
    forward_rows(pointers, index, weights, kw, stride, padding, roll, y)
    return y if y.shape[-1] == channels_out else np.ascontiguousarray(y[..., :channels_out])


@compiled(parallel=True)
def weight_sums(pointers, index, gy, kernel, padding, band, width, chunks, gw):
    """Add each image's part to gw [co, chunks, Ci, kh, kw, width]; lists of `list_by_channel`."""
    images, bands = pointers.shape[:2]
    channels_in = pointers.shape[2] - 1
    out_height, out_width, channels_out = gy.shape[1:]
    kh, kw = kernel
    padded_width = out_width + 2 * kw  # columns of zeros on either side for every tap
    lists, target = index.ctypes.data, gw.ctypes.data
    for item in prange(gw.shape[0] * chunks):
        co, chunk = item // chunks, item % chunks
        stage = np.empty(((band + kh - 1) * padded_width + 1) * width + 16, np.float32)
        skip = (-stage.ctypes.data % 64) // FLOAT  # to the next cache line
        tile = stage[skip : skip + (band + kh - 1) * padded_width * width].reshape(band + kh - 1, padded_width, width)
        tile[...] = 0
        corner = tile.ctypes.data
        used = min(width, channels_out - co * width)
        for m in range(images * chunk // chunks, images * (chunk + 1) // chunks):
            for k in range(bands):
                for r in range(band + kh - 1):  # rows of gy that the rows of this band reach
                    i = k * band + r - (kh - 1) + padding[0]
                    if i < 0 or i >= out_height:
                        tile[r, kw : kw + out_width] = 0
                    else:
                        tile[r, kw : kw + out_width, :used] = gy[m, i, :, co * width : co * width + used]
                for c in range(channels_in):
                    start = np.int64(pointers[m, k, c])
                    n = np.int64(pointers[m, k, c + 1]) - start
                    if n == 0:
                        continue
                    for ky in range(kh):
                        place = target + (((item * channels_in + c) * kh + ky) * kw) * width * FLOAT
                        base = corner + ((kh - 1 - ky) * padded_width + kw + padding[1]) * width * FLOAT
                        if kw == 3:
                            add_three(width, place, width * FLOAT, base, -width * FLOAT, lists + start * 4, n)
                            continue
                        for kx in range(kw):
                            at = place + kx * width * FLOAT
                            add_events(width, at, base - kx * width * FLOAT, lists + start * 4, n)


@compiled(parallel=True)
def add_chunks(gw, total):
    """Sum gw [co, chunks, Ci, kh, kw, width] over its chunks, in their order, into total [kh, kw, Ci, Co]."""
    blocks, chunks, channels_in, kh, kw, width = gw.shape
    for item in prange(blocks * channels_in):
        co, c = item // channels_in, item % channels_in
        for ky in range(kh):
            for kx in range(kw):
                row = total[ky, kx, c, co * width : min(total.shape[3], (co + 1) * width)]
                for i in range(len(row)):
                    value = gw[co, 0, c, ky, kx, i]
                    for k in range(1, chunks):
                        value += gw[co, k, c, ky, kx, i]
                    row[i] = value


def conv_backward_weight(
    spikes: Spikes, gy: np.ndarray, kernel: tuple[int, int], padding: tuple[int, int]
) -> np.ndarray:
    """gw [kh, kw, Ci, Co] as `reference.conv_backward_weight` with stride 1, in time proportional to the spikes."""
    images, height, width_in, channels_in = spikes.x.shape
    channels_out = gy.shape[-1]
    width = width_of(channels_out, 64 if AVX512 else 32)
    band = max(1, min(height, PIXELS // 4 // width_in))
    starts = spikes.starts()
    pointers = np.empty((images, -(-height // band), channels_in + 1), np.int32)
    index = np.empty(max(1, starts[-1]), np.int32)
    list_by_channel(spikes.x, starts, band, gy.shape[2] + 2 * kernel[1], width * FLOAT, pointers, index)
    blocks = -(-channels_out // width)
    chunks = max(1, min(images, CHUNKS // blocks))
    gw = aligned((blocks, chunks, channels_in, *kernel, width), np.float32, zero=True)
    weight_sums(pointers, index, np.ascontiguousarray(gy), kernel, padding, band, width, chunks, gw)
    total = aligned((*kernel, channels_in, channels_out), np.float32)
    add_chunks(gw, total)
    return total
