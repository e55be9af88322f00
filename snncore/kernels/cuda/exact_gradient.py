"""Gradient of the weights of a convolution of spikes, in integers, on tensor cores (exact_gradient.cu).

The gradient gy of the output becomes integers of 31 bits times a power of two of its channel, in four signed digits;
the spikes are integers already. Their sums have no order and are rounded once: neither the card nor how the work is
cut changes a bit. With `most` the largest magnitude of gy in a channel, an entry of gy is off by at most 1.004 * 2^-31
of it, so that

    |gw - true gw| <= 2^-24 |gw| + 1.004 * 2^-31 * most * (sum of the spikes under the tap)

Of n float32 numbers, added one after the other, the bound is n * 2^-24 * (sum of |x gy|); docs/gpu.md has both errors
on gradients of training. Where gy holds a NaN or an infinity, gw of that channel is NaN.
"""

import functools
import math

import numpy as np

from snncore.backend import Array, array_module
from snncore.kernels.cuda.binned import largest_bits
from snncore.kernels.cuda.module import THREADS, blocks_for, launch
from snncore.kernels.cuda.tensor_cores import BYTES, multiprocessors, tall_warps, wanted

SLOT, PLACES, OUTS, DIGITS = 64, 64, 32, 4  # as in exact_gradient.cu
LONGEST = 1024  # steps of a block: 255 * 128 * 64 * 1024 < 2^31
MOST_PLACES = 1 << 24  # 2^31 * 255 * 2^24 < 2^63
LARGEST_IMAGE = 1 << 30  # bytes
DIGIT_BYTES = 1 << 28  # of the digits that are there at once, as of columns
BLOCKS = 2  # of a multiprocessor
AROUND = 8  # steps: what a block costs besides
Pair = tuple[int, int]


def takes(x: Array, gy: Array) -> bool:
    """Whether the gradient of the weights is to be taken here, of spikes x [M, H, W, Ci] and gy [M, Ho, Wo, Co].

    In both arithmetics, since its error is below that of float32 sums.
    """
    if x.dtype != np.uint8 or gy.dtype != np.float32 or not (x.size and gy.size):
        return False
    if gy.size // gy.shape[-1] > MOST_PLACES or x[0].size >= LARGEST_IMAGE:
        return False
    return wanted(array_module(x), BYTES)


def exact_backward_weight(
    x: Array, gy: Array, kernel: Pair, stride: Pair, padding: Pair, out: Array | None = None
) -> Array:
    """Return gw [kh, kw, Ci, Co] float32, written to out if there is one, of what `takes` says yes to."""
    xp, ci, co = array_module(x), x.shape[-1], gy.shape[-1]
    x, gy = xp.ascontiguousarray(x), xp.ascontiguousarray(gy)
    gw = xp.empty((*kernel, ci, co), np.float32) if out is None else out
    wide, slots = blocks_for(co, OUTS)[0], kernel[0] * kernel[1] * blocks_for(ci, SLOT)[0]
    flat, bits = gy.reshape(-1, co), largest_bits(gy)
    whole = blocks_for(len(flat), PLACES)[0]  # steps
    piece = balanced(whole, max(1, DIGIT_BYTES // (DIGITS * PLACES * wide * OUTS)))
    splits = splits_for(-(-slots // 2) * wide, piece, BLOCKS * multiprocessors(xp, xp.cuda.runtime.getDevice()))
    alone = piece == whole and splits == 1
    total = xp.empty(1 if alone else gw.size, np.uint64)
    digits = xp.empty((piece, DIGITS, wide * OUTS, PLACES), np.int8)
    name = "exact_gradient_bytes" if ci % 16 or x.data.ptr % 16 else "exact_gradient_pieces"
    sizes = *x.shape[1:], *gy.shape[1:], *kernel, *stride, *padding
    block, defines = tall_warps(xp)
    rows, by_x = divmod(PLACES, gy.shape[2])
    images, by_y = divmod(rows, gy.shape[1])
    by = np.int64(x.size), np.int64(images * x[0].size), by_x, by_y  # from step to step, without a division
    for first in range(0, whole, piece):
        steps, rows = min(piece, whole - first), flat[first * PLACES : (first + piece) * PLACES]
        zeros = 0 if alone or first else total.size
        arrays, n = (rows, bits, digits, total), np.int64(zeros)
        launch("exact_gradient", "exact_gradient_digits", (steps, wide), (THREADS,), *arrays, len(rows), co, n)
        grid = -(-slots // 2), wide, min(splits, steps)
        where = np.int64(first), *by, steps, alone
        launch("exact_gradient", name, grid, block, x, digits, bits, total, gw, *where, *sizes, defines=defines)
    if not alone:
        n = np.int64(gw.size)
        launch("exact_gradient", "exact_gradient_round", blocks_for(gw.size), (THREADS,), total, bits, gw, co, n)
    return gw


def balanced(steps: int, most: int) -> int:
    """Return the steps of a piece: as few pieces of at most `most` as there can be, of one size to a step."""
    return -(-steps // -(-steps // most))


@functools.lru_cache(maxsize=1024)
def splits_for(tiles: int, steps: int, room: int) -> int:
    """Return into how many parts to cut the steps: so that the card, with room for so many blocks, is done soonest."""
    least = -(-steps // LONGEST)
    most = max(least, min(steps, 4 * room // tiles + 1))
    return min(range(least, most + 1), key=lambda n: (math.ceil(tiles * n / room) * (-(-steps // n) + AROUND), n))
