"""The gradient of a convolution's input on tensor cores, to the accuracy of float32: three products of halves for one.

Tensor cores multiply numbers of 11 bits. A float32 is the sum of two such numbers to 2^-23 of itself, and the product
of two float32 that of their parts, but for low * low (Markidis et al. 2018, "NVIDIA Tensor Core Programmability,
Performance & Precision"; with sums outside of the tensor cores: Ootomo and Yokota 2022, "Recovering single precision
accuracy from Tensor Cores while surpassing the FP32 theoretical peak performance"). Halves of float16 are multiplied
twice as fast as TF32, but end at 2^-24 and 65504: each pixel of gy and each input channel of w has a power of two at
which its largest magnitude lies below 2^15. With `most` this magnitude, both parts of a number v make it but for

    max(2^-23 |v|, 2^-39 most)            of gy at least 2^-135, of w at least 2^-167

halves.cu multiplies where the columns of a matrix product would else be gathered in memory.

What a pixel of gy reaches that holds a number that is not finite is NaN, and so is all of an input channel of which w
holds one; a weight of 2^126 and more is as infinite.
"""

import functools
import math
from typing import Any

import numpy as np

from snncore.backend import Array, array_module
from snncore.kernels.cuda.module import THREADS, blocks_for, launch
from snncore.kernels.cuda.tensor_cores import HALVES, multiprocessors, wanted

__all__ = ["conv_backward_input", "split", "takes"]

INS, DEEP, BLOCK = 64, 16, 128  # as in halves.cu: channels of a block and of a step, and the threads of a block
PIXELS = 128  # of a block
MOST_BLOCKS, FEW_BLOCKS = 4, 3  # of a multiprocessor; the second where there are no more, for more registers
FEWEST = 16  # channels on either side for which a block has work enough
MOST, LONGEST = 1 << 30, 1 << 13  # pixels of all images, or weights, and a side: counted in 32 and 16 bits
Pair = tuple[int, int]


def takes(gy: Array, w: Array, shape: tuple[int, ...]) -> bool:
    """Whether the input gradient is to be taken here: gy and w are float32 and not empty. shape: of the input."""
    if max(math.prod(shape[:3]), math.prod(gy.shape[:3]), w.size) > MOST:
        return False
    if max(*gy.shape[1:3], *w.shape[:2]) > LONGEST:
        return False
    return wanted(array_module(gy), HALVES, pays=min(w.shape[2:]) >= FEWEST)


def split(gy: Array, w: Array) -> tuple[Array, Array, Array, Array]:
    """Return both parts of gy [M, Ho, Wo, Co] and what takes the power of each pixel off, then those of w.

    Both are contiguous. Parts are the bits of halves, high ones and low ones, zeros where there is no channel:
    of gy: uint16 [sixteens of Co, 2, 2, M * Ho * Wo, 8], the third of first and last eight channels, so that
    neighbouring pixels are read together; of w [kh, kw, Ci, Co]: [sixteens of Co, kh * kw, tiles of 64 of Ci, 64, 2,
    16]. Scales are float32: 2^-(p + 16) [M, Ho, Wo], and 2^(16 - q) [tiles of 64 of Ci, 64]; NaN for what is not
    finite.
    """
    xp = array_module(gy)
    kh, kw, ci, co = w.shape
    deep, tiles = -(-co // DEEP), -(-ci // INS)
    scale, w_scale = xp.empty(gy.shape[:3], np.float32), xp.empty((tiles, INS), np.float32)
    parts = xp.empty((deep, 2, 2, scale.size, DEEP // 2), np.uint16)
    w_parts = xp.empty((deep, kh * kw, tiles, INS, 2, DEEP), np.uint16)
    lanes, whole = lanes_of_pixel(co), co % 4 == 0 and gy.data.ptr % 16 == 0
    grid = (w_scale.size + blocks_for(scale.size, THREADS // lanes)[0],)
    arrays, sizes = (gy, parts, scale, w, w_parts, w_scale), (w_scale.size, lanes, scale.size, kh * kw, ci, co, whole)
    launch("halves", "halves_split", grid, (THREADS,), *arrays, *sizes)
    return parts, scale, w_parts, w_scale


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
    arrays = *split(xp.ascontiguousarray(gy), xp.ascontiguousarray(w)), gx
    grid = (*blocks_for(pixels, PIXELS), -(-ci // INS), sy * sx)
    sizes = (height, width, ci, *gy.shape[1:], kh, kw, sy, sx, *padding)
    defines = defines_for(math.prod(grid), multiprocessors(xp, xp.cuda.runtime.getDevice()))
    launch("halves", "halves_backward_input", grid, (BLOCK,), *arrays, images, *sizes, defines=defines)
    return gx


def defines_for(blocks: int, multiprocessors: int) -> str:
    """Return what halves.cu is compiled with, for so many blocks."""
    at_once = FEW_BLOCKS if blocks <= FEW_BLOCKS * multiprocessors else MOST_BLOCKS
    return "" if at_once == 4 else f"#define BLOCKS {at_once}\n"


@functools.cache
def lanes_of_pixel(channels: int) -> int:
    """Return the threads that split a pixel: a power of two, of eight channels each.

    At most 16, so that a warp has two pixels side by side and writes whole sectors of 32 bytes.
    """
    return min(16, 1 << (-(-channels // 8) - 1).bit_length())
