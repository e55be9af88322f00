"""Exact convolution from lists of spikes: sums of rows of integers in 32-bit lanes, as `conv_event` sums floats.

Layout and order of the loops are those of `conv_event`, with the sums of `PIXELS` output pixels and one block of output
channels in a thread's own room. Under one block of 64 input channels no sum can leave 32 bits (`fits`); between blocks
they are added in float64, exactly, and at the end rounded to float32 and multiplied by the power of two.
"""

import numpy as np
from numba import prange

from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.cpu.conv_event import FLOAT, PIXELS, list_rows, width_of
from snncore.kernels.cpu.events import Spikes
from snncore.kernels.cpu.exact_weights import Packed
from snncore.kernels.cpu.memory import aligned, round_up
from snncore.kernels.cpu.order import step_through
from snncore.kernels.cpu.simd import INT32
from snncore.kernels.cpu.simd_gather import make_gather, make_row
from snncore.kernels.reference.conv import conv_output_size

f32 = np.float32
gather_64, gather_32, gather_16 = (make_gather(width, 1, INT32) for width in (64, 32, 16))
row_64, row_32, row_16 = (make_row(width, INT32) for width in (64, 32, 16))


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


@compiled(parallel=True, exact=True)
def sum_rows(pointers, index, weights, scale, kw, stride, padding, roll, y):
    """Write y [M, Ho, Wo, co * width], channels by blocks of PIXELS pixels; weights int32, scale [co * width]."""
    images, height, width_in = pointers.shape[1], pointers.shape[2], pointers.shape[3] - 1
    out_height, out_width, channels = y.shape[1:]
    blocks_out, blocks_in, kh, taps, width = weights.shape
    rows = max(1, PIXELS // out_width)
    total = images * out_height
    lists, ends, slabs = index.ctypes.data, pointers.ctypes.data, weights.ctypes.data
    pixel_bytes, tap_bytes = width * FLOAT, taps // kw * width * FLOAT
    flat = y.reshape(total * out_width, channels)
    groups = (total + rows - 1) // rows
    step = step_through(groups)
    for item in prange(groups * blocks_out):
        group, co = item // blocks_out * step % groups, item % blocks_out
        first, last = group * rows, min(total, (group + 1) * rows)
        size = (last - first) * out_width * width
        room = np.empty(size + 16, np.int32)
        skip = (-room.ctypes.data % 64) // FLOAT  # to the next cache line
        part = room[skip : skip + size]
        target = part.ctypes.data
        wide = np.empty(size if blocks_in > 1 else 0, np.float64)
        for ci in range(blocks_in):
            part[:] = 0
            for ky in range(kh):
                slab = slabs + ((co * blocks_in + ci) * kh + ky) * taps * width * FLOAT
                for r in range(first, last):
                    m = r // out_height
                    i = (r % out_height) * stride[0] + ky - padding[0]
                    if i < 0 or i >= height:
                        continue
                    place = target + (r - first) * out_width * pixel_bytes
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
            if blocks_in > 1 and ci == 0:
                for k in range(size):
                    wide[k] = part[k]
            elif blocks_in > 1:
                for k in range(size):
                    wide[k] += part[k]
        factor = scale[co * width : (co + 1) * width]
        for pixel in range((last - first) * out_width):
            out = flat[first * out_width + pixel, co * width : (co + 1) * width]
            if blocks_in > 1:
                sums = wide[pixel * width : (pixel + 1) * width]
                for k in range(width):
                    out[k] = f32(sums[k]) * factor[k]
            else:
                narrow = part[pixel * width : (pixel + 1) * width]
                for k in range(width):
                    out[k] = f32(narrow[k]) * factor[k]


def fits(spikes: Spikes, packed: Packed) -> bool:
    """Whether no sum over a block can leave 32 bits: always for spikes up to 2."""
    return spikes.largest * packed.most < 1 << 31


def conv_forward(
    spikes: Spikes, packed: Packed, channels_out: int, kw: int, stride: tuple[int, int], padding: tuple[int, int]
) -> np.ndarray:
    """y [M, Ho, Wo, Co] as `reference.exact_conv_forward`, in time proportional to the number of spikes.

    packed: from `pack_for_events`, with the width of `width_of(channels_out)`.
    """
    images, height, width_in, _ = spikes.x.shape
    blocks_out, _, kh, _, width = packed.weights.shape
    out = (conv_output_size(height, kh, stride[0], padding[0]), conv_output_size(width_in, kw, stride[1], padding[1]))
    pointers, index, roll = list_rows(spikes, kw, stride, padding, width)
    y = aligned((images, *out, round_up(channels_out, width)), np.float32)
    scale = np.zeros(blocks_out * width, np.float32)
    scale[:channels_out] = packed.scale
    sum_rows(pointers, index, packed.weights, scale, kw, stride, padding, roll, y)
    return y if y.shape[-1] == channels_out else np.ascontiguousarray(y[..., :channels_out])


__all__ = ["conv_forward", "fits", "width_of"]
