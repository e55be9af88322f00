"""Convolution of spikes, batch normalisation and LIF in one pass: the currents are never in memory.

Layout: an item of `prange` is a block of output channels of some rows of pixels, of all timesteps. Its currents are
sums of listed rows of weights as in `conv_event`, at most `PIXELS` * width floats of the thread's own (128 KiB), or one
row of pixels. They stay in the level-2 cache; from there the membranes of all timesteps run in registers (`simd_fire`),
and what is written is the spikes, a byte each. The sums have the order of `conv_event` (in `exact_fire` they are the
integers of `exact_event`) and the neuron the operations of `batch_norm_lif`: the bits of the operations one by one.
"""

import numpy as np
from numba import prange

from snncore.firing import Firing
from snncore.kernels.cpu.batch_norm_lif import batch_norm_lif_forward, runs_here
from snncore.kernels.cpu.compiled import Kernel, compiled
from snncore.kernels.cpu.conv import BREAK_EVEN, Pair, conv_forward, worth_listing
from snncore.kernels.cpu.conv_event import FLOAT, PIXELS, add_events, add_row, list_rows, pack_weights, width_of
from snncore.kernels.cpu.events import Spikes, look_at
from snncore.kernels.cpu.exact_weights import Packed, kept
from snncore.kernels.cpu.finite import are_finite
from snncore.kernels.cpu.membrane import constants
from snncore.kernels.cpu.memory import aligned, round_up
from snncore.kernels.cpu.simd_fire import make_fire
from snncore.kernels.reference.conv import conv_output_size
from snncore.surrogate import spike_dtype

LONGEST = 2048  # pixels of a row, of all timesteps, whose currents stay in a level-2 cache: 512 KiB
fire_64, fire_32, fire_16 = (make_fire(width) for width in (64, 32, 16))


@compiled()
def fire(width, x, x_step, norm, norm_step, decay, v_threshold, hard, v_reset, s, s_step, steps):
    if width == 64:
        fire_64(x, x_step, norm, norm_step, decay, v_threshold, hard, v_reset, s, s_step, steps)
    elif width == 32:
        fire_32(x, x_step, norm, norm_step, decay, v_threshold, hard, v_reset, s, s_step, steps)
    else:
        fire_16(x, x_step, norm, norm_step, decay, v_threshold, hard, v_reset, s, s_step, steps)


