"""Exact sums on the device: the bits of `reference.exact_*`, without a look of the host at the weights.

Weights become integers at every call: a change is then always seen, and a launch can be recorded into a CUDA graph.
Where a weight is not ordinary, the kernels find out by themselves and sum in float32, in the order of the window.

Which kernel sums is a choice of speed; all give the same bits:

| input | kernel |
| --- | --- |
| spikes, 16 channels or more, a card with integer tensor cores | exact_mma.cu: digits of the weights, dense |
| other spikes, groups, gaps between taps, SNNCORE_KERNELS=event | exact_sums_u8: skips what did not fire |
| other integers | exact_sums_i32 |
| analog input | exact_in_order_tiles: float64; with groups exact_in_order |
"""

import math
from typing import Any

import numpy as np

from snncore.backend import Array, array_module
from snncore.kernels import reference
from snncore.kernels.choice import kernel_choice
from snncore.kernels.cuda.columns import dense_forward
from snncore.kernels.cuda.gemm import linear_forward
from snncore.kernels.cuda.module import LANES, ROWS, THREADS, blocks_for, launch
from snncore.kernels.cuda.tensor_cores import BYTES, capability, tall_warps, wanted
from snncore.kernels.reference.conv import conv_output_size

OUTS, DEEP, PACKERS, WINDOWS = 4, 64, 1024, 64  # as in exact.cu, TILE the last
PIXELS, TILE = 128, 32  # of a block of exact_mma.cu: pixels, output channels
FEWEST = 16  # input channels for tensor cores, which work as long on 64
DEEPEST = (1 << 31) // (255 * 128) - 1  # terms of bytes times digits that 32 bits hold
MOST = 1 << 30  # pixels of all images, and bytes of one, for tensor cores
LOOKS = 64  # blocks that look for weights that are not ordinary, at most
Pair = tuple[int, int]


def exact_conv_forward(x: Array, w: Array, stride: Pair, padding: Pair) -> Array:
    """As `reference.exact_conv_forward`."""
    return _sums(x, w, stride, padding, (1, 1)) if x.size and w.size else dense_forward(x, w, stride, padding)


