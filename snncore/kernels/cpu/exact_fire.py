"""Exact convolution of spikes, batch normalisation and LIF in one pass, as `conv_fire` does it with floats.

The sums are those of `exact_event`: integers in 32-bit lanes, blocks of input channels joined in float64; on the way to
the neuron they are rounded to float32 and scaled, in registers.
"""

import numpy as np
from numba import prange

from snncore.firing import Firing
from snncore.kernels.cpu.batch_norm_lif import batch_norm_lif_forward
from snncore.kernels.cpu.compiled import compiled
from snncore.kernels.cpu.conv import Pair, worth_listing
from snncore.kernels.cpu.conv_event import FLOAT, PIXELS, width_of
from snncore.kernels.cpu.conv_fire import fuses, seen, spikes_of
from snncore.kernels.cpu.exact import BREAK_EVEN, dense_kernel, exact_conv_forward
from snncore.kernels.cpu.exact_event import add_events, add_row, fits
from snncore.kernels.cpu.exact_weights import kept, pack_for_events
from snncore.kernels.cpu.simd import DOUBLE, INT32
from snncore.kernels.cpu.simd_fire import make_fire

narrow_64, narrow_32, narrow_16 = (make_fire(width, INT32) for width in (64, 32, 16))
wide_64, wide_32, wide_16 = (make_fire(width, DOUBLE) for width in (64, 32, 16))


@compiled()
def fire_narrow(width, x, x_step, norm, norm_step, decay, v_threshold, hard, v_reset, s, s_step, steps):
    if width == 64:
        narrow_64(x, x_step, norm, norm_step, decay, v_threshold, hard, v_reset, s, s_step, steps)
    elif width == 32:
        narrow_32(x, x_step, norm, norm_step, decay, v_threshold, hard, v_reset, s, s_step, steps)
    else:
        narrow_16(x, x_step, norm, norm_step, decay, v_threshold, hard, v_reset, s, s_step, steps)


@compiled()
def fire_wide(width, x, x_step, norm, norm_step, decay, v_threshold, hard, v_reset, s, s_step, steps):
    if width == 64:
        wide_64(x, x_step, norm, norm_step, decay, v_threshold, hard, v_reset, s, s_step, steps)
    elif width == 32:
        wide_32(x, x_step, norm, norm_step, decay, v_threshold, hard, v_reset, s, s_step, steps)
    else:
        wide_16(x, x_step, norm, norm_step, decay, v_threshold, hard, v_reset, s, s_step, steps)


@compiled(parallel=True, exact=True)
def exact_spike_rows(
    pointers, index, weights, kw, stride, padding, roll, norm, decay, v_threshold, hard, v_reset, s
):  # fmt: skip
    """Write s [T, N, Ho, Wo, co * width]; weights int32; norm: also 2^-p; the rest as `conv_fire.spike_rows`."""
    height, width_in = pointers.shape[2], pointers.shape[3] - 1
    steps, samples, out_height, out_width, channels = s.shape
    blocks_out, blocks_in, kh, taps, width = weights.shape
    rows = max(1, PIXELS // (out_width * steps))
    total = samples * out_height
    lists, ends, slabs = index.ctypes.data, pointers.ctypes.data, weights.ctypes.data
    target, norms = s.ctypes.data, norm.ctypes.data
    pixel_bytes, tap_bytes = width * FLOAT, taps // kw * width * FLOAT
    line_bytes = out_width * pixel_bytes
    for item in prange((total + rows - 1) // rows * blocks_out):
        group, co = item // blocks_out, item % blocks_out
        first, last = group * rows, min(total, (group + 1) * rows)
        size = (last - first) * steps * out_width * width
        room = np.empty(size + 16, np.int32)
        skip = (-room.ctypes.data % 64) // FLOAT  # to the next cache line
        part = room[skip : skip + size]
        sums = part.ctypes.data
        wide = np.empty(size if blocks_in > 1 else 0, np.float64)
        for ci in range(blocks_in):
            part[:] = 0
            for ky in range(kh):
                slab = slabs + ((co * blocks_in + ci) * kh + ky) * taps * width * FLOAT
                for r in range(first, last):
                    i = (r % out_height) * stride[0] + ky - padding[0]
                    if i < 0 or i >= height:
                        continue
                    for t in range(steps):
                        m = t * samples + r // out_height
                        place = sums + ((r - first) * steps + t) * line_bytes
                        if roll:
                            line = ((ci * steps * samples + m) * height + i) * pointers.shape[3]
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
        x, x_size = (wide.ctypes.data, 2 * FLOAT) if blocks_in > 1 else (sums, FLOAT)
        line, n = out_width * width * x_size, channels * FLOAT  # from a row to the next, of sums and of constants
        place, step = norms + co * pixel_bytes, total * out_width * channels
        for r in range(first, last):
            for j in range(out_width):
                at = x + ((r - first) * steps * out_width + j) * width * x_size
                out = target + (r * out_width + j) * channels + co * width
                if blocks_in > 1:
                    fire_wide(width, at, line, place, n, decay, v_threshold, hard, v_reset, out, step, steps)
                else:
                    fire_narrow(width, at, line, place, n, decay, v_threshold, hard, v_reset, out, step, steps)
        part[0] = 0  # Numba frees an array after the last line that names it
        if blocks_in > 1:
            wide[0] = 0


def exact_conv_batch_norm_lif_forward(
    x: np.ndarray,
    w: np.ndarray,
    stride: Pair,
    padding: Pair,
    mean: np.ndarray,
    inv_std: np.ndarray,
    gamma: np.ndarray,
    beta: np.ndarray,
    firing: Firing,
) -> np.ndarray:
    """Spikes [T, N, Ho, Wo, Co] as `reference.exact_conv_batch_norm_lif_forward`; dense input kernel by kernel."""
    if fuses(x, w, stride, padding, gamma, beta):
        spikes, width = seen(x), width_of(w.shape[3])
        if worth_listing(spikes, BREAK_EVEN[dense_kernel(spikes.largest, w, stride)]):
            packed = kept(w, ("events", width), lambda w: pack_for_events(w, width))
            if packed is not None and fits(spikes, packed):
                norm = (mean, gamma * inv_std, beta, packed.scale)
                return spikes_of(exact_spike_rows, spikes, packed, x, w, stride, padding, norm, firing)
    y = exact_conv_forward(x.reshape(-1, *x.shape[2:]), w, stride, padding)
    return batch_norm_lif_forward(y.reshape(*x.shape[:2], *y.shape[1:]), mean, inv_std, gamma, beta, firing)