@compiled(parallel=True)
def spike_rows(pointers, index, weights, kw, stride, padding, roll, norm, decay, v_threshold, hard, v_reset, s):
    """Write s [T, N, Ho, Wo, co * width]; norm: [3, co * width]; the rest as `conv_event.forward_rows`."""
    height, width_in = pointers.shape[2], pointers.shape[3] - 1
    steps, samples, out_height, out_width, channels = s.shape
    blocks_out, blocks_in, kh, taps, width = weights.shape
    rows = max(1, PIXELS // (out_width * steps))
    total = samples * out_height
    lists, ends, slabs = index.ctypes.data, pointers.ctypes.data, weights.ctypes.data
    target, norms = s.ctypes.data, norm.ctypes.data
    pixel_bytes, tap_bytes = width * FLOAT, taps // kw * width * FLOAT
    line_bytes = out_width * pixel_bytes  # of currents, from one timestep of a row of pixels to the next
    for item in prange((total + rows - 1) // rows * blocks_out):
        group, co = item // blocks_out, item % blocks_out
        first, last = group * rows, min(total, (group + 1) * rows)
        size = (last - first) * steps * out_width * width
        room = np.zeros(size + 16, np.float32)
        currents = room.ctypes.data + -room.ctypes.data % 64  # on a cache line
        for ci in range(blocks_in):
            for ky in range(kh):
                slab = slabs + ((co * blocks_in + ci) * kh + ky) * taps * width * FLOAT
                for r in range(first, last):
                    i = (r % out_height) * stride[0] + ky - padding[0]
                    if i < 0 or i >= height:
                        continue
                    for t in range(steps):
                        m = t * samples + r // out_height
                        place = currents + ((r - first) * steps + t) * line_bytes
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
        for r in range(first, last):
            for j in range(out_width):
                x = currents + (r - first) * steps * line_bytes + j * pixel_bytes
                out = target + (r * out_width + j) * channels + co * width
                place = norms + co * pixel_bytes
                step = total * out_width * channels
                fire(width, x, line_bytes, place, channels * FLOAT, decay, v_threshold, hard, v_reset, out, step, steps)
        room[0] = 0  # Numba frees an array after the last line that names it


def out_size(x: np.ndarray, w: np.ndarray, stride: Pair, padding: Pair) -> Pair:
    """Height and width of the output for x [..., H, W, Ci] and w [kh, kw, Ci, Co]."""
    height, width = map(conv_output_size, x.shape[-3:-1], w.shape[:2], stride, padding)
    return height, width


def fuses(x: np.ndarray, w: np.ndarray, stride: Pair, padding: Pair, gamma: np.ndarray, beta: np.ndarray) -> bool:
    """Whether the kernels of this file take these types, if the spikes are worth listing."""
    floats = runs_here(w, w, gamma, beta) and spike_dtype(w) == np.uint8
    return floats and x.size > 0 and x.dtype == np.uint8 and len(x) * out_size(x, w, stride, padding)[1] <= LONGEST


def seen(x: np.ndarray) -> Spikes:
    """Count the spikes x [T, N, H, W, Ci] as images [T * N, H, W, Ci]."""
    return look_at(x.reshape(-1, *x.shape[2:]))


def norm_rows(width: int, *constants: np.ndarray) -> np.ndarray:
    """Return constants [C] as float32 rows of co * width entries, zeros where there is no such channel."""
    channels = len(constants[0])
    rows = aligned((len(constants), round_up(channels, width)), np.float32, zero=True)
    for row, x in zip(rows, constants, strict=True):
        row[:channels] = x
    return rows


def spikes_of(
    kernel: Kernel,
    spikes: Spikes,
    packed: Packed,
    x: np.ndarray,
    w: np.ndarray,
    stride: Pair,
    padding: Pair,
    norm: tuple[np.ndarray, ...],
    firing: Firing,
) -> np.ndarray:
    """Return what `kernel` (`spike_rows`, or that of `exact_fire`) writes: s [T, N, Ho, Wo, Co] of listed spikes."""
    width, channels = width_of(w.shape[3]), w.shape[3]
    pointers, index, roll = list_rows(spikes, w.shape[1], stride, padding, width)
    rows = norm_rows(width, *norm)
    s = aligned((*x.shape[:2], *out_size(x, w, stride, padding), rows.shape[1]), np.uint8)
    kernel(pointers, index, packed.weights, w.shape[1], stride, padding, roll, rows, *constants(firing), s)
    return s if s.shape[-1] == channels else np.ascontiguousarray(s[..., :channels])


def pack(w: np.ndarray, width: int) -> Packed | None:
    """Return w as `pack_weights` does; None if it is not ordinary."""
    return Packed(pack_weights(w, width), np.ones(1, np.float32), 0) if are_finite(w) else None


def conv_batch_norm_lif_forward(
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
    """Spikes [T, N, Ho, Wo, Co] as `reference.conv_batch_norm_lif_forward`; dense input goes kernel by kernel."""
    if fuses(x, w, stride, padding, gamma, beta):
        spikes, width = seen(x), width_of(w.shape[3])
        lists = worth_listing(spikes, BREAK_EVEN["forward"])
        packed = kept(w, ("floats", width), lambda w: pack(w, width)) if lists else None
        if packed is not None:
            norm = (mean, gamma * inv_std, beta)
            return spikes_of(spike_rows, spikes, packed, x, w, stride, padding, norm, firing)
    y = conv_forward(x.reshape(-1, *x.shape[2:]), w, stride, padding)
    return batch_norm_lif_forward(y.reshape(*x.shape[:2], *y.shape[1:]), mean, inv_std, gamma, beta, firing)