def exact_grouped_conv_forward(x: Array, w: Array, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """As `reference.exact_grouped_conv_forward`."""
    if not (x.size and w.size):
        return reference.grouped_conv_forward(x, w, stride, padding, dilation)
    return _sums(x, w, stride, padding, dilation)


def exact_linear_forward(x: Array, w: Array) -> Array:
    """As `reference.exact_linear_forward`: a convolution with one tap."""
    if not (x.size and w.size):
        return linear_forward(x, w)
    y = _sums(x.reshape(-1, 1, 1, x.shape[-1]), w[None, None], (1, 1), (0, 0), (1, 1))
    return y.reshape(*x.shape[:-1], w.shape[1])


def pack_whole(w: Array) -> tuple[Array, Array, Array]:
    """Return (q, scale, flags) for w [..., Ci, Co], contiguous: integers int32, 2^-p, whether a weight is not ordinary.

    q, scale: as of `reference.exact.fixed_point`; nothing where a flag is not 0.
    """
    return _pack("exact_pack_whole", w, array_module(w).empty(w.shape, np.int32), w.shape[-1])


def pack_digits(w: Array) -> tuple[Array, Array, Array]:
    """Return (digits, scale, flags) as `pack_whole`, the integers to the base 256 with digits from -128 to 127.

    digits: int8 [parts of 64 input channels, taps, 4, output channels, 64], the lowest of the four first; zeros where
    there is no channel, output channels up to a multiple of 32.
    """
    taps, wide = math.prod(w.shape[:-2]), round_up(w.shape[-1], TILE)
    shape = round_up(w.shape[-2], DEEP) // DEEP, taps, 4, wide, DEEP
    return _pack("exact_pack_digits", w, array_module(w).empty(shape, np.int8), wide)


def _pack(kernel: str, w: Array, out: Array, channels: int) -> tuple[Array, Array, Array]:
    xp, (ci, co) = array_module(w), w.shape[-2:]
    scale, flags = xp.empty(co, np.float32), xp.empty(round_up(channels, OUTS) // OUTS, np.int32)
    launch("exact", kernel, flags.shape, (PACKERS,), w, out, scale, flags, math.prod(w.shape[:-2]), ci, co)
    return out, scale, flags


def takes(x: Array, w: Array) -> bool:
    """Whether a convolution of x with w, neither empty, is to be summed here in float32 arithmetic too.

    Where tensor cores are wanted for spikes: an exact sum of the weights as integers of 31 bits is nearer than a
    float32 sum, and quicker than columns and a product (docs/gpu.md).
    """
    return x.dtype == np.uint8 and w.dtype == np.float32 and _fits(x, w) and wanted(array_module(x), BYTES)


def _fits(x: Array, w: Array) -> bool:
    """Whether exact_mma.cu has such windows, and counts such images in 32 bits."""
    kh, kw, ci, _ = w.shape
    return ci >= FEWEST and kh * kw * ci <= DEEPEST and max(math.prod(x.shape[:3]), x[0].size) < MOST


def _multiplies(xp: Any) -> bool:
    """Whether dense products are wanted and the card has them for bytes."""
    return kernel_choice() != "event" and capability(xp) >= BYTES


def round_up(n: int, to: int) -> int:
    """Return the next multiple of `to`."""
    return -(-n // to) * to


def _sums(x: Array, w: Array, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """y [M, Ho, Wo, Co] from x [M, H, W, groups * Ci] and w [kh, kw, Ci, Co], neither empty."""
    xp, (kh, kw, ci, co) = array_module(x), w.shape
    sizes = zip(x.shape[1:3], (kh, kw), stride, padding, dilation, strict=True)
    ho, wo = (conv_output_size(n, d * (k - 1) + 1, s, p) for n, k, s, p, d in sizes)
    x, w = xp.ascontiguousarray(x), xp.ascontiguousarray(w)
    y = xp.empty((len(x), ho, wo, co), np.float32)
    pixels = len(x) * ho * wo
    if not pixels:
        return y
    grid, block = (*blocks_for(pixels, ROWS), *blocks_for(co, LANES)), (LANES, ROWS)
    groups = x.shape[3] // ci
    of_all = (*x.shape[1:3], ci, ho, wo, co, kh, kw, *stride, *padding, *dilation, groups)
    if x.dtype.kind == "f":
        flags = xp.empty(min(LOOKS, blocks_for(w.size)[0]), np.int32)
        launch("exact", "exact_ordinary", flags.shape, (THREADS,), w, flags, np.int64(w.size))
        analog = (x, w, flags, y, np.int64(pixels), flags.size)
        if groups == 1:
            grid = *blocks_for(pixels, WINDOWS), *blocks_for(co, LANES)
            launch("exact", "exact_in_order_tiles", grid, block, *analog, *of_all[:-1])
        else:
            launch("exact", "exact_in_order", grid, block, *analog, *of_all)
        return y
    narrow = x.dtype.kind == "b" or x.dtype == np.uint8
    x = x.astype(np.uint8 if narrow else np.int32, copy=False)
    if narrow and _fits(x, w) and pixels < MOST and (groups, *dilation) == (1, 1, 1) and _multiplies(xp):
        digits, scale, flags = pack_digits(w)
        name = "exact_mma_bytes" if ci % 16 or x.data.ptr % 16 else "exact_mma_pieces"
        grid = *blocks_for(pixels, PIXELS), *blocks_for(co, TILE)
        arrays = (x, digits, w, scale, flags, y)
        threads, defines = tall_warps(xp)
        launch("exact_mma", name, grid, threads, *arrays, pixels, flags.size, *of_all[:-3], defines=defines)
        return y
    q, scale, flags = pack_whole(w)
    name = "exact_sums_u8" if narrow else "exact_sums_i32"
    launch("exact", name, grid, block, x, q, w, scale, flags, y, np.int64(pixels), flags.size, *of_all)
    return y
