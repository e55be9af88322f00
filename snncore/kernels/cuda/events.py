"""Convolution of spikes from lists of events, in a fixed order and without float atomics."""

import numpy as np

from snncore.backend import Array, array_module
from snncore.kernels.cuda.module import LANES, ROWS, THREADS, blocks_for, launch
from snncore.kernels.cuda.reduce import sum_chunks
from snncore.kernels.reference.conv import conv_output_size

TILE, WIDE = 128, 64  # as in events.cu
CHUNKS = 64  # partial sums of the weight gradient, at most
LARGEST_CHANNEL = 1 << 16  # an event holds its channel in 16 bits


def takes(x: Array, other: Array) -> bool:
    """Whether the kernels take spikes x [M, H, W, Ci] and a float array beside them."""
    return x.dtype == np.uint8 and other.dtype == np.float32 and x.size > 0 and x.shape[-1] < LARGEST_CHANNEL


def compact_events(x: Array) -> tuple[Array, Array]:
    """Return (list, count) for spikes x [M, H, W, C].

    list: uint32 [M * H * W, C], whose row holds channel + (value << 16) of the entries that are not zero, channels
    rising; what lies beyond is undefined. count: int32 [M * H * W].
    """
    xp = array_module(x)
    x = xp.ascontiguousarray(x)
    channels = x.shape[-1]
    pixels = x.size // channels
    events, count = xp.empty((pixels, channels), np.uint32), xp.empty(pixels, np.int32)
    grid = blocks_for(pixels, THREADS // 32)
    launch("events", "compact_events", grid, (THREADS,), x, events, count, np.int64(pixels), channels)
    return events, count


def events_forward(x: Array, w: Array, stride: tuple[int, int], padding: tuple[int, int]) -> Array:
    """As `reference.conv_forward` for spikes: the weights of what fired, added tap by tap and channel by channel."""
    xp = array_module(x)
    kh, kw, ci, co = w.shape
    m, h, width, _ = x.shape
    ho, wo = conv_output_size(h, kh, stride[0], padding[0]), conv_output_size(width, kw, stride[1], padding[1])
    events, count = compact_events(x)
    y = xp.empty((m, ho, wo, co), w.dtype)
    pixels = m * ho * wo
    grid = (*blocks_for(pixels, ROWS), *blocks_for(co, LANES))
    sizes = (np.int64(pixels), h, width, ci, ho, wo, co, kh, kw, *stride, *padding)
    launch("events", "conv_events", grid, (LANES, ROWS), events, count, xp.ascontiguousarray(w), y, *sizes)
    return y


def events_backward_weight(
    x: Array,
    gy: Array,
    kernel: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    out: Array | None = None,
) -> Array:
    """As `reference.conv_backward_weight` for spikes: each chunk of pixels adds by itself, then the chunks in order."""
    xp = array_module(x)
    (m, h, width, ci), (ho, wo, co) = x.shape, gy.shape[1:]
    taps, pixels = kernel[0] * kernel[1], m * ho * wo
    events, count = compact_events(x)
    chunks = min(CHUNKS, pixels)
    partial = xp.empty((chunks, *kernel, ci, co), gy.dtype)
    tiles = blocks_for(co, WIDE)[0] * blocks_for(ci, TILE)[0]
    sizes = (np.int64(pixels), h, width, ci, ho, wo, co, *kernel, *stride, *padding)
    arrays = (events, count, xp.ascontiguousarray(gy), partial)
    launch("events", "conv_events_weight", (chunks, taps, tiles), (WIDE,), *arrays, *sizes)
    return sum_chunks(partial, out)
