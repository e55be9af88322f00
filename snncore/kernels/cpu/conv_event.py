"""Convolution forward from lists of spikes: a sum of rows of weights, no product.

Layout: output channels in blocks of `WIDTH` that stay in registers; input channels in blocks of 64, so that the rows of
weights under one kernel row (3 * 64 * 64 * 4 = 48 KiB for 3 columns) stay in the level-1 or level-2 cache while
`PIXELS` output pixels go by.

    for pixels, output block, input block, ky:  y[pixel] += sum over listed events of w[ky, kx, channel]
    (windows 3 wide, with AVX-512: pixels by pairs, and a row of weights that both list is read once)

Any kernel, stride and padding. The gradient of the weights: `conv_event_weight`.
"""

import numpy as np
from numba import prange

from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.cpu.events import BLOCK, Spikes, list_by_pair, list_by_pixel
from snncore.kernels.cpu.memory import aligned, round_up
from snncore.kernels.cpu.order import step_through
from snncore.kernels.cpu.simd import AVX512
from snncore.kernels.cpu.simd_gather import make_gather, make_row
from snncore.kernels.reference.conv import conv_output_size

PIXELS = 512  # output pixels that one block of weights serves in a row: 128 KiB of sums, half a level-2 cache
FLOAT = 4  # bytes

gather_64, gather_32, gather_16 = make_gather(64, 1), make_gather(32, 1), make_gather(16, 1)
row_64, row_32, row_16 = make_row(64), make_row(32), make_row(16)
ROLL_64 = AVX512  # three sums of 64 floats need 12 registers of 16 floats, or 24 of 8, which AVX2 does not have


def width_of(channels: int, widest: int = 64) -> int:
    """Floats in a block of output channels: of 64, 32 and 16 the widest that wastes least."""
    return min((w for w in (64, 32, 16) if w <= widest), key=lambda w: (round_up(channels, w), -w))


@compiled()
def add_events(width, dst, base, index, n):
    if width == 64:
        gather_64(dst, 0, base, 0, index, n)
    elif width == 32:
        gather_32(dst, 0, base, 0, index, n)
    else:
        gather_16(dst, 0, base, 0, index, n)


@compiled()
def add_row(width, dst, dst_step, slab, slab_step, index, pointers, n):
    if width == 64:
        row_64(dst, dst_step, slab, slab_step, index, pointers, n)
    elif width == 32:
        row_32(dst, dst_step, slab, slab_step, index, pointers, n)
    else:
        row_16(dst, dst_step, slab, slab_step, index, pointers, n)


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
