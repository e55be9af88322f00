"""The gradient of a convolution's input on tensor cores, to the accuracy of float32: three products of halves for one.

Tensor cores multiply numbers of 11 bits. A float32 is the sum of two such numbers to 2^-23 of itself, and the product
of two float32 that of their parts, but for low * low (Markidis et al. 2018, "NVIDIA Tensor Core Programmability,
Performance & Precision"; with sums outside of the tensor cores: Ootomo and Yokota 2022, "Recovering single precision
accuracy from Tensor Cores while surpassing the FP32 theoretical peak performance"). Halves of float16 are multiplied
twice as fast as TF32, but end at 2^-24 and 65504: each pixel of gy and each input channel of w has a power of two at
which its largest magnitude lies below 2^15. With `most` this magnitude, both parts of a number v make it but for

    max(2^-23 |v|, 2^-39 most)            of gy at least 2^-135, of w at least 2^-167

halves.cu multiplies where the columns of a matrix product would else be gathered in memory.

Where a pixel of gy, or an input channel of w, holds a number that is not finite, what it reaches is NaN; a weight of
2^126 and more is as infinite.
"""

import functools
import math
from typing import Any

import numpy as np

from snncore.backend import Array, array_module
from snncore.kernels.cuda.module import THREADS, blocks_for, launch
from snncore.kernels.cuda.tensor_cores import wanted

__all__ = ["conv_backward_input", "split_gradient", "split_weights", "takes"]

INS, DEEP, BLOCK = 64, 16, 128  # as in halves.cu: channels of a block and of a step, and the threads of a block
TALL = 2  # sixteens of pixels of a warp; compiled for 2 and 4
FEWEST = 16  # channels on either side for which a block has work enough
FIRST = 75  # the compute capability of which tensor cores have halves, with a point in between
MOST, LONGEST = 1 << 30, 1 << 13  # pixels of all images, or weights, and a side: counted in 32 and 16 bits
Pair = tuple[int, int]


def takes(gy: Array, w: Array, shape: tuple[int, ...]) -> bool:
    """Whether the input gradient is to be taken here: gy and w are float32 and not empty. shape: of the input."""
    if max(math.prod(shape[:3]), math.prod(gy.shape[:3]), w.size) > MOST:
        return False
    if max(*gy.shape[1:3], *w.shape[:2]) > LONGEST:
        return False
    return wanted(array_module(gy), FIRST, pays=min(w.shape[2:]) >= FEWEST)


def split_gradient(gy: Array) -> tuple[Array, Array]:
    """Return both parts of gy [M, Ho, Wo, Co], contiguous, and what takes the power of each pixel off again.

    parts: the bits of halves, uint16 [sixteens of channels, 2, 2, M * Ho * Wo, 8], high ones and low ones, of the first
    eight channels and of the last, zeros where there is no channel: so that neighbouring pixels are read together.
    scale: float32 [M, Ho, Wo], 2^-(p + 16), NaN for a pixel that is not finite.
    """
    xp, co = array_module(gy), gy.shape[-1]
    scale = xp.empty(gy.shape[:3], np.float32)
    parts = xp.empty((-(-co // DEEP), 2, 2, scale.size, DEEP // 2), np.uint16)
    lanes = lanes_of_pixel(co)
    grid, whole = blocks_for(scale.size, THREADS // lanes), co % 4 == 0 and gy.data.ptr % 16 == 0
    block = (lanes, THREADS // lanes)
    launch("halves", "halves_split_gradient", grid, block, gy, parts, scale, scale.size, co, whole, defines=defines())
    return parts, scale


def split_weights(w: Array) -> tuple[Array, Array]:
    """Return both parts of w [kh, kw, Ci, Co], contiguous, and what takes the power of each input channel off again.

    parts: uint16 [sixteens of output channels, taps, tiles of 64 input channels, 64, 2, 16], high ones and low ones.
    scale: float32 [tiles of 64 input channels, 64], 2^(16 - q).
    """
    kh, kw, ci, co = w.shape
    tiles = -(-ci // INS)
    parts = array_module(w).empty((-(-co // DEEP), kh * kw, tiles, INS, 2, DEEP), np.uint16)
    scale = array_module(w).empty((tiles, INS), np.float32)
    sizes = (kh * kw, ci, co)
    launch("halves", "halves_split_weights", (scale.size,), (THREADS,), w, parts, scale, *sizes, defines=defines())
    return parts, scale


def conv_backward_input(gy: Array, w: Array, shape: tuple[int, ...], stride: Pair, padding: Pair) -> Array:
    """As `reference.conv_backward_input`, for float32 gy [M, Ho, Wo, Co] and w [kh, kw, Ci, Co], neither empty.

    Equal to it but for rounding: numbers are those of both their parts, a product loses low * low, 2^-22 of it at most,
    sums over 16 channels round as the tensor cores do, and the rest in float32, in an order of its own. The same bits
    each time.
    """
    xp: Any = array_module(gy)
    gx = xp.empty(shape, np.float32)
    images, height, width, ci = shape
    (kh, kw), (sy, sx) = w.shape[:2], stride
    pixels = images * -(-height // sy) * -(-width // sx)  # of the most that have the same taps
    if not pixels:
        return gx
    arrays = *split_gradient(xp.ascontiguousarray(gy)), *split_weights(xp.ascontiguousarray(w)), gx
    grid = (*blocks_for(pixels, 64 * TALL), -(-ci // INS), sy * sx)
    sizes = (height, width, ci, *gy.shape[1:], kh, kw, sy, sx, *padding)
    launch("halves", "halves_backward_input", grid, (BLOCK,), *arrays, images, *sizes, defines=defines())
    return gx


def defines() -> str:
    """Return the definitions that the kernels are compiled with."""
    return "" if TALL == 2 else f"#define TALL {TALL}\n"


@functools.cache
def lanes_of_pixel(channels: int) -> int:
    """Return the threads that split a pixel: a power of two up to 32, of eight channels each."""
    return min(32, 1 << (-(-channels // 8) - 1).bit_length())
